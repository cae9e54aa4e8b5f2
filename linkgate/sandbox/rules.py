"""What Stripe refuses about a new Checkout Session, beyond the shape of its parameters.

Every rule is a function from the call to nothing, or to an ApiError, and stands in `ON_PARAMETERS`
(what the parameters alone show) or is called while the cart is filled (what needs the world).
Source, where no other is named: https://docs.stripe.com/api/checkout/sessions/create.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from linkgate.sandbox.errors import ApiError, missing_param
from linkgate.sandbox.money import check_currency
from linkgate.sandbox.operations import Call
from linkgate.sandbox.world import Object

# Longest texts, where they are shorter than 5,000 characters (Stripe's OpenAPI document).
LIMITS = (
    ("client_reference_id", 200),
    ("customer_email", 512),
    ("custom_fields[key]", 200),
    ("custom_fields[label][custom]", 50),
    ("custom_text[submit][message]", 1200),
    ("custom_text[after_submit][message]", 1200),
    ("custom_text[shipping_address][message]", 1200),
    ("custom_text[terms_of_service_acceptance][message]", 1200),
    ("invoice_creation[invoice_data][description]", 1500),
    ("line_items[price_data][product_data][description]", 40_000),
    ("payment_intent_data[description]", 1000),
    ("payment_intent_data[statement_descriptor]", 22),
    ("payment_intent_data[statement_descriptor_suffix]", 22),
    ("setup_intent_data[description]", 1000),
    ("subscription_data[description]", 500),
)
SHORTEST = 30 * 60
LONGEST = 24 * 60 * 60
MOST_ITEMS = {"payment": 100, "subscription": 40}
# Parameters that only some modes take.
ONLY_IN = {
    "payment_intent_data": ("payment",),
    "subscription_data": ("subscription",),
    "setup_intent_data": ("setup",),
    "invoice_creation": ("payment",),
    "payment_method_collection": ("subscription",),
    "customer_creation": ("payment", "setup"),
    "line_items": ("payment", "subscription"),
    "optional_items": ("payment", "subscription"),
    "discounts": ("payment", "subscription"),
    "allow_promotion_codes": ("payment", "subscription"),
    "submit_type": ("payment", "subscription"),
    "shipping_options": ("payment",),
}
ONE_OF = (
    ("customer", "customer_email"),
    ("customer", "customer_account"),
    ("customer", "customer_creation"),
    ("allow_promotion_codes", "discounts"),
    ("allowed_payment_method_types", "excluded_payment_method_types"),
)


def check_session(call: Call) -> None:
    """Refuse what the parameters alone show to be wrong."""
    for rule in ON_PARAMETERS:
        rule(call)


def _mode(call: Call) -> None:
    mode = call.params.get("mode")
    if mode is None:
        raise missing_param("mode")
    for param, modes in ONLY_IN.items():
        if param in call.params and mode not in modes:
            raise ApiError(f"You can not pass `{param}` in `{mode}` mode.", param=param)


def _exclusive(call: Call) -> None:
    for pair in ONE_OF:
        if all(param in call.params for param in pair):
            raise ApiError(
                f"You may only specify one of these parameters: {', '.join(pair)}.", param=pair[0]
            )
    if "customer_update" in call.params and "customer" not in call.params:
        raise ApiError(
            "`customer_update` can only be used with `customer`.", param="customer_update"
        )


def _expiry(call: Call) -> None:
    expires_at = call.params.get("expires_at")
    if expires_at is None:
        return
    ahead = expires_at - call.world.now()
    if ahead < SHORTEST:
        raise ApiError(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            param="expires_at",
        )
    if ahead > LONGEST:
        raise ApiError(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )


def _ways_back(call: Call) -> None:
    params = call.params
    for param in ("success_url", "cancel_url", "return_url"):
        if param in params:
            check_url(params[param], param)
    if params.get("ui_mode", "hosted_page") == "hosted_page":
        if "success_url" not in params:
            raise missing_param("success_url")
        if "return_url" in params:
            raise ApiError(
                "`return_url` can only be used when `ui_mode` is `embedded_page` or `elements`.",
                param="return_url",
            )
        return
    if "success_url" in params or "cancel_url" in params:
        param = "success_url" if "success_url" in params else "cancel_url"
        raise ApiError(f"`{param}` can only be used when `ui_mode` is `hosted_page`.", param=param)
    if "return_url" not in params and params.get("redirect_on_completion") != "never":
        raise missing_param("return_url")


def check_url(url: str, param: str) -> None:
    """Refuse what isn't an absolute http or https address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s<>]", url):
        raise ApiError("Not a valid URL", code="url_invalid", param=param)


