"""The way out of reminders: /unsubscribe/{reference}.

A GET shows a page with one button and changes nothing, because scanners open this link as they open
all others. A POST takes the no: from the button, or from a mail program's own (RFC 8058), which
sends neither cookie nor challenge and must not be asked for any. All that a forged POST could do is
to spare somebody an e-mail, and for that it needs the reference.

Plain ASGI in front of Litestar's router, like the link routes.
"""

import logging
from typing import Protocol

from litestar.enums import ScopeType
from litestar.types import LifeSpanScope, Receive, Scope, Send

from linkgate.errors import StoreUnavailable, TokenError
from linkgate.gateway import Gateway
from linkgate.pages import LAWS, Page, Pages
from linkgate.references import UNSUBSCRIBE_PATH

log = logging.getLogger(__name__)

#: A click is "List-Unsubscribe=One-Click"; what else a program may send is passed over.
MAX_FORM_BYTES = 16_384

_ALLOW = (b"allow", b"GET, HEAD, POST, OPTIONS")


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
    try:
        page = await _page(suppression, pages, scope, receive)
    except Exception:
        log.exception("a way out of reminders failed")
        page = pages.simple("problem", lang="en", status=500)
    body = b"" if scope.get("method") == "HEAD" else page.body
    await send({"type": "http.response.start", "status": page.status, "headers": page.headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _page(suppression: Refuses, pages: Pages, scope: Scope, receive: Receive) -> Page:
    method = str(scope.get("method"))
    if method == "OPTIONS":
        return Page(204, b"", (*LAWS, _ALLOW))
    lang = pages.language(_header(scope, b"accept-language"))
    if method not in {"GET", "HEAD", "POST"}:
        refused = pages.simple("problem", lang=lang, status=405)
        return Page(405, refused.body, (*refused.headers, _ALLOW))
    reference = scope["path"][len(UNSUBSCRIBE_PATH) :].strip("/")
    try:
        if method != "POST":
            return pages.unsubscribe(lang=lang, action=suppression.path(reference))
        if not await _is_small(receive):
            return pages.simple("problem", lang=lang, status=413)
        await suppression.unsubscribe(reference)
    except TokenError:
        return pages.simple("unknown", lang=lang)
    except StoreUnavailable as error:
        log.error("somebody wants no reminders, and the store is away: %s", error)
        again = pages.simple("problem", lang=lang, status=503)
        return Page(503, again.body, (*again.headers, (b"retry-after", b"30")))
    return pages.simple("unsubscribed", lang=lang)


async def _is_small(receive: Receive) -> bool:
    """Read a body that says nothing; False if it is larger than any click."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        size, more = size + len(message["body"]), message["more_body"]
        if size > MAX_FORM_BYTES:
            return False
    return True


def _header(scope: Scope, name: bytes) -> str:
    # HTTP/2 may send one header in several lines (RFC 9113, 8.2.3).
    return ", ".join(v.decode("latin-1") for key, v in scope["headers"] if key == name)
