"""The way out of reminders: /unsubscribe/{reference}.

A GET shows a page with one button and changes nothing, because scanners open this link as they open
all others. A POST takes the no: from the button, or from a mail program's own (RFC 8058), which
sends neither cookie nor challenge and must not be asked for any. All that a forged POST could do is
to spare somebody an e-mail, and for that it needs the reference.
"""

import logging
from typing import Protocol

from litestar.enums import ScopeType
from litestar.types import LifeSpanScope, Receive, Scope, Send

from linkgate.errors import StoreUnavailable, TokenError
from linkgate.gateway import Gateway
from linkgate.pages import Page, Pages
from linkgate.references import UNSUBSCRIBE_PATH
from linkgate.web import plain

log = logging.getLogger(__name__)


class Refuses(Protocol):
    """Takes a no to reminders; see `suppression`."""

    def path(self, reference: str) -> str: ...

    async def unsubscribe(self, reference: str) -> None: ...


def is_unsubscribe(scope: Scope | LifeSpanScope) -> bool:
    """Say whether a request is for the way out of reminders."""
    if scope["type"] != ScopeType.HTTP:
        return False
    path = str(scope.get("path"))
    return path.startswith(UNSUBSCRIBE_PATH) or path == UNSUBSCRIBE_PATH.rstrip("/")


async def visit(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever comes to a way out, for a gateway's people; see `answer`."""
    await answer(gateway.suppression, gateway.pages, scope, receive, send)


async def answer(
    suppression: Refuses, pages: Pages, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer whatever comes to a way out; every answer carries the laws' headers."""
    page = _page(suppression, pages, scope, receive)
    await plain.serve(page, pages, scope, send, "a way out of reminders")


async def _page(suppression: Refuses, pages: Pages, scope: Scope, receive: Receive) -> Page:
    lang = pages.language(plain.header(scope, b"accept-language"))
    if page := plain.without_asking(scope, ("GET", "HEAD", "POST"), pages, lang):
        return page
    reference = scope["path"][len(UNSUBSCRIBE_PATH) :].strip("/")
    try:
        if scope.get("method") != "POST":
            return pages.unsubscribe(lang=lang, action=suppression.path(reference))
        # A click is "List-Unsubscribe=One-Click"; what else a program may send is passed over.
        await plain.read_body(receive)
        await suppression.unsubscribe(reference)
    except plain.TooLarge:
        return pages.simple("problem", lang=lang, status=413)
    except TokenError:
        return pages.simple("unknown", lang=lang)
    except StoreUnavailable as error:
        log.error("somebody wants no reminders, and the store is away: %s", error)
        again = pages.simple("problem", lang=lang, status=503)
        return Page(503, again.body, (*again.headers, (b"retry-after", b"30")))
    return pages.simple("unsubscribed", lang=lang)
