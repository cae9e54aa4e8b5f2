"""What a shop and a mail program would be in the demo: the inbox, and where a checkout ends.

linkgate has no such pages; they are answered in front of the gateway, which gets all the rest.
"""

from collections.abc import Callable, Sequence
from html import escape

from litestar.types import ASGIApp, Receive, Scope, Send

from linkgate.demo.samples import SampleLink, inbox

INBOX = "/"
THANKS = "/demo/thanks"
CANCELLED = "/demo/cancelled"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.05rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto 3rem;
  padding: 0 1.2rem }}
article {{ border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  border-radius: .6rem; padding: .2rem 1.2rem; margin: 1.2rem 0 }}
small {{ opacity: .75 }}
</style></head>
<body><h1>{title}</h1>{body}</body></html>
"""
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
)


def with_shop(gateway: ASGIApp, links: Callable[[], Sequence[SampleLink]]) -> ASGIApp:
    """Return `gateway` with the demo's own pages before it; `links` are those in the inbox."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        page = _page(str(scope.get("path", "")), links)
        if page is None:
            await gateway(scope, receive, send)
            return
        body = page.encode()
        headers = [*_HEADERS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        shown = b"" if scope.get("method") == "HEAD" else body
        await send({"type": "http.response.body", "body": shown, "more_body": False})

    return app


def _page(path: str, links: Callable[[], Sequence[SampleLink]]) -> str | None:
    if path == INBOX:
        return _inbox(inbox(links()))
    if path == THANKS:
        return _PAGE.format(
            title="Thank you",
            body="<p>This is where the shop's own page would be. Coming here proves nothing: that "
            "the link is paid, linkgate knows from the signed webhook that the sandbox sent.</p>"
            "<p>Now open the same link again: it says that there is nothing left to pay.</p>"
            f'<p><a href="{INBOX}">Back to the inbox</a></p>',
        )
    if path == CANCELLED:
        return _PAGE.format(
            title="Another time",
            body="<p>Nothing was paid. The link in the e-mail stays good: opened again within two "
            "minutes it leads to the same checkout, and later to a fresh one.</p>"
            f'<p><a href="{INBOX}">Back to the inbox</a></p>',
        )
    return None


def _inbox(links: Sequence[SampleLink]) -> str:
    mails = "".join(
        f"<article><p><strong>{escape(link.title)}</strong><br><small>{escape(link.about)}</small>"
        f'</p><p><a href="{escape(link.url)}">Open the checkout</a></p></article>'
        for link in links
    )
    return _PAGE.format(title="An inbox with sample e-mails", body=mails)
