"""Bookkeeping: what is heard of a link's money, taken in once, with everything that follows.

The ledger, what visits have to know, and the messages to the operator's systems change in one step.
What follows outside the link's slot (counters, the index of Stripe's ids, waking whoever is to act)
is repeatable, and an event is finished only when all of it is done.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import msgspec

from linkgate.campaigns import Campaign, allows_another
from linkgate.errors import StoreUnavailable
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
from linkgate.store.ledgers import Heard, Written
from linkgate.store.queue import Queue
from linkgate.telling import Teller, closed_by_us, told_changes

log = logging.getLogger(__name__)

#: When a link is looked at whose sessions have to be closed, or whose state Stripe has to say.
SOON_MS = 200
#: When a link is looked at after a change that its process may have died at.
LATER_MS = 60_000
#: How long what goes on in the background is waited for; the watch does what is left.
SETTLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Bookkeeper:
    """Keeps the ledgers of links. `watch` is the queue of links to be looked after."""

    store: Store
    outbox: Outbox
    teller: Teller
    reminders: Reminders
    watch: Queue
    clock: Callable[[], float]
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def find(self, event: Event) -> str | None:
        """Return the id of the link that an event without metadata is about, if that is known."""
        return await self.store.ledgers.find(event.refs)

    async def ours(self, link_id: str, campaign: str) -> bool:
        """Say whether a link that Stripe's metadata names is this linkgate's.

        Its campaign is in the store, or the link itself is.
        """
        known = await self.store.campaigns.get(campaign)
        return known is not None or await self.store.ledgers.has(link_id)

    async def leave(self, event: str, account: str | None) -> int:
        """Leave an event (its id) to reconciliation; returns how many are left to it."""
        return await self.store.ledgers.leave(event, account, int(self.clock()))

    async def knows(self, link_id: str, event: str) -> bool:
        """Say whether an event with this id was taken in."""
        return await self.store.ledgers.knows(link_id, event)

    async def hear_event(self, link_id: str, event: Event) -> bool:
        """Take in an event about a link; False if it told nothing that wasn't known.

        Raises StoreUnavailable: then it has to be taken in again.
        """
        named = {"campaign": event.campaign or "", "recipient": event.recipient or ""}
        heard = await self._hear(link_id, event.known, event=event.id, fields=named)
        if heard.again and not heard.todo:
            return False
        await self._follow_up(link_id, heard)
        for change in changes(heard.before, heard.after):
            log.info("%s: link %s: %s of %s", event.type, link_id, change.kind, change.subject)
        return heard.before != heard.after

    async def hear_session(self, link_id: str, session: Session) -> None:
        """Take in a session as Stripe's API has just told of it.

        What follows is done in the background (see `settled`): a person is waiting.
        """
        await self.watch.put(link_id, delay_ms=LATER_MS)
        heard = await self._hear(link_id, [session])
        work = asyncio.create_task(self._quietly(link_id, heard))
        self.under_way.add(work)
        work.add_done_callback(self.under_way.discard)

    async def settled(self) -> None:
        """Wait until what goes on in the background has ended."""
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=SETTLE_SECONDS)

    async def _quietly(self, link_id: str, heard: Heard) -> None:
        try:
            await self._follow_up(link_id, heard)
        except StoreUnavailable:
            log.warning("link %s: what follows from a session is left to the watch", link_id)
        except Exception:
            log.exception("link %s: what follows from a session is left to the watch", link_id)

    async def hear_known(
        self, link_id: str, known: Iterable[Known], *, watched: bool = False
    ) -> tuple[Change, ...]:
        """Take in what Stripe's API has just told; returns what that changed.

        `watched` says that the watch is at the link just now, and comes back should it die.
        """
        if not watched:
            # Should this process die after the change, somebody looks at the link a little later.
            await self.watch.put(link_id, delay_ms=LATER_MS)
        heard = await self._hear(link_id, known)
        await self._follow_up(link_id, heard, watched=watched)
        return changes(heard.before, heard.after)

    async def catch_up(self, link_id: str) -> None:
        """Do what is left to be done about a link by whoever died at it; the watch is at it."""
        heard = await self.store.ledgers.read(link_id)
        if heard.todo:
            await self.outbox.expect(link_id, self.teller.types)
            await self._follow_up(link_id, heard, watched=True)

    async def _hear(
        self,
        link_id: str,
        known: Iterable[Known],
        *,
        event: str = "",
        fields: Mapping[str, str] | None = None,
    ) -> Heard:
        def write(before: Ledger, after: Ledger, fields: Mapping[str, str]) -> Written:
            messages = self.teller.messages(link_id, before, after, fields, self.clock())
            todo = _todo(link_id, before, after, fields, self.clock())
            return Written(self.outbox.lines(link_id, messages), todo.text)

        await self.outbox.expect(link_id, self.teller.types)
        return await self.store.ledgers.hear(
            link_id,
            known,
            write,
            event=event,
            keep_until=self.store.links.keep_longest(self.clock()),
            fields=fields,
        )

    async def _follow_up(self, link_id: str, heard: Heard, *, watched: bool = False) -> None:
        """Do what follows outside the link's slot; each step can be repeated."""
        slug = heard.fields.get("campaign", "")
        for text in heard.todo.values():
            await self._do(link_id, slug, Todo.read(text))
        campaign = await self.store.campaigns.get(slug) if slug else None
        if not watched:  # or it would come back at once, however long it means to wait
            await self._look_after(link_id, campaign, heard.after)
        await self._warn(link_id, campaign, heard)
        await self.outbox.wake(link_id, self.teller.types)
        await self.store.ledgers.finish(link_id, heard.todo)

    async def _do(self, link_id: str, slug: str, todo: "Todo") -> None:
        if todo.refs:
            seconds = int(self.store.links.keep_longest(self.clock()) - self.clock())
            await self.store.ledgers.refer(link_id, todo.refs, seconds)
        for what, counters in todo.counts if slug else ():
            await self.store.ledgers.count(slug, what, counters)
        if slug and todo.remind:
            await self.reminders.consider(link_id, slug)

    async def _warn(self, link_id: str, campaign: Campaign | None, heard: Heard) -> None:
        """Tell the operator of a payment more than the campaign allows: it has to be given back."""
        limit = campaign.payments_allowed if campaign else None
        if campaign is None or limit is None:
            return
        then, made = (
            payments_made(ledger, renewable=campaign.renewable)
            for ledger in (heard.before, heard.after)
        )
        # Nothing has changed where only what others left undone is done.
        if made <= limit or (made <= then and heard.before != heard.after):
            return
        log.error(
            "link %s was paid %d times, and campaign %s allows %d: a payment has to be refunded",
            link_id,
            made,
            campaign.slug,
            limit,
        )
        await self.store.ledgers.count(
            campaign.slug, f"{link_id}~beyond~{made}", {"payments.beyond_limit": 1}
        )

    async def _look_after(self, link_id: str, campaign: Campaign | None, after: Ledger) -> None:
        """Have the link looked at if something is left to do about it at Stripe."""
        open_ones = [s for s in after.sessions.values() if s.state is SessionState.OPEN]
        paid_up = not allows_another(campaign, after)
        if (open_ones and paid_up) or after.unsure:
            await self.watch.put(link_id, delay_ms=SOON_MS)


