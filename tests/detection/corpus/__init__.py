"""Recorded visits as data: who it is, what is sent, what is remembered, and what must be found.

A case in one of the files beside this one says

- `who` it is, once in the whole corpus, and where wanted the `source` of what it sends
- the request: `agent` and `headers`, a set of profiles.toml, or `browser`, which is both; `extra`
  headers, empty to take one away; `method` and `secure`, GET and true unless given
- where from: `address`; `asn`, the number that a database would tell for it; `proxied`, "trusted"
  where a proxy of ours names the address, "unknown" where a proxy that nobody told us of hides it
- when: `sent_ago`, seconds since the e-mail was sent, and `scan_seconds`, the campaign's window
- `history`, in seconds before the visit: `link`, visits to the same link; `address` and `network`,
  links opened from the same address, and from others of its network: a number is one link, a list
  is the visits of one link; `link_decoy` and `address_decoy`, when a decoy was opened
- `press`, which makes it a POST: `gesture`, what the page's script wrote; `dwell`, seconds since
  the page was made, left out where the challenge is bad; `second`; `busy`, from the busy page
- `known_device` and `decoy`
- the `verdict`, its `kind`, and the names of the `rules` that must find something: all of them for
  people and suspects, some of them for machines. `misses` names rules that the visit is just
  outside of. `decision` says what the gate does with it, by policy
- `gap`, for a machine that is let through: why nothing in one visit tells it from a person.

A group is cases that differ in one thing, by who: `agents`, `addresses`, `numbers` or `browsers`.
The file says who somebody is: people stand in PEOPLE, whatever the verdict on them.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from linkgate.campaigns import Policy, Status
from linkgate.challenge import Challenge, Origin, Refusal, read_press
from linkgate.decision import Decision, decide
from linkgate.detection import (
    RULES,
    History,
    Networks,
    Ruleset,
    Sighting,
    Verdict,
    judge,
    prefetching,
)
from linkgate.signals import Signals, TrustedProxies, gather
from tests.detection.scenes import NOW

Case = Mapping[str, Any]

PEOPLE = ("browsers", "apps", "circumstances")
MACHINES = ("scanners", "disguised", "previewers", "tools", "crawlers")
KEYS = {
    *("who", "source", "agent", "headers", "browser", "extra", "method", "secure", "address"),
    *("asn", "proxied", "sent_ago", "scan_seconds", "history", "press", "known_device", "decoy"),
    *("verdict", "kind", "rules", "misses", "decision", "gap", "file"),
}

_HERE = Path(__file__).parent
_VARYING = {"agents": "agent", "addresses": "address", "numbers": "asn", "browsers": "browser"}
_OUR_PROXY = "10.0.0.1"
_PROXIES = TrustedProxies([_OUR_PROXY])
_ELSEWHERE = "198.51.100.7"
_VENDORS = {
    "Edg/": "Microsoft Edge",
    "EdgA/": "Microsoft Edge",
    "OPR/": "Opera",
    "YaBrowser/": "YaBrowser",
    "SamsungBrowser/": "Samsung Internet",
    "Version/4.0 Chrome/": "Android WebView",
}
_SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "Macintosh": "macOS",
    "CrOS": "Chrome OS",
    "Linux": "Linux",
}


def _load(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


_PROFILES: dict[str, dict[str, Any]] = _load(_HERE.parent / "profiles.toml")
_BROWSERS: dict[str, dict[str, str]] = _PROFILES.pop("browser")


def _cases(name: str) -> Iterator[Case]:
    data = _load(_HERE / f"{name}.toml")
    for case in data.get("case", ()):
        yield _whole(case, name)
    for group in data.get("group", ()):
        common = {key: value for key, value in group.items() if key not in _VARYING}
        for key, field in _VARYING.items():
            for who, value in group.get(key, {}).items():
                yield _whole({**common, "who": who, field: value}, name)


def _whole(case: Case, name: str) -> Case:
    browser = _BROWSERS[case["browser"]] if "browser" in case else {}
    return {**browser, **case, "file": name}


CASES: list[Case] = [case for name in (*PEOPLE, *MACHINES) for case in _cases(name)]


def client_hints(agent: str) -> dict[str, str]:
    """Return the client hints that a Chromium with this user agent sends; none if it isn't one."""
    version = re.search(r"Chrome/(\d+)", agent)
    system = next((name for word, name in _SYSTEMS.items() if word in agent), None)
    if not version or not system:
        return {}
    vendor = next((name for token, name in _VENDORS.items() if token in agent), "Google Chrome")
    brands = ("Chromium", version[1]), (vendor, version[1]), ("Not/A)Brand", "8")
    return {
        "sec-ch-ua": ", ".join(f'"{name}";v="{number}"' for name, number in brands),
        "sec-ch-ua-mobile": "?1" if "Mobile" in agent else "?0",
        "sec-ch-ua-platform": f'"{system}"',
    }


