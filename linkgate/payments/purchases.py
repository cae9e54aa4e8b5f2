"""What belongs together in a ledger: a session, and the money that it led to.

An event may come before the one that names its session, or that one may be lost. What a person
paid counts all the same: it stands as a purchase of its own until its session is known.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from linkgate.payments.ledger import Ledger
from linkgate.payments.objects import (
    Dispute,
    Invoice,
    InvoiceState,
    Other,
    Payment,
    PaymentState,
    Setup,
    SetupState,
    Subscription,
    SubscriptionState,
)
from linkgate.payments.sessions import DONE, Session, SessionState

#: In these a subscription is, or was, more than a try.
STARTED = frozenset(SubscriptionState) - {
    SubscriptionState.INCOMPLETE,
    SubscriptionState.INCOMPLETE_EXPIRED,
}

_Intent = TypeVar("_Intent", Payment, Setup)
_Found = TypeVar("_Found", Invoice, Payment, Dispute)


@dataclass(frozen=True, slots=True)
class Purchase:
    """A session and what is known of its money; `session` is None where it isn't known yet."""

    session: Session | None = None
    #: The payment intent of mode payment.
    payment: Payment | None = None
    subscription: Subscription | None = None
    setup: Setup | None = None
    invoices: tuple[Invoice, ...] = ()
    #: Every payment intent: that of mode payment, or those of the subscription's invoices.
    charged: tuple[Payment, ...] = ()
    disputes: tuple[Dispute, ...] = ()

    @property
    def state(self) -> SessionState:
        """Where the checkout stands, by all that is known of it.

        A payment may tell it before the session does; and only the payment tells an asynchronous
        one that failed, where the session's own event is lost.
        """
        known = self.session.state if self.session else SessionState.OPEN
        if known in (SessionState.OPEN, SessionState.EXPIRED):
            return self._told_by_the_rest or known
        if known is SessionState.PENDING and self._fell_through:
            return SessionState.FAILED
        paid = self.payment and self.payment.state is PaymentState.SUCCEEDED
        return SessionState.PAID if paid else known

    @property
    def _told_by_the_rest(self) -> SessionState | None:
        if self.payment and self.payment.state is PaymentState.SUCCEEDED:
            return SessionState.PAID
        if self.payment and self.payment.state is PaymentState.PROCESSING:
            return SessionState.PENDING
        done = (self.setup and self.setup.state is SetupState.SUCCEEDED) or (
            self.subscription and self.subscription.state in STARTED
        )
        return SessionState.COMPLETE if done else None

    @property
    def _fell_through(self) -> bool:
        if self.subscription and self.session:
            state, first = self.subscription.state, self.session.invoice
            # While a first debit is on its way, Stripe calls the subscription active.
            overdue = state in (SubscriptionState.PAST_DUE, SubscriptionState.UNPAID) and any(
                one.id == first and one.state is not InvoiceState.PAID for one in self.invoices
            )
            return overdue or state is SubscriptionState.INCOMPLETE_EXPIRED
        # A card declined before the person chose a slower method doesn't end the slower one.
        payment = self.payment
        return (
            payment is not None
            and payment.state in (PaymentState.FAILED, PaymentState.CANCELED)
            and 0 < payment.processing_at <= payment.at
        )


def purchases(ledger: Ledger) -> tuple[Purchase, ...]:
    """Return every purchase of a link, known by its session or without one."""
    index = _Index(ledger)
    named = tuple(map(index.purchase, ledger.sessions.values()))
    return named + tuple(index.unnamed(named))


def dispensable(ledger: Ledger, most: int) -> tuple[str, ...]:
    """Return the ids of the oldest expired sessions that led to nothing, beyond the newest `most`.

    Those that Stripe's recovery page may still continue are not among them.
    """
    if len(ledger.sessions) <= most:
        return ()
    # It is later than this: whose recovery was over by then, has none any more.
    latest = max(session.created_at for session in ledger.sessions.values())
    bare = [
        one.session
        for one in purchases(ledger)
        if one.session
        and one.session.state is SessionState.EXPIRED
        and one.session.recovery_until < latest
        and one == Purchase(one.session)
    ]
    bare.sort(key=lambda session: (session.created_at, session.id))
    return tuple(session.id for session in bare[: max(len(bare) - most, 0)])


