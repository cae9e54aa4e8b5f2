"""What the operator's systems are told of a link, as messages; docs/webhooks.md has every field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from linkgate.config.outbound import TYPES
from linkgate.outbox import Message, Outbox
from linkgate.payments import Change, Ledger, Session, changes
from linkgate.tokens import Link, LinkTokens

#: Pairs of an outbox's key and a line for it.
Lines: TypeAlias = Sequence[tuple[str, str]]

#: Of what linkgate closes, it hears by Stripe's answer, or by an event within minutes.
CLOSING_SECONDS = 600.0

VISITED = "link.visited"
MINTED = "session.minted"


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes messages. Pure but for the signing of links."""

    tokens: LinkTokens
    public_url: str

    #: What follows from what is heard of money.
    @property
    def types(self) -> tuple[str, ...]:
        """The types of messages that come of hearing about money."""
        return tuple(kind for kind in TYPES if kind not in (VISITED, MINTED))

    def messages(
        self,
        link_id: str,
        before: Ledger,
        after: Ledger,
        fields: Mapping[str, str],
        now: float,
    ) -> list[Message]:
        """Return what there is to tell of a link's ledger that has changed; times in Unix s.

        `fields` is what the store says of the link.
        """
        about = {"link": self._known(link_id, fields, now)}
        return [
            Message.of(link_id, change.key, change.kind, now, {**about, **change.data})
            for change in told_changes(before, after, fields, now)
        ]

    def minted(self, link: Link, session: Session, now: float) -> Message:
        """Return the message that a session was minted for a link."""
        data = {
            "link": self._link(link),
            "session": session.id,
            "attempt": session.attempt,
            "expires_at": session.expires_at,
            "livemode": session.livemode,
        }
        return Message.of(link.id, session.id, MINTED, now, data)

    def visited(self, link: Link, visit: str, decision: str, now: float) -> Message:
        """Return the message that a person visited a link, and what the gate did."""
        data = {"link": self._link(link), "visit": visit, "decision": decision}
        return Message.of(link.id, visit, VISITED, now, data)

    def _link(self, link: Link) -> dict[str, Any]:
        return {
            "id": link.id,
            "campaign": link.campaign,
            "recipient": link.recipient,
            "url": f"{self.public_url}/l/{self.tokens.issue(link)}",
        }

    def _known(self, link_id: str, fields: Mapping[str, str], now: float) -> dict[str, Any]:
        """Return what is told of a link that only the store knows; no address if it is over."""
        campaign, recipient = fields.get("campaign"), fields.get("recipient")
        expires_at = int(fields.get("expires_at") or 0)
        if campaign and recipient and expires_at:
            link = Link(campaign, recipient, expires_at, None, fields.get("customer") or None)
            told = self._link(link)
            if now >= expires_at or "revoked_at" in fields:
                told["url"] = None
            return told
        return {"id": link_id, "campaign": campaign, "recipient": recipient, "url": None}


@dataclass(frozen=True, slots=True)
class Announcer:
    """Tells what visits do: lines that the store writes with what they do, and who is woken."""

    outbox: Outbox
    teller: Teller

    def visited(self, link: Link, visit: str, decision: str, now: float) -> Lines:
        """Return what is written with a person's visit."""
        if not self.outbox.wants(VISITED):
            return ()
        message = self.teller.visited(link, visit, decision, now)
        return self.outbox.lines(link.id, [message])

    def minted(self, link: Link, session: Session, now: float) -> Lines:
        """Return what is written with a fresh session."""
        if not self.outbox.wants(MINTED):
            return ()
        return self.outbox.lines(link.id, [self.teller.minted(link, session, now)])

    async def expect(self, link_id: str) -> None:
        """Before either is written; raises StoreUnavailable."""
        await self.outbox.expect(link_id, (VISITED, MINTED))

    async def wake(self, link_id: str) -> None:
        """After it was."""
        await self.outbox.wake(link_id, (VISITED, MINTED))


def closed_by_us(fields: Mapping[str, str], now: float) -> frozenset[str]:
    """Return the ids of sessions of a link that linkgate itself has closed lately; Unix seconds.

    What ends long after that ended by itself: then Stripe did not answer when it was to be closed.
    """
    marked = (mark.partition(":") for mark in fields.get("closing", "").split())
    return frozenset(id_ for id_, _, at in marked if now - int(at) <= CLOSING_SECONDS)


def told_changes(
    before: Ledger, after: Ledger, fields: Mapping[str, str], now: float
) -> tuple[Change, ...]:
    """Return what happened to a link between two states of its ledger; `now` in Unix seconds.

    A session that linkgate closed in favour of a fresh one has not expired for its link.
    """
    ours = closed_by_us(fields, now)
    return tuple(
        change
        for change in changes(before, after)
        if not (change.kind == "session.expired" and change.subject in ours)
    )