def visit(case: Case) -> Signals:
    """Return the case's request. The sending time is left to `judged`, which knows what now is."""
    press = case.get("press")
    secure = case.get("secure", True)
    signals = gather(
        case.get("method", "GET" if press is None else "POST"),
        [(k.encode(), v.encode("latin-1", "replace")) for k, v in _headers(case).items() if v],
        _OUR_PROXY if case.get("proxied") == "trusted" else _peer(case),
        "https" if secure else "http",
        _PROXIES,
        decoy=case.get("decoy", False),
        scan_seconds=case.get("scan_seconds", 600.0),
    )
    return replace(
        signals,
        known_device=case.get("known_device", False),
        press=None if press is None else read_press(*_confirmation(press)),
    )


def _headers(case: Case) -> dict[str, str]:
    """Return what is sent. A profile with client hints sends those that fit the user agent."""
    headers = {"host": "go.example.com", "user-agent": case["agent"]} | _PROFILES[case["headers"]]
    if "sec-ch-ua" in headers:
        headers |= client_hints(case["agent"])
    if "press" in case:
        headers["content-type"] = "application/x-www-form-urlencoded"
        if "sec-fetch-site" in headers:
            headers["sec-fetch-site"] = "same-origin"
    headers |= case.get("extra", {})
    if case.get("proxied") == "trusted":
        invented = headers.get("x-forwarded-for")
        hops = [invented, _peer(case)] if invented else [_peer(case)]
        headers["x-forwarded-for"] = ", ".join(hops)
        headers["x-forwarded-proto"] = "https" if case.get("secure", True) else "http"
    return headers


def _peer(case: Case) -> str:
    hidden = "10.9.8.7" if case.get("proxied") == "unknown" else _ELSEWHERE
    address: str = case.get("address", hidden)
    return address


def _confirmation(press: Case) -> tuple[Challenge | Refusal, str, bool, float]:
    challenge: Challenge | Refusal = Refusal.MISSING
    if "dwell" in press:
        origin = Origin.BUSY if press.get("busy") else Origin.INTERSTITIAL
        challenge = Challenge("lnk_1", NOW - press["dwell"], origin)
    return challenge, press.get("gesture", ""), press.get("second", False), NOW


def remembered(case: Case) -> History:
    """Return what the store would remember when the case's visit comes."""
    told = case.get("history", {})
    here = [Sighting(f"v{n}", "lnk_1", age) for n, age in enumerate(told.get("link", ()))]
    others = [
        Sighting(f"{whence}-{link}-{age}", f"{whence}-{link}", age, True, whence == "address")
        for whence in ("address", "network")
        for link, ages in enumerate(told.get(whence, ()))
        for age in _several(ages)
    ]
    return History(
        link=tuple(here),
        network=tuple(others),
        link_decoy=told.get("link_decoy"),
        address_decoy=told.get("address_decoy"),
    )


def _several(ages: float | Sequence[float]) -> Sequence[float]:
    return ages if isinstance(ages, list) else [ages]  # type: ignore[list-item]


def judged(case: Case, rules: Ruleset = RULES) -> Verdict:
    """Return the verdict on the case's visit, by the whole of what the case says."""
    signals = visit(case)
    if "sent_ago" in case:
        signals = replace(signals, sent_at=NOW - case["sent_ago"])
    if "asn" in case:
        rules = Ruleset(rules.rules, rules.limits, Networks(lambda _: case["asn"]))
    return judge(signals, remembered(case), NOW, rules)


def decided(case: Case, policy: Policy) -> Decision:
    """Return what the gate does with the case's visit."""
    return decide(
        policy=policy,
        status=Status.ACTIVE,
        verdict=judged(case),
        prefetching=prefetching(visit(case)),
        trusted_device=case.get("known_device", False),
        confirmation=_confirmation(case["press"])[0] if "press" in case else None,
    )