class _Index:
    """A ledger with what names what, looked up once: a link may have hundreds of sessions."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._payments = ledger.payments
        self._setups = ledger.setups
        self._disputes = ledger.disputes
        self._invoices = _by(ledger.invoices, lambda one: (one.id, one.subscription))
        self._charged = _by(self._payments, lambda one: (one.id, one.invoice))
        self._disputed = _by(self._disputes, lambda one: (one.payment_intent, one.charge))
        sessions = ledger.sessions.values()
        self._owners = {
            **_owners(sessions, "payment_intent", self._payments),
            **_owners(sessions, "setup_intent", self._setups),
        }

    def purchase(self, session: Session) -> Purchase:
        """Return what a session led to."""
        payment = setup = None
        if session.mode != "subscription":
            payment = self._own(session, "payment_intent", Payment)
            setup = self._own(session, "setup_intent", Setup)
        subscription = self._ledger.others.get(session.subscription or "")
        found = Purchase(
            session,
            payment,
            subscription if isinstance(subscription, Subscription) else None,
            setup,
            _each(self._invoices, session.invoice, session.subscription),
        )
        return self._with_money(found)

    def unnamed(self, named: Iterable[Purchase]) -> Iterator[Purchase]:
        """Yield the purchases of which no session is known."""
        taken = {id_ for one in named for id_ in _ids(one)}
        others: tuple[Other, ...] = (
            *self._ledger.subscriptions,
            *self._payments,
            *self._setups,
            *self._disputes,
        )
        for other in others:
            if other.id in taken:
                continue
            match other:
                case Subscription():
                    found = Purchase(subscription=other, invoices=_each(self._invoices, other.id))
                case Payment():
                    # Without an attempt it is no checkout's own: it is a subscription's.
                    found = Purchase(payment=other if other.attempt else None, charged=(other,))
                case Setup():
                    found = Purchase(setup=other)
                case Dispute():
                    found = Purchase(disputes=(other,))
                case _:
                    continue
            found = self._with_money(found)
            taken |= _ids(found)
            yield found

    def _own(self, session: Session, name: str, kind: type[_Intent]) -> _Intent | None:
        own = getattr(session, name) or self._owners.get(session.id)
        intent = self._ledger.others.get(own or "")
        return intent if isinstance(intent, kind) else None

    def _with_money(self, found: Purchase) -> Purchase:
        intents = [invoice.payment_intent for invoice in found.invoices]
        intents += [payment.id for payment in (found.payment, *found.charged) if payment]
        if found.session:
            intents.append(found.session.payment_intent)
        charged = _each(self._charged, *intents, *(invoice.id for invoice in found.invoices))
        intents += [payment.id for payment in charged]
        disputes = _each(self._disputed, *intents, *(payment.charge for payment in charged))
        return replace(found, charged=charged, disputes=disputes or found.disputes)


def _owners(
    sessions: Iterable[Session], name: str, intents: tuple[Payment | Setup, ...]
) -> dict[str, str]:
    """Return the intents that no session names, by the session whose they are all the same.

    An intent is named by its session once that is complete. Before, and where an older version
    kept the session, it is the one of the same attempt; a session that Stripe's recovery page
    copied from another has the attempt of that one.
    """
    named = {getattr(one, name) for one in sessions}
    last: dict[int, Session] = {}
    for one in sorted(sessions, key=lambda one: (one.state in DONE, one.created_at, one.id)):
        if one.attempt and not getattr(one, name):
            last[one.attempt] = one
    first: dict[int, str] = {}
    for intent in intents:
        if intent.id not in named:
            first.setdefault(intent.attempt, intent.id)
    return {last[attempt].id: id_ for attempt, id_ in first.items() if attempt in last}


def _by(
    others: Iterable[_Found], names: Callable[[_Found], Iterable[str | None]]
) -> dict[str, list[_Found]]:
    found: dict[str, list[_Found]] = {}
    for other in others:
        for name in names(other):
            if name:
                found.setdefault(name, []).append(other)
    return found


def _each(found: dict[str, list[_Found]], *names: str | None) -> tuple[_Found, ...]:
    each = {other.id: other for name in names if name for other in found.get(name, ())}
    return tuple(each[id_] for id_ in sorted(each))


def _ids(found: Purchase) -> set[str]:
    parts = (found.payment, found.subscription, found.setup, *found.charged, *found.disputes)
    return {part.id for part in parts if part}
