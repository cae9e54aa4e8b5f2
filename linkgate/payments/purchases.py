"""What belongs together in a ledger: a session, and the money that it led to.

An event may come before the one that names its session, or that one may be lost. What a person
paid counts all the same: it stands as a purchase of its own until its session is known.
"""

from collections.abc import Iterable, Iterator
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
    named = tuple(purchase(ledger, session) for session in ledger.sessions.values())
    return named + tuple(_unnamed(ledger, named))


def purchase(ledger: Ledger, session: Session) -> Purchase:
    """Return what a session led to."""
    payment = setup = None
    if session.mode != "subscription":
        payment = _own(ledger, session, "payment_intent", ledger.payments)
        setup = _own(ledger, session, "setup_intent", ledger.setups)
    subscription = ledger.others.get(session.subscription or "")
    invoices = tuple(
        invoice
        for invoice in ledger.invoices
        if invoice.id == session.invoice
        or (session.subscription and invoice.subscription == session.subscription)
    )
    found = Purchase(
        session,
        payment,
        subscription if isinstance(subscription, Subscription) else None,
        setup,
        invoices,
    )
    return _with_money(ledger, found)


def _own(
    ledger: Ledger, session: Session, name: str, intents: tuple[_Intent, ...]
) -> _Intent | None:
    # An intent is named by its session once that is complete. Before, and where an older version
    # kept the session, it is the one of the same attempt; a session that Stripe's recovery page
    # copied from another has the attempt of that one.
    named = {getattr(one, name) for one in ledger.sessions.values()}
    if mine := getattr(session, name):
        return next((intent for intent in intents if intent.id == mine), None)
    rivals = [
        one
        for one in ledger.sessions.values()
        if one.attempt == session.attempt and not getattr(one, name)
    ]
    last = max(rivals, key=lambda one: (one.state in DONE, one.created_at, one.id), default=None)
    if not session.attempt or last is None or last.id != session.id:
        return None
    unnamed = (intent for intent in intents if intent.id not in named)
    return next((intent for intent in unnamed if intent.attempt == session.attempt), None)


def _unnamed(ledger: Ledger, named: Iterable[Purchase]) -> Iterator[Purchase]:
    taken = {id_ for one in named for id_ in _ids(one)}
    others: tuple[Other, ...] = (
        *ledger.subscriptions,
        *ledger.payments,
        *ledger.setups,
        *ledger.disputes,
    )
    for other in others:
        if other.id in taken:
            continue
        match other:
            case Subscription():
                of_it = tuple(one for one in ledger.invoices if one.subscription == other.id)
                found = Purchase(subscription=other, invoices=of_it)
            case Payment():
                # Without an attempt it is no checkout's own: a subscription's that isn't known.
                found = Purchase(payment=other if other.attempt else None, charged=(other,))
            case Setup():
                found = Purchase(setup=other)
            case Dispute():
                found = Purchase(disputes=(other,))
            case _:
                continue
        found = _with_money(ledger, found)
        taken |= _ids(found)
        yield found


def _ids(found: Purchase) -> set[str]:
    parts = (found.payment, found.subscription, found.setup, *found.charged, *found.disputes)
    return {part.id for part in parts if part}


def _with_money(ledger: Ledger, found: Purchase) -> Purchase:
    invoices = {invoice.id for invoice in found.invoices}
    intents = {invoice.payment_intent for invoice in found.invoices}
    intents |= {payment.id for payment in (found.payment, *found.charged) if payment}
    if found.session:
        intents.add(found.session.payment_intent)
    charged = tuple(
        payment
        for payment in ledger.payments
        if payment.id in intents or payment.invoice in invoices
    )
    intents |= {payment.id for payment in charged}
    charges = {payment.charge for payment in charged}
    disputes = tuple(
        dispute
        for dispute in ledger.disputes
        if dispute in found.disputes
        or (dispute.payment_intent and dispute.payment_intent in intents)
        or (dispute.charge and dispute.charge in charges)
    )
    return replace(found, charged=charged, disputes=disputes)
