"""What happened between two states of a ledger, told once each, for the operator's own systems."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from linkgate.payments.ledger import Known, Ledger
from linkgate.payments.objects import (
    Dispute,
    Invoice,
    InvoiceState,
    Payment,
    PaymentState,
    Subscription,
    SubscriptionState,
)
from linkgate.payments.purchases import STARTED, Purchase, purchases
from linkgate.payments.sessions import Session, SessionState
from linkgate.payments.standing import gives_access

#: Cards declined within this time are one failed payment: a person trying again, or the intent's
#: event and the session's about the same failure. Our choice.
SAME_FAILURE_SECONDS = 60

_OVER = (InvoiceState.PAID, InvoiceState.VOID)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened. `key` is the same whenever the same change is found again."""

    #: session.expired, payment.succeeded, payment.failed, payment.refunded, payment.disputed,
    #: subscription.started, subscription.ended, access.granted or access.revoked.
    kind: str
    #: The Stripe id of what it happened to.
    subject: str
    key: str
    data: Mapping[str, Any]


#: What was paid, with all the names that the same money goes by.
_Paid = tuple[set[str], Change]


def changes(before: Ledger, after: Ledger) -> tuple[Change, ...]:
    """Return what happened from one state of a link's ledger to a later one, access last."""
    if before == after:
        return ()
    then, now = purchases(before), purchases(after)
    return (
        *_expired(before, after),
        *_succeeded(_paid(before, then), _paid(after, now)),
        *_failed(before, after, now),
        *_refunded(before, after),
        *_disputed(before, after),
        *_subscribed(before, after),
        *_access(then, now),
    )


def _change(kind: str, about: Known, mark: object = "", *, id_: str = "", **data: Any) -> Change:
    id_ = id_ or about.id
    said = {**data, "account": about.account, "livemode": about.livemode}
    key = f"{kind}:{id_}:{mark}" if mark else f"{kind}:{id_}"
    return Change(kind, id_, key, {name: said[name] for name in said if said[name] is not None})


def _expired(before: Ledger, after: Ledger) -> Iterator[Change]:
    for session in after.sessions.values():
        if session.state is SessionState.EXPIRED and _was(before, session) is not session.state:
            yield _change(
                "session.expired",
                session,
                session=session.id,
                attempt=session.attempt,
                recovery_url=session.recovery_url,
                recovery_until=session.recovery_until or None,
            )


def _succeeded(before: Iterable[_Paid], after: Iterable[_Paid]) -> Iterator[Change]:
    told = {name for names, _ in before for name in names}
    for names, change in after:
        if told.isdisjoint(names):
            yield change
        told |= names


def _paid(ledger: Ledger, found_in_it: Iterable[Purchase]) -> Iterator[_Paid]:
    """Yield what was paid, with all the names that the same money goes by.

    The first payment of a subscription is told by its invoice and by its session; a payment by
    its session and by its payment intent.
    """
    kind = "payment.succeeded"
    for invoice in ledger.invoices:
        if invoice.state is InvoiceState.PAID and invoice.subscription and invoice.amount:
            first = invoice.reason == "subscription_create"
            names = {invoice.id} | ({f"first:{invoice.subscription}"} if first else set())
            yield names, _change(kind, invoice, **_of_invoice(ledger, invoice))
    for found in found_in_it:
        session, payment = found.session, found.payment
        if session and session.state is SessionState.PAID and session.subscription:
            if session.amount_total != 0:
                names = {session.id, f"first:{session.subscription}", session.invoice or ""} - {""}
                yield names, _change(kind, session, id_=session.invoice or "", **_of(found))
        elif payment and payment.state is PaymentState.SUCCEEDED and payment.amount != 0:
            paid = session is not None and session.state is SessionState.PAID
            names = {payment.id} | ({session.id} if session and paid else set())
            yield names, _change(kind, payment, **_of(found))
        elif session and session.state is SessionState.PAID and session.amount_total != 0:
            names = {session.id, session.payment_intent or session.id}
            yield names, _change(kind, session, id_=session.payment_intent or "", **_of(found))


def _failed(before: Ledger, after: Ledger, now: Iterable[Purchase]) -> Iterator[Change]:
    kind = "payment.failed"
    for found in now:
        session, payment = found.session, found.payment
        if payment and _fell(before.others.get(payment.id), payment):
            yield _change(kind, payment, payment.at, **_of(found), failure=payment.failure)
        elif session and not payment and session.state is SessionState.FAILED:
            told = any(invoice.failures for invoice in found.invoices)
            if _was(before, session) is not SessionState.FAILED and not told:
                yield _change(kind, session, 1, id_=session.invoice or "", **_of(found))
    told_by_session = {
        session.invoice
        for session in before.sessions.values()
        if session.state is SessionState.FAILED
    }
    for invoice in after.invoices:
        known = before.others.get(invoice.id)
        failures = known.failures if isinstance(known, Invoice) else 0
        if invoice.state in _OVER or not invoice.subscription or invoice.failures <= failures:
            continue
        if invoice.failures > 1 or invoice.id not in told_by_session:
            yield _change(kind, invoice, invoice.failures, **_of_invoice(after, invoice))


