"""What Stripe has besides sessions: payments, subscriptions, invoices, disputes, set-ups.

Each is what is known of one object by now, under its Stripe id. They are kept as JSON with a tag:
fields are only ever added, each with a default, and what a newer version added is passed over.
Times are in Unix seconds on Stripe's clock, amounts in the currency's minor unit.
"""

from enum import StrEnum
from typing import Any

import msgspec


class PaymentState(StrEnum):
    """Where a payment intent stands. https://docs.stripe.com/payments/paymentintents/lifecycle"""

    #: Nothing was tried, or the customer has something to do.
    OPEN = "open"
    #: On its way: an asynchronous method, or held on the card and not taken yet.
    PROCESSING = "processing"
    #: The last try failed; the same payment intent may still succeed.
    FAILED = "failed"
    CANCELED = "canceled"
    SUCCEEDED = "succeeded"


class SubscriptionState(StrEnum):
    """Stripe's own words. https://docs.stripe.com/billing/subscriptions/overview"""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


class InvoiceState(StrEnum):
    """Stripe's own words. https://docs.stripe.com/invoicing/integration/workflow-transitions"""

    #: Also where nothing but the invoice's id is known.
    DRAFT = "draft"
    OPEN = "open"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"
    PAID = "paid"


class DisputeState(StrEnum):
    """How a dispute stands, told by who has the money."""

    #: To be answered, being looked into, or only an inquiry yet.
    OPEN = "open"
    #: An inquiry that came to nothing, or a dispute prevented by a refund (which tells itself).
    CLOSED = "closed"
    WON = "won"
    LOST = "lost"


class SetupState(StrEnum):
    """Where a setup intent stands."""

    OPEN = "open"
    CANCELED = "canceled"
    SUCCEEDED = "succeeded"


class _Kept(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    id: str
    #: When Stripe said what stands here.
    at: int
    #: The connected account, for Connect.
    account: str | None = None
    livemode: bool = False


class Payment(_Kept, frozen=True, kw_only=True, tag="payment"):
    """A payment intent, with what became of its charge."""

    state: PaymentState
    amount: int | None = None
    currency: str | None = None
    #: Why it failed, in Stripe's word for it ("card_declined", "insufficient_funds").
    failure: str | None = None
    #: Which attempt of the link it belongs to; 0 for a subscription's and for what doesn't say.
    attempt: int = 0
    #: When it was last known to be on its way; 0 if it never was.
    processing_at: int = 0
    #: The charge that succeeded.
    charge: str | None = None
    #: The charge that failed, where Stripe says it: by it one failure is told from another.
    failed_charge: str | None = None
    #: The invoice that it pays, where Stripe says it (API versions until 2025-03-31).
    invoice: str | None = None
    #: What was given back, in all; a refund that fails takes it down again.
    refunded: int = 0
    refunded_at: int = 0
    fully_refunded: bool = False


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was said of a subscription; `Subscription.said` has those of one second."""

    state: SubscriptionState
    #: Whether the event was the one of its creation, which comes before all the others.
    created: bool = False
    #: What the state was until this very event, if the event changed it.
    before: SubscriptionState | None = None
    prices: tuple[str, ...] = ()
    ends_at: int | None = None
    trial_end: int | None = None


class Subscription(_Kept, frozen=True, kw_only=True, tag="subscription"):
    """A subscription. `said` is what is known; the rest is what follows from it (`concluded`)."""

    said: tuple[Said, ...]
    customer: str | None = None
    state: SubscriptionState
    prices: tuple[str, ...] = ()
    #: When it ends or has ended; None if it goes on.
    ends_at: int | None = None
    trial_end: int | None = None
    #: Whether what was said in its last second can't be put in order: Stripe has to be asked.
    unsure: bool = False


class Invoice(_Kept, frozen=True, kw_only=True, tag="invoice"):
    """An invoice, of a subscription mostly."""

    state: InvoiceState
    subscription: str | None = None
    customer: str | None = None
    #: What was paid once it is paid, what is due before.
    amount: int | None = None
    currency: str | None = None
    #: Stripe's billing_reason: subscription_create is the first, subscription_cycle a renewal.
    reason: str | None = None
    payment_intent: str | None = None
    #: How many tries to collect it are known to have failed.
    failures: int = 0


class Dispute(_Kept, frozen=True, kw_only=True, tag="dispute"):
    """A dispute about one charge, or an inquiry that may become one."""

    state: DisputeState
    payment_intent: str | None = None
    charge: str | None = None
    amount: int | None = None
    currency: str | None = None
    reason: str | None = None


class Setup(_Kept, frozen=True, kw_only=True, tag="setup"):
    """A setup intent: a payment method kept for later."""

    state: SetupState
    customer: str | None = None
    attempt: int = 0


Other = Payment | Subscription | Invoice | Dispute | Setup

_OTHER: msgspec.json.Decoder[Other] = msgspec.json.Decoder(Other)

_ORDER = tuple(SubscriptionState)

#: Nothing follows these two. https://docs.stripe.com/billing/subscriptions/overview
ENDED = frozenset({SubscriptionState.CANCELED, SubscriptionState.INCOMPLETE_EXPIRED})


def load_other(text: str | bytes) -> Other:
    """Return an object from its stored JSON; raises msgspec.MsgspecError for what is none."""
    return _OTHER.decode(text)


def dump_other(other: Other) -> str:
    """Return an object's stored JSON; the same for the same knowledge."""
    return msgspec.json.encode(other).decode()


def guessed(subscription: Subscription) -> Subscription:
    """Return an unsure subscription with what was guessed of it as its last word.

    For one that Stripe no longer knows: nobody can say it better.
    """
    said = Said(
        state=subscription.state,
        prices=subscription.prices,
        ends_at=subscription.ends_at,
        trial_end=subscription.trial_end,
    )
    return concluded(
        subscription.id,
        subscription.at + 1,
        frozenset({said}),
        customer=subscription.customer,
        account=subscription.account,
        livemode=subscription.livemode,
    )


def concluded(id_: str, at: int, said: frozenset[Said], **constant: Any) -> Subscription:
    """Return the subscription of which this was said in one second, in whatever order.

    An event that changed the state tells what it was before, and so puts itself after that. If
    one state is left that nothing came after, it is the last; otherwise the answer is a guess and
    `unsure`.
    """
    later = [one for one in said if not one.created] or list(said)
    left = {one.before for one in said if one.before is not None and one.before is not one.state}
    last = {one.state for one in later} - left
    state = max(last or {one.state for one in later}, key=_ORDER.index)
    told = sorted((one for one in later if one.state is state), key=repr)
    contents = {(one.prices, one.ends_at, one.trial_end) for one in told}
    return Subscription(
        id=id_,
        at=at,
        said=tuple(sorted(said, key=repr)),
        state=state,
        prices=told[-1].prices,
        ends_at=told[-1].ends_at,
        trial_end=told[-1].trial_end,
        unsure=len(last) != 1 or len(contents) > 1,
        **constant,
    )