def _email(call: Call) -> None:
    check_email(call.params.get("customer_email"), "customer_email")


def check_email(email: str | None, param: str) -> None:
    if email and not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;.]+(\.[^@\s<>,;.]+)+", email):
        raise ApiError(f"Invalid email address: {email}", code="email_invalid", param=param)


def _currency(call: Call) -> None:
    if "currency" in call.params:
        check_currency(call.params["currency"], "currency")
    elif call.params["mode"] == "setup" and "allowed_payment_method_types" not in call.params:
        raise missing_param("currency")


def _items(call: Call) -> None:
    mode = call.params["mode"]
    if mode == "setup":
        return
    items = call.params.get("line_items")
    if not items:
        raise missing_param("line_items")
    if len(items) > MOST_ITEMS[mode]:
        raise ApiError(
            f"You may only pass up to {MOST_ITEMS[mode]} line items in `{mode}` mode.",
            param="line_items",
        )
    for place, item in enumerate(items):
        _item(item, f"line_items[{place}]")


def _item(item: dict[str, Any], path: str) -> None:
    if ("price" in item) == ("price_data" in item):
        if "price" in item:
            raise ApiError(
                "You may only specify one of these parameters: price, price_data.",
                param=f"{path}[price]",
            )
        raise ApiError(
            f"You must specify either `price` or `price_data` for `{path}`.",
            code="parameter_missing",
            param=path,
        )
    if "quantity" not in item:
        raise ApiError(
            f"Quantity is required. Add `quantity` to `{path}`",
            code="parameter_missing",
            param=f"{path}[quantity]",
        )
    if not 1 <= item["quantity"] <= 999_999:
        raise ApiError(
            "This value must be between 1 and 999999.",
            code="parameter_invalid_integer",
            param=f"{path}[quantity]",
        )
    if "price_data" in item:
        _price_data(item["price_data"], f"{path}[price_data]")


def _price_data(data: dict[str, Any], path: str) -> None:
    check_currency(data["currency"], f"{path}[currency]")
    for pair in (("product", "product_data"), ("unit_amount", "unit_amount_decimal")):
        given = [key for key in pair if key in data]
        if not given:
            raise missing_param(f"{path}[{pair[0]}]")
        if len(given) > 1:
            raise ApiError(
                f"You may only specify one of these parameters: {', '.join(pair)}.",
                param=f"{path}[{pair[0]}]",
            )
    amount = "unit_amount" if "unit_amount" in data else "unit_amount_decimal"
    if data[amount] < 0:
        raise ApiError(
            "This value must be greater than or equal to 0.",
            code="parameter_invalid_integer",
            param=f"{path}[{amount}]",
        )


def _trial(call: Call) -> None:
    data = call.params.get("subscription_data", {})
    days = data.get("trial_period_days")
    if days is not None and not 1 <= days <= 730:
        raise ApiError(
            "The number of trial days must be between 1 and 730.",
            param="subscription_data[trial_period_days]",
        )
    if days is not None and "trial_end" in data:
        raise ApiError(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
            param="subscription_data[trial_end]",
        )
    end = data.get("trial_end")
    if end is not None and end < call.world.now() + 48 * 3600:
        raise ApiError(
            "The `trial_end` date has to be at least 2 days in the future.",
            param="subscription_data[trial_end]",
        )


ON_PARAMETERS = (_mode, _exclusive, _ways_back, _email, _currency, _items, _expiry, _trial)


def check_prices(mode: str, prices: list[Object]) -> None:
    """Refuse prices that don't fit the mode or one another; they exist, and are in item order."""
    for place, price in enumerate(prices):
        if not price["active"]:
            raise ApiError(
                "The price specified is inactive. This field only accepts active prices.",
                param=f"line_items[{place}][price]",
            )
        if mode == "payment" and price["recurring"]:
            raise ApiError(
                "You specified `payment` mode but passed a recurring price. Either switch to "
                "`subscription` mode or use only one-time prices.",
                param=f"line_items[{place}][price]",
            )
        if price["currency"] != prices[0]["currency"]:
            raise ApiError(
                "All line items of a Checkout Session must have the same currency.",
                param=f"line_items[{place}][price]",
            )
    recurring = [price["recurring"] for price in prices if price["recurring"]]
    if mode == "subscription" and not recurring:
        raise ApiError(
            "You must provide at least one recurring price in `subscription` mode when using "
            "prices.",
            param="line_items",
        )
    if len({(each["interval"], each["interval_count"]) for each in recurring}) > 1:
        raise ApiError(
            "Checkout does not support multiple prices with different billing intervals.",
            param="line_items",
        )
