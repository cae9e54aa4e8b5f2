"""Reading subscriptions and invoices."""

from enum import StrEnum
from typing import Any, TypeVar

from linkgate.payments.objects import (
    Invoice,
    InvoiceState,
    Said,
    SubscriptionState,
    concluded,
)
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

_State = TypeVar("_State", bound=StrEnum)


def subscription(data: Object, source: Source) -> Read:
    inner = (data.get("latest_invoice"),)
    state = _state(SubscriptionState, data["status"])
    if state is None:
        return (), inner
    if source.event == "customer.subscription.deleted":
        state = SubscriptionState.CANCELED
    items = list(listed(data.get("items")))
    prices = (identity(item.get("price") or item.get("plan")) for item in items)
    before = mapping(source.previous).get("status")
    said = Said(
        state=state,
        created=source.event == "customer.subscription.created",
        before=None if before is None else _state(SubscriptionState, before),
        prices=tuple(price for price in prices if price),
        ends_at=_ends_at(data, items),
        trial_end=whole_or_none(data.get("trial_end")),
    )
    read = concluded(
        text(data["id"]),
        source.at,
        frozenset({said}),
        customer=identity(data.get("customer")),
        account=source.account,
        livemode=flag(data.get("livemode")),
    )
    return (read,), inner


def _ends_at(data: Object, items: list[Object]) -> int | None:
    period_ends = [item.get("current_period_end") for item in (data, *items)]
    if not flag(data.get("cancel_at_period_end")):
        period_ends = []
    for end in (data.get("ended_at"), data.get("cancel_at"), *period_ends):
        if end is not None:
            return whole(end)
    return None


def invoice(data: Object, source: Source) -> Read:
    parent = mapping(mapping(data.get("parent")).get("subscription_details"))
    subscription = data.get("subscription") or parent.get("subscription")
    intent = data.get("payment_intent")
    for paid_by in listed(data.get("payments")):
        intent = intent or mapping(paid_by.get("payment")).get("payment_intent")
    inner = subscription, intent
    state = _state(InvoiceState, data.get("status") or InvoiceState.DRAFT)
    if state is None:
        return (), inner
    amount = data.get("amount_paid" if state is InvoiceState.PAID else "amount_due")
    failed = source.event == "invoice.payment_failed"
    read = Invoice(
        id=text(data["id"]),
        at=source.at,
        account=source.account,
        livemode=flag(data.get("livemode")),
        state=state,
        subscription=identity(subscription),
        customer=identity(data.get("customer")),
        amount=whole_or_none(amount),
        currency=text_or_none(data.get("currency")),
        reason=text_or_none(data.get("billing_reason")),
        payment_intent=identity(intent),
        failures=max(1, whole(data.get("attempt_count") or 0)) if failed else 0,
    )
    return (read,), inner


def invoice_payment(data: Object, source: Source) -> Read:
    intent = mapping(data.get("payment")).get("payment_intent")
    read = Invoice(
        id=text(identity(data["invoice"])),
        at=0,
        account=source.account,
        livemode=flag(data.get("livemode")),
        state=InvoiceState.DRAFT,
        payment_intent=identity(intent),
    )
    return (read,), (data["invoice"], intent)


def _state(states: type[_State], status: Any) -> _State | None:
    # A word that Stripe will think of later changes nothing; its webhooks are not refused for it.
    return next((state for state in states if state.value == text(status)), None)
