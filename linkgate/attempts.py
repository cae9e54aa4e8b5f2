"""The holder of a link's lease at work: what was open is closed, then one session is made.

Whatever dies in between, the attempt keeps its number, its idempotency key and its parameters, so
that finding out what became of it and making it are the same call to Stripe.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from linkgate import anonymous
from linkgate.campaigns import Campaign
from linkgate.destinations.base import Attempt, Deadline, Going, Instead, InTurn
from linkgate.errors import DestinationBusy, DestinationMisconfigured, StoreUnavailable
from linkgate.payments import DONE, Session, SessionState, advance
from linkgate.results import Done, Led, Minted, Result, TakenBack, Told
from linkgate.store import Store
from linkgate.store.budget import Budget, Turn
from linkgate.store.entries import Entry, Left, Settled, Visit
from linkgate.store.queue import Queue
from linkgate.telling import Announcer
from linkgate.tokens import Link

log = logging.getLogger(__name__)

#: Of what is left of a person's time, how much may pass until it is their turn; the rest is for
#: Stripe's answer.
TURN_SHARE = 0.4
#: When somebody looks what became of an attempt: when no lease of it can last any more.
LOOK_AFTER_MS = 90_000
#: The longest that a person waits for their turn without being told.
PATIENCE_SECONDS = 4.0


class Books(Protocol):
    """Takes in what Stripe's API told; see `linkgate.bookkeeping`."""

    async def hear_session(self, link_id: str, session: Session) -> None: ...


class Attempts:
    """Makes the one session of a link for whoever holds its lease."""

    def __init__(
        self,
        store: Store,
        books: Books,
        turns: Budget,
        watch: Queue,
        announcer: Announcer,
        *,
        wait_seconds: float,
    ) -> None:
        self._store = store
        self._announcer = announcer
        self._books = books
        self._turns = turns
        self._watch = watch
        self._wait_seconds = wait_seconds

    async def make(
        self,
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        entry: Entry,
        deadline: Deadline,
    ) -> Result:
        """Bring the link to a fresh session, and give the lease back.

        Raises DestinationBusy, DestinationMisconfigured, StoreUnavailable.
        """
        left, outcome = Left.OPEN, "failed"
        try:
            # Before anything is closed: who has to wait keeps the session that is open elsewhere.
            moment = await self._take_turn(link, entry, deadline)
            found = await self._close_all(destination, campaign, link, visit, entry, deadline)
            if found is None:
                going = _going(campaign, link, visit, entry)
                if instead := await self._instead(destination, going, entry, deadline):
                    left, outcome = Left.SETTLED, instead.why
                    return Led(instead.url) if instead.url else Told(instead.page)
                session = await self._ask(
                    destination, campaign, link, visit, entry, moment, deadline
                )
                if entry.request is not None:
                    session = await self._as_known(link, session)
                if _is_over(session, entry):
                    found = await self._close(destination, campaign, link, session, entry, deadline)
                    if found is None:
                        raise DestinationBusy("the attempt's session has run out", settled=True)
            if found is not None:
                outcome = f"found {found.id} {found.state}"
                return Done(found.state)
            settled = await self._store.links.settle(
                link,
                visit.id,
                session,
                visit.id,
                revision=campaign.revision,
                told=self._announcer.minted(link, session, entry.now),
            )
            if settled is Settled.DONE:
                outcome = ""
                return Minted(session, fresh=True)
            # Not settled: this session must not stay open. What can't be closed now is known to be
            # open, and is closed later.
            await self._books.hear_session(link.id, session)
            if settled is Settled.TAKEN_BACK:
                outcome = ""
                await self.close_one(destination, link.id, session)
                return TakenBack()
            # The link was revoked, or went on to another attempt while this one was stuck.
            outcome = f"came too late with {session.id}"
            await self.close_one(destination, link.id, session)
            raise DestinationBusy("the link has gone on without this attempt", retry_after=1.0)
        except DestinationBusy as error:
            left = _left(error)
            outcome = outcome if outcome.startswith("came") else f"busy: {error}"
            raise
        except DestinationMisconfigured as error:
            left = Left.SETTLED if error.settled else Left.OPEN
            outcome = f"refused: {error}"
            raise
        finally:
            if outcome:
                await self._release(link, visit, left, outcome)

    async def close_one(self, destination: InTurn, name: str, session: Session) -> bool:
        """Close a session of the link with id `name`; False, and logged, if Stripe doesn't answer.

        What is not closed stays payable until it runs out.
        """
        await self._store.ledgers.closing(name, session.id)
        try:
            heard = await destination.close(session, Deadline.after(self._wait_seconds))
        except (DestinationBusy, DestinationMisconfigured) as error:
            log.warning("link %s: %s stays open: %s", name, session.id, error)
            return False
        await self._books.hear_session(name, heard)
        return True

    async def _instead(
        self, destination: InTurn, going: Going, entry: Entry, deadline: Deadline
    ) -> Instead | None:
        # An attempt of unknown result is found out first: its session may be open.
        if entry.request is not None:
            return None
        return await destination.instead(going, deadline)

    async def _take_turn(self, link: Link, entry: Entry, deadline: Deadline) -> float:
        """Return the moment, by the event loop's clock, at which Stripe may be asked."""
        asked = asyncio.get_running_loop().time()
        if entry.spent_at:  # nothing will be created, only looked for
            return asked
        turn = await self._turns.turn(link.id, _patience(deadline))
        if not turn.go:
            raise _crowded(turn)
        return asked + turn.wait

    async def _keep_turn(self, link: Link, entry: Entry, moment: float, deadline: Deadline) -> None:
        """Wait for the moment, or for another if what came before has taken too long."""
        if entry.spent_at:
            return
        turn = await self._turns.keep(link.id, moment, _patience(deadline))
        if not turn.go:
            # What was kept has not been asked: then there is nothing to be found out.
            raise _crowded(turn, settled=entry.request is None)

    async def _close_all(
        self,
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        entry: Entry,
        deadline: Deadline,
    ) -> Session | None:
        """Close every session of the link that may be open; return one that turns out done."""
        known = _distinct([entry.session, *entry.others])
        found = await self._close_these(known, destination, campaign, link, entry, deadline)
        if known or entry.recovery_until:
            # Only now is it known of one that had run out whether it can be recovered.
            heard = await self._store.ledgers.read(link.id)
            entry = replace(entry, recovery_until=int(heard.fields.get("recovery_until") or 0))
            # Also what was paid and has ended since: that is no news.
            known = list(heard.after.sessions.values())
        going = _going(campaign, link, visit, entry)
        strays = await destination.strays(going, known, deadline)
        over = await self._close_these(strays, destination, campaign, link, entry, deadline)
        return over or found

    async def _close_these(
        self,
        sessions: Iterable[Session],
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        entry: Entry,
        deadline: Deadline,
    ) -> Session | None:
        found = None
        for session in sessions:
            if entry.request is not None and _made_by(session, entry.attempt):
                continue  # it is what this attempt is about to find
            found = (
                await self._close(destination, campaign, link, session, entry, deadline) or found
            )
        return found

    async def _close(
        self,
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        session: Session,
        entry: Entry,
        deadline: Deadline,
    ) -> Session | None:
        """Close one session; return it if it is done, and the link can't be paid once more."""
        await self._store.ledgers.closing(link.id, session.id)
        closed = await destination.close(session, deadline)
        await self._books.hear_session(link.id, closed)
        if closed.state not in DONE:
            return None
        if campaign.payments_allowed != 1:
            # Whether it may be paid once more is the store's to count.
            settled = entry.request is None
            raise DestinationBusy(f"{closed.id} was {closed.state} meanwhile", settled=settled)
        return closed

    async def _ask(
        self,
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        entry: Entry,
        moment: float,
        deadline: Deadline,
    ) -> Session:
        # Before Stripe is asked: whatever dies now, somebody finds out what became of it.
        await self._watch.put(link.id, delay_ms=LOOK_AFTER_MS)
        request = entry.request
        if request is None:
            try:
                request = destination.request(
                    campaign,
                    link,
                    entry.private or {},
                    attempt=entry.attempt,
                    attempt_at=entry.attempt_at + entry.ahead,
                )
            except Exception as error:
                message = f"the campaign's parameters can't be put together: {error!r}"
                raise DestinationMisconfigured(message, settled=True) from error
        # Kept before Stripe is asked: a replay has to send the very same parameters.
        if not await self._store.links.arm(link.id, visit.id, request):
            raise DestinationBusy("the lease was lost before Stripe was asked")
        # Last of all: Stripe counts what comes to it, however long anything before has taken.
        await self._keep_turn(link, entry, moment, deadline)
        attempt = Attempt(
            number=entry.attempt,
            at=entry.attempt_at,
            request=request,
            asked_before=entry.request is not None,
            spent_at=entry.spent_at,
            now=entry.now,
        )
        return await destination.mint(link, attempt, deadline)

    async def _as_known(self, link: Link, session: Session) -> Session:
        """Return a session that may have been found again as it stands by all that is known.

        A replayed answer tells of it as it was when it was made.
        """
        known = (await self._store.ledgers.read(link.id)).after.sessions.get(session.id)
        return advance(known, session)

    async def _release(self, link: Link, visit: Visit, left: Left, outcome: str) -> None:
        try:
            await self._store.links.release(
                link.id, visit.id, left, visit=visit.id, outcome=outcome
            )
        except StoreUnavailable:
            log.warning("link %s keeps its lease until it runs out: the store is away", link.id)


