"""One attempt at a time: from a person who may go on to the one session of their link.

Any number of visits, in any number of processes, may want the same link's session at once. The
store gives one of them the lease; the others wait for its result. Whatever dies in between, the
attempt keeps its number, its idempotency key and its parameters, so that finding out what became of
it and making it are the same call to Stripe.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from linkgate.campaigns import Campaign
from linkgate.destinations.checkout import Attempt, Checkout
from linkgate.destinations.stripe_api import Deadline
from linkgate.errors import DestinationBusy, DestinationMisconfigured, StoreUnavailable
from linkgate.payments import DONE, Session, SessionState
from linkgate.store import DAY, Store
from linkgate.store.entries import Claim, Entered, Entry, Left, Settled, Visit
from linkgate.tokens import Link

log = logging.getLogger(__name__)

#: Longer than any person waits: a holder still at work must not lose it.
LEASE_MARGIN_SECONDS = 5.0
#: Parameters that come from the link alone, and that a session does without.
_OF_THE_PERSON = frozenset({"customer", "customer_email"})
_FIRST_POLL = 0.05
_LONGEST_POLL = 0.4


@dataclass(frozen=True, slots=True)
class Minted:
    """The person goes to this session."""

    session: Session
    fresh: bool


@dataclass(frozen=True, slots=True)
class Done:
    """There is nothing left to pay: `state` is paid, complete or pending."""

    state: SessionState


@dataclass(frozen=True, slots=True)
class Revoked:
    """The operator has revoked the link."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """While it minted, the visit turned out not to be a person's: it goes nowhere."""


Result = Minted | Done | Revoked | TakenBack


