"""What Stripe refuses about a session although its parameters have the right shape."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import PAYMENT, Clock, Live

ONCE = {"price": "price_demo_once", "quantity": 1}
MONTHLY = {"price": "price_demo_monthly", "quantity": 1}
YEARLY = {"price": "price_yearly", "quantity": 1}
DOLLARS = {"price": "price_dollars", "quantity": 1}
INLINE = {"currency": "eur", "unit_amount": 500, "product_data": {"name": "Tea"}}


def inline(**changes: Any) -> dict[str, Any]:
    data = {key: value for key, value in {**INLINE, **changes}.items() if value is not None}
    return {"line_items": [{"price_data": data, "quantity": 1}]}


SUBSCRIPTION = {"mode": "subscription", "line_items": [MONTHLY]}
SETUP = {"mode": "setup", "line_items": None, "currency": "eur"}
NOW = 1_800_000_000

REFUSED: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"mode": None}, "mode", "parameter_missing", "Missing required param: mode"),
    ({"success_url": None}, "success_url", "parameter_missing", "Missing required param"),
    ({"success_url": "thanks.html"}, "success_url", "url_invalid", "Not a valid URL"),
    ({"success_url": "https://"}, "success_url", "url_invalid", "Not a valid URL"),
    ({"success_url": "https://[x"}, "success_url", "url_invalid", "Not a valid URL"),
    ({"cancel_url": "javascript:alert(1)"}, "cancel_url", "url_invalid", "Not a valid URL"),
    ({"return_url": "https://a.example"}, "return_url", None, "ui_mode"),
    ({"ui_mode": "embedded_page"}, "success_url", None, "hosted_page"),
    ({"ui_mode": "hosted"}, "ui_mode", None, "Invalid ui_mode: must be one of"),
    ({"line_items": None}, "line_items", "parameter_missing", "Missing required param"),
    ({"line_items": [ONCE] * 101}, "line_items", None, "up to 100"),
    ({"line_items": [{"quantity": 1}]}, "line_items[0]", "parameter_missing", "price_data"),
    ({"line_items": [{"price": "price_demo_once"}]}, "line_items[0][quantity]", None, "Quantity"),
    ({"line_items": [{**ONCE, "quantity": 0}]}, "line_items[0][quantity]", None, "between 1"),
    ({"line_items": [{**ONCE, "price_data": INLINE}]}, "line_items[0][price]", None, "only"),
    (
        {"line_items": [ONCE, {"price": "price_none", "quantity": 1}]},
        "line_items[1][price]",
        "resource_missing",
        "No such price: 'price_none'",
    ),
    ({"line_items": [MONTHLY]}, "line_items[0][price]", None, "passed a recurring price"),
    ({"line_items": [ONCE, DOLLARS]}, "line_items[1][price]", None, "same currency"),
    ({**SUBSCRIPTION, "line_items": [ONCE]}, "line_items", None, "at least one recurring price"),
    ({**SUBSCRIPTION, "line_items": [MONTHLY, YEARLY]}, "line_items", None, "billing intervals"),
    ({"line_items": [{"price": "price_old", "quantity": 1}]}, "line_items[0][price]", None, "inac"),
    (
        {"line_items": [{"price": "price_cent", "quantity": 1}]},
        "line_items",
        "amount_too_small",
        "",
    ),
    ({"line_items": [{**ONCE, "quantity": 99999}]}, "line_items", "amount_too_large", ""),
    (inline(currency="euro"), "line_items[0][price_data][currency]", None, "Invalid currency"),
    (
        inline(product="prod_none", product_data=None),
        "line_items[0][price_data][product]",
        None,
        "",
    ),
    (inline(unit_amount=None), "line_items[0][price_data][unit_amount]", None, "Missing"),
    (inline(unit_amount=-1), "line_items[0][price_data][unit_amount]", None, "greater than"),
    (inline(product="p"), "line_items[0][price_data][product]", None, "only specify one"),
    ({"subscription_data": {"description": "x"}}, "subscription_data", None, "`payment` mode"),
    (
        {**SUBSCRIPTION, "payment_intent_data": {"description": "x"}},
        "payment_intent_data",
        None,
        "",
    ),
    ({"setup_intent_data": {"description": "x"}}, "setup_intent_data", None, "`payment` mode"),
    ({**SETUP, "line_items": [ONCE]}, "line_items", None, "`setup` mode"),
    ({**SETUP, "currency": None}, "currency", "parameter_missing", "Missing required param"),
    (
        {**SUBSCRIPTION, "subscription_data": {"trial_period_days": 0}},
        "subscription_data[trial_period_days]",
        None,
        "trial days",
    ),
    (
        {**SUBSCRIPTION, "subscription_data": {"trial_end": NOW + 60}},
        "subscription_data[trial_end]",
        None,
        "2 days",
    ),
    ({"customer": "cus_none"}, "customer", "resource_missing", "No such customer: 'cus_none'"),
    ({"customer": "cus_x", "customer_email": "a@b.example"}, "customer", None, "only specify one"),
    ({"customer_email": "not an address"}, "customer_email", "email_invalid", "Invalid email"),
    ({"customer_update": {"name": "auto"}}, "customer_update", None, "`customer`"),
    ({"discounts": [{"coupon": "SALE"}]}, "discounts[0][coupon]", "resource_missing", "No such"),
    ({"allow_promotion_codes": True, "discounts": [{"coupon": "A"}]}, None, None, "only specify"),
    ({"expires_at": NOW + 1799}, "expires_at", None, "at least 30 minutes"),
    ({"expires_at": NOW + 86_401}, "expires_at", None, "less than 24 hours"),
]


@pytest.mark.parametrize(("changes", "param", "code", "words"), REFUSED)
async def test_a_rule_of_stripes_is_kept(
    live: Live, changes: dict[str, Any], param: str | None, code: str | None, words: str
) -> None:
    world = live.sandbox.world
    world.add_price("price_yearly", 9900, "eur", recurring="year")
    world.add_price("price_dollars", 4900, "usd")
    world.add_price("price_cent", 1, "eur")
    world.add_price("price_old", 4900, "eur")["active"] = False
    params = {key: v for key, v in {**PAYMENT, **changes}.items() if v is not None}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await live.sessions.create_async(params)
    assert caught.value.http_status == 400
    if param is not None:
        assert caught.value.param == param
    if code is not None:
        assert caught.value.code == code
    assert words in str(caught.value)
    assert world.created["checkout.session"] == 0


@pytest.mark.parametrize("ahead", [1800, 86_400])
async def test_the_bounds_of_expires_at_are_allowed(live: Live, clock: Clock, ahead: int) -> None:
    session = await live.session(expires_at=int(clock()) + ahead)
    assert session.expires_at == clock() + ahead


async def test_expires_at_is_judged_by_the_sandboxs_own_clock(live: Live, clock: Clock) -> None:
    await live.control("clock", {"offset": 120})
    with pytest.raises(stripe.InvalidRequestError, match="at least 30 minutes"):
        await live.session(expires_at=int(clock()) + 1800)


async def test_what_is_allowed_is_allowed(live: Live) -> None:
    mixed = await live.session(mode="subscription", line_items=[MONTHLY, ONCE])
    assert mixed.amount_total == 6800
    made_up = await live.session(**inline(unit_amount=None, unit_amount_decimal="49.5"))
    assert made_up.amount_total == 50
    free = await live.session(**inline(unit_amount=0))
    assert free.amount_total == 0
    setup = {"mode": "setup", "currency": "eur", "success_url": "https://a.example/"}
    assert (await live.sessions.create_async(setup)).payment_status == "no_payment_required"
    customer = await live.client.v1.customers.create_async({"email": "a@b.example"})
    known = await live.session(customer=customer.id, expand=["customer"])
    assert known.customer.email == "a@b.example"
    trial = await live.session(
        mode="subscription", line_items=[MONTHLY], subscription_data={"trial_period_days": 7}
    )
    assert trial.amount_total == 0
