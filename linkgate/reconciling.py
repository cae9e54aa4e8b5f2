"""Reconciliation: what webhooks missed is found out from Stripe, and repaired.

Now and then one process goes through Stripe's list of events since the last time. An event that
should have come and didn't is taken in as if it had, and reported as drift. Sessions that should
have ended are asked about one by one (see `watching`).
"""

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from linkgate.attributing import Attribution
from linkgate.bookkeeping import Bookkeeper
from linkgate.destinations.base import Deadline, Gone, SpentKey
from linkgate.ending import end_tasks
from linkgate.errors import DestinationBusy, DestinationMisconfigured, LinkgateError
from linkgate.payments import EVENTS, Event, SessionState, read_event
from linkgate.store import Store
from linkgate.store.leases import Lease
from linkgate.watching import Watch
from linkgate.webhooks import UNREADABLE, in_mode, may_be_ours

log = logging.getLogger(__name__)

#: A webhook that hasn't come by then may still be on its way: Stripe's first retry is within
#: minutes. Younger events are left for the next time.
GRACE_SECONDS = 300
#: Events are listed by the second in which they happened, and may be listed a little later.
OVERLAP_SECONDS = 300
#: Where nothing was gone through before: Stripe itself tries for three days to deliver.
FIRST_SECONDS = 3 * 86_400
#: Stripe lists events for 30 days: https://docs.stripe.com/api/events
LONGEST_SECONDS = 30 * 86_400
LEASE_SECONDS = 120.0
PAGE_SECONDS = 60.0
#: Events are gone through in slices of time, the oldest first, so that memory holds one slice's and
#: what was done is kept. While there are few in one, the next is twice as long.
SLICE_SECONDS = 3600
LONGEST_SLICE_SECONDS = 86_400
FEW_EVENTS = 100
#: After so many events that still can't be taken in, the rest of those wait for the next time.
MOST_FAILURES = 3

_ON_ITS_WAY = (SessionState.OPEN, SessionState.PENDING)

#: Called with what has been done so far: events gone through, sessions asked about.
Progress = Callable[[int, int], None]


class Lists(Protocol):
    """Stripe's list of events; see `linkgate.stripe_api`."""

    def events(
        self, since: int, until: int, types: Sequence[str], page_seconds: float
    ) -> AsyncIterator[Mapping[str, Any]]: ...

    async def event(
        self, event_id: str, deadline: Deadline, account: str | None = None
    ) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class Report:
    """What one reconciliation found; times in Unix seconds."""

    since: int
    until: int
    events: int = 0
    #: Events of linkgate's that no webhook had brought: (type, link).
    missed: list[tuple[str, str]] = field(default_factory=list)
    #: Links that were asked about, and sessions among them that were otherwise than known.
    asked: int = 0
    drifted: int = 0
    #: Whose link could not be found out, or Stripe not be asked.
    failed: int = 0


