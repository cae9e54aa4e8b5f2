"""What client hints say against the user agent. A faked user agent leaves them as they were.

Only Chrome and Edge themselves are held to them (`UserAgent.plain`): what is built on them, and
apps' browsers, change one and not the other. Source of what is sent and since when: MDN's
compatibility data (Sec-CH-UA, -Mobile, -Platform since Chrome and Edge 89, in secure contexts).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from linkgate.detection.agents import UserAgent
from linkgate.detection.consistency import in_app, names_app
from linkgate.detection.declared import suspect
from linkgate.detection.rules import Finding, Shape

HINTS_SINCE = 89
# The header is cut at 256 bytes, so that this is 1 MB at most; browsers send a few hundred of them.
BRANDS_KEPT = 1024
_BRAND = re.compile(r'"((?:[^"\\]|\\.){0,64})" ?; ?v="(\d{0,6})')
_NO_LETTER = re.compile(r"[^a-z]")
# What Sec-CH-UA-Platform may say for a system. Android that asks for a desktop's page calls itself
# X11; Linux, and keeps its platform.
_PLATFORMS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Windows": frozenset({"Windows"}),
        "macOS": frozenset({"macOS", "Mac OS X"}),
        "Android": frozenset({"Android"}),
        "Chrome OS": frozenset({"Chrome OS", "Chromium OS"}),
        "Linux": frozenset({"Linux", "Android"}),
    }
)
_KNOWN_PLATFORMS = frozenset().union(*_PLATFORMS.values()) | {"iOS"}


class Brands(NamedTuple):
    """Sec-CH-UA: Chromium's major version (0 if it isn't named) and the brands beside it."""

    chromium: int
    vendors: frozenset[str]


@lru_cache(maxsize=BRANDS_KEPT)
def read_brands(text: str) -> Brands:
    """Read Sec-CH-UA. Total: junk names no brand. The made-up brand, which is some spelling of "Not
    A Brand", is left out.
    """
    brands: dict[str, int] = {}
    for name, version in _BRAND.findall(text):
        if _NO_LETTER.sub("", name.lower()) != "notabrand":
            brands[name] = int(version or 0)
    return Brands(brands.pop("Chromium", 0), frozenset(brands))


def _comparable(shape: Shape, agent: UserAgent) -> bool:
    return agent.plain and not in_app(shape, agent)


def hints_missing(shape: Shape, agent: UserAgent) -> Finding | None:
    """Chrome or Edge since 89 in a secure context, and Sec-CH-UA is missing or names no Chromium.

    Source: MDN's compatibility data; both send it on every request; captured HTTP libraries with a
    browser's user agent don't. Wrong about people: behind a proxy that strips it.
    """
    expected = agent.major >= HINTS_SINCE and shape.secure_context and _comparable(shape, agent)
    if not expected or read_brands(shape.sec_ch_ua).chromium:
        return None
    return suspect("it calls itself a recent Chrome or Edge, and no Chromium is in Sec-CH-UA")


def hints_unexpected(shape: Shape, agent: UserAgent) -> Finding | None:
    """Client hints from a browser that has none: Firefox, Safari, anything on iOS, Internet
    Explorer, the first Edge, and Chrome before 89.

    Source: MDN's compatibility data. Wrong about people: with an extension or a setting that
    pretends to another browser.
    """
    if not (shape.sec_ch_ua or shape.sec_ch_ua_mobile or shape.sec_ch_ua_platform):
        return None
    has_none = agent.engine != "blink" or (agent.plain and agent.major < HINTS_SINCE)
    if not (agent.browser and has_none) or names_app(shape):
        return None
    return suspect("it sends client hints (Sec-CH-UA), which the browser it claims to be hasn't")


def hints_version(shape: Shape, agent: UserAgent) -> Finding | None:
    """Sec-CH-UA has another version of Chromium than the user agent.

    Source: both are the same number in Chrome and Edge; tried in Chromium 156 with another user
    agent (2026-11). Wrong about people: with an extension that changes the user agent alone.
    """
    told = read_brands(shape.sec_ch_ua).chromium
    if not told or told == agent.major or not _comparable(shape, agent):
        return None
    return suspect(f"the user agent says Chrome {agent.major}, Sec-CH-UA says {told}")


def hints_platform(shape: Shape, agent: UserAgent) -> Finding | None:
    """Sec-CH-UA-Platform is another system than the user agent's.

    Source: tried in Chromium 156 started with another user agent (2026-11). Wrong about people:
    with an extension that changes the user agent alone; Android asking for the desktop's page is
    let off.
    """
    told = shape.sec_ch_ua_platform.strip('" ')
    fitting = _PLATFORMS.get(agent.system)
    if fitting is None or told in fitting or told not in _KNOWN_PLATFORMS:
        return None
    if not _comparable(shape, agent):
        return None
    return suspect(f"the user agent says {agent.system}, Sec-CH-UA-Platform says {told}")


def hints_mobile(shape: Shape, agent: UserAgent) -> Finding | None:
    """A phone's user agent with a desktop's Sec-CH-UA-Mobile, or the reverse.

    Source: Client Hints' `?1` is sent where the user agent says Mobile; tried in Chromium 156.
    Wrong about people: with an extension that changes the user agent alone. Tablets, which say
    Android and not Mobile, are let off.
    """
    phone = agent.system == "Android" and "Mobile" in shape.user_agent
    desktop = agent.system in _PLATFORMS and agent.system != "Android"
    told = shape.sec_ch_ua_mobile
    if not ((phone and told == "?0") or (desktop and told == "?1")):
        return None
    if not _comparable(shape, agent):
        return None
    return suspect(f"the user agent is a {'phone' if phone else 'desktop'}'s, the hint says {told}")


def hints_brand(shape: Shape, agent: UserAgent) -> Finding | None:
    """An Edge whose hints are Chrome's or nobody's, or Edge's hints under Chrome's user agent.

    Source: Edge and WebView2 name Microsoft Edge in both (captured 2026). Wrong about people: with
    a program that shows pages in WebView2 under Chrome's name; where a third browser's brand is
    named, it is let off.
    """
    brands = read_brands(shape.sec_ch_ua)
    if not brands.chromium or not _comparable(shape, agent):
        return None
    edge = "Microsoft Edge" in brands.vendors
    if agent.vendor == "edge" and not edge and brands.vendors <= {"Google Chrome"}:
        return suspect("the user agent says Edge, and Sec-CH-UA doesn't")
    if agent.vendor == "chrome" and edge:
        return suspect("Sec-CH-UA says Edge, and the user agent doesn't")
    return None


def hints_unbranded(shape: Shape, agent: UserAgent) -> Finding | None:
    """A Chromium that nobody put a name to, but for macOS.

    Source: Chromium 156 as automation runs it, without a screen or with one, and whatever it calls
    itself, names Chromium and no vendor (tried 2026-11). Wrong about people: yes, with Chromium as
    Debian and other distributions build it; Chrome, Edge, Brave, Vivaldi and Opera have a brand.
    """
    brands = read_brands(shape.sec_ch_ua)
    if agent.engine != "blink" or not brands.chromium or brands.vendors:
        return None
    # In a public collection of header sets, none of Android's, 0.5% of Windows's and about 5% of
    # macOS's were such.
    if agent.system == "macOS":
        return None
    return suspect("it is a Chromium without a vendor's name, such as programs drive")
