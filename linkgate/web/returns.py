"""The return addresses: /return/{reference}, and /cancelled and /portal below it.

Plain ASGI in front of Litestar's router, like the link routes: what the framework refuses before it
routes would go without the headers that keep a return out of caches, referrers and indexes.
"""

from litestar.enums import ScopeType
from litestar.types import LifeSpanScope, Receive, Scope, Send

from linkgate.gateway import Gateway
from linkgate.pages import Page
from linkgate.references import RETURN_PATH
from linkgate.returning import Return, Returning
from linkgate.web import plain

#: As much as all cookies of one host may be in a browser's header; ours is some 200 bytes of it.
COOKIES_LIMIT = 8192


def is_return(scope: Scope | LifeSpanScope) -> bool:
    """Say whether a request is for a return address."""
    if scope["type"] != ScopeType.HTTP:
        return False
    path = str(scope.get("path"))
    return path.startswith(RETURN_PATH) or path == RETURN_PATH.rstrip("/")


async def visit(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever comes to a return address; every answer carries the laws' headers."""
    returning = gateway.returning
    await plain.serve(_page(returning, scope), returning.pages, scope, send, "a return")


async def _page(returning: Returning, scope: Scope) -> Page:
    if page := plain.without_asking(scope, ("GET", "HEAD"), returning.pages):
        return page
    return await returning.page(
        Return(
            path=scope["path"][len(RETURN_PATH) :],
            query=scope.get("query_string", b"").decode("latin-1"),
            cookies=plain.cookies(scope, COOKIES_LIMIT),
            accept_language=plain.header(scope, b"accept-language"),
            shown=scope.get("method") == "GET",
        )
    )
