"""Checkout Sessions: open for 30 minutes to 24 hours, then complete or expired, never both."""

import copy
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
from linkgate.sandbox.money import check_total
from linkgate.sandbox.nouns.promotions import apply_discount, given_discount
from linkgate.sandbox.nouns.session_object import NOUN, session_object
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, line_items, page
from linkgate.sandbox.prices import price_object
from linkgate.sandbox.rules import LIMITS, check_prices, check_session
from linkgate.sandbox.saving import check_saving
from linkgate.sandbox.world import Cart, Object, World


def create(call: Call) -> Object:
    """Fill the cart from the line items, then open a session on it."""
    world, params = call.world, call.params
    customer = _customer(call)
    check_saving(params, customer)
    discount = given_discount(world, params.get("discounts", []), customer)
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
        customer_update=params.get("customer_update", {}),
    )
    session = open_session(world, params, cart, customer)
    if discount:
        apply_discount(world, session, cart, discount)
    return session


def open_session(
    world: World, params: dict[str, Any], cart: Cart, customer: Object | None = None
) -> Object:
    """Keep a new open session; `params` have been checked, `cart` filled."""
    session = session_object(world, params, cart, customer)
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
            world.new_id("price_"),
            now=world.now(),
            currency=data["currency"].lower(),
            product=product["id"],
            unit_amount=data.get("unit_amount"),
            recurring=data.get("recurring"),
            unit_amount_decimal=data.get("unit_amount_decimal"),
            tax_behavior=data.get("tax_behavior", "unspecified"),
        )
    )


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
