"""Second thoughts: what comes out later about visits that were recorded, counted, and let through.

A doubt is in the store before the visit that raised it is answered. Here it is worked off: the
recorded verdict changes, the counters follow, and a session that only such visits were sent to is
closed. Each step can be repeated; one process works on a doubt at a time, and another goes on if it
dies.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from linkgate.campaigns import Policy
from linkgate.detection import Doubt
from linkgate.errors import StoreUnavailable
from linkgate.minting import Mint
from linkgate.payments import SessionState
from linkgate.store import Store
from linkgate.store.doubts import Doubtful, Doubts, TakenBack

log = logging.getLogger(__name__)

#: A visit is written down within moments of its sighting: long enough for nearly every one.
FIRST_LOOK_MS = 300
#: How often a process looks for doubts that are due, its own and those of others that died.
LOOK_SECONDS = 1.0
AT_ONCE = 50
#: Each try waits twice as long as the one before, from a second to five minutes: an hour in all,
#: by when a session of the shortest life has run out.
MOST_TRIES = 18
_LONGEST_WAIT_MS = 300_000
#: A visit that isn't recorded by then never will be: its process died, or its store was away.
_TRIES_TO_FIND = 5


class Reconsidering:
    """Works doubts off in the background. Belongs to one event loop."""

    def __init__(self, store: Store, mint: Mint, clock: Callable[[], float]) -> None:
        self._store = store
        self._mint = mint
        self._clock = clock
        self._noted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for doubts."""
        self._task = asyncio.create_task(self._run(), name="linkgate-reconsidering")

    async def stop(self) -> None:
        """Stop; what is under way is taken up again by another process, or at the next start."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def note(self, visit: str, doubts: Iterable[Doubt], now: float) -> None:
        """Write down what the visit with this id told about earlier ones.

        Raises StoreUnavailable.
        """
        visits = tuple(
            Doubtful(
                doubt.sighting.link,
                doubt.sighting.visit,
                doubt.evidence.rule,
                doubt.evidence.points_to,
                doubt.evidence.reason,
                doubt.evidence.kind,
            )
            for doubt in doubts
        )
        await self._store.doubts.put([Doubts(visit, now, visits)], delay_ms=FIRST_LOOK_MS)
        self._noted.set()

    async def _run(self) -> None:
        away = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._noted.wait()
                self._noted.clear()
                await asyncio.sleep(FIRST_LOOK_MS / 1000)
            try:
                await self.work()
            except StoreUnavailable as error:
                if not away:
                    log.warning("second thoughts wait for the store: %s", error)
                away = True
            except Exception:
                log.exception("second thoughts failed; they are tried again")
            else:
                away = False

    async def work(self) -> int:
        """Work off what is due now; returns how many doubts were looked at."""
        due = await self._store.doubts.take(AT_ONCE)
        for doubts in due:
            left = await self._work_off(doubts)
            if left and doubts.tries < MOST_TRIES:
                later = Doubts(doubts.id, doubts.at, left, doubts.tries + 1)
                delay = min(1000 * 2**doubts.tries, _LONGEST_WAIT_MS)
                await self._store.doubts.put_back(later, delay_ms=delay)
            else:
                await self._store.doubts.strike_out(doubts)
        return len(due)

    async def _work_off(self, doubts: Doubts) -> tuple[Doubtful, ...]:
        left: list[Doubtful] = []
        taken: list[tuple[Doubtful, TakenBack]] = []
        for doubtful in doubts.visits:
            done = await self._store.doubts.take_back(doubtful, doubts.at, self._policy)
            if done is None:
                if doubts.tries < _TRIES_TO_FIND:
                    left.append(doubtful)
                continue
            await self._store.doubts.recount(done)
            taken.append((doubtful, done))
        # After all of them: a session goes when nobody is left who was sent to it.
        for doubtful, done in taken:
            if done.session and not await self._close(doubtful.link, done.session):
                left.append(doubtful)
        return tuple(left)

    async def _policy(self, slug: str) -> Policy:
        campaign = await self._store.campaigns.get(slug) if slug else None
        return campaign.policy if campaign else Policy.ADAPTIVE

    async def _close(self, link: str, session_id: str) -> bool:
        if not await self._store.doubts.disown(link, session_id):
            return True
        row = await self._store.links.read(link)
        now = self._clock()
        for session in row.sessions if row else ():
            if session.id == session_id and session.state is SessionState.OPEN:
                log.info("link %s: closing %s, which a machine was sent to", link, session_id)
                return await self._mint.close_one(link, session, now)
        return True
