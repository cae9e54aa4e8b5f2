"""Watching: links whose sessions have to be looked after, whatever webhooks say or don't.

A link is put under watch before Stripe is asked for a session of it, and stays there until nothing
of it is open any more. When a session should have ended and no webhook said so, Stripe is asked;
what a payment has made superfluous is closed.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from linkgate.campaigns import allows_another
from linkgate.destinations.base import Deadline, Gone, SpentKey
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.payments import Known, Session, SessionState, Subscription, guessed
from linkgate.store import Store
from linkgate.store.entries import Row
from linkgate.store.queue import Item, Queue
from linkgate.working import Later, pause

log = logging.getLogger(__name__)

#: After an attempt began, when its outcome is looked for: longer than any lease lasts.
ATTEMPT_SECONDS = 90.0
#: How far this clock and the store's may be apart.
CLOCKS_SECONDS = 15.0
#: Around an attempt, when its session may have been made: Stripe's clock may be minutes off.
SEARCH_SECONDS = 900.0
#: After a session's end, how long its webhook may take before Stripe is asked.
MARGIN_SECONDS = 120.0
#: A payment on its way is asked about at least so often; bank debits take days.
PENDING_SECONDS = 6 * 3600.0
#: And no longer than this after the session's end: Stripe's slowest methods settle within 14 days.
PENDING_DAYS = 30
#: What two events of one second leave open is asked about until Stripe's clock has gone on; less
#: and less often, should it stand still.
UNSURE_SECONDS = 2.0
LONGEST_UNSURE_SECONDS = 3600.0
ASKING_SECONDS = 15.0
#: While a paid link's recovery page can still be opened, how often its sessions are looked for: by
#: the customer, or among all the sessions of the account's last day.
STRAYS_SECONDS = 600.0
STRAYS_OF_ALL_SECONDS = 3600.0
#: A session lives a day at most; an hour for clocks.
SESSION_SECONDS = 25 * 3600
LONGEST_PAUSE_SECONDS = 900.0

#: An item's body that asks for more than what is due: somebody waits for a payment to be known.
ASK = "ask"


class Told(Protocol):
    """What Stripe's API tells when it is asked; see `linkgate.stripe_api`."""

    async def read(
        self, object_id: str, deadline: Deadline, account: str | None = None
    ) -> tuple[Known, ...]: ...

    async def find_session(
        self, link: str, attempt: int, since: int, until: int, deadline: Deadline
    ) -> Session | None: ...

    def open_sessions(
        self,
        link: str,
        customer: str | None,
        since: int,
        deadline: Deadline,
        *,
        done_too: bool = False,
    ) -> AsyncIterator[Session]: ...


class Hears(Protocol):
    """Takes in what Stripe told; see `linkgate.bookkeeping`."""

    async def hear_known(
        self, link_id: str, known: tuple[Known, ...], *, watched: bool = False
    ) -> object: ...

    async def catch_up(self, link_id: str) -> None: ...


