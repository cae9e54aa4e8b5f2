"""A whole linkgate for a test: embedded store, sandbox Stripe, gateway, on real loopback ports.

Everything runs in the test's own event loop and is built by the production constructors.
"""

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from aiohttp import ClientSession, CookieJar
from litestar import Litestar

from linkgate import campaigns, config
from linkgate.bounds import BoundedProtocol
from linkgate.campaigns import Campaign
from linkgate.gateway import Gateway
from linkgate.sandbox import Sandbox, WebhookEndpoint
from linkgate.store.entries import Row
from linkgate.tokens import Link
from linkgate.web.app import create
from tests.stripe_parameters import Checker

STRIPE_KEY = "sk_test_" + "0123456789" * 3
WEBHOOK_SECRET = "whsec_" + "w" * 32
SIGNING_KEY = "signing-key-of-the-tests-" + "0123456789" * 3
PRICE = "price_demo_once"

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)
#: What Chromium 156 sends when a person opens a link.
BROWSER: Mapping[str, str] = {
    "sec-ch-ua": '"Chromium";v="156", "Google Chrome";v="156", "Not:A-Brand";v="8"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": CHROME,
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
}
#: A browser that sends too little to be sure of: the button, and a press lets it in.
SUSPECT: Mapping[str, str] = {"User-Agent": CHROME, "Accept": "text/html"}
#: What the interstitial's script says of a person's press.
BY_HAND = "ran pressed trusted seen=2400"
SCANNER: Mapping[str, str] = {"User-Agent": "Barracuda Sentinel (EE)", "Accept": "*/*"}


@dataclass
class Clock:
    """The wall clock, moved by `offset` seconds."""

    offset: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


