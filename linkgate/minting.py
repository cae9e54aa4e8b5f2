"""From a person who may go on to where they go: the one session of their link, or an address.

Any number of visits, in any number of processes, may want the same link's session at once. The
store gives one of them the lease (see `attempts`); the others wait for its result.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import replace

from linkgate.attempts import Attempts, Books, payer_of
from linkgate.campaigns import Campaign
from linkgate.destinations.base import Deadline, Going, Instead, InTurn, PerVisit
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.payments import OWING, Session, SessionState
from linkgate.results import Done, Led, Minted, Result, Revoked, TakenBack, Told
from linkgate.store import DAY, Store
from linkgate.store.budget import Budget
from linkgate.store.entries import Claim, Entered, Entry, Visit
from linkgate.store.queue import Queue
from linkgate.telling import Announcer
from linkgate.tokens import Link

__all__ = ["Done", "Led", "Mint", "Minted", "Result", "Revoked", "TakenBack", "Told"]

log = logging.getLogger(__name__)

#: Longer than any person waits: a holder still at work must not lose it.
LEASE_MARGIN_SECONDS = 5.0
#: Parameters that come from the link alone, and that a session does without.
_OF_THE_PERSON = frozenset({"customer", "customer_email"})
_FIRST_POLL = 0.05
_LONGEST_POLL = 0.4


class Mint:
    """Brings a person to their link's destination."""

    def __init__(
        self,
        store: Store,
        destinations: Mapping[str, InTurn | PerVisit],
        books: Books,
        turns: Budget,
        watch: Queue,
        announcer: Announcer,
        *,
        wait_seconds: float,
    ) -> None:
        self._store = store
        self._destinations = destinations
        self._attempts = Attempts(store, books, turns, watch, announcer, wait_seconds=wait_seconds)
        self._announcer = announcer
        self._wait_seconds = wait_seconds
        self._working: set[asyncio.Task[Result]] = set()

    async def session(
        self,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        now: float,
        *,
        once_more: bool = False,
    ) -> Result:
        """Return where the person of `visit` goes, within `wait_seconds`; `now` in Unix seconds.

        `once_more` says that they want to pay though a payment may be on its way.

        Raises DestinationBusy (come again), DestinationMisconfigured (only the operator can mend
        it), StoreUnavailable.
        """
        deadline = Deadline.after(self._wait_seconds)
        destination = self._destinations[campaign.destination.kind]
        claim = Claim(
            owner=visit.id,
            lease_ms=int((self._wait_seconds + LEASE_MARGIN_SECONDS) * 1000),
            reuse_ms=int(campaign.reuse_minutes * 60_000),
            revision=campaign.revision,
            payments=campaign.payments_allowed or 0,
            in_turn=isinstance(destination, InTurn),
            renewable=campaign.renewable,
            once_more=once_more,
        )
        await self._announcer.expect(link.id)
        told = self._announcer.visited(link, visit.id, visit.decision, now)
        entry = await self._store.links.enter(link, visit, claim, told)
        try:
            if isinstance(destination, InTurn):
                return await self._bring(destination, campaign, link, visit, claim, entry, deadline)
            return await self._lead(destination, campaign, link, visit, entry, deadline)
        finally:
            await self._announcer.wake(link.id)

    async def _bring(
        self,
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        claim: Claim,
        entry: Entry,
        deadline: Deadline,
    ) -> Result:
        again = True
        while True:
            try:
                return await self._proceed(
                    destination, campaign, link, visit, claim, entry, deadline
                )
            except DestinationBusy as error:
                # Nothing was minted, and the key is spent: a new attempt may well go through.
                if error.crowded or not (error.settled and again and deadline.left > 0):
                    raise
                again = False
            except DestinationMisconfigured as error:
                # What Stripe refuses about this one person (a customer who is gone, an address it
                # can't read) must not lock them out: they can pay without it.
                if not error.settled:
                    raise
                if error.param == "expires_at" and error.at and claim.ahead is None:
                    # Reckoned by the store's clock, and its limits are Stripe's: by that one, then.
                    log.warning("link %s: Stripe's clock differs: %s", link.id, error)
                    claim = replace(claim, ahead=error.at - entry.now)
                elif not claim.bare and error.param in _OF_THE_PERSON:
                    log.warning("link %s: minting without %s: %s", link.id, error.param, error)
                    link, claim = replace(link, customer=None), replace(claim, bare=True)
                else:
                    raise
            entry = await self._store.links.enter(link, None, claim)
            await self._note_reuse(link, visit, entry)

    async def _lead(
        self,
        destination: PerVisit,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        entry: Entry,
        deadline: Deadline,
    ) -> Result:
        if over := _over(entry):
            return over
        going = Going(
            campaign=campaign,
            link=link,
            visit=visit.id,
            private=entry.private or {},
            customer=link.customer or payer_of(link, entry),
            now=entry.now,
        )
        try:
            found = await destination.lead(going, deadline)
        except (DestinationBusy, DestinationMisconfigured) as error:
            how = "busy" if isinstance(error, DestinationBusy) else "refused"
            await self._store.links.note(link.id, visit.id, f"{how}: {error}")
            raise
        if isinstance(found, Instead):
            await self._store.links.note(link.id, visit.id, found.why)
            return Led(found.url) if found.url else Told(found.page)
        await self._store.links.note(link.id, visit.id, f"led to {campaign.destination.kind}")
        return Led(found)

    async def _note_reuse(self, link: Link, visit: Visit, entry: Entry) -> None:
        # Only a visit's first entry is written down together with what came of it.
        if entry.gate is Entered.REUSE and entry.session:
            await self._store.links.note(link.id, visit.id, f"reused {entry.session.id}")

    async def _proceed(
        self,
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        claim: Claim,
        entry: Entry,
        deadline: Deadline,
    ) -> Result:
        if entry.gate is Entered.WAIT:
            entry = await self._wait(link, visit, claim, deadline)
        if over := _over(entry):
            return await self._mend(destination, campaign, link, visit, entry, deadline) or over
        if entry.gate is Entered.REUSE:
            assert entry.session
            return Minted(entry.session, fresh=False)
        if claim.bare and entry.private:
            metadata = {"metadata": entry.private.get("metadata")}
            entry = replace(entry, private=metadata)
        entry = replace(entry, ahead=claim.ahead or 0.0)
        return await self._shielded(destination, campaign, link, visit, entry, deadline)

    async def _mend(
        self,
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        entry: Entry,
        deadline: Deadline,
    ) -> Led | Told | None:
        """Lead to where the link's own subscription is paid or resumed, if it waits for that."""
        if entry.gate is not Entered.DONE or not owes(entry):
            return None
        going = Going(
            campaign=campaign,
            link=link,
            visit=visit.id,
            private=entry.private or {},
            customer=link.customer or payer_of(link, entry),
            now=entry.now,
            owing=True,
        )
        try:
            found = await destination.instead(going, deadline)
        except (DestinationBusy, DestinationMisconfigured) as error:
            how = "busy" if isinstance(error, DestinationBusy) else "refused"
            await self._store.links.note(link.id, visit.id, f"{how}: {error}")
            raise
        if found is None:
            return None
        await self._store.links.note(link.id, visit.id, found.why)
        return Led(found.url) if found.url else Told(found.page)

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
        self,
        destination: InTurn,
        campaign: Campaign,
        link: Link,
        visit: Visit,
        entry: Entry,
        deadline: Deadline,
    ) -> Result:
        # A person who closes the tab cancels the request, not the attempt: half of one would hold
        # the lease until it runs out.
        work = asyncio.create_task(
            self._attempts.make(destination, campaign, link, visit, entry, deadline)
        )
        self._working.add(work)
        work.add_done_callback(self._finished)
        return await asyncio.shield(work)

    def _finished(self, work: asyncio.Task[Result]) -> None:
        self._working.discard(work)
        # Read, so that an attempt whose person has left doesn't end as an "exception never
        # retrieved"; whoever still waits gets it from the shield.
        if not work.cancelled():
            work.exception()

    async def close_open(self, name: str, now: float, *, but: str = "") -> bool:
        """Close the open sessions of the link with id `name`, as far as Stripe lets us now.

        The session with id `but` is left alone. Returns whether all are closed; what isn't stays
        payable until it runs out, and is logged.
        """
        row = await self._store.links.read(name)
        closed = True
        for session in row.sessions if row else ():
            # Whether an open one has run out is Stripe's to say; a day after, it surely has.
            if (
                session.state is SessionState.OPEN
                and now < session.expires_at + DAY
                and session.id != but
            ):
                closed = await self.close_one(name, session) and closed
        return closed

    async def close_one(self, name: str, session: Session) -> bool:
        """Close a session of the link with id `name`; False, and logged, if Stripe doesn't answer.

        What is not closed stays payable until it runs out.
        """
        closed = True
        for destination in self._destinations.values():
            if isinstance(destination, InTurn):
                done = await self._attempts.close_one(destination, name, session)
                closed = done and closed
        return closed

    async def drain(self) -> None:
        """Wait until the attempts under way have ended."""
        if self._working:
            await asyncio.wait(self._working)


def owes(entry: Entry) -> bool:
    """Say whether what was bought by the link waits for the person to pay, or to resume it."""
    return entry.standing in OWING


def _over(entry: Entry) -> Done | Revoked | None:
    if entry.gate is Entered.DONE:
        assert entry.done
        return Done(entry.done, entry.standing, entry.more)
    return Revoked() if entry.gate is Entered.REVOKED else None
