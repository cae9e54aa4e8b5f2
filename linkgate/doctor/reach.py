"""Whether people and Stripe can reach this linkgate at its public URL.

Only ever warnings: the server may not have been started yet, and some networks don't let a machine
reach its own public address.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import aiohttp

from linkgate.config import Config
from linkgate.doctor.finding import Finding, Level

TIMEOUT_SECONDS = 5.0
# A token that no key has signed; the path of links answers it with a page of its own.
_PROBE_PATH = "/l/linkgate-doctor"
# What every answer of a link route carries; nobody else's 404 has all three.
_MARKS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}

_finding = partial(Finding, "reach")


async def examine_reach(config: Config) -> list[Finding]:
    """Ask the public URL for its health, a link that opens nothing, and the webhook's address."""
    base = config.server.public_url
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async with session.get(f"{base}/health/live", allow_redirects=False) as answer:
                findings = [_alive(base, answer)]
            if findings[0].level is Level.OK:
                async with session.get(f"{base}{_PROBE_PATH}", allow_redirects=False) as answer:
                    findings += _is_linkgate(base, answer.headers)
                hook = f"{base}/webhooks/stripe"
                async with session.post(hook, data=b"{}", allow_redirects=False) as answer:
                    findings += _takes_webhooks(hook, answer)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return [_unreachable(base, error)]
    return findings


def _unreachable(base: str, error: Exception) -> Finding:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        message = f"the certificate of {base} is not accepted: {error.certificate_error}"
        return _finding(Level.WARNING, message, "renew it, or check the host name in it")
    if isinstance(error, TimeoutError):
        message = f"{base} did not answer within {TIMEOUT_SECONDS:g} s from here"
    else:
        message = f"{base} can't be reached from here: {error}"
    return _finding(
        Level.WARNING,
        message,
        "start linkgate with `linkgate serve`, and check the name's DNS entry, the proxy and the "
        "firewall; then look again",
    )


def _alive(base: str, answer: aiohttp.ClientResponse) -> Finding:
    if 300 <= answer.status < 400:
        to = answer.headers.get("Location", "elsewhere")
        # Stripe does not follow redirects of webhooks, and each one costs a person time.
        message = f"{base} sends its visitors on to {to}"
        return _finding(Level.WARNING, message, "set server.public_url to where it finally leads")
    if answer.status != 200:
        message = f"{base}/health/live answers {answer.status}"
        return _finding(
            Level.WARNING, message, "check that the proxy passes every path on to linkgate"
        )
    return _finding(Level.OK, f"{base} answers")


def _is_linkgate(base: str, headers: Mapping[str, str]) -> Iterator[Finding]:
    lost = [name for name, word in _MARKS.items() if word not in headers.get(name, "").lower()]
    if len(lost) == len(_MARKS):
        message = f"something answers at {base}, but it isn't linkgate"
        yield _finding(Level.WARNING, message, "check server.public_url and the proxy's target")
    elif lost:
        # A cache in between would show one person's page to the next, or keep a link's redirect.
        message = f"something on the way to {base} removes or changes {', '.join(lost)}"
        yield _finding(Level.WARNING, message, "let the proxy pass these headers on unchanged")
    else:
        yield _finding(Level.OK, f"{base} is linkgate, and its headers arrive unchanged")


def _takes_webhooks(hook: str, answer: aiohttp.ClientResponse) -> Iterator[Finding]:
    # 400 is what linkgate answers to a webhook without a signature.
    if answer.status == 400:
        yield _finding(Level.OK, f"{hook} takes webhooks, and refuses unsigned ones")
    else:
        message = f"{hook} answers {answer.status} to a webhook without a signature, and not 400"
        mend = "check that proxy and firewall let POST requests through to it unchanged"
        yield _finding(Level.WARNING, message, mend)
