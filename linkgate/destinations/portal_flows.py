"""Where in the billing portal people begin: flow_data, its rules, and what is filled in.

Source: https://docs.stripe.com/api/customer_portal/sessions/create and
https://docs.stripe.com/customer-management/portal-deep-links.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from linkgate.destinations.checkout_items import shape
from linkgate.errors import Problem
from linkgate.validation import Model, WebAddress

#: Stand for the customer's one subscription, and for its one item.
SUBSCRIPTION: Final = "{subscription}"
ITEM: Final = "{subscription_item}"

#: Flows about a subscription; each has an object of its own name.
OF_SUBSCRIPTION: Final = (
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
)
#: Subscriptions that can still be changed: https://docs.stripe.com/billing/subscriptions/overview.
_ALIVE: Final = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})

Id = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class HostedConfirmation(Model):
    """A page of Stripe's that says it is done."""

    custom_message: Annotated[str, StringConstraints(max_length=500)] | None = None


class Redirect(Model):
    """A way back at once."""

    return_url: WebAddress


class AfterCompletion(Model):
    """What comes when the flow is through."""

    type: Literal["hosted_confirmation", "portal_homepage", "redirect"]
    hosted_confirmation: HostedConfirmation | None = None
    redirect: Redirect | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.redirect is not None) != (self.type == "redirect"):
            raise ValueError('redirect goes with type "redirect", and the type with it')
        if self.hosted_confirmation is not None and self.type != "hosted_confirmation":
            raise ValueError('hosted_confirmation goes with type "hosted_confirmation"')
        return self


class CouponOffer(Model):
    """A coupon for those who stay."""

    coupon: Id


class Retention(Model):
    """What is offered to those who want to leave."""

    type: Literal["coupon_offer"]
    coupon_offer: CouponOffer


class Pause(Model):
    """Which subscription is paused."""

    subscription: Id = SUBSCRIPTION


class Update(Model):
    """Which subscription is changed."""

    subscription: Id = SUBSCRIPTION


class Cancel(Model):
    """Which subscription is cancelled."""

    subscription: Id = SUBSCRIPTION
    retention: Retention | None = None


class NewItem(Model):
    """What an item of the subscription becomes."""

    id: Id = ITEM
    price: Id | None = None
    quantity: Annotated[int, Field(ge=0, le=999_999)] | None = None


class Discount(Model):
    """A coupon or a promotion code."""

    coupon: Id | None = None
    promotion_code: Id | None = None


class UpdateConfirm(Model):
    """The change that is only left to confirm."""

    subscription: Id = SUBSCRIPTION
    items: Annotated[tuple[NewItem, ...], Field(min_length=1, max_length=1)]
    discounts: Annotated[tuple[Discount, ...], Field(max_length=1)] | None = None


class FlowData(Model):
    """Where in the portal people begin."""

    type: Literal[
        "customer_update",
        "payment_method_update",
        "subscription_cancel",
        "subscription_pause",
        "subscription_update",
        "subscription_update_confirm",
    ]
    after_completion: AfterCompletion | None = None
    subscription_cancel: Cancel | None = None
    subscription_pause: Pause | None = None
    subscription_update: Update | None = None
    subscription_update_confirm: UpdateConfirm | None = None

    @model_validator(mode="after")
    def _own_object(self) -> Self:
        for name in OF_SUBSCRIPTION:
            if getattr(self, name) is not None and name != self.type:
                raise ValueError(f"{name} goes with type {name} alone")
        if self.type == "subscription_update_confirm" and self.subscription_update_confirm is None:
            raise ValueError("subscription_update_confirm is required: say what is to change")
        return self


def problems(flow: Mapping[str, Any] | None) -> Iterator[Problem]:
    """Yield what Stripe is certain to refuse of it."""
    yield from shape(FlowData, flow, "flow_data")


def needs_subscription(flow: Mapping[str, Any]) -> bool:
    """Whether something of the customer's subscription has to be filled in."""
    text = repr(_whole(flow))
    return SUBSCRIPTION in text or ITEM in text


def filled(
    flow: Mapping[str, Any], subscriptions: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return the flow for the customer's one subscription; None if it isn't clear which one."""
    alive = [each for each in subscriptions if each.get("status") in _ALIVE]
    if flow.get("type") == "subscription_cancel":
        # Stripe refuses to cancel what is to be cancelled already.
        alive = [e for e in alive if not (e.get("cancel_at") or e.get("cancel_at_period_end"))]
    if len(alive) != 1:
        return None
    [subscription] = alive
    known = {SUBSCRIPTION: str(subscription["id"])}
    items = (subscription.get("items") or {}).get("data") or []
    if len(items) == 1:
        known[ITEM] = str(items[0]["id"])
    replaced = _replaced(_whole(flow), known)
    return None if ITEM in repr(replaced) else replaced


def _whole(flow: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flow with what may be left out: which subscription, and which item."""
    whole, name = dict(flow), flow.get("type")
    if name not in OF_SUBSCRIPTION:
        return whole
    whole[name] = {"subscription": SUBSCRIPTION, **(whole.get(name) or {})}
    if "items" in whole[name]:
        whole[name]["items"] = [{"id": ITEM, **item} for item in whole[name]["items"]]
    return whole


def _replaced(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _replaced(inner, known) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(inner, known) for inner in value]
    return known.get(value, value) if isinstance(value, str) else value
