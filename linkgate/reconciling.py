"""Reconciliation: what webhooks missed is found out from Stripe, and repaired.

Now and then one process goes through Stripe's list of events since the last time. An event that
should have come and didn't is taken in as if it had, and reported as drift. Sessions that should
have ended are asked about one by one (see `watching`).
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from linkgate.attributing import Attribution
from linkgate.bookkeeping import Bookkeeper
from linkgate.destinations.base import Gone, SpentKey
from linkgate.ending import end_tasks
from linkgate.errors import DestinationBusy, DestinationMisconfigured, LinkgateError
from linkgate.payments import EVENTS, Event, read_event
from linkgate.store import Store
from linkgate.store.leases import Lease
from linkgate.watching import Watch
from linkgate.webhooks import UNREADABLE, in_mode

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

#: Called with what has been done so far: events gone through, sessions asked about.
Progress = Callable[[int, int], None]


class Lists(Protocol):
    """Stripe's list of events; see `linkgate.stripe_api`."""

    def events(
        self, since: int, until: int, types: Sequence[str], page_seconds: float
    ) -> AsyncIterator[Mapping[str, Any]]: ...


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

    def start(self, every_seconds: float) -> None:
        """Begin to reconcile now and then, unless another process does."""
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
                if await self._lease.take(every_seconds + LEASE_SECONDS):
                    await self.events()
            except LinkgateError as error:
                log.warning("reconciling waits: %s", error)
            except Exception:
                log.exception("reconciling failed; it is tried again")
            await asyncio.sleep(every_seconds)

    async def everything(
        self, since: int | None = None, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Report:
        """Go through events, then ask about every link that is watched.

        Raises DestinationBusy, DestinationMisconfigured or StoreUnavailable; what was repaired by
        then is kept.
        """
        report = await self.events(since, dry_run=dry_run, progress=progress)
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
        self, since: int | None = None, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Report:
        """Go through Stripe's events since then (Unix s), by default since the last time.

        Raises as `everything`.
        """
        now = int(self._clock())
        known = await self._store.ledgers.reconciled()
        begin = since if since is not None else (known or now - FIRST_SECONDS) - OVERLAP_SECONDS
        # Whoever asks by hand wants to know of everything until now.
        until = now - GRACE_SECONDS if since is None else now
        report = Report(max(begin, now - LONGEST_SECONDS), until)
        found: list[Event] = []
        try:
            async for data in self._stripe.events(report.since, report.until, EVENTS, PAGE_SECONDS):
                report.events += 1
                if event := self._read(data):
                    found.append(event)
                if progress:
                    progress(report.events, 0)
        except (SpentKey, Gone) as error:
            raise DestinationBusy(str(error)) from error
        # Stripe lists the newest first; in their own order there is less to put right.
        for event in reversed(found):
            try:
                await self._compare(event, report, dry_run=dry_run)
            except UNREADABLE:
                # It would fail every time, and must not keep away what came after it.
                log.exception("%s %s can't be taken in", event.type, event.id)
        if not dry_run and since is None and not report.failed:
            await self._store.ledgers.set_reconciled(report.until)
        return report

    def _read(self, data: Mapping[str, Any]) -> Event | None:
        try:
            event = read_event(data)
        except UNREADABLE as error:
            log.warning("an event in Stripe's list can't be read: %r", error)
            return None
        if event is None or not in_mode(event, livemode=self._livemode):
            return None
        return event

    async def _compare(self, event: Event, report: Report, *, dry_run: bool) -> None:
        try:
            link = await self._attribution.link_of(event, keep=not dry_run)
        except (DestinationBusy, DestinationMisconfigured) as error:
            log.warning("whose %s is can't be found out: %s", event.id, error)
            report.failed += 1
            return
        if not link or await self._books.knows(link, event.id):
            return
        report.missed.append((event.type, link))
        if dry_run:
            return
        if await self._books.hear_event(link, event):
            log.warning("drift: link %s: %s %s had not come", link, event.type, event.id)
            row = await self._store.ledgers.read(link)
            if slug := row.fields.get("campaign") or event.campaign:
                self._store.recorder.count(slug, "drift.events")
