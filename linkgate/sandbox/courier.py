"""Delivers events to webhook endpoints, signed as Stripe signs them, again until they are taken.

Signature: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>">`
(https://docs.stripe.com/webhooks#verify-manually). The time in it is the wall clock's, without the
world's offset: when a test lets the sandbox's time pass, its receiver's clock stands still.
"""

import asyncio
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from linkgate.sandbox.world import Object, World

# Stripe goes on for three days; a sandbox's reader is at the screen.
RETRY_SECONDS = (0.5, 1, 2, 4, 8, 15, 30)
TIMEOUT_SECONDS = 10.0
LOG_LENGTH = 5_000
AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver an event; `status` None means that no answer came (see `error`)."""

    event: str
    kind: str
    url: str
    at: float
    attempt: int
    status: int | None
    error: str | None = None

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def signature(body: bytes, secret: str, at: int) -> str:
    """The Stripe-Signature header of a body."""
    signed = f"{at}.".encode() + body
    return f"t={at},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


class Courier:
    """Runs while the application does; events told before that wait for it."""

    def __init__(self, world: World, retries: Sequence[float] = RETRY_SECONDS) -> None:
        self.log: deque[Delivery] = deque(maxlen=LOG_LENGTH)
        self._world = world
        self._retries = tuple(retries)
        self._waiting: list[Object] = []
        self._held = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            headers={"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"},
        )
        self.release()

    async def stop(self) -> None:
        """Drop what is on its way, as a crash would; the events stay readable by the API."""
        self._loop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    def hold(self) -> None:
        """Keep new events back until `release`, so that a test can choose their moment."""
        self._held = True

    def release(self, *, backwards: bool = False) -> int:
        """Send what was held one by one, the newest first if asked; gives how many there are.

        Stripe promises no order; a test that wants one, or wants it wrong, gets it here.
        """
        self._held = False
        waiting, self._waiting = self._waiting, []
        if backwards:
            waiting.reverse()
        if waiting:
            self._spawn(self._one_by_one(waiting))
        return len(waiting)

    def announce(self, event: Object) -> None:
        """Deliver an event in the background; safe to call from any thread."""
        if self._held or self._loop is None:
            self._waiting.append(event)
            return
        self._loop.call_soon_threadsafe(self._send, event)

    async def settled(self) -> None:
        """Wait until nothing is on its way any more."""
        await asyncio.sleep(0)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, event: Object) -> None:
        self._spawn(self._one_by_one([event]))

    async def _one_by_one(self, events: list[Object]) -> None:
        for event in events:
            # One encoding for every endpoint and attempt: the signature is over these bytes.
            body = json.dumps(event, indent=2, default=str).encode()
            endpoints = self._world.listeners(event["type"])
            await asyncio.gather(*(self._deliver(event, each, body) for each in endpoints))

    async def _deliver(self, event: Object, endpoint: Object, body: bytes) -> None:
        for attempt in range(1, len(self._retries) + 2):
            async with self._places:
                delivery = await self._attempt(event, endpoint, body, attempt)
            self.log.append(delivery)
            if delivery.taken:
                event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
                return
            if attempt <= len(self._retries):
                await asyncio.sleep(self._retries[attempt - 1])

    async def _attempt(
        self, event: Object, endpoint: Object, body: bytes, attempt: int
    ) -> Delivery:
        assert self._client is not None
        at = self._world.wall()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, self._world.secrets[endpoint["id"]], int(at)),
        }
        status, error = None, None
        try:
            async with self._client.post(
                endpoint["url"], data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        return Delivery(event["id"], event["type"], endpoint["url"], at, attempt, status, error)
