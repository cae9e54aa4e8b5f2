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

from linkgate.sandbox import versions
from linkgate.sandbox.handling import Handling, HandlingBook
from linkgate.sandbox.world import Object, World

# Stripe goes on for three days; a sandbox's reader is at the screen.
RETRY_SECONDS = (0.5, 1, 2, 4, 8, 15, 30)
TIMEOUT_SECONDS = 10.0
LOG_LENGTH = 5_000
AT_ONCE = 60


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


@dataclass(frozen=True, slots=True)
class _Parcel:
    event: Object
    handling: Handling | None = None


def signature(body: bytes, secret: str, at: int) -> str:
    """The Stripe-Signature header of a body."""
    signed = f"{at}.".encode() + body
    return f"t={at},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


class Courier:
    """Runs while the application does; events told before that wait for it."""

    def __init__(self, world: World, retries: Sequence[float] = RETRY_SECONDS) -> None:
        self.log: deque[Delivery] = deque(maxlen=LOG_LENGTH)
        self.book = HandlingBook()
        self._world = world
        self._retries = tuple(retries)
        self._waiting: list[_Parcel] = []
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
        handling = self.book.take(event["type"])
        if handling is not None and handling.fate == "lose":
            lost = "lost on the way, as ordered"
            self.log.append(
                Delivery(event["id"], event["type"], "", self._world.wall(), 0, None, lost)
            )
            return
        self._take(_Parcel(event, handling))

    def again(self, event: Object, copies: int = 1) -> None:
        """Deliver an event once more, `copies` times at once, whatever is ordered."""
        self._take(_Parcel(event, Handling("double", copies=copies)))

    def _take(self, parcel: "_Parcel") -> None:
        if self._held or self._loop is None:
            self._waiting.append(parcel)
            return
        self._loop.call_soon_threadsafe(self._send, parcel)

    async def settled(self) -> None:
        """Wait until nothing is on its way any more."""
        await asyncio.sleep(0)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, parcel: "_Parcel") -> None:
        self._spawn(self._one_by_one([parcel]))

    async def _one_by_one(self, parcels: list["_Parcel"]) -> None:
        for parcel in parcels:
            event, handling = parcel.event, parcel.handling
            if handling is not None and handling.fate == "delay":
                await asyncio.sleep(handling.seconds)
            copies = handling.copies if handling is not None and handling.fate == "double" else 1
            # One encoding for every copy and attempt: the signature is over these bytes.
            addressed = [
                (endpoint, self._body(event, endpoint))
                for endpoint in self._world.listeners(event["type"])
            ]
            await asyncio.gather(
                *(self._deliver(event, *each) for each in addressed for _ in range(copies))
            )

    def _body(self, event: Object, endpoint: Object) -> bytes:
        rendered = versions.event_for(self._world, event, endpoint["api_version"])
        return json.dumps(rendered, indent=2, default=str).encode()

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
