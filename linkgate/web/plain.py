"""What all that people come to has in common: plain ASGI, in front of Litestar's router.

More than half of a small request's cost is the framework's routing and handling (docs/adr has the
figures), and what it refuses before it routes would go without the headers that keep a page out of
caches, referrers and indexes. Here are only reading the request and sending the answer.
"""

import logging
from collections.abc import Awaitable, Sequence

from litestar.types import Receive, Scope, Send

from linkgate.pages import LAWS, Page, Pages

log = logging.getLogger(__name__)

#: A form of ours is some hundred bytes; whatever sends more sends none of them.
MAX_FORM_BYTES = 16_384


class TooLarge(Exception):
    """The body is larger than any form of ours."""


async def serve(page: Awaitable[Page], pages: Pages, scope: Scope, send: Send, what: str) -> None:
    """Send what `page` comes to, whatever happens; `what` names it in the log."""
    try:
        answer = await page
    except Exception:
        log.exception("%s failed", what)
        answer = pages.simple("problem", lang="en", status=500)
    body = b"" if scope.get("method") == "HEAD" else answer.body
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def without_asking(
    scope: Scope, allowed: Sequence[str], pages: Pages, lang: str = "en"
) -> Page | None:
    """Return the answer to OPTIONS, and to a method that isn't `allowed`; None for the others."""
    method = str(scope.get("method"))
    if method in allowed:
        return None
    allow = (b"allow", ", ".join((*allowed, "OPTIONS")).encode())
    if method == "OPTIONS":
        return Page(204, b"", (*LAWS, allow))
    refused = pages.simple("problem", lang=lang, status=405)
    return Page(405, refused.body, (*refused.headers, allow))


async def read_body(receive: Receive) -> bytes:
    """Read a form's body; raises TooLarge for what can't be one of ours."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message["body"])
        size, more = size + len(message["body"]), message["more_body"]
        if size > MAX_FORM_BYTES:
            raise TooLarge
    return b"".join(parts)


def header(scope: Scope, name: bytes, between: bytes = b", ") -> str:
    """Return a header's value; empty without it."""
    # HTTP/2 may send one header in several lines (RFC 9113, 8.2.3).
    return between.join(value for key, value in scope["headers"] if key == name).decode("latin-1")


def cookies(scope: Scope, most: int) -> str:
    """Return the cookies that a browser sent, `most` characters of them."""
    return header(scope, b"cookie", b"; ")[:most]
