"""One run of the demo, from its sockets to the removal of its data."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from litestar.types import ASGIApp

from linkgate import config
from linkgate.config import Config, Log
from linkgate.demo.samples import SampleLink, Tour, make_key, make_samples
from linkgate.demo.shop import CANCELLED, THANKS, with_shop
from linkgate.demo.watching import watch
from linkgate.errors import ConfigError, Problem
from linkgate.logs import set_up
from linkgate.sandbox import Sandbox, WebhookEndpoint
from linkgate.serving import Server, Unservable, bind, held_store, run, stop_on_signals, url_of
from linkgate.web.app import create

HOST = "127.0.0.1"
PORT = 8080
SANDBOX_PORT = 8081


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told where everything is, once it runs, and (if `tell` is set) of each visit."""

    announce: Callable[[Tour], None]
    tell: Callable[[str], None] | None = None


def run_demo(port: int | None, data: Path | None, audience: Audience) -> None:
    """Run until a signal.

    Without `port`, the usual ports are taken if they are free; without `data`, everything is kept
    in a temporary folder that is removed at the end. Raises ConfigError, StoreUnavailable or
    Unservable when it can't begin.
    """
    set_up(Log(level="warning"))
    with ExitStack() as stack:
        gateway, sandbox = _listeners(port)
        stack.enter_context(gateway)
        stack.enter_context(sandbox)
        folder = data.absolute() if data else _temporary(stack)
        file = folder / "linkgate.toml"
        values = _configure(file, url_of(gateway), url_of(sandbox))
        run(_serve(values, file, (gateway, sandbox), audience, kept=data is not None))


def _temporary(stack: ExitStack) -> Path:
    folder = tempfile.TemporaryDirectory(prefix="linkgate-demo-", ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder))


def _listeners(port: int | None) -> tuple[socket, socket]:
    """The sockets of the gateway and the sandbox; only a port that was asked for has to be free."""
    if port is None:
        return _bind_near(PORT), _bind_near(SANDBOX_PORT)
    return bind(HOST, port), _bind_near(port + 1 if 0 < port < 65_535 else 0)


def _bind_near(port: int) -> socket:
    try:
        return bind(HOST, port)
    except Unservable:
        return bind(HOST, 0)


def _configure(file: Path, url: str, sandbox_url: str) -> Config:
    """Write a configuration, with which the other commands work on the demo's data as well."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([Problem("--data", f"can't be used: {error.strerror}")]) from None
    # A kept demo's links stay good, though it may get other ports now than the last time.
    here = {"LINKGATE_SERVER__PUBLIC_URL": url, "LINKGATE_STRIPE__API_BASE": sandbox_url}
    if not file.exists():
        config.write_new(
            file,
            url,
            {
                "store.url": "embedded:./store",
                "stripe.api_key": f"sk_test_{secrets.token_hex(16)}",
                "stripe.webhook_secrets": [f"whsec_{secrets.token_hex(16)}"],
                "stripe.api_base": sandbox_url,
                "brand.name": "Demo Shop",
            },
        )
    return config.load(file, here)


async def _serve(
    values: Config,
    file: Path,
    listeners: tuple[socket, socket],
    audience: Audience,
    *,
    kept: bool,
) -> None:
    links: list[SampleLink] = []
    watching: list[asyncio.Task[None]] = []
    app = create(values)
    front, back = _Part(with_shop(app, lambda: links), listeners[0]), _sandbox(values, listeners[1])

    def stop(at_once: bool) -> None:
        # The sandbox follows when the gateway has ended: mints under way still need it.
        front.server.stop(at_once=at_once)
        for task in watching:
            task.cancel()
        if at_once:
            back.server.stop(at_once=True)

    stop_on_signals(stop)
    async with held_store(values.store.url), back.running(), front.running() as ended:
        gateway = app.state.gateway
        links += await make_samples(gateway, THANKS, CANCELLED)
        tour = Tour(
            url=values.server.public_url,
            sandbox_url=values.stripe.api_base,
            api_key=await make_key(gateway),
            sandbox_key=values.stripe.api_key.get_secret_value(),
            config=file,
            kept=kept,
            links=tuple(links),
        )
        audience.announce(tour)
        if audience.tell:
            work = watch(gateway.desk, links, gateway.clock, audience.tell)
            watching.append(asyncio.create_task(work))
        await ended


def _sandbox(values: Config, listener: socket) -> "_Part":
    secret = values.stripe.webhook_secrets[0].get_secret_value()
    hook = WebhookEndpoint(f"{values.server.public_url}/webhooks/stripe", secret)
    key = values.stripe.api_key.get_secret_value()
    return _Part(Sandbox(values.stripe.api_base, key, [hook]).app(), listener)


class _Part:
    """One of the two servers, running for the length of a block."""

    def __init__(self, app: ASGIApp, listener: socket) -> None:
        self._ready = asyncio.Event()
        self._listener = listener
        self.server = Server(app, self._ready.set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Begin when the server answers; yields the task that ends when it has been stopped."""
        served = asyncio.create_task(self.server.serve(sockets=[self._listener]))
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait([served, ready], return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                await served
            yield served
        finally:
            ready.cancel()
            self.server.stop()
            await served
