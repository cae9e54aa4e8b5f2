"""A receiver of webhooks on loopback, as an operator would write one, and as badly as he may."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from linkgate.config.outbound import EndpointTable, Outbound


def secret(letter: str = "s") -> str:
    """A secret that is told from others by a letter."""
    return "whsec_" + base64.b64encode(letter.encode() * 32).decode()


@dataclass(frozen=True)
class Got:
    """One request that came."""

    id: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def number(self) -> int:
        """What the tests count their messages by."""
        return int(self.data["data"]["n"])

    @property
    def link(self) -> str:
        return str(self.data["data"]["link"]["id"])


Answer = Callable[[Got], Awaitable[web.StreamResponse | int]]


@dataclass
class Receiver:
    """Keeps what came and what it took; `answer` decides on each request."""

    url: str = ""
    secrets: tuple[str, ...] = (secret(),)
    answer: Answer | None = None
    came: list[Got] = field(default_factory=list)
    taken: list[Got] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        got = Got(request.headers.get("webhook-id", ""), request.headers.copy(), body)
        self.came.append(got)
        await self._tell()
        made = await self.answer(got) if self.answer else 204
        answer = web.Response(status=made) if isinstance(made, int) else made
        if answer.status < 300:
            self.taken.append(got)
            await self._tell()
        return answer

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what came, or was taken, is as it should be."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(condition)

    def numbers(self, link: str) -> list[int]:
        """What was taken of one link, in the order in which it came."""
        return [got.number for got in self.taken if got.link == link]


def verified(got: Got, of: str) -> Any:
    """Read a request as the library does; raises if `of` didn't sign it."""
    return Webhook(of).verify(got.body, dict(got.headers))


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Serve a receiver."""
    receiver = Receiver()
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{port}/hooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def endpoint(name: str, url: str, *, secrets: tuple[str, ...] = (secret(),), **more: Any) -> Any:
    """An endpoint's settings."""
    return EndpointTable(
        name=name,
        url=url,
        secrets=secrets,  # type: ignore[arg-type]
        **{"allow_private_network": True, **more},
    )


def outbound(*endpoints: EndpointTable) -> Outbound:
    """The section with these endpoints."""
    return Outbound(endpoints=endpoints)


@asynccontextmanager
async def saying(text: bytes, *, then: bytes = b"", times: int = 0) -> AsyncIterator[str]:
    """Serve what answers any request with these bytes, sends `then` so often, and then nothing."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(text)
            for _ in range(times):
                writer.write(then)
                await writer.drain()
            await reader.read()  # until the other end has had enough
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