class Closes(Protocol):
    """Closes a link's session at Stripe; see `linkgate.minting`."""

    async def close_one(self, name: str, session: Session) -> bool: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of looking at one link: how many sessions were found to be otherwise."""

    drifted: int
    #: When to look again, in Unix seconds; None if nothing is left to watch.
    again_at: float | None
    #: Whether events alone leave open how something stands, and Stripe could not say it yet.
    unsure: bool = False


class Watch:
    """Looks after links."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        books: Hears,
        stripe: Told,
        closes: Closes,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self.queue = queue
        self._books = books
        self._stripe = stripe
        self._closes = closes
        self._clock = clock

    async def soon(self, name: str) -> None:
        """Have Stripe asked about a link's open sessions; raises StoreUnavailable."""
        await self.queue.put(name, ASK)

    async def handle(self, item: Item) -> Later | None:
        """Look at one link; see `working.Handle`."""
        try:
            watched = await self.look(item.id, at_once=item.body == ASK)
        except (DestinationBusy, DestinationMisconfigured, SpentKey) as error:
            log.warning("link %s can't be looked after now: %s", item.id, error)
            return Later(pause(item.tries, first=5.0, longest=LONGEST_PAUSE_SECONDS), failed=True)
        waits = [] if watched.again_at is None else [max(watched.again_at - self._clock(), 1.0)]
        if watched.unsure:
            waits.append(pause(item.tries, first=UNSURE_SECONDS, longest=LONGEST_UNSURE_SECONDS))
        return Later(min(waits), failed=watched.unsure) if waits else None

    async def look(self, name: str, *, at_once: bool = False, dry_run: bool = False) -> Watched:
        """Ask Stripe what of a link should have come to an end, and close what is superfluous.

        `at_once` asks about open sessions, too. Raises DestinationBusy,
        DestinationMisconfigured, StoreUnavailable.
        """
        if not dry_run:
            await self._books.catch_up(name)
        row = await self._store.links.read(name)
        if row is None:
            return Watched(0, None)
        drifted = await self._settle_attempt(name, row, dry_run=dry_run)
        for object_id, account in self._doubtful(row, at_once=at_once):
            drifted += await self._ask(name, row, object_id, account, dry_run=dry_run)
        drifted += await self._find_strays(name, row, at_once=at_once, dry_run=dry_run)
        if drifted and not dry_run:
            row = await self._store.links.read(name) or row
        if not dry_run:
            await self._close_superfluous(name, row)
            row = await self._store.links.read(name) or row
        return Watched(drifted, self._next(row), unsure=bool(row.ledger.unsure))

    async def _settle_attempt(self, name: str, row: Row, *, dry_run: bool) -> int:
        """Find the session of an attempt whose holder died before it knew of it."""
        fields = row.fields
        if fields.get("attempt_open") != "1" or not fields.get("request") or self._leased(row):
            return 0
        attempt = int(fields["attempt"])
        if any(session.attempt == attempt for session in row.sessions):
            return 0
        began = int(fields.get("attempt_at") or 0) / 1000
        # Whoever took the attempt up again may have asked Stripe long after it began.
        asked = int(fields.get("asked_at") or 0) / 1000 or self._clock()
        found = await self._stripe.find_session(
            name,
            attempt,
            int(began - SEARCH_SECONDS),
            int(asked + SEARCH_SECONDS),
            Deadline.after(ASKING_SECONDS),
        )
        if found is None:
            return 0
        if not dry_run:
            log.warning("link %s: %s was made by a visit that came to no end", name, found.id)
            await self._books.hear_known(name, (found,), watched=True)
        return 1

    async def _find_strays(self, name: str, row: Row, *, at_once: bool, dry_run: bool) -> int:
        """Find the sessions that Stripe's recovery page has made: no event tells of an open one.

        A visit finds them as well; a link that is done has none that would look.
        """
        if not self._recoverable(row) or not (at_once or row.fields.get("done")):
            return 0
        found = 0
        try:
            async for session in self._stripe.open_sessions(
                name,
                row.fields.get("customer") or None,
                int(self._clock()) - SESSION_SECONDS,
                Deadline.after(ASKING_SECONDS),
                done_too=at_once,
            ):
                if session.id in row.ledger.sessions:
                    continue
                found += 1
                if not dry_run:
                    log.warning("link %s: %s was made by a recovery page", name, session.id)
                    await self._books.hear_known(name, (session,), watched=True)
        except (DestinationBusy, DestinationMisconfigured, SpentKey, Gone) as error:
            # The rest of what the link needs is done all the same; this is done again soon.
            log.warning("link %s: not all recovered sessions found: %s", name, error)
        return found

    def _recoverable(self, row: Row) -> bool:
        return int(row.fields.get("recovery_until") or 0) > self._clock()

    def _doubtful(self, row: Row, *, at_once: bool) -> list[tuple[str, str | None]]:
        """Return what Stripe has to be asked about: (id, account)."""
        now = self._clock()
        found: list[tuple[str, str | None]] = []
        for session in row.sessions:
            ended = now >= session.expires_at + MARGIN_SECONDS
            if (ended or at_once) and session.state in (SessionState.OPEN, SessionState.PENDING):
                found.append((session.id, session.account))
        others: Mapping[str, Known] = row.ledger.others
        found += [(id_, others[id_].account) for id_ in row.ledger.unsure]
        return found

    async def _ask(
        self, name: str, row: Row, object_id: str, account: str | None, *, dry_run: bool
    ) -> int:
        known = row.ledger.get(object_id)
        try:
            told = await self._stripe.read(object_id, Deadline.after(ASKING_SECONDS), account)
        except Gone:
            # Another account's key, or a sandbox that was restarted: nobody can pay it.
            if isinstance(known, Subscription):
                told = (guessed(known),)
            elif isinstance(known, Session) and known.state is SessionState.OPEN:
                told = (replace(known, state=SessionState.EXPIRED),)
            else:
                return 0
        same = any(one == known for one in told) or not _differs(known, told)
        if dry_run:
            return 0 if same else 1
        # Not put under watch anew: that would bring it back at once, again and again.
        await self._books.hear_known(name, told, watched=True)
        if same:
            return 0
        slug = row.fields.get("campaign", "")
        if isinstance(known, Session):
            log.warning("drift: link %s: %s was not %s any more", name, object_id, known.state)
            if slug:
                self._store.recorder.count(slug, "drift.sessions")
            return 1
        return 0

    async def _close_superfluous(self, name: str, row: Row) -> None:
        """Close sessions that are open beside a payment, or beside the link's current one."""
        campaign = await self._store.campaigns.get(row.fields.get("campaign", ""))
        paid_up = not allows_another(campaign, row.ledger)
        # What could not be closed when the link was revoked is closed now.
        paid_up = paid_up or "revoked_at" in row.fields
        if self._leased(row) and not paid_up:
            return  # somebody is at it
        # The newest may be the one that somebody is paying in, whatever attempt has begun since: an
        # attempt closes what is open itself, once it is its turn.
        latest = max((session.attempt for session in row.sessions), default=0)
        current = row.fields.get("current")
        superfluous = [
            session
            for session in row.sessions
            if session.state is SessionState.OPEN
            and (paid_up or (session.attempt < latest and session.id != current))
        ]
        closed = [await self._closes.close_one(name, session) for session in superfluous]
        if not all(closed):
            raise DestinationBusy("what is superfluous can still be paid")

    def _leased(self, row: Row) -> bool:
        """Say whether a visit may be at the link; whoever was killed left a lease that ran out."""
        left = int(row.fields.get("lease_until") or 0) / 1000 - self._clock()
        # The store's clock and this one may differ. A lease that is far ahead was given by another
        # server's clock, before a failover.
        return "lease" in row.fields and -CLOCKS_SECONDS < left < ATTEMPT_SECONDS + CLOCKS_SECONDS

    def _next(self, row: Row) -> float | None:
        now = self._clock()
        times: list[float] = []
        if row.fields.get("done") and self._recoverable(row):
            customer = row.fields.get("customer")
            times.append(now + (STRAYS_SECONDS if customer else STRAYS_OF_ALL_SECONDS))
        if row.fields.get("attempt_open") == "1" and self._leased(row):
            times.append(now + ATTEMPT_SECONDS)
        for session in row.sessions:
            ends = session.expires_at + MARGIN_SECONDS
            if session.state is SessionState.OPEN:
                times.append(ends if ends > now else now + PENDING_SECONDS)
            elif session.state is SessionState.PENDING and now < ends + PENDING_DAYS * 86_400:
                times.append(max(ends, now + PENDING_SECONDS))
        return min(times, default=None)


def _differs(known: Known | None, told: tuple[Known, ...]) -> bool:
    if known is None:
        return True
    for one in told:
        if one.id == known.id and isinstance(one, Session) and isinstance(known, Session):
            return one.state is not known.state
    return False
