"""Attribution: to which link an event belongs that names none.

Sessions, and what is made for them, carry their link in their metadata. Refunds and disputes don't
always; they are found by Stripe's ids that were heard of before, or else Stripe is asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from linkgate.destinations.base import Deadline, SpentKey
from linkgate.errors import DestinationBusy
from linkgate.payments import Event, Known

#: How long Stripe is asked whose an event is.
ASKING_SECONDS = 8.0


class Owner(Protocol):
    """Whose a payment is, and what told it."""

    @property
    def link(self) -> str | None: ...
    @property
    def known(self) -> tuple[Known, ...]: ...


class Knows(Protocol):
    """Stripe; see `linkgate.stripe_api`."""

    async def owner_of(self, payment_intent: str, deadline: Deadline) -> Owner: ...


class Books(Protocol):
    """What was heard of before; see `linkgate.bookkeeping`."""

    async def find(self, event: Event) -> str | None: ...

    async def hear_known(self, link_id: str, known: Iterable[Known]) -> object: ...


@dataclass(frozen=True, slots=True)
class Attribution:
    """Finds the links of events."""

    books: Books
    stripe: Knows

    async def link_of(self, event: Event, *, keep: bool = True) -> str | None:
        """Return the id of the link that an event belongs to, None if it is none of linkgate's.

        What Stripe tells of it is taken in, unless it is not to `keep` it. Raises DestinationBusy,
        DestinationMisconfigured, StoreUnavailable.
        """
        link = event.link or await self.books.find(event)
        if link or not event.type.startswith("charge."):
            return link
        intent = next((ref for ref in event.refs if ref.startswith("pi_")), None)
        if intent is None:
            return None
        try:
            owner = await self.stripe.owner_of(intent, Deadline.after(ASKING_SECONDS))
        except SpentKey as error:
            raise DestinationBusy(str(error)) from error
        # A subscription's refund names no invoice: only this says which one it was for.
        if owner.link and owner.known and keep:
            await self.books.hear_known(owner.link, owner.known)
        return owner.link
