"""The ledger of one link: everything that is known of its money, and how it grows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from linkgate.payments.joining import joined
from linkgate.payments.objects import Dispute, Invoice, Other, Payment, Setup, Subscription
from linkgate.payments.sessions import Session, advance

Known = Session | Other

_Kind = TypeVar("_Kind", Payment, Subscription, Invoice, Dispute, Setup)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of one link's sessions, and of what Stripe made from them, by Stripe's ids."""

    sessions: Mapping[str, Session] = field(default_factory=dict)
    others: Mapping[str, Other] = field(default_factory=dict)

    @classmethod
    def of(cls, sessions: Iterable[Session], others: Iterable[Other] = ()) -> "Ledger":
        """Return the ledger with these, of which each id comes once."""
        return cls({one.id: one for one in sessions}, {one.id: one for one in others})

    @property
    def payments(self) -> tuple[Payment, ...]:
        """The payment intents, by id."""
        return self._all(Payment)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The subscriptions, by id."""
        return self._all(Subscription)

    @property
    def invoices(self) -> tuple[Invoice, ...]:
        """The invoices, by id."""
        return self._all(Invoice)

    @property
    def disputes(self) -> tuple[Dispute, ...]:
        """The disputes, by id."""
        return self._all(Dispute)

    @property
    def setups(self) -> tuple[Setup, ...]:
        """The setup intents, by id."""
        return self._all(Setup)

    @property
    def unsure(self) -> tuple[str, ...]:
        """Ids of what Stripe has to be asked about: events alone don't tell how it stands."""
        return tuple(one.id for one in self.subscriptions if one.unsure)

    def get(self, id_: str) -> Known | None:
        """Return what is known under a Stripe id."""
        return self.sessions.get(id_) or self.others.get(id_)

    def _all(self, kind: type[_Kind]) -> tuple[_Kind, ...]:
        found = (other for other in self.others.values() if isinstance(other, kind))
        return tuple(sorted(found, key=lambda other: other.id))


def hear(ledger: Ledger, known: Iterable[Known]) -> Ledger:
    """Return the ledger after hearing `known`, which an event or an answer of Stripe's API told.

    The order of what is heard, and how often, makes no difference. Raises TypeError if an id is
    said to be another kind of thing than before.
    """
    sessions, others = dict(ledger.sessions), dict(ledger.others)
    for one in known:
        if isinstance(one, Session):
            sessions[one.id] = advance(sessions.get(one.id), one)
        else:
            others[one.id] = joined(others.get(one.id), one)
    return Ledger(sessions, others)


def refs_of(known: Iterable[Known]) -> tuple[str, ...]:
    """Return the ids that belong to the same link as `known`: what to find the link by, later.

    Customers are not among them: one person may have many links.
    """
    ids = chain.from_iterable(map(_refs, known))
    return tuple(dict.fromkeys(id_ for id_ in ids if id_))


def _refs(one: Known) -> tuple[str | None, ...]:
    match one:
        case Session():
            return (
                one.id,
                one.payment_intent,
                one.setup_intent,
                one.subscription,
                one.invoice,
                one.recovered_from,
            )
        case Payment():
            return one.id, one.invoice, one.charge
        case Invoice():
            return one.id, one.subscription, one.payment_intent
        case Dispute():
            return one.id, one.payment_intent, one.charge
        case _:
            return (one.id,)
