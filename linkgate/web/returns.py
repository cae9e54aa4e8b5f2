"""The return addresses: /return/{reference}, and /cancelled and /portal below it.

Plain ASGI in front of Litestar's router, like the link routes: what the framework refuses before it
routes would go without the headers that keep a return out of caches, referrers and indexes.
"""

import logging

from litestar.enums import ScopeType
from litestar.types import LifeSpanScope, Receive, Scope, Send

from linkgate.gateway import Gateway
from linkgate.pages import LAWS, Page
from linkgate.references import RETURN_PATH
from linkgate.returning import Return, Returning

log = logging.getLogger(__name__)

#: As much as all cookies of one host may be in a browser's header; ours is some 200 bytes of it.
COOKIES_LIMIT = 8192

_ALLOW = (b"allow", b"GET, HEAD, OPTIONS")


def is_return(scope: Scope | LifeSpanScope) -> bool:
    """Say whether a request is for a return address."""
    if scope["type"] != ScopeType.HTTP:
        return False
    path = str(scope.get("path"))
    return path.startswith(RETURN_PATH) or path == RETURN_PATH.rstrip("/")


async def visit(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever comes to a return address; every answer carries the laws' headers."""
    returning = gateway.returning
    try:
        page = await _page(returning, scope)
    except Exception:
        log.exception("a return failed")
        page = returning.pages.simple("problem", lang="en", status=500)
    body = b"" if scope.get("method") == "HEAD" else page.body
    await send({"type": "http.response.start", "status": page.status, "headers": page.headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _page(returning: Returning, scope: Scope) -> Page:
    method = str(scope.get("method"))
    if method == "OPTIONS":
        return Page(204, b"", (*LAWS, _ALLOW))
    if method not in {"GET", "HEAD"}:
        refused = returning.pages.simple("problem", lang="en", status=405)
        return Page(405, refused.body, (*refused.headers, _ALLOW))
    return await returning.page(
        Return(
            path=scope["path"][len(RETURN_PATH) :],
            query=scope.get("query_string", b"").decode("latin-1"),
            cookies=_header(scope, b"cookie", b"; ")[:COOKIES_LIMIT],
            accept_language=_header(scope, b"accept-language", b", "),
            shown=method == "GET",
        )
    )


def _header(scope: Scope, name: bytes, between: bytes) -> str:
    # HTTP/2 may send one header in several lines (RFC 9113, 8.2.3).
    return between.join(value for key, value in scope["headers"] if key == name).decode("latin-1")
