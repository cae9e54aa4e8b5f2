"""Joining what was heard with what is known: the same in any order, any number of times.

Each part of an object is a register of its own with one rule of which word counts, so that joining
is commutative, associative and idempotent:

- a payment's state: what is final, else the newest; what was refunded: the newest, then the larger
- a subscription: what is final, else the newest second, and in it everything that was said
- an invoice: the highest state, for Stripe never takes one back
- a dispute: the newest, for a lost one may be appealed
- what never changes (which invoice, whose customer): whoever says it
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from linkgate.payments.objects import (
    ENDED,
    Dispute,
    DisputeState,
    Invoice,
    InvoiceState,
    Other,
    Payment,
    PaymentState,
    Setup,
    SetupState,
    Subscription,
    concluded,
)

_Any = TypeVar("_Any", Payment, Invoice, Dispute, Setup)

# Within one second the later word of the usual course counts.
_PAYMENT = tuple(PaymentState).index
_INVOICE = tuple(InvoiceState).index
_DISPUTE = tuple(DisputeState).index
_SETUP = tuple(SetupState).index


def joined(known: Other | None, heard: Other) -> Other:
    """Return what is known of an object after hearing `heard`.

    Raises TypeError if one id is said to be two kinds of things.
    """
    if known is None or known == heard:
        return heard
    if type(known) is not type(heard) or known.id != heard.id:
        raise TypeError(f"{heard.id} is not the same as {known.id}")
    join = cast(Callable[[Other, Other], Other], _JOIN[type(heard)])
    return join(known, heard)


def _payments(one: Payment, two: Payment) -> Payment:
    state = max(one, two, key=_payment_weight)
    refund = max(one, two, key=lambda p: (p.refunded_at, p.refunded, p.fully_refunded))
    return replace(
        state,
        refunded=refund.refunded,
        refunded_at=refund.refunded_at,
        fully_refunded=refund.fully_refunded,
        amount=_said(one, two, "amount") if state.amount is None else state.amount,
        attempt=max(one.attempt, two.attempt),
        processing_at=max(one.processing_at, two.processing_at),
        **_constants(one, two, "currency", "charge", "invoice", "account"),
        livemode=one.livemode or two.livemode,
    )


def _payment_weight(payment: Payment) -> tuple[bool, int, int, int, str, str]:
    # Nothing follows these two: a card's decline that is told late stays behind a success.
    final = payment.state in (PaymentState.SUCCEEDED, PaymentState.CANCELED)
    amount = -1 if payment.amount is None else payment.amount
    words = payment.failure or "", payment.failed_charge or ""
    return final, payment.at, _PAYMENT(payment.state), amount, *words


def _subscriptions(one: Subscription, two: Subscription) -> Subscription:
    older, newer = sorted((one, two), key=_second)
    said = set(newer.said)
    if _second(older) == _second(newer):
        said |= set(older.said)
    customer, account = (_said(one, two, name) for name in ("customer", "account"))
    return concluded(
        one.id,
        newer.at,
        frozenset(said),
        customer=customer,
        account=account,
        livemode=one.livemode or two.livemode,
    )


def _second(subscription: Subscription) -> tuple[bool, int]:
    return subscription.state in ENDED, subscription.at


def _invoices(one: Invoice, two: Invoice) -> Invoice:
    state = max(one, two, key=_invoice_weight)
    return replace(
        state,
        amount=_said(one, two, "amount") if state.amount is None else state.amount,
        failures=max(one.failures, two.failures),
        **_constants(
            one, two, "subscription", "customer", "currency", "reason", "payment_intent", "account"
        ),
        livemode=one.livemode or two.livemode,
    )


def _invoice_weight(invoice: Invoice) -> tuple[int, int, int]:
    amount = -1 if invoice.amount is None else invoice.amount
    return _INVOICE(invoice.state), invoice.at, amount


def _disputes(one: Dispute, two: Dispute) -> Dispute:
    newer = max(one, two, key=lambda d: (d.at, _DISPUTE(d.state), d.amount or 0))
    return replace(
        newer,
        **_constants(one, two, "payment_intent", "charge", "currency", "reason", "account"),
        livemode=one.livemode or two.livemode,
    )


def _setups(one: Setup, two: Setup) -> Setup:
    return replace(
        max(one, two, key=lambda s: (_SETUP(s.state), s.at)),
        attempt=max(one.attempt, two.attempt),
        **_constants(one, two, "customer", "account"),
        livemode=one.livemode or two.livemode,
    )


def _constants(one: Other, two: Other, *names: str) -> dict[str, Any]:
    return {name: _said(one, two, name) for name in names}


def _said(one: Other, two: Other, name: str) -> Any:
    # Both the same, or one is silent. Should they differ all the same, the answer doesn't depend
    # on who spoke first.
    said = [getattr(other, name) for other in (one, two) if getattr(other, name) is not None]
    return max(said, default=None)


_JOIN: dict[type[Other], Any] = {
    Payment: _payments,
    Subscription: _subscriptions,
    Invoice: _invoices,
    Dispute: _disputes,
    Setup: _setups,
}
