"""A sandbox on a real loopback port, a receiver of its webhooks, stripe-python to talk to it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe
import uvicorn
from aiohttp import ClientSession, web

from linkgate.sandbox import Sandbox, WebhookEndpoint

KEY = "sk_test_sandbox0123456789"
SECRET = "whsec_" + "s" * 32
RETRIES = (0.01, 0.01, 0.01)

stripe.enable_telemetry = False


class Clock:
    """A wall clock that a test moves by hand."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@dataclass
class Receiver:
    """Takes webhooks; `statuses` are answered in turn, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.got.append((request.headers["Stripe-Signature"], body))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """uvicorn in the test's own loop, without its signal handlers and its ticking main loop."""
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="on")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    # As its main loop does ten times a second: this sets the headers of every answer.
    await server.on_tick(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        # uvicorn looks for closed connections only ten times a second.
        for _ in range(20):
            if not server.server_state.connections:
                break
            await asyncio.sleep(0.005)
        await server.shutdown()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


@dataclass
class Live:
    """A running sandbox with what a test needs to talk to it."""

    sandbox: Sandbox
    url: str
    http: ClientSession
    client: stripe.StripeClient

    @property
    def sessions(self) -> Any:
        return self.client.v1.checkout.sessions

    async def session(self, **params: Any) -> Any:
        return await self.sessions.create_async({**PAYMENT, **params})

    async def control(self, path: str, body: Any = None, method: str = "POST") -> Any:
        async with self.http.request(
            method,
            f"{self.url}/sandbox/{path}",
            json=body,
            headers={"Authorization": f"Bearer {KEY}"},
        ) as response:
            return response.status, await response.json() if response.content_length else None

    async def do(self, object_id: str, action: str, **told: Any) -> Any:
        """Let a control act on a session or a subscription; gives the object that it answers."""
        status, answer = await self.control(f"sessions/{object_id}/{action}", told)
        assert status == 200, answer
        return answer

    async def events(self) -> list[Any]:
        """What the API lists, the newest first."""
        listed = await self.client.v1.events.list_async({"limit": 100})
        return [event.to_dict() for event in listed.data]

    async def fault(self, **order: Any) -> None:
        status, told = await self.control("faults", order)
        assert status == 201, told


PAYMENT: dict[str, Any] = {
    "mode": "payment",
    "line_items": [{"price": "price_demo_once", "quantity": 1}],
    "success_url": "https://shop.example.com/thanks?s={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://shop.example.com/cart?from=mail",
}


@pytest.fixture
async def live(clock: Clock, receiver: Receiver) -> AsyncIterator[Live]:
    hook = WebhookEndpoint(receiver.url, SECRET)
    sandbox = Sandbox("http://pay.example.com", KEY, [hook], clock, retries=RETRIES)
    async with serving(sandbox.app()) as url, ClientSession() as http:
        sandbox.world.base_url = url
        transport = stripe.AIOHTTPClient(timeout=5)
        client = stripe.StripeClient(KEY, base_addresses={"api": url}, http_client=transport)
        yield Live(sandbox, url, http, client)
        await transport.close_async()  # type: ignore[no-untyped-call]
