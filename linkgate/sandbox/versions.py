"""Objects as older versions of the API show them.

Stripe renders an event in the version of the endpoint that it goes to, and an answer in the version
that the request names. Here everything is kept in the newest shape, and what moved on 2025-03-31
(https://docs.stripe.com/changelog/basil) is put back for whoever asks in an older version: an
invoice's subscription, charge and payment intent, their invoice, and a subscription's period.
"""

import copy
from typing import Any

from linkgate.sandbox.nouns.invoices import payments_of
from linkgate.sandbox.nouns.subscriptions import prices_of
from linkgate.sandbox.world import Object, World

MOVED = "2025-03-31"
PERIOD = ("current_period_start", "current_period_end")


def is_old(version: str) -> bool:
    return version[: len(MOVED)] < MOVED


def event_for(world: World, event: Object, version: str | None) -> Object:
    """An event as an endpoint gets it that wants a version (None: the event's own)."""
    addressed = {**event, "api_version": version or event["api_version"]}
    return answer(world, addressed, "")


def answer(world: World, body: Object, version: str) -> Object:
    """An answer in a version (empty: the newest); events keep to their own."""
    things = body["data"] if body["object"] == "list" else [body]
    if not any(_is_asked_old(each, version) for each in things):
        return body
    rendered: Object = _render(world, body, version)
    return rendered


def _is_asked_old(thing: Object, version: str) -> bool:
    asked = thing["api_version"] if thing["object"] == "event" else version
    return bool(asked) and is_old(asked)


def _render(world: World, thing: Any, version: str) -> Any:
    if isinstance(thing, list):
        return [_render(world, each, version) for each in thing]
    if not isinstance(thing, dict):
        return copy.copy(thing)
    if thing.get("object") == "event":
        version = thing["api_version"]
    inner = {key: _render(world, value, version) for key, value in thing.items()}
    if version and is_old(version):
        if thing.get("object") == "event" and "previous_attributes" in thing["data"]:
            _with_period(inner["data"]["previous_attributes"])
        change = CHANGES.get(str(thing.get("object")))
        if change:
            change(world, inner)
    return inner


def _invoice(world: World, invoice: Object) -> None:
    details = (invoice.pop("parent") or {}).get("subscription_details") or {}
    intents = [each["payment"]["payment_intent"] for each in payments_of(world, invoice)]
    intent = world.get("payment_intent", intents[0]) if intents else None
    invoice |= {
        "subscription": details.get("subscription"),
        "subscription_details": {"metadata": details.get("metadata")},
        "payment_intent": intent["id"] if intent else None,
        "charge": intent["latest_charge"] if intent else None,
        "paid": invoice["status"] == "paid",
    }


def _line(world: World, line: Object) -> None:
    details = (line.pop("parent") or {}).get("subscription_item_details") or {}
    price = (line.pop("pricing") or {}).get("price_details", {}).get("price")
    line |= {
        "type": "subscription",
        "price": copy.deepcopy(world.get("price", price or "")),
        "proration": details.get("proration", False),
        "subscription": details.get("subscription"),
        "subscription_item": details.get("subscription_item"),
    }


def _charge(world: World, charge: Object) -> None:
    charge["invoice"] = world.invoice_of.get(charge["payment_intent"])


def _intent(world: World, intent: Object) -> None:
    intent["invoice"] = world.invoice_of.get(intent["id"])


def _subscription(world: World, subscription: Object) -> None:
    _with_period(subscription)
    prices = prices_of(subscription)
    subscription["plan"] = {"id": prices[0], "object": "plan"} if len(prices) == 1 else None
    subscription["discount"] = None
    for item in subscription["items"]["data"]:
        for name in PERIOD:
            item.pop(name)


def _with_period(subscription: Object) -> None:
    """Tell the period beside the items instead of on each."""
    items = subscription.get("items", {}).get("data") or []
    if items:
        subscription |= {name: items[0][name] for name in PERIOD if name in items[0]}


CHANGES: dict[str, Any] = {
    "invoice": _invoice,
    "line_item": _line,
    "charge": _charge,
    "payment_intent": _intent,
    "subscription": _subscription,
}
