"""The link routes: /l/{token}.

Plain ASGI, in front of Litestar's router: a scanner storm runs through here, and more than half of
a small request's cost is the framework's routing and handling (docs/adr has the figures). What is
here is only reading the request and sending the answer.
"""

import logging
from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import parse_qs

from litestar.enums import ScopeType
from litestar.types import LifeSpanScope, Receive, Scope, Send

from linkgate.gateway import Gateway
from linkgate.pages import LAWS, Page
from linkgate.signals import gather
from linkgate.visits import Form

log = logging.getLogger(__name__)

#: A confirmation is some hundred bytes; whatever sends more is not our form.
MAX_FORM_BYTES = 16_384

_BELOW = "/l/"
_ALLOW = (b"allow", b"GET, HEAD, POST, OPTIONS")


class TooLarge(Exception):
    """The body is larger than any form of ours."""


def is_link(scope: Scope | LifeSpanScope) -> bool:
    """Say whether a request is for a link route."""
    if scope["type"] != ScopeType.HTTP:
        return False
    path = str(scope.get("path"))
    return path.startswith(_BELOW) or path == "/l"


async def visit(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever comes to a link; every answer carries the laws' headers."""
    try:
        page = await _answer(gateway, scope, receive)
    except Exception:
        log.exception("a visit failed")
        page = gateway.pages.simple("problem", lang="en", status=500)
    body = b"" if scope.get("method") == "HEAD" else page.body
    await send({"type": "http.response.start", "status": page.status, "headers": page.headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _answer(gateway: Gateway, scope: Scope, receive: Receive) -> Page:
    method = str(scope.get("method"))
    if method == "OPTIONS":
        return Page(204, b"", (*LAWS, _ALLOW))
    if method not in {"GET", "HEAD", "POST"}:
        refused = gateway.pages.simple("problem", lang="en", status=405)
        return Page(405, refused.body, (*refused.headers, _ALLOW))

    peer = scope["client"][0] if scope["client"] else ""
    signals = partial(gather, method, scope["headers"], peer, scope["scheme"], gateway.proxies)

    form = None
    if method == "POST":
        try:
            form = await read_form(receive)
        except TooLarge:
            return gateway.pages.simple("problem", lang="en", status=413)
    return await gateway.gate.visit(scope["path"][len(_BELOW) :].strip("/"), signals, form)


async def read_form(receive: Receive) -> Form:
    """Read a confirmation's form; raises TooLarge for what can't be one of ours."""
    return _form(b"".join([part async for part in _body(receive)]))


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        part = message["body"]
        size += len(part)
        if size > MAX_FORM_BYTES:
            raise TooLarge
        yield part
        more = message["more_body"]


def _form(body: bytes) -> Form:
    try:
        fields = parse_qs(body.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return Form()
    return Form(
        challenge=fields.get("challenge", [""])[0],
        gesture=fields.get("gesture", [""])[0],
        second="also" in fields,
    )
