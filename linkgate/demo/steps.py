"""Lines to paste into a shell, and what each will show. The tests run them as they stand."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from linkgate.demo.samples import PASTE, Tour

#: Prints what matters of an answer: its status and where it leads.
_BRIEFLY = "-s -o /dev/null -w '%{http_code} %{redirect_url}\\n'"
#: What a scanner was seen to call itself: a real browser, years old.
_OLD_CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/72.0.3626.121 Safari/537.36"
)
#: What Chrome sends when a person opens a link from a mail program.
_BROWSER: Mapping[str, str] = {
    "sec-ch-ua": '"Chromium";v="156", "Google Chrome";v="156", "Not:A-Brand";v="8"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    "Accept-Language": "en-GB,en;q=0.9",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One command; `shows` says what will be seen."""

    name: str
    shows: str
    command: str


def steps(tour: Tour) -> tuple[Step, ...]:
    """Return the lines for a running demo, in the order that they are meant to be tried in."""
    url = quote(tour.link(PASTE).url)
    return (
        Step(
            "scanner",
            "A mail scanner in the guise of an old Chrome: 200, the page with the button, and no "
            "redirect. No session was made.",
            _lines(f"curl {_BRIEFLY}", f"-A {quote(_OLD_CHROME)}", url),
        ),
        Step(
            "tool",
            "A tool that says what it is: 200, the same page.",
            _lines(f"curl {_BRIEFLY}", "-A 'python-requests/2.32.3'", url),
        ),
        Step(
            "head",
            "HEAD, as some scanners ask first: the page's headers, whatever the client calls "
            "itself.",
            _lines("curl -sI", url),
        ),
        Step(
            "prefetch",
            "A browser that looks ahead: 503, so that it asks again when the person goes there.",
            _lines(f"curl {_BRIEFLY}", *_headers({**_BROWSER, "Sec-Purpose": "prefetch"}), url),
        ),
        Step(
            "browser",
            "What a person's Chrome sends: 303 and the address of a fresh checkout. Again within "
            "two minutes: the same one. But whoever comes less than a second after another visit "
            "gets the button, since scanners come in twos.",
            _lines(f"curl {_BRIEFLY}", *_headers(_BROWSER), url),
        ),
        *_api_steps(tour),
    )


def _api_steps(tour: Tour) -> tuple[Step, ...]:
    key = f"-H 'Authorization: Bearer {tour.api_key}'"
    link = tour.link(PASTE)
    wanted = json.dumps({"campaign": link.campaign, "recipient": "r-1001"})
    return (
        Step(
            "state",
            "What happened to that link: every visit with its verdict and the evidence, and the "
            "one session.",
            _lines("curl -s", key, f"{tour.url}/api/v1/links/{link.id}"),
        ),
        Step(
            "create",
            "A marketing tool makes a link: 201, with its URL for the e-mail.",
            _lines(
                "curl -s -w '\\n%{http_code}\\n'",
                key,
                "-H 'Content-Type: application/json'",
                f"-d {quote(wanted)}",
                f"{tour.url}/api/v1/links",
            ),
        ),
    )


def _headers(headers: Mapping[str, str]) -> list[str]:
    return [f"-H {quote(f'{name}: {value}')}" for name, value in headers.items()]


def _lines(*parts: str) -> str:
    return " \\\n  ".join(parts)
