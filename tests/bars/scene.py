"""What must hold of one link: of what Stripe has, what linkgate knows, and what it has told."""

import json
from collections import Counter
from dataclasses import dataclass, field

from redis import Redis

from linkgate.payments import PaymentState, SessionState, read_session
from linkgate.sandbox.world import Object
from linkgate.store import keys
from linkgate.store.outbox import list_key, read_line
from linkgate.tokens import Link
from tests.bars.stand_in import Shop, StandIn
from tests.bars.trial import Process


class Broken(AssertionError):
    """Something does not hold that must."""


def is_done(session: Object) -> bool:
    return bool(session["status"] == "complete")


@dataclass
class Scene:
    """One link, Stripe, the operator's system, and the tabs in which people have its sessions.

    `most` is how often the link may be paid.
    """

    client: Redis
    link: Link
    stand_in: StandIn
    shop: Shop
    most: int
    #: Ids of sessions that somebody was led to.
    tabs: set[str] = field(default_factory=set)

    @property
    def sessions(self) -> list[Object]:
        """All of Stripe's, oldest first."""
        self.stand_in.world.sweep()
        return list(reversed(self.stand_in.world.every("checkout.session")))

    def awaits_money(self, session: Object) -> bool:
        return is_done(session) and self._intent_is(session, "processing")

    def _is_paid(self, session: Object) -> bool:
        # Or will be: what is on its way counts.
        return is_done(session) and not self._intent_is(session, "requires_payment_method")

    def _intent_is(self, session: Object, status: str) -> bool:
        intent = self.stand_in.world.get("payment_intent", session["payment_intent"] or "")
        return intent is not None and bool(intent["status"] == status)

    def _truth(self, session: Object) -> SessionState:
        state = read_session(session).state
        if state is SessionState.PENDING and not self._is_paid(session):
            return SessionState.FAILED
        return state

    def _stray(self, session: Object) -> bool:
        """Whether Stripe made it after linkgate had given up: nobody has its address.

        linkgate hears of it when it ends.
        """
        return session["id"] in self.stand_in.late and session["id"] not in self.tabs

    def no_second_payment(self) -> None:
        """At every moment: nobody has paid too often, or could."""
        paid = sum(map(self._is_paid, self.sessions))
        if paid > self.most:
            raise Broken(f"paid {paid} times")
        payable = [s for s in self.sessions if s["status"] == "open" and s["id"] in self.tabs]
        if len(payable) > 1:
            raise Broken(f"{len(payable)} sessions are open to people at once")

    def one_open_at_most(self) -> None:
        """When all is settled: one session is open at most, and none beside the last payment."""
        left = [s["id"] for s in self.sessions if s["status"] == "open" and not self._stray(s)]
        paid = sum(map(self._is_paid, self.sessions))
        if len(left) > (paid < self.most):
            raise Broken(f"{left} are open at the end, and {paid} are paid")

    async def nothing_lost(self, process: Process, taken: set[str]) -> None:
        """Without any reconciliation: every event that was taken is known, every session too.

        And every message that waits is expected to be sent.
        """
        for event in taken:
            if not await process.books.knows(self.link.id, event):
                raise Broken(f"the event {event} was taken, and is not known")
        if waiting := await process.inbox.depth():
            raise Broken(f"{waiting} events still wait")
        row = await process.store.links.read(self.link.id)
        known = {session.id for session in row.sessions} if row else set()
        made = {session["id"] for session in self.sessions if not self._stray(session)}
        if unknown := made - known:
            raise Broken(f"nobody knows of {unknown}")
        due = self.client.zscore(keys.queue_due("outbox:shop"), self.link.id)
        if self.client.llen(list_key(self.link.id, "shop")) and due is None:
            raise Broken("messages wait, and nobody will look at them")

    async def as_at_stripe(self, process: Process, *, in_the_end: bool) -> None:
        """What is known of the link is what Stripe knows; of strays only in the end."""
        row = await process.store.links.read(self.link.id)
        known = {s.id: s.state for s in row.sessions} if row else {}
        truth = {
            session["id"]: self._truth(session)
            for session in self.sessions
            if in_the_end or session["id"] in known or not self._stray(session)
        }
        if known != truth:
            raise Broken(f"known: {known}, and at Stripe: {truth}")
        paid = SessionState.PAID in truth.values()
        if row and (row.fields.get("done") == "paid") is not paid:
            raise Broken(f"the link's done is {row.fields.get('done')!r}, at Stripe {truth}")
        intents = self.stand_in.world.every("payment_intent")
        succeeded = {intent["id"] for intent in intents if intent["status"] == "succeeded"}
        payments = row.ledger.payments if row else ()
        heard = {one.id for one in payments if one.state is PaymentState.SUCCEEDED}
        if heard != succeeded:
            raise Broken(f"payments: {heard}, at Stripe {succeeded}")

    def told_once_and_in_order(self) -> None:
        """Every change was told to the operator's system once, in order, and nothing else was."""
        waiting = self.client.llen(list_key(self.link.id, "shop"))
        texts = self.client.lrange(list_key(self.link.id, "kept"), 0, -1)
        if waiting:
            raise Broken(f"{waiting} messages are still waiting")
        lines = [line for line in map(read_line, texts) if line]
        bodies = dict(self.shop.came)
        arrived = list(dict.fromkeys(name for name, _ in self.shop.came))
        if arrived != [line.id for line in lines]:
            raise Broken(f"arrived: {arrived}, written: {[(x.id, x.type) for x in lines]}")
        if any(bodies[name] != body for name, body in self.shop.came):
            raise Broken("a message was repeated with another content")
        told = Counter(line.type for line in lines)
        states = Counter(map(self._truth, self.sessions))
        paid = states[SessionState.PAID]
        expected = {"payment.succeeded": paid, "payment.failed": states[SessionState.FAILED]}
        expected |= {"access.granted": min(paid, 1), "access.revoked": 0}
        if any(told[kind] != count for kind, count in expected.items()):
            raise Broken(f"told: {told}, expected {expected}")
        if told["session.expired"] > states[SessionState.EXPIRED]:
            raise Broken(f"told: {told}, at Stripe {states}")
        mints = [line for line in lines if line.type == "session.minted"]
        minted = {json.loads(line.body)["data"]["session"] for line in mints}
        if not self.tabs <= minted or len(minted) != len(mints):
            raise Broken(f"people were led to {self.tabs}, told was {minted}")
