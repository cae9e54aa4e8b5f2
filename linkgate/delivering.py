"""Delivers one endpoint's messages: in order for each link, again until they are taken.

Format, headers and schedule are those of Standard Webhooks
(https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md).
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil, isfinite

from standardwebhooks import Webhook

from linkgate.config.outbound import EndpointTable
from linkgate.egress import Egress, Reply, Unreachable
from linkgate.store.outbox import LAST_LOOK_SECONDS, Line, Note, OutboxStore, note_of, read_line
from linkgate.store.parked import Parked, ParkedStore
from linkgate.store.queue import Item
from linkgate.working import Later, Worker

log = logging.getLogger(__name__)

#: When a message is tried again, in seconds since it was put into the outbox: the specification's
#: example schedule, ended at three days.
DAYS_3 = 3 * 86_400.0
SCHEDULE = (5.0, 305.0, 2_105.0, 9_305.0, 27_305.0, 63_305.0, 113_705.0, 185_705.0, DAYS_3)
#: The longest time that a receiver can ask us to wait.
LONGEST_RETRY_AFTER = 12 * 3600.0
#: To one endpoint, from one process.
AT_ONCE = 10
TIMEOUT_SECONDS = 10.0
LEASE_SECONDS = 60.0
#: What one link may have in one turn; others wait as well.
TURN_LINES = 50
TURN_SECONDS = 30.0
#: So many failures in a row, and the endpoint is left alone for a while.
FAILURES_BEFORE_REST = 5
LONGEST_REST = 60.0
#: Links that come up meanwhile are held for so long rather than put off one by one: a hundred
#: thousand of them then cost the store no more than ten.
HOLD_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a message was not taken; `gone` if the receiver wants no more of it."""

    reason: str
    retry_after: float = 0.0
    gone: bool = False


class Rest:
    """When an endpoint is left alone: after some failures in a row, longer with each one more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = 0
        self._clock = clock
        self._began = 0.0
        self._until = 0.0

    @property
    def left(self) -> float:
        """How long it lasts yet, in seconds."""
        return max(self._until - self._clock(), 0.0)

    def begin(self) -> float:
        """Note that a request begins; what it returns goes with how it ended."""
        return self._clock()

    def succeeded(self) -> None:
        """The endpoint is well."""
        self.failures = 0
        self._until = 0.0

    def failed(self, began: float, *, asked: float = 0.0) -> None:
        """Count a failure; `asked` is how long the receiver asked us to wait, in seconds."""
        # Of requests that were under way together, only as many count as are needed to stop.
        if began < self._began:
            return
        self.failures += 1
        rest = min(asked, LONGEST_REST)
        if self.failures >= FAILURES_BEFORE_REST:
            more = min(self.failures - FAILURES_BEFORE_REST + 1, 10)
            rest = max(rest, min(2.0**more, LONGEST_REST))
        if rest > 0:
            self._began = self._clock()
            self._until = self._began + rest


class Courier:
    """Delivers what waits for one endpoint. Belongs to one event loop."""

    def __init__(
        self,
        endpoint: EndpointTable,
        store: OutboxStore,
        parked: ParkedStore,
        egress: Egress,
        clock: Callable[[], float],
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.name = endpoint.name
        self.rest = Rest()
        self.worker = Worker(
            store.queue(endpoint.name),
            self.handle,
            side_by_side=AT_ONCE,
            lease_seconds=lease_seconds,
        )
        self._endpoint = endpoint
        self._store = store
        self._parked = parked
        self._egress = egress
        self._clock = clock
        self._hold = min(HOLD_SECONDS, lease_seconds / 3)
        # All of them: whichever the receiver has, before or after a change, it finds its own.
        self._signers = [Webhook(secret.get_secret_value()) for secret in endpoint.secrets]

    async def handle(self, item: Item) -> Later | None:
        """Deliver what waits at one link, the oldest first, until it is done or one isn't taken."""
        if self.rest.left:
            await asyncio.sleep(min(self.rest.left, self._hold))
            return Later(0.0)
        ends = time.monotonic() + TURN_SECONDS
        head = await self._store.head(self.name, item.id)
        for _ in range(TURN_LINES):
            if not head:
                return self._done(item)
            later = await self._one(item, head)
            if later:
                return later
            head = await self._store.pop(self.name, item.id, head)
            if time.monotonic() > ends or self.rest.left:
                break
        return Later(0.0) if head else self._done(item)

    def _done(self, item: Item) -> Later | None:
        """Nothing is left; whoever announced a change may be about to make it."""
        left = note_of(item).until - self._clock()
        return Later(min(left, LAST_LOOK_SECONDS)) if left > 0 else None

    async def _one(self, item: Item, text: str) -> Later | None:
        """Deliver or park the line at the head; None if it can be taken away."""
        line = read_line(text)
        if line is None:
            # Nobody will ever read it, and it must not hold up those behind it.
            log.error("a line of %s for %s can't be read, and is let go", item.id, self.name)
            return None
        trouble = await self._send(line)
        if trouble is None:
            return None
        now = self._clock()
        age = now - line.queued
        if not trouble.gone and age < DAYS_3:
            note = Note(note_of(item).until, trouble.reason)
            return Later(again_after(age, trouble.retry_after), failed=True, body=note.text)
        await self._parked.put(Parked(item.id, self.name, line, now, trouble.reason))
        log.warning("message %s for %s is parked: %s", line.id, self.name, trouble.reason)
        return None

    async def _send(self, line: Line) -> Trouble | None:
        body = line.body
        began = self.rest.begin()
        try:
            reply = await self._egress.post(
                self._endpoint.url,
                body,
                self._headers(line.id, body),
                allow_private=self._endpoint.allow_private_network,
                timeout=TIMEOUT_SECONDS,
            )
        except Unreachable as error:
            return self._failed(began, Trouble(error.why))
        if 200 <= reply.status < 300:
            if self.rest.failures:
                log.info("the endpoint %s takes messages again", self.name)
            self.rest.succeeded()
            return None
        wait = _retry_after(reply, self._clock())
        trouble = Trouble(f"it answered {reply.status}", wait, reply.status == 410)
        return self._failed(began, trouble)

    def _failed(self, began: float, trouble: Trouble) -> Trouble:
        if not self.rest.failures:
            log.warning("the endpoint %s doesn't take messages: %s", self.name, trouble.reason)
        self.rest.failed(began, asked=trouble.retry_after)
        return trouble

    def _headers(self, name: str, body: bytes) -> dict[str, str]:
        at = datetime.fromtimestamp(int(self._clock()), UTC)
        text = body.decode()
        return {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(key.sign(name, at, text) for key in self._signers),
        }


