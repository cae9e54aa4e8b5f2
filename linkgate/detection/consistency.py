"""What a browser always sends, and this visit does not, or sends otherwise.

These make a suspect at most, but for requests that open no page at all: proxies, privacy tools and
apps change headers of real people.
"""

from linkgate.detection.agents import UserAgent
from linkgate.detection.declared import automated, suspect
from linkgate.detection.rules import Finding, Shape
from linkgate.detection.verdict import Kind

# First major versions that send Sec-Fetch-* on every request: Chrome 80, Firefox 90. Safari does
# since 16.4, but public collections of header sets have it without: it is let off. Source: MDN's
# compatibility data.
FETCH_METADATA_SINCE = {"blink": 80, "gecko": 90}
# Not sent, a page, and Chrome 76's word for a frame.
_NAVIGATING = frozenset({"", "navigate", "nested-navigate"})
# Last major versions that are sure to send none of it, for the browsers' own user agents. Safari 16
# is left out, since its minor version decides. Source: as above.
_NO_FETCH_METADATA_UNTIL = {"chrome": 75, "edge": 75, "firefox": 89, "safari": 15}
# Chrome asks for AVIF since 85, and for WebP since long before.
_PICTURES_SINCE = 85
_PICTURES = ("image/avif", "image/webp")
_SIGNED_EXCHANGE = "application/signed-exchange"
# Fetch's words for modes and destinations (Fetch, 2.2.5).
_WORDS = frozenset(
    (
        *("same-origin", "cors", "no-cors", "navigate", "nested-navigate", "websocket"),
        *("webtransport", "document", "empty", "frame", "iframe", "fencedframe", "embed", "object"),
        *("image", "script", "style", "font", "audio", "video", "track", "worker", "sharedworker"),
        *("serviceworker", "manifest", "report", "json", "xslt", "audioworklet", "paintworklet"),
    )
)
_PAGES = ("text/html", "application/xhtml+xml")


def accepts_pages(shape: Shape) -> bool:
    """Whether Accept names HTML, as every browser's does when it opens a page."""
    accept = shape.accept.lower()
    return any(page in accept for page in _PAGES)


def names_language(shape: Shape) -> bool:
    """Whether Accept-Language holds a language, and not only `*`."""
    return any(letter.isalpha() for letter in shape.accept_language)


def in_app(shape: Shape, agent: UserAgent) -> bool:
    """Whether the page is shown inside an app."""
    return agent.webview or names_app(shape)


def names_app(shape: Shape) -> bool:
    """Whether X-Requested-With names an app, as Android's web views do, whatever user agent the app
    gave them. A page's script that says XMLHttpRequest there is no app.
    """
    return "." in shape.x_requested_with


def expects_fetch_metadata(shape: Shape, agent: UserAgent) -> bool:
    """Whether the claimed browser is sure to send Sec-Fetch-* here. Apps' browsers are not."""
    since = FETCH_METADATA_SINCE.get(agent.engine)
    known = since is not None and agent.major >= since
    return known and shape.secure_context and not in_app(shape, agent)


def _known(word: str) -> str:
    # A reason is kept and shown: it must not carry whatever a visitor writes.
    return word if word in _WORDS else "something else"


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


def accept_not_its_own(shape: Shape, agent: UserAgent) -> Finding | None:
    """Chrome or Edge whose Accept names neither AVIF nor WebP, or a Firefox or Safari that asks for
    signed exchanges, which only Chromium knows.

    Source: navigations of Chromium 156, prefetch and prerender included (2026-11); Chrome's release
    notes for 85; 6,000 collected header sets. What Firefox's and Safari's Accept holds changed with
    the version and isn't judged. Wrong about people: with an extension that changes the user agent.
    """
    accept = shape.accept.lower()
    if not accept or not agent.browser or names_app(shape):
        return None
    if agent.plain and agent.major >= _PICTURES_SINCE:
        if not any(picture in accept for picture in _PICTURES):
            return suspect("it calls itself Chrome or Edge, and Accept is not theirs")
    elif agent.engine in {"gecko", "webkit"} and _SIGNED_EXCHANGE in accept:
        return suspect("it calls itself Firefox or Safari, and Accept is Chromium's")
    return None


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
    """A Chromium or Firefox new enough to send Sec-Fetch-* in a secure context, and none came.

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
    said = _known(shape.sec_fetch_mode)
    return automated(f"Sec-Fetch-Mode says {said}: no page is opened", Kind.TOOL)


def fetch_metadata_frame(shape: Shape, agent: UserAgent) -> Finding | None:
    """Sec-Fetch-Dest of a page that is opened, but not in a window of its own.

    Source: W3C Fetch Metadata, 2. Wrong about people: where the link is opened in a frame (some
    webmail and isolation products), hence suspect.
    """
    navigates = shape.sec_fetch_mode in _NAVIGATING
    if not navigates or shape.sec_fetch_dest in {"", "document"}:
        return None
    return suspect(f"Sec-Fetch-Dest says {_known(shape.sec_fetch_dest)}: no window of its own")


def fetch_metadata_early(shape: Shape, agent: UserAgent) -> Finding | None:
    """Sec-Fetch-* from a version that had none: Chrome before 76, Firefox before 90, Safari before
    16.

    Source: MDN's compatibility data. A new engine runs under an old browser's name. Wrong about
    people: with an extension that changes the user agent; forks and apps that stay with an old
    number are let off.
    """
    until = _NO_FETCH_METADATA_UNTIL.get(agent.vendor, 0)
    if not (shape.sec_fetch_mode or shape.sec_fetch_dest or shape.sec_fetch_site):
        return None
    if not 0 < agent.major <= until or not agent.browser or in_app(shape, agent):
        return None
    return suspect("it sends Sec-Fetch-*, which the version it claims to be had not")
