"""Workers: what goes on in the background, queue by queue.

Every process has one worker for each queue; an item is worked on by one of them at a time. What
fails is tried again, later each time, and a store that is away is waited for.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from linkgate.ending import end_tasks
from linkgate.errors import StoreUnavailable
from linkgate.store.queue import Item, Queue

log = logging.getLogger(__name__)

#: How often a worker looks for what is due, put in by other processes or left by one that died.
LOOK_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Later:
    """What a handler returns for an item that is to come back: in how many seconds, and whether it
    counts as a failed try. `body` replaces the item's.
    """

    seconds: float
    failed: bool = False
    body: str = ""


#: Works on one item; None is done. An exception is logged, and the item is tried again later.
Handle = Callable[[Item], Awaitable[Later | None]]


def pause(tries: int, *, first: float = FIRST_PAUSE_SECONDS, longest: float) -> float:
    """Return how long to wait after so many failed tries, in seconds: twice as long each time."""
    # Spread, so that what failed together doesn't come back together.
    return min(first * 2.0 ** min(tries, 32), longest) * random.uniform(0.8, 1.2)  # noqa: S311


class Worker:
    """Works on one queue's items, `side_by_side` at a time. Belongs to one event loop."""

    def __init__(
        self,
        queue: Queue,
        handle: Handle,
        *,
        side_by_side: int = 10,
        lease_seconds: float = 60.0,
        longest_pause: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        """Take how long one item may take at most: `lease_seconds`, then another may have it."""
        self._queue = queue
        self._handle = handle
        self._side_by_side = side_by_side
        self._lease_seconds = lease_seconds
        self._longest_pause = longest_pause
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._run(), name=f"linkgate-{self._queue.name}")

    async def stop(self) -> None:
        """Stop; what was under way is given back, or taken up again when its lease has run out."""
        await end_tasks(self._task)
        await end_tasks(*self._under_way)

    def nudge(self) -> None:
        """Look now: something was put in."""
        self._nudged.set()

    async def work(self) -> int:
        """Work on all that is due now, to its end; returns how many items were taken."""
        count = 0
        while taken := await self._take(self._side_by_side):
            count += len(taken)
            # All of them come to their end, whatever becomes of one.
            ends = await asyncio.gather(*map(self._one, taken), return_exceptions=True)
            for end in ends:
                if end is not None:
                    raise end
        return count

    async def _take(self, count: int) -> list[Item]:
        return await self._queue.take(count, lease_ms=int(self._lease_seconds * 1000))

    async def _run(self) -> None:
        away = False
        while True:
            try:
                full = await self._fill()
            except StoreUnavailable as error:
                if not away:
                    log.warning("the queue %s waits for the store: %s", self._queue.name, error)
                away, full = True, False
            except Exception:
                log.exception("the queue %s failed; it goes on", self._queue.name)
                full = False
            else:
                away = False
            await self._rest(full=full)

    async def _fill(self) -> bool:
        """Take as much as there is room for; returns whether there may be more."""
        room = self._side_by_side - len(self._under_way)
        if room <= 0:
            return True
        self._nudged.clear()
        taking = asyncio.ensure_future(self._take(room))
        try:
            taken = await asyncio.shield(taking)
        except asyncio.CancelledError:
            # What was asked for comes all the same, and nobody else would get it for a while.
            with suppress(StoreUnavailable):
                await self._give_back(await taking)
            raise
        for item in taken:
            task = asyncio.create_task(self._quietly(item))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(taken) == room

    async def _rest(self, *, full: bool) -> None:
        """Wait until there is room, or a nudge, or for a while."""
        if full and self._under_way:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._nudged.wait()

    async def _quietly(self, item: Item) -> None:
        with suppress(StoreUnavailable):  # its lease runs out, and it comes again
            try:
                await self._one(item)
            except asyncio.CancelledError:
                await self._give_back([item])
                raise

    async def _give_back(self, items: Sequence[Item]) -> None:
        for item in items:
            await self._queue.later(item, delay_ms=0, failed=False)

    async def _one(self, item: Item) -> None:
        try:
            async with asyncio.timeout(self._lease_seconds * 0.9):
                again = await self._handle(item)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("an item of the queue %s failed; it is tried again", self._queue.name)
            again = Later(pause(item.tries, longest=self._longest_pause), failed=True)
        if again is None:
            if not await self._queue.done(item):
                self.nudge()
            return
        delay = int(again.seconds * 1000)
        await self._queue.later(item, delay_ms=delay, failed=again.failed, body=again.body)
