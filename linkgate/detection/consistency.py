"""What a browser always sends, and this visit does not, or sends otherwise.

These make a suspect at most, but for requests that open no page at all: proxies, privacy tools and
apps change headers of real people.
"""

from linkgate.detection.agents import UserAgent
from linkgate.detection.declared import automated, suspect
from linkgate.detection.rules import Finding, Shape
from linkgate.detection.verdict import Kind

# First major versions that send Sec-Fetch-* on every request: Chrome 80, Firefox 90, Safari 16.4,
# taken as 17 because a user agent's minor version is not kept. Source: MDN's compatibility data.
FETCH_METADATA_SINCE = {"blink": 80, "gecko": 90, "webkit": 17}
# Not sent, a page, and Chrome 76's word for a frame.
_NAVIGATING = frozenset({"", "navigate", "nested-navigate"})
_PAGES = ("text/html", "application/xhtml+xml")


def accepts_pages(shape: Shape) -> bool:
    """Whether Accept names HTML, as every browser's does when it opens a page."""
    accept = shape.accept.lower()
    return any(page in accept for page in _PAGES)


def names_language(shape: Shape) -> bool:
    """Whether Accept-Language holds a language, and not only `*`."""
    return any(letter.isalpha() for letter in shape.accept_language)


def expects_fetch_metadata(shape: Shape, agent: UserAgent) -> bool:
    """Whether the claimed browser is sure to send Sec-Fetch-* here. Apps' browsers are not."""
    since = FETCH_METADATA_SINCE.get(agent.engine)
    # Android's web views name their app here; a page's script that says XMLHttpRequest is no app.
    in_app = agent.webview or "." in shape.x_requested_with
    return since is not None and agent.major >= since and shape.secure_context and not in_app


def accept_missing(shape: Shape, agent: UserAgent) -> Finding | None:
    """A browser's user agent without Accept.

    Source: Fetch, 2.2.7 (a navigation sets Accept); captured HTTP libraries omit it. Wrong about
    people: only behind a proxy that strips it.
    """
    if shape.accept or not agent.browser:
        return None
    return suspect("it calls itself a browser and sends no Accept")


def accept_no_page(shape: Shape, agent: UserAgent) -> Finding | None:
    """A browser's user agent whose Accept does not ask for a page (`*/*`, an image, JSON).

    Source: navigations of Chromium 156, Firefox and Safari ask for text/html by name. Wrong about
    people: with Internet Explorer, which on a reload asks for `*/*`; it is let off.
    """
    if not shape.accept or not agent.browser or agent.engine == "trident" or accepts_pages(shape):
        return None
    return suspect("it calls itself a browser and does not ask for a page in Accept")


def language_missing(shape: Shape, agent: UserAgent) -> Finding | None:
    """A browser's user agent without a language in Accept-Language (missing, or `*`).

    Source: every browser sends its user's languages, Tor `en-US`; HTTP libraries and Node's fetch
    don't. Wrong about people: with some apps' browsers, hence suspect.
    """
    if not agent.browser or names_language(shape):
        return None
    return suspect("it calls itself a browser and sends no language")


def encoding_missing(shape: Shape, agent: UserAgent) -> Finding | None:
    """A browser's user agent without gzip in Accept-Encoding.

    Source: every browser since 1999 accepts gzip. Wrong about people: behind a filtering proxy that
    rewrites the header, hence suspect.
    """
    if not agent.browser or "gzip" in shape.accept_encoding.lower():
        return None
    return suspect("it calls itself a browser and accepts no gzip")


def fetch_metadata_missing(shape: Shape, agent: UserAgent) -> Finding | None:
    """A browser new enough to send Sec-Fetch-* in a secure context, and none came.

    Source: W3C Fetch Metadata; Chrome 80, Firefox 90, Safari 16.4; captured HTTP libraries with a
    browser's user agent. Wrong about people: apps' browsers are let off; a proxy may strip them.
    """
    if not expects_fetch_metadata(shape, agent) or (shape.sec_fetch_mode and shape.sec_fetch_dest):
        return None
    return suspect("it calls itself a recent browser and lacks Sec-Fetch-Mode or -Dest")


def fetch_metadata_no_page(shape: Shape, agent: UserAgent) -> Finding | None:
    """Sec-Fetch-Mode of something that opens no page: a script's fetch, an image, a preload.

    Source: W3C Fetch Metadata, 2; Node's fetch sends `sec-fetch-mode: cors`; in Chromium a page
    that holds the link as an image, a script or a preload sends such a mode (tried 2026-11). Wrong
    about people: no, what doesn't navigate shows nobody anything.
    """
    if shape.sec_fetch_mode in _NAVIGATING:
        return None
    return automated(f"Sec-Fetch-Mode says {shape.sec_fetch_mode}: no page is opened", Kind.TOOL)


def fetch_metadata_frame(shape: Shape, agent: UserAgent) -> Finding | None:
    """Sec-Fetch-Dest of a page that is opened, but not in a window of its own.

    Source: W3C Fetch Metadata, 2. Wrong about people: where the link is opened in a frame (some
    webmail and isolation products), hence suspect.
    """
    navigates = shape.sec_fetch_mode in _NAVIGATING
    if not navigates or shape.sec_fetch_dest in {"", "document"}:
        return None
    return suspect(f"Sec-Fetch-Dest says {shape.sec_fetch_dest}: no window of its own")
