"""Serving in one process: the socket, uvicorn on it, and the signals that end it."""

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
import uvloop
from litestar.types import ASGIApp

from linkgate.bounds import BoundedProtocol
from linkgate.errors import LinkgateError
from linkgate.store.connect import Connection

log = logging.getLogger(__name__)

BACKLOG = 2048
#: How long requests under way may take to end when the server is told to stop; a mint takes ten.
DRAIN_SECONDS = 15
#: Longer than proxies keep their idle connections (nginx and AWS: 60 s): whoever closes first must
#: be the proxy, or it now and then sends a request into a connection that is being closed.
KEEP_ALIVE_SECONDS = 75


class Unservable(LinkgateError):
    """Serving can't begin; the message says why, and the mend."""


class Server(uvicorn.Server):
    """uvicorn, set for linkgate, and told by `stop_on_signals` when to stop.

    uvicorn's own handlers, a set for each server, would take their place and raise the signal once
    more at the end, which may end the process before all is cleaned up.
    """

    def __init__(self, app: ASGIApp, on_ready: Callable[[], None] | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http=BoundedProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                # Request lines hold tokens.
                access_log=False,
                # linkgate reads X-Forwarded-For itself, from the right; uvicorn would let visitors
                # choose their own address where it believes a proxy.
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone; see the class."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell; raises Unservable where uvicorn would end the process."""
        try:
            await super().startup(sockets=sockets)
        except SystemExit:
            raise Unservable("the application did not start; its log says why") from None
        if self._on_ready:
            self._on_ready()

    def stop(self, *, at_once: bool = False) -> None:
        """Take no more connections, and end when those that are open have; or at once."""
        self.should_exit = True
        self.force_exit = self.force_exit or at_once


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises Unservable with the mend."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise Unservable(_why(host, port, errno.EADDRNOTAVAIL)) from error
    # "localhost" has two addresses, and what is written out as 127.0.0.1 has to be answered.
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Unservable(_why(host, port, error.errno or 0)) from error
    return listener


def _why(host: str, port: int, code: int) -> str:
    mend = "choose another with --port or server.port"
    if code == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program; stop that one, or {mend}"
    if code == errno.EACCES:
        return f"port {port} needs more rights than this user has; {mend}, or put a proxy in front"
    if code == errno.EADDRNOTAVAIL:
        return (
            f"{host} is not an address of this machine; choose another with --host or "
            "server.host, such as 127.0.0.1 or 0.0.0.0"
        )
    return f"can't listen on {host}, port {port}: {os.strerror(code)}"


def url_of(listener: socket.socket) -> str:
    """Return where the socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def stop_on_signals(stop: Callable[[bool], None]) -> None:
    """Call `stop(False)` at the first SIGTERM, SIGINT or SIGHUP; at a repeated SIGINT `stop(True)`.

    For the running event loop's process as a whole.
    """
    told = False

    def heard(number: signal.Signals) -> None:
        nonlocal told
        again, told = told, True
        stop(again and number == signal.SIGINT)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # nohup has SIGHUP ignored, and means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, heard, number)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


@asynccontextmanager
async def held_store(url: str) -> AsyncIterator[None]:
    """Keep the store open around what serves; raises ConfigError or StoreUnavailable.

    What is wrong with it is then said once and in a sentence, and the embedded server stays up
    while workers come and go.
    """
    connection = await Connection.open(url)
    try:
        try:
            await connection.ping()
        except Exception as error:
            log.warning(
                "the store does not answer (%s); until it does, links show a page with a way on "
                "and nothing is minted; `linkgate doctor` looks closer",
                error,
            )
        yield
    finally:
        await connection.close()
