"""Second thoughts: what comes out later about visits that were recorded, counted, and let through.

A doubt is in the store before the visit that raised it is answered. Here it is worked off: the
recorded verdict changes, the counters follow, and a session that only such visits were sent to is
closed. Each step can be repeated; one process works on a doubt at a time, and another goes on if it
dies.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from linkgate.campaigns import Policy
from linkgate.decision import Action, lets_through
from linkgate.detection import Doubt, Verdict
from linkgate.ending import end_tasks
from linkgate.errors import StoreUnavailable
from linkgate.minting import Mint
from linkgate.payments import SessionState
from linkgate.record import reconsider
from linkgate.store import Store
from linkgate.store.doubts import (
    LONGEST_DELAY_MS,
    STALE_SECONDS,
    Disowned,
    Doubtful,
    Doubts,
    DoubtStore,
)

log = logging.getLogger(__name__)

#: A visit is written down within moments of its sighting, and counted within half a second.
FIRST_LOOK_MS = 800
#: How often a process looks for doubts that are due, its own and those of others that died.
LOOK_SECONDS = 1.0
AT_ONCE = 50
#: Doubts that a process works on at a time: a Stripe that hangs must not hold up all the others.
SIDE_BY_SIDE = 10
#: Each try waits twice as long as the one before, from a second to five minutes. After so many, two
#: minutes in all, a visit that isn't recorded never will be, and a mint whose outcome isn't written
#: has died: a person waits for a minute at most.
PATIENT_TRIES = 7


#: Doubts that could not be written down, because the store was away.
MOST_UNWRITTEN = 1000


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What late evidence did to a visit. `session` is the one it was sent to, and that has to go if
    nobody else was; `unsettled` says that the visit's mint is still under way.
    """

    campaign: str
    visit: str
    changes: tuple[tuple[str, str], ...]
    session: str = ""
    unsettled: bool = False


async def take_back(
    store: DoubtStore,
    doubtful: Doubtful,
    at: float,
    policy_of: Callable[[str], Awaitable[Policy]],
) -> TakenBack | None:
    """Work late evidence into a recorded visit; None if the visit isn't recorded.

    The visit's session goes if the campaign's policy would not have let it through.
    """
    while True:
        found = await store.find(doubtful.link, doubtful.visit)
        if found is None:
            return None
        minted = doubtful.closes and found.decision == Action.MINT
        policy = await policy_of(found.campaign) if minted else None

        def closes(verdict: Verdict, policy: Policy | None = policy) -> bool:
            return policy is not None and not lets_through(policy, verdict)

        after = reconsider(found.kept, doubtful.evidence, at, closes)
        if after != found.kept and not await store.rewrite(found, after):
            continue
        changes = after.get("changes", ())
        taken = TakenBack(
            found.campaign, doubtful.visit, tuple((c["from"], c["to"]) for c in changes)
        )
        if not any(change.get("closing") for change in changes):
            return taken
        how, _, session = found.outcome.partition(" ")
        known = session if how in {"minted", "reused"} else ""
        return replace(taken, session=known, unsettled=not found.outcome)


class Reconsidering:
    """Works doubts off in the background. Belongs to one event loop."""

    def __init__(self, store: Store, mint: Mint, clock: Callable[[], float]) -> None:
        self._store = store
        self._mint = mint
        self._clock = clock
        self._noted = asyncio.Event()
        self._unwritten: deque[Doubts] = deque(maxlen=MOST_UNWRITTEN)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for doubts."""
        self._task = asyncio.create_task(self._run(), name="linkgate-reconsidering")

    async def stop(self) -> None:
        """Stop; what is under way is taken up again by another process, or at the next start."""
        await end_tasks(self._task)

    async def note(self, visit: str, doubts: Iterable[Doubt], now: float) -> None:
        """Write down what the visit with this id told about earlier ones.

        Raises StoreUnavailable, and writes it down when the store is back.
        """
        visits = tuple(
            Doubtful(
                doubt.sighting.link,
                doubt.sighting.visit,
                doubt.evidence.rule,
                doubt.evidence.points_to,
                doubt.evidence.reason,
                doubt.evidence.kind,
                doubt.closes,
            )
            for doubt in doubts
        )
        found = Doubts(visit, now, visits)
        try:
            await self._store.doubts.put([found], delay_ms=FIRST_LOOK_MS)
        except StoreUnavailable:
            self._unwritten.append(found)
            raise
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
                while await self.work() == AT_ONCE:
                    pass
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
        while self._unwritten:
            found = self._unwritten.popleft()
            try:
                await self._store.doubts.put([found], delay_ms=0)
            except StoreUnavailable:
                self._unwritten.appendleft(found)
                raise
        due = await self._store.doubts.take(AT_ONCE)
        turns = asyncio.Semaphore(SIDE_BY_SIDE)

        async def handle(doubts: Doubts) -> None:
            async with turns:
                await self._handle(doubts)

        # All of them come to their end, whatever becomes of one.
        ends = await asyncio.gather(*map(handle, due), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        return len(due)

    async def _handle(self, doubts: Doubts) -> None:
        if self._clock() - doubts.at > STALE_SECONDS:
            await self._store.doubts.strike_out(doubts)
            return
        try:
            left = await self._work_off(doubts)
        except StoreUnavailable:
            raise
        except Exception:
            # A foreign value under a key of its link: put off like the others, not in their way.
            log.exception("doubt %s can't be worked off; it is tried again", doubts.id)
            left = doubts.visits
        if left:
            later = Doubts(doubts.id, doubts.at, left, doubts.tries + 1)
            delay = min(1000 * 2 ** min(doubts.tries, 20), LONGEST_DELAY_MS)
            await self._store.doubts.put_back(later, delay_ms=delay)
        else:
            await self._store.doubts.strike_out(doubts)

    async def _work_off(self, doubts: Doubts) -> tuple[Doubtful, ...]:
        patient = doubts.tries < PATIENT_TRIES
        left: list[Doubtful] = []
        taken: list[tuple[Doubtful, TakenBack]] = []
        for doubtful in doubts.visits:
            done = await take_back(self._store.doubts, doubtful, doubts.at, self._policy)
            if done is not None:
                await self._store.doubts.recount(done.campaign, done.visit, done.changes)
                taken.append((doubtful, done))
            # Not recorded yet, or minting still: what it mints is closed when that ends, but for a
            # Stripe that doesn't answer then.
            if patient and (done is None or done.unsettled):
                left.append(doubtful)
        # After all of them: a session goes when nobody is left who was sent to it.
        for doubtful, done in taken:
            if done.session and not await self._close(doubtful.link, done, patient):
                left.append(doubtful)
        return tuple(left)

    async def _policy(self, slug: str) -> Policy:
        campaign = await self._store.campaigns.get(slug) if slug else None
        return campaign.policy if campaign else Policy.ADAPTIVE

    async def _close(self, link: str, done: TakenBack, patient: bool) -> bool:
        session_id = done.session
        disowned = await self._store.doubts.disown(link, session_id, patient=patient)
        if disowned is not Disowned.YES:
            return disowned is Disowned.KEPT
        await self._store.doubts.count_once(done.campaign, "sessions.taken_back", session_id)
        row = await self._store.links.read(link)
        for session in row.sessions if row else ():
            if session.id == session_id and session.state is SessionState.OPEN:
                log.info("link %s: closing %s, which a machine was sent to", link, session_id)
                return await self._mint.close_one(link, session)
        return True