class Mint:
    """Brings a person to their link's session."""

    def __init__(
        self, store: Store, destinations: Mapping[str, Checkout], *, wait_seconds: float
    ) -> None:
        self._store = store
        self._destinations = destinations
        self._wait_seconds = wait_seconds
        self._working: set[asyncio.Task[Result]] = set()

    async def session(self, campaign: Campaign, link: Link, visit: Visit) -> Result:
        """Return where the person of `visit` goes, within `wait_seconds`.

        Raises DestinationBusy (come again), DestinationMisconfigured (only the operator can mend
        it), StoreUnavailable.
        """
        deadline = Deadline.after(self._wait_seconds)
        claim = Claim(
            owner=visit.id,
            lease_ms=int((self._wait_seconds + LEASE_MARGIN_SECONDS) * 1000),
            reuse_ms=int(campaign.reuse_minutes * 60_000),
            revision=campaign.revision,
        )
        entry = await self._store.links.enter(link, visit, claim)
        again = True
        while True:
            try:
                return await self._proceed(campaign, link, visit, claim, entry, deadline)
            except DestinationBusy as error:
                # Nothing was minted, and the key is spent: a new attempt may well go through.
                if not (error.settled and again and deadline.left > 0):
                    raise
                again = False
            except DestinationMisconfigured as error:
                # What Stripe refuses about this one person (a customer who is gone, an address it
                # can't read) must not lock them out: they can pay without it.
                if claim.bare or error.param not in _OF_THE_PERSON or not error.settled:
                    raise
                log.warning("link %s: minting without %s: %s", link.id, error.param, error)
                link, claim = replace(link, customer=None), replace(claim, bare=True)
            entry = await self._store.links.enter(link, None, claim)
            await self._note_reuse(link, visit, entry)

    async def _note_reuse(self, link: Link, visit: Visit, entry: Entry) -> None:
        # Only a visit's first entry is written down together with what came of it.
        if entry.gate is Entered.REUSE and entry.session:
            await self._store.links.note(link.id, visit.id, f"reused {entry.session.id}")

    async def _proceed(
        self,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        claim: Claim,
        entry: Entry,
        deadline: Deadline,
    ) -> Result:
        if entry.gate is Entered.WAIT:
            entry = await self._wait(link, visit, claim, deadline)
        match entry.gate:
            case Entered.DONE:
                assert entry.done
                return Done(entry.done)
            case Entered.REVOKED:
                return Revoked()
            case Entered.REUSE:
                assert entry.session
                return Minted(entry.session, fresh=False)
        if claim.bare and entry.private:
            metadata = {"metadata": entry.private.get("metadata")}
            entry = replace(entry, private=metadata)
        return await self._shielded(campaign, link, visit, entry, deadline)

    async def _wait(self, link: Link, visit: Visit, claim: Claim, deadline: Deadline) -> Entry:
        pause = _FIRST_POLL
        while deadline.left > pause:
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311
            entry = await self._store.links.enter(link, None, claim)
            if entry.gate is not Entered.WAIT:
                await self._note_reuse(link, visit, entry)
                return entry
            pause = min(pause * 1.5, _LONGEST_POLL)
        raise DestinationBusy("another visit of this link has been minting all the while")

    async def _shielded(
        self, campaign: Campaign, link: Link, visit: Visit, entry: Entry, deadline: Deadline
    ) -> Result:
        # A person who closes the tab cancels the request, not the attempt: half of one would hold
        # the lease until it runs out.
        work = asyncio.create_task(self._attempt(campaign, link, visit, entry, deadline))
        self._working.add(work)
        work.add_done_callback(self._finished)
        return await asyncio.shield(work)

    def _finished(self, work: asyncio.Task[Result]) -> None:
        self._working.discard(work)
        # Read, so that an attempt whose person has left doesn't end as an "exception never
        # retrieved"; whoever still waits gets it from the shield.
        if not work.cancelled():
            work.exception()

    async def close_open(self, name: str, now: float) -> None:
        """Close the open sessions of the link with id `name`, as far as Stripe lets us now.

        What can't be closed stays payable until it runs out, and is logged.
        """
        row = await self._store.links.read(name)
        for session in row.sessions if row else ():
            # Whether an open one has run out is Stripe's to say; a day after, it surely has.
            if session.state is SessionState.OPEN and now < session.expires_at + DAY:
                await self.close_one(name, session, now)

    async def close_one(self, name: str, session: Session, now: float) -> bool:
        """Close a session of the link with id `name`; False, and logged, if Stripe doesn't answer.

        What is not closed stays payable until it runs out.
        """
        closed = True
        for destination in self._destinations.values():
            try:
                heard = await destination.close(session, Deadline.after(self._wait_seconds))
            except (DestinationBusy, DestinationMisconfigured) as error:
                log.warning("link %s: %s stays open: %s", name, session.id, error)
                closed = False
            else:
                keep_until = self._store.links.keep_longest(now)
                await self._store.links.hear(name, heard, keep_until=keep_until)
        return closed

    async def drain(self) -> None:
        """Wait until the attempts under way have ended."""
        if self._working:
            await asyncio.wait(self._working)

    async def _attempt(
        self, campaign: Campaign, link: Link, visit: Visit, entry: Entry, deadline: Deadline
    ) -> Result:
        destination = self._destinations[campaign.destination.kind]
        left, outcome = Left.OPEN, "failed"
        try:
            if entry.session:
                closed = await self._close(destination, link, entry.session, entry, deadline)
                if closed.state in DONE:
                    outcome = f"found {closed.id} {closed.state}"
                    return Done(closed.state)
            session = await self._make(destination, campaign, link, visit, entry, deadline)
            if _is_over(session, entry):
                session = await self._close(destination, link, session, entry, deadline)
                if session.state in DONE:
                    outcome = f"found {session.id} {session.state}"
                    return Done(session.state)
                raise DestinationBusy("the attempt's session has run out", settled=True)
            settled = await self._store.links.settle(
                link, visit.id, session, visit.id, revision=campaign.revision
            )
            if settled is Settled.DONE:
                outcome = ""
                return Minted(session, fresh=True)
            if settled is Settled.TAKEN_BACK:
                outcome = ""
                await self.close_one(link.id, session, entry.now)
                return TakenBack()
            # The link was revoked, or went on to another attempt while this one was stuck: this
            # session must not stay open.
            outcome = f"came too late with {session.id}"
            await destination.close(session, Deadline.after(self._wait_seconds))
            raise DestinationBusy("the link has gone on without this attempt", retry_after=1.0)
        except DestinationBusy as error:
            left, outcome = _left(error), f"busy: {error}"
            raise
        except DestinationMisconfigured as error:
            left = Left.SETTLED if error.settled else Left.OPEN
            outcome = f"refused: {error}"
            raise
        finally:
            if outcome:
                await self._release(link, visit, left, outcome)

    async def _close(
        self, destination: Checkout, link: Link, session: Session, entry: Entry, deadline: Deadline
    ) -> Session:
        closed = await destination.close(session, deadline)
        # What was learnt of a payment outlives this token: a later one may be in use too.
        keep_until = self._store.links.keep_longest(entry.now)
        await self._store.links.hear(link.id, closed, keep_until=keep_until)
        return closed

    async def _make(
        self,
        destination: Checkout,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        entry: Entry,
        deadline: Deadline,
    ) -> Session:
        request = entry.request
        if request is None:
            try:
                request = destination.request(
                    campaign,
                    link,
                    entry.private or {},
                    attempt=entry.attempt,
                    attempt_at=entry.attempt_at,
                )
            except Exception as error:
                message = f"the campaign's parameters can't be put together: {error!r}"
                raise DestinationMisconfigured(message, settled=True) from error
            # Kept before Stripe is asked: a replay has to send the very same parameters.
            if not await self._store.links.arm(link.id, visit.id, request):
                raise DestinationBusy("the lease was lost before Stripe was asked")
        attempt = Attempt(
            number=entry.attempt,
            at=entry.attempt_at,
            request=request,
            asked_before=entry.request is not None,
            spent_at=entry.spent_at,
            now=entry.now,
        )
        return await destination.mint(link, attempt, deadline)

    async def _release(self, link: Link, visit: Visit, left: Left, outcome: str) -> None:
        try:
            await self._store.links.release(
                link.id, visit.id, left, visit=visit.id, outcome=outcome
            )
        except StoreUnavailable:
            log.warning("link %s keeps its lease until it runs out: the store is away", link.id)


def _left(error: DestinationBusy) -> Left:
    if error.settled:
        return Left.SETTLED
    return Left.SPENT if error.spent else Left.OPEN


def _is_over(session: Session, entry: Entry) -> bool:
    # A replayed answer tells of a session as it was when it was made.
    return session.state is not SessionState.OPEN or session.expires_at <= entry.now
