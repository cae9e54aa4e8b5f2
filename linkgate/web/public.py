"""The unsigned ways in: /c/{campaign}, and /checkout?price=... as a pricing page links to it.

Plain ASGI in front of the router, like the link routes: whoever crawls a pricing page comes here.
"""

import logging
import re
from functools import partial
from urllib.parse import parse_qs

from litestar.enums import ScopeType
from litestar.types import LifeSpanScope, Receive, Scope, Send

from linkgate.anonymous import COOKIE
from linkgate.gateway import Gateway
from linkgate.pages import LAWS, Page
from linkgate.signals import gather
from linkgate.web.links import TooLarge, read_form

log = logging.getLogger(__name__)

#: A browser sends some hundred bytes for each of a host's cookies; ours is not sought beyond this.
COOKIES_LIMIT = 8192
#: A pricing page's own parameters, and what advertising adds to an address.
_MOST_FIELDS = 50
_LONGEST_QUERY = 4096

_CHECKOUT = "/checkout"
#: What stands behind an address in running text is no part of it.
_JUNK = "/.,;:!?)>]}\"' \t\r\n"
# QR codes of capitals alone are smaller, and people type the address from a poster.
_BELOW = re.compile(r"/c(?:/|$)", re.IGNORECASE)


def is_way(scope: Scope | LifeSpanScope) -> bool:
    """Say whether a request is for an unsigned way in."""
    if scope["type"] != ScopeType.HTTP:
        return False
    path = str(scope.get("path"))
    return path.rstrip("/") == _CHECKOUT or _BELOW.match(path) is not None


async def visit(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever comes to an unsigned way in; every answer carries the laws' headers."""
    try:
        page = await _answer(gateway, scope, receive)
    except Exception:
        log.exception("a visit without a link failed")
        page = gateway.pages.simple("problem", lang="en", status=500)
    body = b"" if scope.get("method") == "HEAD" else page.body
    await send({"type": "http.response.start", "status": page.status, "headers": page.headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _answer(gateway: Gateway, scope: Scope, receive: Receive) -> Page:
    method, path = str(scope.get("method")), str(scope["path"])
    by_price = path.rstrip("/") == _CHECKOUT
    # Nothing is posted to an address with a price: its button posts to the visit's own link.
    allowed = ("GET", "HEAD") if by_price else ("GET", "HEAD", "POST")
    allow = (b"allow", ", ".join((*allowed, "OPTIONS")).encode())
    if method == "OPTIONS":
        return Page(204, b"", (*LAWS, allow))
    if method not in allowed:
        refused = gateway.pages.simple("problem", lang="en", status=405)
        return Page(405, refused.body, (*refused.headers, allow))
    form = None
    if method == "POST":
        try:
            form = await read_form(receive)
        except TooLarge:
            return gateway.pages.simple("problem", lang="en", status=413)
    slug: str | None
    price: str | None
    if by_price:
        asked = _query(scope)
        # Without a price it is nobody's way: the empty one is sold by none.
        slug, price = asked.get("campaign"), asked.get("price", "")
    else:
        slug, price = path[len("/c/") :].rstrip(_JUNK).lower(), None
    peer = scope["client"][0] if scope["client"] else ""
    signals = partial(gather, method, scope["headers"], peer, scope["scheme"], gateway.proxies)
    return await gateway.unsigned.visit(slug, price, _cookies(scope), signals, form)


def _query(scope: Scope) -> dict[str, str]:
    """Return each parameter's first value; nothing of a query that no page of ours' users has."""
    text = scope.get("query_string", b"")
    if len(text) > _LONGEST_QUERY:
        return {}
    try:
        found = parse_qs(text.decode("latin-1"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return {name: values[0].rstrip(_JUNK) for name, values in found.items()}


def _cookies(scope: Scope) -> str:
    # HTTP/2 may send one header in several lines (RFC 9113, 8.2.3).
    lines = [value for name, value in scope["headers"] if name == b"cookie"]
    text = b"; ".join(lines)[:COOKIES_LIMIT].decode("latin-1")
    return text if COOKIE in text else ""
