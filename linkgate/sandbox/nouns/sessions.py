"""Checkout Sessions: open for 30 minutes to 24 hours, then complete or expired, never both."""

import copy
import secrets
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stripe.params.checkout import (
    SessionCreateParams,
    SessionExpireParams,
    SessionListLineItemsParams,
    SessionListParams,
    SessionRetrieveParams,
)

from linkgate.sandbox.errors import ApiError, no_such
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, line_items, page
from linkgate.sandbox.rules import LIMITS, check_prices, check_session, check_total
from linkgate.sandbox.world import Cart, Object, World, price_object

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
    "wallet_options",
)


def create(call: Call) -> Object:
    """Fill the cart from the line items, then open a session on it."""
    world, params = call.world, call.params
    customer = _customer(call)
    if params.get("discounts"):
        _refuse_discounts(params["discounts"])
    items = [
        _line_item(world, item, f"line_items[{place}]")
        for place, item in enumerate(params.get("line_items", []))
    ]
    mode = params["mode"]
    if items:
        check_prices(mode, [item["price"] for item in items])
        check_total(mode, sum(item["amount_total"] for item in items), items[0]["currency"])
    cart = Cart(
        items,
        payment_intent_data=params.get("payment_intent_data", {}),
        subscription_data=params.get("subscription_data", {}),
        setup_intent_data=params.get("setup_intent_data", {}),
    )
    return open_session(world, params, cart, customer)


def open_session(
    world: World, params: dict[str, Any], cart: Cart, customer: Object | None = None
) -> Object:
    """Keep a new open session; `params` have been checked, `cart` filled."""
    session = _shown(world, params, cart, customer)
    world.put(session)
    world.carts[session["id"]] = cart
    world.expire_at(session["expires_at"], session["id"])
    return session


def _customer(call: Call) -> Object | None:
    customer_id = call.params.get("customer")
    if customer_id is None:
        return None
    customer = call.world.get("customer", customer_id)
    if customer is None:
        raise no_such("customer", customer_id, "customer")
    return customer


def _refuse_discounts(discounts: list[dict[str, str]]) -> None:
    for place, discount in enumerate(discounts):
        for noun in ("coupon", "promotion_code"):
            if noun in discount:
                name = noun.replace("_", " ")
                raise no_such(name, discount[noun], f"discounts[{place}][{noun}]")


def _line_item(world: World, item: dict[str, Any], path: str) -> Object:
    if "price_data" in item:
        price = _inline_price(world, item["price_data"], f"{path}[price_data]")
    else:
        found = world.get("price", item["price"])
        if found is None:
            raise no_such("price", item["price"], f"{path}[price]")
        price = found
    product = world.get("product", price["product"])
    exact = Decimal(price["unit_amount_decimal"]) * item["quantity"]
    amount = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    return {
        "id": world.new_id("li_"),
        "object": "item",
        "adjustable_quantity": item.get("adjustable_quantity"),
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": product["name"] if product else None,
        "metadata": item.get("metadata") or {},
        "price": copy.deepcopy(price),
        "quantity": item["quantity"],
    }


def _inline_price(world: World, data: dict[str, Any], path: str) -> Object:
    if "product" in data:
        product = world.get("product", data["product"])
        if product is None:
            raise no_such("product", data["product"], f"{path}[product]")
    else:
        given = dict(data["product_data"])
        product = world.add_product(given.pop("name"), **given)
    return world.put(
        price_object(
            world,
            world.new_id("price_"),
            currency=data["currency"].lower(),
            product=product["id"],
            unit_amount=data.get("unit_amount"),
            recurring=data.get("recurring"),
            unit_amount_decimal=data.get("unit_amount_decimal"),
            tax_behavior=data.get("tax_behavior", "unspecified"),
        )
    )


def _shown(world: World, params: dict[str, Any], cart: Cart, customer: Object | None) -> Object:
    mode = params["mode"]
    session_id = world.new_id("cs_test_", 58)
    trial = {"trial_end", "trial_period_days"} & cart.subscription_data.keys()
    charged = [item for item in cart.items if not trial or not item["price"]["recurring"]]
    total = None if mode == "setup" else sum(item["amount_total"] for item in charged)
    ui_mode = params.get("ui_mode", "hosted_page")
    hosted = ui_mode == "hosted_page"
    return {
        "id": session_id,
        "object": NOUN,
        **{key: params.get(key) for key in ECHOED},
        "after_expiration": _after_expiration(params.get("after_expiration")),
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "client_secret": None if hosted else f"{session_id}_secret_{world.new_id('', 40)}",
        "collected_information": None,
        "consent": None,
        "created": world.now(),
        "currency": cart.items[0]["currency"] if cart.items else params.get("currency"),
        "currency_conversion": None,
        "custom_fields": params.get("custom_fields", []),
        "custom_text": params.get("custom_text")
        or dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "customer": customer["id"] if customer else None,
        "customer_account": None,
        "customer_creation": _customer_creation(params, customer),
        "customer_details": _customer_details(params, customer),
        "discounts": [],
        "expires_at": params.get("expires_at") or world.now() + 24 * 3600,
        "invoice": None,
        "invoice_creation": {"enabled": False, "invoice_data": {}} if mode == "payment" else None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": params.get("metadata") or {},
        "mode": mode,
        "optional_items": [],
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": params.get(
            "payment_method_collection", "always" if mode == "subscription" else "if_required"
        ),
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": params.get("allowed_payment_method_types") or ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "permissions": None,
        "phone_number_collection": params.get("phone_number_collection") or {"enabled": False},
        "recovered_from": params.get("recovered_from"),
        "setup_intent": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "subscription": None,
        "total_details": None
        if total is None
        else {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": ui_mode,
        "url": pay_page(world, session_id) if hosted else None,
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


def retrieve(call: Call) -> Object:
    return fetch(call, NOUN, "session")


def expire(call: Call) -> Object:
    session = fetch(call, NOUN, "session")
    if session["status"] != "open":
        raise ApiError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{session['status']}`.",
        )
    call.world.expire(session, call.cause)
    return session


def list_line_items(call: Call) -> Object:
    session = fetch(call, NOUN, "session")
    whole = line_items(call.world, session["id"])
    return page(call, whole["url"], whole["data"])


def list_sessions(call: Call) -> Object:
    params = call.params
    wanted = {
        key: params[key]
        for key in ("customer", "payment_intent", "payment_link", "subscription", "status")
        if key in params
    }
    email = params.get("customer_details", {}).get("email")
    return page(
        call,
        "/v1/checkout/sessions",
        [
            session
            for session in call.world.every(NOUN)
            if all(session[key] == value for key, value in wanted.items())
            and (email is None or (session["customer_details"] or {}).get("email") == email)
        ],
    )


OPERATIONS = (
    Operation("POST", "/v1/checkout/sessions", SessionCreateParams, create, check_session, LIMITS),
    Operation("GET", "/v1/checkout/sessions", SessionListParams, list_sessions, check_page),
    Operation("GET", "/v1/checkout/sessions/{id}", SessionRetrieveParams, retrieve),
    Operation("POST", "/v1/checkout/sessions/{id}/expire", SessionExpireParams, expire),
    Operation(
        "GET",
        "/v1/checkout/sessions/{id}/line_items",
        SessionListLineItemsParams,
        list_line_items,
        check_page,
    ),
)
