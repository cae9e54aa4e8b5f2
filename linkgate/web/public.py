"""The unsigned ways in: /c/{campaign}, and /checkout?price=... as a pricing page links to it.

Whoever crawls a pricing page comes here.
"""

import re
from functools import partial
from urllib.parse import parse_qs

from litestar.enums import ScopeType
from litestar.types import LifeSpanScope, Receive, Scope, Send

from linkgate.anonymous import COOKIE
from linkgate.gateway import Gateway
from linkgate.pages import Page
from linkgate.signals import gather
from linkgate.web import plain
from linkgate.web.links import read_form

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
    page = _answer(gateway, scope, receive)
    await plain.serve(page, gateway.pages, scope, send, "a visit without a link")


async def _answer(gateway: Gateway, scope: Scope, receive: Receive) -> Page:
    path = str(scope["path"])
    by_price = path.rstrip("/") == _CHECKOUT
    # Nothing is posted to an address with a price: its button posts to the visit's own link.
    allowed = ("GET", "HEAD") if by_price else ("GET", "HEAD", "POST")
    if page := plain.without_asking(scope, allowed, gateway.pages):
        return page
    method = str(scope.get("method"))
    form = None
    if method == "POST":
        try:
            form = await read_form(receive)
        except plain.TooLarge:
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
    text = plain.cookies(scope, COOKIES_LIMIT)
    return text if COOKIE in text else ""