def _patience(deadline: Deadline) -> float:
    return max(min(PATIENCE_SECONDS, deadline.left * TURN_SHARE), 0.0)


def _crowded(turn: Turn, *, settled: bool = False) -> DestinationBusy:
    return DestinationBusy(
        "more people come than Stripe lets in at once",
        retry_after=max(turn.wait, 1.0),
        left=turn.left,
        crowded=True,
        settled=settled,
    )


def _going(campaign: Campaign, link: Link, visit: Visit, entry: Entry) -> Going:
    return Going(
        campaign=campaign,
        link=link,
        visit=visit.id,
        private=entry.private or {},
        customer=link.customer or payer_of(link, entry),
        now=entry.now,
        recovery_until=entry.recovery_until,
    )


def payer_of(link: Link, entry: Entry) -> str | None:
    """Return the customer who paid by a link, where the link is one person's.

    An unsigned way's link is whoever's holds it: it must open nobody's portal.
    """
    return None if anonymous.way_of(link) else entry.payer or None


def _distinct(sessions: Iterable[Session | None]) -> list[Session]:
    return list({session.id: session for session in sessions if session}.values())


def _left(error: DestinationBusy) -> Left:
    if error.settled:
        return Left.SETTLED
    return Left.SPENT if error.spent else Left.OPEN


def _made_by(session: Session, attempt: int) -> bool:
    # A recovered session has the metadata of the one that it continues.
    return session.attempt == attempt and session.recovered_from is None


def _is_over(session: Session, entry: Entry) -> bool:
    # Nobody may have told yet that its time has run out.
    return session.state is not SessionState.OPEN or session.expires_at <= entry.now