def again_after(age: float, retry_after: float = 0.0) -> float:
    """Return in how many seconds a message of this age is tried again, by the schedule.

    What was tried before doesn't count: a newer message has its link tried at once, and must not
    push the next try of those before it away. Never beyond three days, so that there is a last try.
    """
    due = next((at for at in SCHEDULE if at > age), DAYS_3) - age
    # Spread, so that what failed together doesn't come back together.
    due *= random.uniform(1.0, 1.2)  # noqa: S311
    return max(min(max(due, retry_after), DAYS_3 - age), 1.0)


def _retry_after(reply: Reply, now: float) -> float:
    """Return how long a receiver asks us to wait, in seconds, within bounds (RFC 9110, 10.2.3)."""
    text = reply.headers.get("Retry-After", "").strip()
    asked = 0.0
    if text.isascii() and text.isdigit():
        asked = float(text[:12])
    elif text:
        with suppress(ValueError, TypeError, OverflowError):
            asked = parsedate_to_datetime(text).timestamp() - now
    return min(max(asked, 0.0), LONGEST_RETRY_AFTER) if isfinite(asked) else 0.0


async def abandon(
    name: str, store: OutboxStore, parked: ParkedStore, now: float, *, at_once: int = 100
) -> int:
    """Park all that waits for an endpoint that is no longer configured; returns how much it was.

    Can be repeated at any step: a line is parked before it is taken away.
    """
    queue = store.queue(name)
    count = 0
    reason = "the endpoint is no longer configured"

    async def give_up(item: Item) -> None:
        nonlocal count
        head = await store.head(name, item.id)
        while head:
            if line := read_line(head):
                await parked.put(Parked(item.id, name, line, now, reason))
                count += 1
            head = await store.pop(name, item.id, head)

    worker = Worker(queue, give_up, side_by_side=AT_ONCE)
    for _ in range(ceil(await queue.depth() / at_once)):
        # What is put off for hours comes now.
        await queue.put_all({link: "" for link, _ in await queue.waiting(at_once)})
        await worker.work()
    return count
