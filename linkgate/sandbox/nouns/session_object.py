"""What a new Checkout Session looks like from outside.

Source: https://docs.stripe.com/api/checkout/sessions/object.
"""

import copy
import secrets
from typing import Any

from linkgate.sandbox.saving import automatic_tax
from linkgate.sandbox.world import Cart, Object, World

NOUN = "checkout.session"
# Given by the creator and shown again as they were given.
ECHOED = (
    "adaptive_pricing",
    "allow_promotion_codes",
    "allowed_payment_method_types",
    "billing_address_collection",
    "branding_settings",
    "cancel_url",
    "client_reference_id",
    "consent_collection",
    "customer_email",
    "excluded_payment_method_types",
    "integration_identifier",
    "locale",
    "name_collection",
    "origin_context",
    "redirect_on_completion",
    "return_url",
    "saved_payment_method_options",
    "shipping_address_collection",
    "submit_type",
    "success_url",
    "tax_id_collection",
    "wallet_options",
)
# On every session, and never used here.
UNUSED: Object = {
    "collected_information": None,
    "consent": None,
    "currency_conversion": None,
    "customer_account": None,
    "discounts": [],
    "invoice": None,
    "livemode": False,
    "managed_payments": {"enabled": False},
    "optional_items": [],
    "payment_link": None,
    "payment_method_configuration_details": None,
    "payment_method_options": {},
    "permissions": None,
    "shipping_cost": None,
    "shipping_options": [],
}
TEXTS = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")


def session_object(
    world: World, params: dict[str, Any], cart: Cart, customer: Object | None
) -> Object:
    """A new open session as the API shows it."""
    mode = params["mode"]
    session_id = world.new_id("cs_test_", 58)
    ui_mode = params.get("ui_mode", "hosted_page")
    hosted = ui_mode == "hosted_page"
    return {
        "id": session_id,
        "object": NOUN,
        **copy.deepcopy(UNUSED),
        **{key: params.get(key) for key in ECHOED},
        **_amounts(mode, cart),
        **_people(params, customer),
        "automatic_tax": automatic_tax(params),
        "after_expiration": _after_expiration(params.get("after_expiration")),
        "client_secret": None if hosted else f"{session_id}_secret_{world.new_id('', 40)}",
        "created": world.now(),
        "currency": cart.items[0]["currency"] if cart.items else params.get("currency"),
        "custom_fields": params.get("custom_fields", []),
        "custom_text": params.get("custom_text") or dict.fromkeys(TEXTS),
        "expires_at": params.get("expires_at") or world.now() + 24 * 3600,
        "invoice_creation": {"enabled": False, "invoice_data": {}} if mode == "payment" else None,
        "metadata": params.get("metadata") or {},
        "mode": mode,
        "payment_intent": None,
        "payment_method_collection": params.get(
            "payment_method_collection", "always" if mode == "subscription" else "if_required"
        ),
        "payment_method_types": params.get("allowed_payment_method_types") or ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "phone_number_collection": params.get("phone_number_collection") or {"enabled": False},
        "recovered_from": params.get("recovered_from"),
        "setup_intent": None,
        "status": "open",
        "subscription": None,
        "ui_mode": ui_mode,
        "url": pay_page(world, session_id) if hosted else None,
    }


def _amounts(mode: str, cart: Cart) -> Object:
    """What is due now: a trial's recurring prices are not, and setup has no amount at all."""
    if mode == "setup":
        return {"amount_subtotal": None, "amount_total": None, "total_details": None}
    trial = {"trial_end", "trial_period_days"} & cart.subscription_data.keys()
    charged = [item for item in cart.items if not trial or not item["price"]["recurring"]]
    total = sum(item["amount_total"] for item in charged)
    return {
        "amount_subtotal": total,
        "amount_total": total,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    }


def _people(params: dict[str, Any], customer: Object | None) -> Object:
    return {
        "customer": customer["id"] if customer else None,
        "customer_creation": _customer_creation(params, customer),
        "customer_details": _customer_details(params, customer),
    }


def pay_page(world: World, session_id: str) -> str:
    """Where a person pays; Stripe's has a long fragment with percent escapes, so this has too."""
    fragment = "%2F".join(secrets.token_urlsafe(30) for _ in range(3))
    return f"{world.base_url}/c/pay/{session_id}#fid{fragment}%3D%3D"


def _after_expiration(given: dict[str, Any] | None) -> Object | None:
    if not given or not given.get("recovery"):
        return None
    return {
        "recovery": {
            "allow_promotion_codes": given["recovery"].get("allow_promotion_codes", False),
            "enabled": given["recovery"]["enabled"],
            "expires_at": None,
            "url": None,
        }
    }


def _customer_creation(params: dict[str, Any], customer: Object | None) -> str | None:
    if customer is not None:
        return None
    if params["mode"] == "subscription":
        return "always"
    given: str = params.get("customer_creation", "if_required")
    return given


def _customer_details(params: dict[str, Any], customer: Object | None) -> Object | None:
    email = customer["email"] if customer else params.get("customer_email")
    if customer is None and email is None:
        return None
    return {
        "address": customer["address"] if customer else None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": customer["name"] if customer else None,
        "phone": customer["phone"] if customer else None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
