"""The raw side of HTTP: reading a body, and breaking a connection on purpose.

ASGI has no way to hang up. uvicorn hands the application a bound method of the object that owns
the connection, and `SandboxApp` remembers it from there; on other servers an exception does it,
which they may answer with a 500 when nothing was sent yet.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

from litestar import Litestar
from litestar.types import Receive, Scope, Send

from linkgate.sandbox.errors import ApiError

_CONNECTION = "linkgate.connection"


class SandboxApp(Litestar):
    """Litestar that keeps hold of the connection for the faults that cut it.

    Every answer carries a Date by the sandbox's own clock, as its clients read Stripe's there.
    """

    now: Callable[[], float] = staticmethod(time.time)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            owner = getattr(send, "__self__", None)
            send = self._dated(owner, send)
            extensions = dict(scope.get("extensions") or {})
            extensions[_CONNECTION] = getattr(owner, "transport", None)
            scope["extensions"] = extensions
        await super().__call__(scope, receive, send)

    def _dated(self, owner: Any, send: Any) -> Any:
        """Put the sandbox's Date in the place of the server's, which tells the machine's time."""
        if hasattr(owner, "default_headers"):
            owner.default_headers = [
                header for header in owner.default_headers if header[0].lower() != b"date"
            ]

        async def dated(message: Any) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self.now(), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", []), (b"date", date)]}
            await send(message)

        return dated


def headers_of(scope: Scope) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def body_of(receive: Receive, most: int) -> str:
    """The whole body as text; raises ApiError for one of more than `most` bytes."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        size += len(message["body"])
        if size <= most:
            parts.append(message["body"])
        more = message["more_body"]
    if size > most:
        raise ApiError("Request body is too large.", status=413)
    return b"".join(parts).decode("utf-8", "replace")


async def answer(send: Send, status: int, headers: Mapping[str, str], *parts: bytes) -> None:
    """Send a response, or its beginning: more than one part leaves out the last."""
    length = sum(len(part) for part in parts)
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": parts[0], "more_body": len(parts) > 1})


async def stay_silent(receive: Receive, seconds: float) -> None:
    """Wait, though not for one who has hung up."""

    async def hung_up() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(hung_up(), seconds)
    except TimeoutError:
        return


async def cut(scope: Scope, receive: Receive) -> None:
    """Close the connection as it stands."""
    connection: Any = (scope.get("extensions") or {}).get(_CONNECTION)
    if connection is None:
        raise ConnectionAbortedError("a fault was ordered: the connection is cut")
    connection.close()
    await stay_silent(receive, 5)
