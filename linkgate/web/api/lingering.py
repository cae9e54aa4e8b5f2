"""Refusing a large upload so that its sender learns of it.

A server that answers 413 and closes while the client still sends makes the kernel reset the
connection, and many a client then reports a broken pipe instead of the answer. So what still comes
is read and thrown away for a while, as web servers do ("lingering close").
"""

import asyncio
from contextlib import suppress
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

#: Beyond these, a sender is cut off: whoever wants to keep us busy gets no more than this.
MAX_BYTES = 67_108_864
MAX_SECONDS = 10.0


def linger(app: ASGIApp) -> ASGIApp:
    """Wrap `app`: an error's answer ends only when its request's body has been let in."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        refused = False

        async def pass_on(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                refused = message["status"] >= 400 and _sends_unasked(scope)
            elif message["type"] == "http.response.body" and refused and not body.ended:
                # The whole answer goes out first, for clients that watch for one while they send.
                await send({**message, "more_body": True})
                with suppress(TimeoutError):
                    await asyncio.wait_for(body.drain(), MAX_SECONDS)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await send(message)

        await app(scope, body.receive, pass_on)

    return answer


class _Body:
    """A request's body on its way in."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def receive(self) -> Any:
        message: Any = await self._receive()
        if message["type"] != "http.request" or not message["more_body"]:
            self.ended = True
        return message

    async def drain(self) -> None:
        left = MAX_BYTES
        while not self.ended and left > 0:
            message = await self.receive()
            left -= len(message.get("body", b""))


def _sends_unasked(scope: Scope) -> bool:
    # With `Expect: 100-continue` a client waits for leave, which it doesn't get.
    return not any(name == b"expect" for name, _ in scope["headers"])
