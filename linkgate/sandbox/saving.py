"""What Checkout may save on a customer that it was given, and what it can't do without.

Source: https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-customer_update,
https://docs.stripe.com/tax/checkout and https://docs.stripe.com/tax/checkout/tax-ids.
"""

from typing import Any

from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.world import Object, World

# What the sandbox's person enters where Checkout asks for an address.
ADDRESS: Object = {
    "city": "Berlin",
    "country": "DE",
    "line1": "Musterstraße 1",
    "line2": None,
    "postal_code": "10115",
    "state": None,
}


def check_saving(params: dict[str, Any], customer: Object | None) -> None:
    """Refuse what needs more of an existing customer than it has, and may not save it."""
    update = params.get("customer_update", {})
    if update.get("shipping") == "auto" and "shipping_address_collection" not in params:
        raise ApiError(
            "`customer_update[shipping]` can only be `auto` when shipping addresses are collected "
            "by `shipping_address_collection`.",
            param="customer_update[shipping]",
        )
    if customer is None:
        return
    known = bool((customer["address"] or {}).get("country"))
    saved = update.get("address") == "auto"
    if params.get("automatic_tax", {}).get("enabled") and not (
        known or saved or update.get("shipping") == "auto"
    ):
        raise ApiError(
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add "
            "a valid address to the Customer or set either `customer_update[address]` to 'auto' "
            "or `customer_update[shipping]` to 'auto' to save the address entered in Checkout to "
            "the Customer.",
            code="customer_tax_location_invalid",
        )
    if not params.get("tax_id_collection", {}).get("enabled"):
        return
    if update.get("name") != "auto":
        raise ApiError(
            "Tax ID collection requires updating business name on the customer. To enable tax ID "
            "collection for an existing customer, please set `customer_update[name]` to `auto`.",
            param="customer_update[name]",
        )
    if not (known or saved):
        raise ApiError(
            "We could not find a valid address on the provided customer. To enable tax ID "
            "collection, please set customer_update[address] to auto.",
            param="customer_update[address]",
        )


def automatic_tax(params: dict[str, Any]) -> Object:
    """A new session's `automatic_tax`; the sandbox works out that no tax is due."""
    given = params.get("automatic_tax") or {}
    enabled = bool(given.get("enabled"))
    return {
        "enabled": enabled,
        "liability": given.get("liability") or ({"type": "self"} if enabled else None),
        "provider": "stripe" if enabled else None,
        "status": "requires_location_inputs" if enabled else None,
    }


def save(world: World, session: Object, update: dict[str, Any]) -> None:
    """Save on the customer of a session being completed what it was allowed to."""
    if session["automatic_tax"]["enabled"]:
        session["automatic_tax"] = {**session["automatic_tax"], "status": "complete"}
        session["customer_details"]["address"] = session["customer_details"]["address"] or ADDRESS
    customer = world.get("customer", session["customer"] or "")
    if customer is None or update.get("address") != "auto":
        return
    session["customer_details"]["address"] = session["customer_details"]["address"] or ADDRESS
    world.change(
        customer, "customer.updated", {"address": dict(session["customer_details"]["address"])}
    )
