"""Attribution: to which link an event belongs that names none.

Sessions, and what is made for them, carry their link in their metadata. Refunds and disputes don't
always; they are found by Stripe's ids that were heard of before, or else Stripe is asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from linkgate.destinations.base import Deadline, SpentKey
from linkgate.errors import DestinationBusy
from linkgate.payments import Event, Known, Named

#: How long Stripe is asked whose an event is.
ASKING_SECONDS = 8.0


class Owner(Protocol):
    """Whose a payment is, and what told it."""

    @property
    def named(self) -> Named | None: ...
    @property
    def known(self) -> tuple[Known, ...]: ...


class Knows(Protocol):
    """Stripe; see `linkgate.stripe_api`."""

    async def owner_of(
        self, payment_intent: str, deadline: Deadline, account: str | None = None
    ) -> Owner: ...


class Books(Protocol):
    """What was heard of before; see `linkgate.bookkeeping`."""

    async def find(self, event: Event) -> str | None: ...

    async def ours(self, link_id: str, campaign: str) -> bool: ...

    async def hear_known(self, link_id: str, known: Iterable[Known]) -> object: ...


@dataclass(frozen=True, slots=True)
class Attribution:
    """Finds the links of events."""

    books: Books
    stripe: Knows
    #: The connected accounts whose events count, for Connect; all if it is empty.
    accounts: frozenset[str] = frozenset()

    async def link_of(self, event: Event, *, keep: bool = True) -> str | None:
        """Return the id of the link that an event belongs to, None if it is none of linkgate's.

        What Stripe tells of it is taken in, unless it is not to `keep` it. Raises DestinationBusy,
        DestinationMisconfigured, StoreUnavailable.
        """
        # Whoever runs a connected account writes its metadata, and could name any link in it.
        if event.account and self.accounts and event.account not in self.accounts:
            return None
        if event.link and event.campaign:
            # Another linkgate (staging, another brand) may use the same account.
            return event.link if await self.books.ours(event.link, event.campaign) else None
        link = await self.books.find(event)
        if link or not event.type.startswith("charge."):
            return link
        intent = next((ref for ref in event.refs if ref.startswith("pi_")), None)
        if intent is None:
            return None
        try:
            deadline = Deadline.after(ASKING_SECONDS)
            owner = await self.stripe.owner_of(intent, deadline, event.account)
        except SpentKey as error:
            raise DestinationBusy(str(error)) from error
        named = owner.named
        if named is None or not await self.books.ours(named.link, named.campaign):
            return None
        # A subscription's refund names no invoice: only this says which one it was for.
        if owner.known and keep:
            await self.books.hear_known(named.link, owner.known)
        return named.link