@dataclass(frozen=True)
class Answer:
    """One answer, read whole."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    @property
    def challenge(self) -> str:
        found = re.search(r'name="?challenge"? value="?([^">\s]+)', self.text)
        assert found, self.text
        return found[1]

    @property
    def action(self) -> str:
        found = re.search(r'<form[^>]*action="([^"]+)"', self.text)
        assert found, self.text
        return found[1]


@dataclass
class Stack:
    """The parts of a running linkgate, and the ways in which a test uses them."""

    url: str
    app: Litestar
    sandbox_url: str
    sandbox: Sandbox
    http: ClientSession
    clock: Clock
    settings: config.Config
    issued: int = field(default=0)
    #: What Stripe would refuse of what was sent to it; whatever is left at the end fails the test.
    refused: Checker = field(default_factory=Checker)

    @property
    def gateway(self) -> Gateway:
        gateway: Gateway = self.app.state.gateway
        return gateway

    async def campaign(self, slug: str = "spring", **changes: Any) -> Campaign:
        """Make a campaign that sells the sandbox's sample product."""
        destination = {
            "line_items": [{"price": PRICE}],
            "success_url": "https://shop.example.com/thanks",
            "cancel_url": "https://shop.example.com/",
            **changes.pop("destination", {}),
        }
        data = {"slug": slug, "name": "Spring sale", "destination": destination, **changes}
        campaign = campaigns.create(data, datetime.now(UTC))
        await self.gateway.store.campaigns.put(campaign, replaces=None)
        return campaign

    def link(self, recipient: str | None = None, *, campaign: str = "spring", **more: Any) -> Link:
        """Return a link of a recipient of its own."""
        self.issued += 1
        expires_at = int(self.clock()) + 86_400
        return Link(campaign, recipient or f"r-{self.issued}", expires_at, **more)

    def path(self, link: Link) -> str:
        return "/l/" + self.gateway.tokens.issue(link)

    async def get(self, path: str, headers: Mapping[str, str] = BROWSER, **more: Any) -> Answer:
        return await self.ask("GET", path, headers, **more)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] = BROWSER, **more: Any
    ) -> Answer:
        url = path if path.startswith("http") else self.url + path
        async with self.http.request(
            method, url, headers=headers, allow_redirects=False, **more
        ) as answer:
            return Answer(answer.status, answer.headers, (await answer.read()).decode())

    async def press(
        self,
        page: Answer,
        headers: Mapping[str, str] = BROWSER,
        gesture: str = BY_HAND,
        read_seconds: float = 2.5,
        **more: Any,
    ) -> Answer:
        """Press the button of an interstitial, as a person's browser on the same page does.

        The gateway's clock goes on while the page is read.
        """
        self.clock.offset += read_seconds
        sent = {**headers, "Sec-Fetch-Site": "same-origin", "Origin": self.url}
        form = {"challenge": page.challenge, "gesture": gesture}
        return await self.ask("POST", page.action, sent, data=form, **more)

    async def row(self, link: Link) -> Row:
        """Return what is kept of a link, buffered visits included."""
        await self.gateway.store.recorder.flush()
        row = await self.gateway.store.links.read(link.id)
        assert row
        return row

    async def heard(self) -> None:
        """Wait until every event that was kept has been worked on."""
        queue = self.gateway.inbox
        while await queue.depth():
            self.gateway.reader.nudge()
            await asyncio.sleep(0.01)

    async def delivered(self) -> None:
        """Wait until the sandbox's webhooks have come, and been worked on."""
        await self.sandbox.courier.settled()
        await self.heard()
        await self.gateway.books.settled()

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Use the sandbox's controls."""
        async with self.http.request(
            method,
            f"{self.sandbox_url}/sandbox/{path}",
            data=json.dumps(body) if body is not None else None,
            headers={"Authorization": f"Bearer {STRIPE_KEY}", "Content-Type": "application/json"},
        ) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json() if answer.content_length else None

    async def fault(self, **order: Any) -> None:
        """Let the sandbox fail; it fails creations unless `match` says otherwise."""
        await self.control("POST", "faults", {"match": "POST /v1/checkout/sessions", **order})

    async def sessions(self) -> list[Any]:
        """Return every session that the sandbox has made."""
        found: list[Any] = (await self.control("GET", "state"))["sessions"]
        return found

    async def open_sessions(self) -> list[Any]:
        return [s for s in await self.sessions() if s["status"] == "open"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


#: Sections of a configuration in which X-Forwarded-For says who visits.
PROXIED: Mapping[str, Any] = {"server": {"trusted_proxies": ["127.0.0.1/32"]}}


def configuration(
    port: int,
    sandbox_url: str,
    store: str,
    more: Mapping[str, Any] | None = None,
    **stripe: Any,
) -> config.Config:
    more = more or {}
    server = {"public_url": f"http://127.0.0.1:{port}", "port": port}
    return config.parse(
        {
            **more,
            "server": {**server, **more.get("server", {})},
            "signing": {"keys": [SIGNING_KEY]},
            "store": {"url": store},
            "stripe": {
                "api_key": STRIPE_KEY,
                "api_base": sandbox_url,
                "webhook_secrets": [WEBHOOK_SECRET],
                **stripe,
            },
            "brand": {"name": "Example Shop", "contact": "help@example.com"},
        }
    )


@contextlib.asynccontextmanager
async def serving(app: Litestar, port: int) -> AsyncIterator[str]:
    """Serve `app` by uvicorn in this event loop, without its signal handlers."""
    settings = uvicorn.Config(
        app,
        port=port,
        http=BoundedProtocol,
        log_level="error",
        lifespan="on",
        server_header=False,
        proxy_headers=False,
    )
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    await server.startup()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.force_exit = True
        await server.shutdown()
        await server.lifespan.shutdown()


@contextlib.asynccontextmanager
async def running(
    store: str, clock: Clock, *, more: Mapping[str, Any] | None = None, **stripe: Any
) -> AsyncIterator[Stack]:
    """Start a whole linkgate on `store`; `more` holds other sections of its configuration."""
    port, sandbox_port = free_port(), free_port()
    url, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    endpoint = WebhookEndpoint(f"{url}/webhooks/stripe", WEBHOOK_SECRET)
    refused = Checker()
    sandbox = Sandbox(sandbox_url, STRIPE_KEY, [endpoint], on_request=refused)
    settings = configuration(port, sandbox_url, store, more, **stripe)
    app = create(settings, clock)
    async with (
        serving(sandbox.app(), sandbox_port),
        serving(app, port),
        ClientSession(cookie_jar=CookieJar(unsafe=True)) as http,
    ):
        yield Stack(url, app, sandbox_url, sandbox, http, clock, settings, refused=refused)
    assert not refused.found, refused.found


@contextlib.asynccontextmanager
async def embedded(folder: Path, **stripe: Any) -> AsyncIterator[Stack]:
    """Start a whole linkgate on an embedded store in `folder`."""
    async with running(f"embedded:{folder}", Clock(), **stripe) as stack:
        yield stack
