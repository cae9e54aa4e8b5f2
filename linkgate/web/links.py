"""The link routes: /l/{token}; a scanner storm runs through here."""

from functools import partial
from urllib.parse import parse_qs

from litestar.enums import ScopeType
from litestar.types import LifeSpanScope, Receive, Scope, Send

from linkgate.gateway import Gateway
from linkgate.pages import Page
from linkgate.signals import gather
from linkgate.visits import Form
from linkgate.web import plain

_BELOW = "/l/"


def is_link(scope: Scope | LifeSpanScope) -> bool:
    """Say whether a request is for a link route."""
    if scope["type"] != ScopeType.HTTP:
        return False
    path = str(scope.get("path"))
    return path.startswith(_BELOW) or path == "/l"


async def visit(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever comes to a link; every answer carries the laws' headers."""
    page = _answer(gateway, scope, receive)
    await plain.serve(page, gateway.pages, scope, send, "a visit")


async def _answer(gateway: Gateway, scope: Scope, receive: Receive) -> Page:
    if page := plain.without_asking(scope, ("GET", "HEAD", "POST"), gateway.pages):
        return page
    method = str(scope.get("method"))
    peer = scope["client"][0] if scope["client"] else ""
    signals = partial(gather, method, scope["headers"], peer, scope["scheme"], gateway.proxies)

    form = None
    if method == "POST":
        try:
            form = await read_form(receive)
        except plain.TooLarge:
            return gateway.pages.simple("problem", lang="en", status=413)
    return await gateway.gate.visit(scope["path"][len(_BELOW) :].strip("/"), signals, form)


async def read_form(receive: Receive) -> Form:
    """Read a confirmation's form; raises TooLarge for what can't be one of ours."""
    return _form(await plain.read_body(receive))


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