def _fell(known: Known | None, payment: Payment) -> bool:
    before = known if isinstance(known, Payment) else None
    if payment.state is PaymentState.CANCELED:
        # Stripe also cancels what was never paid, when its session expires.
        return before is not None and before.state is PaymentState.PROCESSING
    if payment.state is not PaymentState.FAILED:
        return False
    if before is None or before.state is not PaymentState.FAILED:
        return True
    # Reading it again later tells of no other failure, and its session names no charge at all.
    if before.failed_charge or payment.failed_charge:
        charges = {before.failed_charge, payment.failed_charge}
        if len(charges) == 1 or None in charges:
            return False
    return payment.at - before.at > SAME_FAILURE_SECONDS


def _refunded(before: Ledger, after: Ledger) -> Iterator[Change]:
    for payment in after.payments:
        known = before.others.get(payment.id)
        refunded = known.refunded if isinstance(known, Payment) else 0
        if payment.refunded > refunded:
            yield _change(
                "payment.refunded",
                payment,
                f"{payment.refunded_at}:{payment.refunded}",
                payment_intent=payment.id,
                invoice=payment.invoice,
                amount=payment.refunded - refunded,
                currency=payment.currency,
                refunded=payment.refunded,
                full=payment.fully_refunded,
            )


def _disputed(before: Ledger, after: Ledger) -> Iterator[Change]:
    for dispute in after.disputes:
        known = before.others.get(dispute.id)
        if isinstance(known, Dispute) and known.state is dispute.state:
            continue
        yield _change(
            "payment.disputed",
            dispute,
            f"{dispute.state}:{dispute.at}",
            dispute=dispute.id,
            state=dispute.state.value,
            payment_intent=dispute.payment_intent,
            charge=dispute.charge,
            amount=dispute.amount,
            currency=dispute.currency,
            reason=dispute.reason,
        )


def _subscribed(before: Ledger, after: Ledger) -> Iterator[Change]:
    for one in after.subscriptions:
        known = before.others.get(one.id)
        was = known.state if isinstance(known, Subscription) else None
        data: dict[str, Any] = {
            "subscription": one.id,
            "state": one.state.value,
            "customer": one.customer,
            "prices": one.prices,
            "ends_at": one.ends_at,
            "trial_end": one.trial_end,
        }
        canceled = SubscriptionState.CANCELED
        if one.state in STARTED - {canceled} and was not in STARTED:
            yield _change("subscription.started", one, **data)
        elif one.state is canceled and was is not canceled:
            yield _change("subscription.ended", one, **data)


def _access(then: Iterable[Purchase], now: Iterable[Purchase]) -> Iterator[Change]:
    before = next(filter(gives_access, then), None)
    after = next(filter(gives_access, now), None)
    if (before is None) is (after is None):
        return
    kind = "access.granted" if after else "access.revoked"
    if found := after or before:
        about = _main(found)
        # Told by the later state alone: whoever finds the change again finds the same mark.
        yield _change(kind, about, _last_word(now, about.id), **_of(found))


def _main(found: Purchase) -> Known:
    about = found.subscription or found.payment or found.setup or found.session
    return about or (found.charged or found.disputes)[0]


def _last_word(now: Iterable[Purchase], id_: str) -> int:
    found = next((one for one in now if _main(one).id == id_), Purchase())
    parts = (found.subscription, found.payment, found.setup, *found.disputes)
    refunds = [payment.refunded_at for payment in found.charged]
    return max([part.at for part in parts if part] + refunds, default=0)


def _was(before: Ledger, session: Session) -> SessionState | None:
    known = before.sessions.get(session.id)
    return known.state if known else None


def _of(found: Purchase) -> dict[str, Any]:
    """Return what tells the receiver which purchase it is about."""
    session, payment, subscription = found.session, found.payment, found.subscription
    return {
        "session": session.id if session else None,
        "payment_intent": payment.id if payment else session and session.payment_intent,
        "subscription": subscription.id if subscription else session and session.subscription,
        "invoice": session.invoice if session else None,
        "customer": session.customer if session else None,
        "amount": payment.amount if payment else session and session.amount_total,
        "currency": payment.currency if payment else session and session.currency,
    }


def _of_invoice(ledger: Ledger, invoice: Invoice) -> dict[str, Any]:
    of_it = (one for one in ledger.sessions.values() if one.subscription == invoice.subscription)
    return {
        "session": next((session.id for session in of_it), None),
        "payment_intent": invoice.payment_intent,
        "subscription": invoice.subscription,
        "invoice": invoice.id,
        "customer": invoice.customer,
        "amount": invoice.amount,
        "currency": invoice.currency,
        "reason": invoice.reason,
    }
