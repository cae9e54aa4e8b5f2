"""A service of the operator's on loopback, and a linkgate that may ask it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from linkgate.campaigns import secrets_of
from linkgate.store.connect import Connection
from tests.stack import Clock, Stack, free_port, running
from tests.web.conftest import api, app, clock, config, web_store_url

__all__ = ["api", "app", "clock", "config", "web_store_url"]

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """What it was asked, and what it answers: each of `answers` once, the last one for ever."""

    url: str
    answers: list[Answering] = field(default_factory=list)
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((dict(request.headers), await request.read()))
        answering = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answering(request)


def says(status: int = 200, **body: Any) -> Answering:
    """An answer of JSON."""

    async def answering(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answering


def sends(status: int, text: str = "", **headers: str) -> Answering:
    """Any other answer."""

    async def answering(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answering


async def hangs(request: web.Request) -> web.StreamResponse:
    """No answer, until whoever asked has gone."""
    while request.transport and not request.transport.is_closing():
        await asyncio.sleep(0.02)
    return web.Response()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    port = free_port()
    found = Service(f"http://127.0.0.1:{port}/linkgate")
    app = web.Application()
    app.router.add_post("/linkgate", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield found
    await runner.cleanup()


@pytest.fixture
async def near(valkey_url: str) -> AsyncIterator[Stack]:
    """A linkgate that may ask services on this machine."""
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    more = {"destinations": {"allow_private_networks": True}}
    async with running(valkey_url, Clock(), more=more) as found:
        yield found


def secret(stack: Stack, campaign: Any) -> str:
    found = secrets_of(stack.gateway.keyring, campaign)
    assert found
    return found.current[0]
