"""What positively shows a person's browser. Headers prove no person: these only stand until
something speaks against them.
"""

from linkgate.detection.agents import UserAgent
from linkgate.detection.consistency import accepts_pages, expects_fetch_metadata, names_language
from linkgate.detection.rules import Finding, Scene, Shape
from linkgate.detection.verdict import Standing

_SITES = frozenset({"none", "cross-site", "same-site", "same-origin"})


def _complete(shape: Shape, agent: UserAgent) -> bool:
    return (
        agent.browser
        and (accepts_pages(shape) or agent.engine == "trident")
        and names_language(shape)
        and bool(shape.accept_encoding)
    )


def navigation(shape: Shape, agent: UserAgent) -> Finding | None:
    """A top-level navigation as a browser sends it, by Sec-Fetch-*.

    Source: W3C Fetch Metadata; Chromium 156, Firefox and Safari opening a link from mail. A driven
    browser sends it too, so that it counts for a person only when nothing counts against.
    """
    opens_page = shape.sec_fetch_mode == "navigate" and shape.sec_fetch_dest == "document"
    if not (opens_page and shape.sec_fetch_site in _SITES and _complete(shape, agent)):
        return None
    return Finding(Standing.HUMAN, "it opens the page as a browser's window does (Sec-Fetch)")


def plain_navigation(shape: Shape, agent: UserAgent) -> Finding | None:
    """A whole set of browser headers where Sec-Fetch-* can't be expected: plain http, an older
    browser, a browser inside an app.

    Source: the same browsers over http; in-app browsers' logged headers. Weaker than `navigation`,
    and likewise worth something only when nothing counts against it.
    """
    has_metadata = bool(shape.sec_fetch_mode or shape.sec_fetch_dest)
    if has_metadata or expects_fetch_metadata(shape, agent) or not _complete(shape, agent):
        return None
    return Finding(Standing.HUMAN, "it sends what a browser sends where Sec-Fetch isn't sent")


def known_device(scene: Scene) -> Finding | None:
    """The browser carries the signed cookie that an earlier press gave it.

    Source: linkgate itself; the cookie can't be made up. Wrong about people: it speaks for them;
    whoever copies a browser's cookies copies this one too.
    """
    if not scene.signals.known_device:
        return None
    return Finding(Standing.HUMAN, "this browser has confirmed by a press before")