class Reconciler:
    """Compares what is known with Stripe. Belongs to one event loop."""

    def __init__(
        self,
        store: Store,
        books: Bookkeeper,
        attribution: Attribution,
        stripe: Lists,
        watch: Watch,
        clock: Callable[[], float],
        *,
        livemode: bool,
    ) -> None:
        self._store = store
        self._books = books
        self._attribution = attribution
        self._stripe = stripe
        self._watch = watch
        self._clock = clock
        self._livemode = livemode
        self._lease = Lease(store.connection, "reconcile", secrets.token_hex(8))
        self._task: asyncio.Task[None] | None = None
        self._lease_seconds = LEASE_SECONDS

    def start(self, every_seconds: float) -> None:
        """Begin to reconcile now and then, unless another process does."""
        self._lease_seconds = every_seconds + LEASE_SECONDS
        self._task = asyncio.create_task(self._run(every_seconds), name="linkgate-reconciler")

    async def stop(self) -> None:
        """Stop; what was done is kept."""
        if self._task:
            await end_tasks(self._task)
            with suppress(LinkgateError):
                await self._lease.give_back()

    async def _run(self, every_seconds: float) -> None:
        while True:
            try:
                # Whoever has it keeps it until after its next time; if it dies, another goes on.
                if await self._lease.take(self._lease_seconds):
                    await self.events()
            except LinkgateError as error:
                log.warning("reconciling waits: %s", error)
            except Exception:
                log.exception("reconciling failed; it is tried again")
            await asyncio.sleep(every_seconds)

    async def everything(
        self, since: int | None = None, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Report:
        """Go through events until now, then ask about every link that is watched.

        Raises DestinationBusy, DestinationMisconfigured or StoreUnavailable; what was repaired by
        then is kept.
        """
        report = await self.events(since, by_hand=True, dry_run=dry_run, progress=progress)
        # What is watched is there until it has ended; the list may grow meanwhile.
        for name in await self._watch.queue.ids():
            try:
                watched = await self._watch.look(name, at_once=True, dry_run=dry_run)
            except (DestinationBusy, DestinationMisconfigured, SpentKey) as error:
                log.warning("link %s can't be asked about: %s", name, error)
                report.failed += 1
            else:
                report.drifted += watched.drifted
            report.asked += 1
            if progress:
                progress(report.events, report.asked)
        return report

    async def events(
        self,
        since: int | None = None,
        *,
        by_hand: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Go through Stripe's events since then (Unix s), by default since the last time.

        `by_hand` doesn't leave the last minutes out. Raises as `everything`.
        """
        now = int(self._clock())
        known = await self._store.ledgers.reconciled()
        begin = since if since is not None else (known or now - FIRST_SECONDS) - OVERLAP_SECONDS
        # Whoever asks by hand wants to know of everything until now.
        settled = now - GRACE_SECONDS
        until = now if by_hand or since is not None else settled
        report = Report(max(begin, now - LONGEST_SECONDS), until)
        waiting = await self._once_more(report, dry_run=dry_run)
        start, length = report.since, SLICE_SECONDS
        while start <= until:
            end, before = min(start + length - 1, until), report.events
            # Stripe lists the newest first; in their own order there is less to put right.
            for event in reversed(await self._listed(start, end, report, progress)):
                if event.id not in waiting:
                    await self._settle(event, report, dry_run=dry_run, again=since is not None)
            if not dry_run and since is None:
                await self._store.ledgers.set_reconciled(min(end, settled))
            if self._task and asyncio.current_task() is self._task:
                await self._lease.take(self._lease_seconds)
            few = report.events - before <= FEW_EVENTS
            length = min(2 * length, LONGEST_SLICE_SECONDS) if few else SLICE_SECONDS
            start = end + 1
        return report

    async def _listed(
        self, start: int, end: int, report: Report, progress: Progress | None
    ) -> list[Event]:
        """Return the events between two times (Unix s) that may be linkgate's, newest first."""
        found: list[Event] = []
        try:
            async for data in self._stripe.events(start, end, EVENTS, PAGE_SECONDS):
                report.events += 1
                event = self._read(data)
                if event and (may_be_ours(event) or await self._books.find(event)):
                    found.append(event)
                if progress:
                    progress(report.events, 0)
        except (SpentKey, Gone) as error:
            raise DestinationBusy(str(error)) from error
        return found

    async def _once_more(self, report: Report, *, dry_run: bool) -> set[str]:
        """Try again what could not be taken in before; return the ids of what still can't be."""
        left = await self._store.ledgers.left()
        waiting = {event_id for event_id, _ in left}
        # In no order, so that the same few don't keep the others away.
        for event_id, account in random.sample(left, len(left)):
            if report.failed >= MOST_FAILURES:
                break
            if await self._retried(event_id, account, report, dry_run=dry_run):
                waiting.discard(event_id)
                if not dry_run:
                    await self._store.ledgers.strike_out(event_id, account)
        return waiting

    async def _retried(
        self, event_id: str, account: str | None, report: Report, *, dry_run: bool
    ) -> bool:
        try:
            data = await self._stripe.event(event_id, Deadline.after(PAGE_SECONDS), account)
        except Gone:
            log.error("the event %s was never taken in, and Stripe has forgotten it", event_id)
            return True
        except (DestinationBusy, DestinationMisconfigured, SpentKey) as error:
            log.warning("the event %s can't be asked for now: %s", event_id, error)
            report.failed += 1
            return False
        event = self._read({**data, "account": account} if account else data)
        return event is None or await self._settle(event, report, dry_run=dry_run)

    async def _settle(
        self, event: Event, report: Report, *, dry_run: bool, again: bool = False
    ) -> bool:
        """Compare an event with what is known; False if it is left for another time.

        `again` has links looked at whose payment is on its way, even if all of it was heard.
        """
        try:
            return await self._compare(event, report, dry_run=dry_run, again=again)
        except UNREADABLE:
            # It would fail every time, and must not keep away what came after it.
            log.exception("%s %s can't be taken in", event.type, event.id)
            return True

    def _read(self, data: Mapping[str, Any]) -> Event | None:
        try:
            event = read_event(data)
        except UNREADABLE as error:
            log.warning("an event in Stripe's list can't be read: %r", error)
            return None
        if event is None or not in_mode(event, livemode=self._livemode):
            return None
        return event

    async def _compare(self, event: Event, report: Report, *, dry_run: bool, again: bool) -> bool:
        try:
            link = await self._attribution.link_of(event, keep=not dry_run)
        except (DestinationBusy, DestinationMisconfigured) as error:
            log.warning("whose %s is can't be found out: %s", event.id, error)
            report.failed += 1
            if not dry_run:
                await self._books.leave(event.id, event.account)
            return False
        if not link:
            return True
        if await self._books.knows(link, event.id):
            # A link that was never put under watch: an older version heard of it.
            if again and not dry_run and event.session and event.session.state in _ON_ITS_WAY:
                await self._watch.soon(link)
            return True
        report.missed.append((event.type, link))
        if dry_run:
            return True
        if await self._books.hear_event(link, event):
            log.warning("drift: link %s: %s %s had not come", link, event.type, event.id)
            row = await self._store.ledgers.read(link)
            if slug := row.fields.get("campaign") or event.campaign:
                self._store.recorder.count(slug, "drift.events")
        return True
