"""Bookkeeping: what is heard of a link's money, taken in once, with everything that follows.

The ledger, what visits have to know, and the messages to the operator's systems change in one step.
What follows outside the link's slot (counters, the index of Stripe's ids, waking whoever is to act)
is repeatable, and an event is finished only when all of it is done.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from linkgate.campaigns import Campaign
from linkgate.outbox import Outbox
from linkgate.payments import (
    Change,
    Event,
    Known,
    Ledger,
    Session,
    SessionState,
    changes,
    payments_made,
    refs_of,
)
from linkgate.reminding import Reminders
from linkgate.store import Store
from linkgate.store.ledgers import Heard
from linkgate.store.queue import Queue
from linkgate.telling import Teller, closed_by_us, told_changes

log = logging.getLogger(__name__)

#: When a link is looked at whose sessions have to be closed, or whose state Stripe has to say.
SOON_MS = 200


@dataclass(frozen=True, slots=True)
class Bookkeeper:
    """Keeps the ledgers of links. `watch` is the queue of links to be looked after."""

    store: Store
    outbox: Outbox
    teller: Teller
    reminders: Reminders
    watch: Queue
    clock: Callable[[], float]

    async def find(self, event: Event) -> str | None:
        """Return the id of the link that an event without metadata is about, if that is known."""
        return await self.store.ledgers.find(event.refs)

    async def knows(self, link_id: str, event: str) -> bool:
        """Say whether an event with this id was taken in."""
        return await self.store.ledgers.knows(link_id, event)

    async def hear_event(self, link_id: str, event: Event) -> bool:
        """Take in an event about a link; False if everything was done about it before.

        Raises StoreUnavailable: then it has to be taken in again.
        """
        heard = await self._hear(link_id, event.known, event=event.id, campaign=event.campaign)
        if heard.again and heard.finished:
            return False
        # Taken in before, by a process that died then: all that it may have left undone.
        before = Ledger() if heard.again else heard.before
        await self._follow_up(link_id, heard, before)
        await self.store.ledgers.finish(link_id, event.id)
        for change in changes(heard.before, heard.after):
            log.info("%s: link %s: %s of %s", event.type, link_id, change.kind, change.subject)
        return not heard.again

    async def hear_session(self, link_id: str, session: Session) -> None:
        """Take in a session as Stripe's API has just told of it."""
        await self.hear_known(link_id, [session])

    async def hear_known(self, link_id: str, known: Iterable[Known]) -> tuple[Change, ...]:
        """Take in what Stripe's API has just told; returns what that changed."""
        await self.outbox.expect(link_id, self.teller.types)
        heard = await self._hear(link_id, known)
        await self._follow_up(link_id, heard, heard.before)
        return changes(heard.before, heard.after)

    async def _hear(
        self, link_id: str, known: Iterable[Known], *, event: str = "", campaign: str | None = None
    ) -> Heard:
        def lines(
            before: Ledger, after: Ledger, fields: Mapping[str, str]
        ) -> Sequence[tuple[str, str]]:
            messages = self.teller.messages(link_id, before, after, fields, self.clock())
            return self.outbox.lines(link_id, messages)

        return await self.store.ledgers.hear(
            link_id,
            known,
            lines,
            event=event,
            keep_until=self.store.links.keep_longest(self.clock()),
            fields={"campaign": campaign or ""},
        )

    async def _follow_up(self, link_id: str, heard: Heard, before: Ledger) -> None:
        after, slug = heard.after, heard.fields.get("campaign", "")
        found = told_changes(before, after, heard.fields)
        fresh = [
            one
            for place in ("sessions", "others")
            for id_, one in getattr(after, place).items()
            if getattr(before, place).get(id_) != one
        ]
        if fresh:
            seconds = int(self.store.links.keep_longest(self.clock()) - self.clock())
            await self.store.ledgers.refer(link_id, refs_of(fresh), seconds)
        if slug:
            await self._count(slug, link_id, heard, before, found)
        campaign = await self.store.campaigns.get(slug) if slug else None
        await self._look_after(link_id, campaign, after)
        if slug and any(change.kind == "session.expired" for change in found):
            await self.reminders.consider(link_id, slug)
        await self.outbox.wake(link_id, self.teller.types)

    async def _count(
        self, slug: str, link_id: str, heard: Heard, before: Ledger, found: Sequence[Change]
    ) -> None:
        """Count states of sessions, and money; each once, however often this is repeated."""
        count, ours = self.store.ledgers.count, closed_by_us(heard.fields)
        for session in heard.after.sessions.values():
            known = before.sessions.get(session.id)
            if session.state is not SessionState.OPEN and (
                known is None or known.state is not session.state
            ):
                closed = session.state is SessionState.EXPIRED and session.id in ours
                state = "closed" if closed else session.state.value
                await count(slug, f"{session.id}~{session.state}", {f"sessions.{state}": 1})
        for change in found:
            counters = {f"changes.{change.kind}": 1}
            amount, currency = change.data.get("amount"), change.data.get("currency")
            if change.kind in _MONEY and amount and currency:
                counters[f"{_MONEY[change.kind]}.{currency}"] = amount
            await count(slug, f"{link_id}~{change.key}", counters)

    async def _look_after(self, link_id: str, campaign: Campaign | None, after: Ledger) -> None:
        """Have the link looked at if something is left to do about it at Stripe."""
        limit = campaign.payments_allowed if campaign else 1
        open_ones = [s for s in after.sessions.values() if s.state is SessionState.OPEN]
        paid_up = limit is not None and payments_made(after) >= limit
        if (open_ones and paid_up) or after.unsure:
            await self.watch.put(link_id, delay_ms=SOON_MS)


#: What is added up, by campaign and currency.
_MONEY = {"payment.succeeded": "amount", "payment.refunded": "refunded"}
