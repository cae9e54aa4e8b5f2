"""Reading Stripe's objects, in the shape of any version of its API since 2022.

What stands elsewhere in newer versions (see https://docs.stripe.com/changelog):

- 2022-08-01: a payment intent is made when a session completes, not when it is made; 2022-11-15: a
  payment intent has `latest_charge` in place of a list of `charges`
- 2025-03-31: an invoice names its subscription, and has the subscription's metadata, under
  `parent.subscription_details`, no longer at its top; it and its payment intent name each other no
  more (an `invoice_payment` does); a subscription's periods are those of its items

Another object may be spelt out in place of its id ("expanded"): it is read, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from linkgate.payments.billing import invoice, invoice_payment, subscription
from linkgate.payments.ledger import Known
from linkgate.payments.objects import (
    Dispute,
    DisputeState,
    Payment,
    PaymentState,
    Setup,
    SetupState,
)
from linkgate.payments.sessions import Session, SessionState, attempt_of, read_session
from linkgate.payments.source import Read, Source
from linkgate.payments.values import (
    Object,
    flag,
    identity,
    listed,
    mapping,
    text,
    text_or_none,
    whole,
    whole_or_none,
)


def read_object(data: Any, at: int, *, account: str | None = None) -> tuple[Known, ...]:
    """Return what an object that Stripe's API showed tells.

    `at` is Stripe's clock when it was ASKED for, in whole seconds: what happened while the answer
    was on its way then counts as newer. Of an `invoice_payment` it returns the invoice, as far as
    it is known. Raises LookupError, TypeError or ValueError for what is no such object.
    """
    return read_known(data, Source(at, account))


def read_known(data: Any, source: Source) -> tuple[Known, ...]:
    """Return what an object tells, and the objects that are spelt out in it."""
    name = mapping(data)["object"]
    if not isinstance(name, str) or name not in _READERS:
        raise ValueError("an object of a kind that says nothing of payments")
    known, inner = _READERS[name](data, source)
    for value in inner:
        if isinstance(value, Mapping):
            known += read_known(value, source)
    return known


def _session(data: Object, source: Source) -> Read:
    session = read_session(data, account=source.account)
    intent = data.get("payment_intent")
    inner = intent, *(data.get(name) for name in ("setup_intent", "subscription", "invoice"))
    failed = source.event == "checkout.session.async_payment_failed"
    if session.state is SessionState.PENDING and isinstance(intent, Mapping):
        # Only this tells an asynchronous payment that failed from one that is on its way.
        failed = _intent_state(intent, source) in (PaymentState.FAILED, PaymentState.CANCELED)
    if failed:
        session = replace(session, state=SessionState.FAILED)
    told = () if isinstance(intent, Mapping) else _told_of_payment(session, source)
    return (session, *told), inner


def _told_of_payment(session: Session, source: Source) -> tuple[Known, ...]:
    # A decline on the checkout page is over once the session is complete.
    state = {
        SessionState.PENDING: PaymentState.PROCESSING,
        SessionState.FAILED: PaymentState.FAILED,
        SessionState.PAID: PaymentState.SUCCEEDED,
    }.get(session.state)
    if session.payment_intent is None or state is None:
        return ()
    return (
        Payment(
            id=session.payment_intent,
            at=source.at,
            account=source.account,
            livemode=session.livemode,
            state=state,
            amount=session.amount_total,
            currency=session.currency,
            attempt=session.attempt,
            processing_at=source.at if state is PaymentState.PROCESSING else 0,
        ),
    )


def _payment_intent(data: Object, source: Source) -> Read:
    charges = list(listed(data.get("charges")))
    latest = data.get("latest_charge") or (charges[0] if charges else None)
    state = _intent_state(data, source)
    succeeded = state is PaymentState.SUCCEEDED
    amount = data.get("amount_received") if succeeded else None
    payment = Payment(
        id=text(data["id"]),
        at=source.at,
        account=source.account,
        livemode=flag(data.get("livemode")),
        state=state,
        amount=whole(amount or data["amount"]),
        currency=text_or_none(data.get("currency")),
        failure=_failure(data) if state is PaymentState.FAILED else None,
        attempt=attempt_of(data),
        processing_at=source.at if state is PaymentState.PROCESSING else 0,
        charge=identity(latest) if succeeded else None,
        failed_charge=identity(latest) if state is PaymentState.FAILED else None,
        invoice=identity(data.get("invoice")),
    )
    return (payment,), (latest, data.get("invoice"))


def _intent_state(data: Object, source: Source) -> PaymentState:
    status = text(data["status"])
    declined = status == "requires_payment_method" and data.get("last_payment_error")
    if declined or source.event == "payment_intent.payment_failed":
        return PaymentState.FAILED
    return {
        "processing": PaymentState.PROCESSING,
        "requires_capture": PaymentState.PROCESSING,
        "canceled": PaymentState.CANCELED,
        "succeeded": PaymentState.SUCCEEDED,
    }.get(status, PaymentState.OPEN)


def _failure(data: Object) -> str | None:
    error = mapping(data.get("last_payment_error"))
    return text_or_none(error.get("decline_code") or error.get("code"))


def _charge(data: Object, source: Source) -> Read:
    intent = identity(data.get("payment_intent"))
    inner = (data.get("invoice"),)
    back = whole(data.get("amount_refunded") or 0)
    paid = text(data["status"]) == "succeeded" and flag(data.get("captured"))
    # Without a payment intent it isn't Checkout's. And what is only held on a card says nothing
    # until it is let go, which Stripe calls a refund, too.
    if intent is None or not (paid or back):
        return (), inner
    payment = Payment(
        id=intent,
        at=source.at,
        account=source.account,
        livemode=flag(data.get("livemode")),
        state=PaymentState.SUCCEEDED if paid else PaymentState.CANCELED,
        amount=whole(data.get("amount_captured") or data["amount"]),
        currency=text_or_none(data.get("currency")),
        attempt=attempt_of(data),
        charge=text(data["id"]) if paid else None,
        invoice=identity(data.get("invoice")),
        refunded=back if paid else 0,
        refunded_at=source.at if paid else 0,
        fully_refunded=paid and flag(data.get("refunded")),
    )
    return (payment,), inner


def _dispute(data: Object, source: Source) -> Read:
    state = {
        "won": DisputeState.WON,
        "lost": DisputeState.LOST,
        "warning_closed": DisputeState.CLOSED,
        "prevented": DisputeState.CLOSED,
    }.get(text(data["status"]), DisputeState.OPEN)
    dispute = Dispute(
        id=text(data["id"]),
        at=source.at,
        account=source.account,
        livemode=flag(data.get("livemode")),
        state=state,
        payment_intent=identity(data.get("payment_intent")),
        charge=identity(data.get("charge")),
        amount=whole_or_none(data.get("amount")),
        currency=text_or_none(data.get("currency")),
        reason=text_or_none(data.get("reason")),
    )
    return (dispute,), (data.get("charge"), data.get("payment_intent"))


def _setup_intent(data: Object, source: Source) -> Read:
    state = {"succeeded": SetupState.SUCCEEDED, "canceled": SetupState.CANCELED}
    setup = Setup(
        id=text(data["id"]),
        at=source.at,
        account=source.account,
        livemode=flag(data.get("livemode")),
        state=state.get(text(data["status"]), SetupState.OPEN),
        customer=identity(data.get("customer")),
        attempt=attempt_of(data),
    )
    return (setup,), ()


_READERS: dict[str, Callable[[Object, Source], Read]] = {
    "checkout.session": _session,
    "payment_intent": _payment_intent,
    "charge": _charge,
    "subscription": subscription,
    "invoice": invoice,
    "invoice_payment": invoice_payment,
    "dispute": _dispute,
    "setup_intent": _setup_intent,
}