#: What is added up, by campaign and currency.
_MONEY = {"payment.succeeded": "amount", "payment.refunded": "refunded"}


class Todo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What follows from a change outside its link's slot."""

    #: Stripe's ids by which the link is found from now on.
    refs: tuple[str, ...] = ()
    #: What is counted, and for what, so that it is counted once.
    counts: tuple[tuple[str, dict[str, int]], ...] = ()
    remind: bool = False

    @property
    def text(self) -> str:
        """How it is kept."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what was kept; what a newer version added is passed over."""
        return msgspec.json.decode(text, type=cls)


def _todo(
    link_id: str, before: Ledger, after: Ledger, fields: Mapping[str, str], now: float
) -> Todo:
    found = told_changes(before, after, fields, now)
    fresh = [
        one
        for now, known in ((after.sessions, before.sessions), (after.others, before.others))
        for id_, one in now.items()
        if known.get(id_) != one
    ]
    return Todo(
        refs_of(filter(_may_come_up, fresh)),
        tuple(_counts(link_id, before, after, found, closed_by_us(fields, now))),
        any(change.kind == "session.expired" for change in found),
    )


def _may_come_up(one: Known) -> bool:
    """Say whether anything at Stripe may ever speak of it again, without naming the link."""
    if not isinstance(one, Session) or one.state is not SessionState.EXPIRED or one.recovery_until:
        return True
    return bool(one.payment_intent or one.setup_intent or one.subscription or one.invoice)


def _counts(
    link_id: str,
    before: Ledger,
    after: Ledger,
    found: Sequence[Change],
    ours: Container[str],
) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield states of sessions, and money."""
    for session in after.sessions.values():
        known = before.sessions.get(session.id)
        if session.state is not SessionState.OPEN and (
            known is None or known.state is not session.state
        ):
            closed = session.state is SessionState.EXPIRED and session.id in ours
            state = "closed" if closed else session.state.value
            yield f"{session.id}~{session.state}", {f"sessions.{state}": 1}
    for change in found:
        counters = {f"changes.{change.kind}": 1}
        amount, currency = change.data.get("amount"), change.data.get("currency")
        if change.kind in _MONEY and amount and currency:
            counters[f"{_MONEY[change.kind]}.{currency}"] = amount
        yield f"{link_id}~{change.key}", counters
