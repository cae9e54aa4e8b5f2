"""Subscriptions: begun by a Checkout Session, ended by a person, by the shop or by no money."""

from typing import Any

from stripe.params import (
    SubscriptionCancelParams,
    SubscriptionListParams,
    SubscriptionRetrieveParams,
)

from linkgate.sandbox.errors import no_such
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page, within
from linkgate.sandbox.world import NO_REQUEST, Cart, Cause, Object, World

# Average lengths are enough here; nobody is billed.
SECONDS = {"day": 86_400, "week": 604_800, "month": 2_592_000, "year": 31_536_000}
OVER = ("canceled", "incomplete_expired")


def add_subscription(world: World, session: Object, cart: Cart) -> Object:
    """A running subscription on the cart's recurring prices; in trial where one was asked for."""
    now, given = world.now(), cart.subscription_data
    subscription_id = world.new_id("sub_")
    trial_end = given.get("trial_end")
    if "trial_period_days" in given:
        trial_end = now + given["trial_period_days"] * 86_400
    items = [
        _subscription_item(world, subscription_id, item, now, trial_end)
        for item in cart.items
        if item["price"]["recurring"]
    ]
    return world.put(
        {
            "id": subscription_id,
            "object": "subscription",
            "automatic_tax": {"enabled": False, "liability": None, "disabled_reason": None},
            "billing_cycle_anchor": trial_end or now,
            "billing_mode": given.get("billing_mode") or {"type": "flexible"},
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "cancellation_details": {"comment": None, "feedback": None, "reason": None},
            "collection_method": "charge_automatically",
            "created": now,
            "currency": session["currency"],
            "customer": session["customer"],
            "default_payment_method": world.new_id("pm_"),
            "description": given.get("description"),
            "discounts": [],
            "ended_at": None,
            "items": {
                "object": "list",
                "data": items,
                "has_more": False,
                "url": f"/v1/subscription_items?subscription={subscription_id}",
            },
            "latest_invoice": None,
            "livemode": False,
            "metadata": given.get("metadata") or {},
            "pause_collection": None,
            "pending_setup_intent": None,
            "schedule": None,
            "start_date": now,
            "status": "trialing" if trial_end else "active",
            "test_clock": None,
            "trial_end": trial_end,
            "trial_start": now if trial_end else None,
        }
    )


def _subscription_item(
    world: World, subscription_id: str, item: Object, now: int, trial_end: int | None
) -> Object:
    return {
        "id": world.new_id("si_", 14),
        "object": "subscription_item",
        "created": now,
        "current_period_end": trial_end or now + length_of(item),
        "current_period_start": now,
        "discounts": [],
        "metadata": item["metadata"],
        "price": item["price"],
        "quantity": item["quantity"],
        "subscription": subscription_id,
        "tax_rates": [],
    }


def period(subscription: Object) -> tuple[int, int]:
    """When the current period began and when it ends (Unix s)."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def length_of(item: Object) -> int:
    """The seconds that one period of an item lasts."""
    recurring = item["price"]["recurring"]
    return int(SECONDS[recurring["interval"]] * recurring["interval_count"])


def cancel(
    world: World, subscription: Object, cause: Cause = NO_REQUEST, details: Any = None
) -> None:
    """End a subscription now; for one that is over, raises ApiError as if there were none."""
    if subscription["status"] in OVER:
        # https://docs.stripe.com/api/subscriptions/cancel: a canceled one isn't found any more.
        raise no_such("subscription", subscription["id"], "id", status=404)
    now = world.now()
    subscription |= {
        "status": "canceled",
        "canceled_at": subscription["canceled_at"] or now,
        "ended_at": now,
        "cancel_at_period_end": False,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": "cancellation_requested",
            **(details or {}),
        },
    }
    world.emit("customer.subscription.deleted", subscription, cause)


def retrieve(call: Call) -> Object:
    return fetch(call, "subscription", "id")


def cancel_by_api(call: Call) -> Object:
    subscription = fetch(call, "subscription", "id")
    cancel(call.world, subscription, call.cause, call.params.get("cancellation_details"))
    return subscription


def list_subscriptions(call: Call) -> Object:
    params = call.params
    return page(
        call,
        "/v1/subscriptions",
        [each for each in call.world.every("subscription") if _wanted(each, params)],
    )


def _wanted(subscription: Object, params: dict[str, Any]) -> bool:
    begins, ends = period(subscription)
    return (
        _has_status(subscription["status"], params.get("status"))
        and params.get("customer") in (None, subscription["customer"])
        and params.get("collection_method") in (None, subscription["collection_method"])
        and ("price" not in params or params["price"] in prices_of(subscription))
        and ("plan" not in params or params["plan"] in prices_of(subscription))
        and within(begins, params.get("current_period_start"))
        and within(ends, params.get("current_period_end"))
    )


def prices_of(subscription: Object) -> list[str]:
    return [item["price"]["id"] for item in subscription["items"]["data"]]


def _has_status(status: str, wanted: str | None) -> bool:
    """Without a wish, all that have not been canceled; `ended` are all that are over."""
    if wanted is None:
        return status != "canceled"
    if wanted == "ended":
        return status in OVER
    return wanted in ("all", status)


OPERATIONS = (
    Operation("GET", "/v1/subscriptions", SubscriptionListParams, list_subscriptions, check_page),
    Operation("GET", "/v1/subscriptions/{id}", SubscriptionRetrieveParams, retrieve),
    Operation("DELETE", "/v1/subscriptions/{id}", SubscriptionCancelParams, cancel_by_api),
)
