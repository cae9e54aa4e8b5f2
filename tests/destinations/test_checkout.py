"""The checkout destination: what it refuses while it is written, what it sends, whom it turns away
from a second subscription, and recovered sessions.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from linkgate import campaigns
from linkgate.campaigns import Campaign
from linkgate.destinations import checkout, checkout_rules
from linkgate.destinations.checkout_parameters import parameters
from linkgate.errors import Invalid
from linkgate.store.campaigns import _dump, _load
from linkgate.tokens import Link
from tests.destinations.test_portal import MONTHLY, portals, subscriber
from tests.stack import PRICE, Stack

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
INLINE = {"currency": "eur", "unit_amount": 4900, "product_data": {"name": "Ticket"}}


def made(destination: Any) -> Campaign:
    return campaigns.create({"slug": "s", "name": "S", "destination": destination}, NOW)


def refused(**destination: Any) -> dict[str, str]:
    whole = {"line_items": [{"price": "price_1"}], **destination}
    with pytest.raises(Invalid) as caught:
        made(whole)
    return {
        problem.field.removeprefix("destination").removeprefix("."): problem.message
        for problem in caught.value.problems
    }


def inline(**changes: Any) -> dict[str, Any]:
    return {"line_items": [{"price_data": {**INLINE, **changes}}]}


MONTH = {"interval": "month"}
SUBSCRIPTION = {"mode": "subscription"}
SETUP: dict[str, Any] = {"mode": "setup", "currency": "eur", "line_items": []}


@pytest.mark.parametrize(
    ("destination", "fields"),
    [
        # Of another mode.
        ({"params": {"subscription_data": {"description": "x"}}}, ["params.subscription_data"]),
        ({"params": {"payment_method_collection": "always"}}, ["params.payment_method_collection"]),
        ({**SUBSCRIPTION, "params": {"payment_intent_data": {}}}, ["params.payment_intent_data"]),
        (
            {**SUBSCRIPTION, "params": {"invoice_creation": {"enabled": True}}},
            ["params.invoice_creation"],
        ),
        ({**SUBSCRIPTION, "params": {"customer_creation": "always"}}, ["params.customer_creation"]),
        ({"trial_days": 7}, [""]),
        ({**SETUP, "params": {"submit_type": "pay"}}, ["params.submit_type"]),
        ({**SETUP, "allow_promotion_codes": True}, ["allow_promotion_codes"]),
        ({**SETUP, "automatic_tax": True}, ["automatic_tax"]),
        ({**SETUP, "params": {"automatic_tax": {"enabled": True}}}, ["automatic_tax"]),
        ({**SETUP, "currency": None}, ["currency"]),
        ({"currency": "EUR"}, ["currency"]),
        # Together.
        (
            {"allow_promotion_codes": True, "params": {"discounts": [{"coupon": "c"}]}},
            ["params.discounts"],
        ),
        (
            {"params": {"allow_promotion_codes": True, "discounts": [{"coupon": "c"}]}},
            ["params.discounts"],
        ),
        ({"params": {"discounts": [{"coupon": "c"}, {"coupon": "d"}]}}, ["params.discounts"]),
        (
            {"automatic_tax": True, "line_items": [{"price": "p", "tax_rates": ["txr_1"]}]},
            ["line_items.0.tax_rates"],
        ),
        (
            {
                **SUBSCRIPTION,
                "automatic_tax": True,
                "params": {"subscription_data": {"default_tax_rates": ["t"]}},
            },
            ["params.subscription_data.default_tax_rates"],
        ),
        (
            {
                "customer_update": {"name": "never"},
                "params": {"tax_id_collection": {"enabled": True}},
            },
            ["customer_update.name"],
        ),
        (
            {**SUBSCRIPTION, "trial_days": 7, "params": {"subscription_data": {"trial_end": 1}}},
            ["params.subscription_data.trial_end"],
        ),
        (
            {
                **SUBSCRIPTION,
                "params": {"subscription_data": {"trial_end": 1, "trial_period_days": 1}},
            },
            ["params.subscription_data.trial_end"],
        ),
        ({"locale": "de", "params": {"locale": "fr"}}, ["params.locale"]),
        ({"params": {"customer_account": "acct_1"}}, ["params.customer_account"]),
        ({"params": {"custom_fields": [{}, {}, {}, {}]}}, ["params.custom_fields"]),
        ({"locale": "xx"}, ["locale"]),
        ({"locale": "Klingon!"}, ["locale"]),
        ({"customer_update": {"mail": "auto"}}, ["customer_update.mail"]),
        # Line items.
        (inline(currency="EUR"), ["line_items.0.price_data.currency"]),
        (inline(unit_amount=-1), ["line_items.0.price_data.unit_amount"]),
        (inline(unit_amount=None), ["line_items.0.price_data"]),
        (inline(unit_amount_decimal="49.5"), ["line_items.0.price_data"]),
        (
            inline(unit_amount=None, unit_amount_decimal="1,5"),
            ["line_items.0.price_data.unit_amount_decimal"],
        ),
        (inline(product="prod_1"), ["line_items.0.price_data"]),
        (
            inline(product_data={"nam": "x"}),
            [
                "line_items.0.price_data.product_data.name",
                "line_items.0.price_data.product_data.nam",
            ],
        ),
        (inline(recurring=MONTH), ["line_items.0.price_data.recurring"]),
        (
            {**SUBSCRIPTION, **inline(recurring={"interval": "month", "interval_count": 37})},
            ["line_items.0.price_data.recurring"],
        ),
        ({**SUBSCRIPTION, **inline()}, ["line_items"]),
        ({**SUBSCRIPTION, "line_items": [{"price": f"p{n}"} for n in range(41)]}, ["line_items"]),
        (
            {"line_items": [{"price_data": INLINE}, {"price_data": {**INLINE, "currency": "usd"}}]},
            ["line_items"],
        ),
        ({"line_items": [{"price_data": INLINE, "quantity": None}]}, ["line_items.0.quantity"]),
        (
            {"line_items": [{"price": "p", "metered": True, "quantity": 3}]},
            ["line_items.0.quantity"],
        ),
        ({"line_items": [{"price": "p", "quantity": 0}]}, ["line_items.0.quantity"]),
        (
            {"line_items": [{"price": "p", "adjustable_quantity": {"minimum": 1}}]},
            ["line_items.0.adjustable_quantity.enabled"],
        ),
        (
            {
                "line_items": [
                    {
                        "price": "p",
                        "adjustable_quantity": {"enabled": True, "minimum": 5, "maximum": 4},
                    }
                ]
            },
            ["line_items.0.adjustable_quantity"],
        ),
        (
            {
                "line_items": [
                    {"price": "p", "adjustable_quantity": {"enabled": True, "minimum": 2}}
                ]
            },
            ["line_items.0.quantity"],
        ),
    ],
    ids=str,
)
def test_what_stripe_would_refuse_is_refused_by_its_field(
    destination: dict[str, Any], fields: list[str]
) -> None:
    found = refused(**destination)
    assert sorted(found) == sorted(fields)
    assert all(found.values())


@pytest.mark.parametrize(
    "destination",
    [
        {
            "line_items": [{"price": "p"}],
            "params": {"locale": "tlh", "discounts": [{"coupon": "c"}]},
        },
        {**SUBSCRIPTION, "line_items": [{"price": "p"}, {"price_data": INLINE}]},
        {**SUBSCRIPTION, **inline(recurring={"interval": "year", "interval_count": 3})},
        inline(unit_amount=None, unit_amount_decimal="4900.125"),
        SETUP,
        {"mode": "setup", "params": {"currency": "eur"}},
        {"mode": "setup", "params": {"allowed_payment_method_types": ["card"]}},
        {
            "line_items": [
                {
                    "price": "p",
                    "quantity": 3,
                    "adjustable_quantity": {"enabled": True, "maximum": 3},
                }
            ]
        },
    ],
    ids=str,
)
def test_what_stripe_would_take_is_taken(destination: dict[str, Any]) -> None:
    campaign = made(destination)
    assert _load(_dump(campaign)) == campaign


def test_a_rule_that_came_later_leaves_stored_campaigns_readable() -> None:
    old = made({"line_items": [{"price": "p"}]}).model_dump(mode="json")
    for stored in (
        {"mode": "setup", "line_items": []},
        {"line_items": [{"price_data": {"currency": "EUR", "whatever": 1}}]},
        {
            "line_items": [{"price": "p", "adjustable_quantity": {}}],
            "params": {"subscription_data": {}},
        },
    ):
        text = {**old, "destination": {"kind": "checkout", **stored}}
        campaign = Campaign.model_validate(text)
        assert list(checkout_rules.problems(campaign.destination)) != []  # type: ignore[arg-type]
        paused = campaigns.change_status(campaign, campaigns.Status.PAUSED, NOW)
        assert paused.destination == campaign.destination
        with pytest.raises(Invalid):
            campaigns.change(campaign, {"name": "other"}, NOW)


def test_no_quantity_is_sent_for_a_metered_price_even_after_it_was_stored() -> None:
    for item in ({"price": "p", "quantity": None}, {"price": "p", "metered": True}):
        campaign = made({**SUBSCRIPTION, "line_items": [item]})
        again = _load(_dump(campaign))
        assert sent(again)["line_items"] == [{"price": "p"}]


def sent(campaign: Campaign, customer: str | None = None, **private: Any) -> dict[str, Any]:
    link = Link(campaign.slug, "r-1", 2_000_000_000, customer=customer)
    where = "https://go.example.com/return/x"
    return parameters(campaign, link, private, attempt=1, attempt_at=1.0, back=where)


def test_customers_may_be_updated_where_stripe_would_refuse_them_otherwise() -> None:
    items = [{"price": "p"}]
    taxed = made({"line_items": items, "automatic_tax": True})
    assert sent(taxed, "cus_1")["customer_update"] == {"address": "auto"}
    assert "customer_update" not in sent(taxed)
    ids = {"tax_id_collection": {"enabled": True}}
    both = made({"line_items": items, "automatic_tax": True, "params": ids})
    assert sent(both, "cus_1")["customer_update"] == {"address": "auto", "name": "auto"}
    alone = made({"line_items": items, "params": ids})
    assert sent(alone, "cus_1")["customer_update"] == {"address": "auto", "name": "auto"}
    for said in ({"shipping": "auto"}, {"address": "never"}):
        told = made({"line_items": items, "automatic_tax": True, "customer_update": said})
        assert sent(told, "cus_1")["customer_update"] == said
    assert "customer_update" not in sent(made({"line_items": items}), "cus_1")


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (
            {
                "line_items": [
                    {
                        "price": PRICE,
                        "quantity": 2,
                        "adjustable_quantity": {"enabled": True, "maximum": 5},
                    },
                    {"price_data": {**INLINE, "tax_behavior": "inclusive"}},
                ],
                "allow_promotion_codes": True,
                "automatic_tax": True,
                "locale": "pt-BR",
                "params": {"submit_type": "book", "phone_number_collection": {"enabled": True}},
            },
            {
                "amount_total": 3 * 4900,
                "allow_promotion_codes": True,
                "locale": "pt-BR",
                "submit_type": "book",
            },
        ),
        (
            {
                "mode": "subscription",
                "line_items": [{"price": MONTHLY}, {"price_data": {**INLINE, "recurring": MONTH}}],
                "trial_days": 14,
                "recovery": True,
                "existing_customer": "checkout",
            },
            {"amount_total": 0, "mode": "subscription"},
        ),
        ({**SETUP, "locale": "de"}, {"mode": "setup", "currency": "eur", "locale": "de"}),
        (
            {
                "mode": "payment",
                "line_items": [{"price": PRICE}],
                "customer_update": {"name": "auto"},
                "params": {
                    "tax_id_collection": {"enabled": True},
                    "billing_address_collection": "required",
                },
            },
            {"amount_total": 4900},
        ),
    ],
)
async def test_every_setting_reaches_stripe(
    stack: Stack, destination: dict[str, Any], expected: dict[str, Any]
) -> None:
    """The stack also checks each request against Stripe's own description of its parameters."""
    customer, _ = await subscriber(stack)
    await stack.campaign(policy="direct", destination=destination)
    for link in (stack.link(), stack.link(customer=customer)):
        answer = await stack.get(stack.path(link))
        assert answer.status == 303, await stack.gateway.store.campaigns.trouble("spring")
        session = stack.sandbox.world.every("checkout.session")[0]
        assert session["client_reference_id"] == link.id
        assert {name: session[name] for name in expected} == expected


async def having(stack: Stack, **settings: Any) -> str:
    """A customer with the subscription that the campaign `spring` sells."""
    customer, _ = await subscriber(stack)
    await stack.campaign(
        policy="direct",
        destination={"mode": "subscription", "line_items": [{"price": MONTHLY}], **settings},
    )
    return customer


async def test_who_has_the_subscription_goes_to_the_portal(stack: Stack) -> None:
    customer = await having(stack)
    before = len(await stack.sessions())
    link = stack.link(customer=customer)
    first = await stack.get(stack.path(link))
    assert first.location == portals(stack)[0]["url"]
    back = portals(stack)[0]["return_url"]
    assert back.startswith(f"{stack.url}/return/")
    assert "You are back from your account" in (await stack.get(back)).text
    # Each visit anew, and no lease stays behind.
    second = await stack.get(stack.path(link))
    assert second.location == portals(stack)[0]["url"] != first.location
    assert len(await stack.sessions()) == before
    outcomes = {visit["outcome"] for visit in (await stack.row(link)).visits}
    assert outcomes == {"has the subscription already: portal"}
    # Somebody else buys.
    assert "/c/pay/" in (await stack.get(stack.path(stack.link()))).location


async def test_the_campaign_may_show_a_page_or_sell_another(stack: Stack) -> None:
    customer = await having(stack, existing_customer="page")
    page = await stack.get(stack.path(stack.link(customer=customer)))
    assert page.status == 200
    assert "already have this subscription" in page.text
    known = await stack.gateway.store.campaigns.read("spring")
    patch = {"destination": {"existing_customer": "checkout"}}
    changed = campaigns.change(known, patch, NOW)
    await stack.gateway.store.campaigns.put(changed, replaces=known)
    assert "/c/pay/" in (await stack.get(stack.path(stack.link(customer=customer)))).location
    assert portals(stack) == []


async def test_who_had_it_or_has_another_buys(stack: Stack) -> None:
    customer, subscription = await subscriber(stack)
    await stack.campaign(
        policy="direct",
        destination={
            "mode": "subscription",
            "line_items": [{"price_data": {**INLINE, "recurring": MONTH}}],
        },
    )
    assert "/c/pay/" in (await stack.get(stack.path(stack.link(customer=customer)))).location
    await stack.campaign(
        "again",
        policy="direct",
        destination={"mode": "subscription", "line_items": [{"price": MONTHLY}]},
    )
    await stack.control("POST", f"subscriptions/{subscription}/cancel")
    link = stack.link(campaign="again", customer=customer)
    assert "/c/pay/" in (await stack.get(stack.path(link))).location


async def test_a_check_that_fails_sells_no_second_one(stack: Stack) -> None:
    customer = await having(stack)
    before = len(await stack.sessions())
    link = stack.link(customer=customer)
    await stack.fault(match="GET /v1/subscriptions", status=429, times=99, retry_after=20)
    busy = await stack.get(stack.path(link))
    assert busy.status == 503
    assert "retry.js" in busy.text
    assert "The checkout at" in busy.text
    await stack.control("DELETE", "faults")
    assert (await stack.press(busy)).location == portals(stack)[0]["url"]
    # A key that may not ask is the operator's to mend.
    await stack.fault(match="GET /v1/subscriptions", status=403, times=99)
    refused = await stack.get(stack.path(stack.link(customer=customer)))
    assert (refused.status, "retry.js" in refused.text) == (503, False)
    assert await stack.gateway.store.campaigns.trouble("spring")
    assert len(await stack.sessions()) == before


async def test_an_account_without_a_portal_says_so_on_a_page(stack: Stack) -> None:
    customer = await having(stack)
    before = len(await stack.sessions())
    await stack.fault(match="POST /v1/billing_portal/sessions", status=400, times=1)
    page = await stack.get(stack.path(stack.link(customer=customer)))
    assert page.status == 200
    assert "already have this subscription" in page.text
    assert len(await stack.sessions()) == before


async def test_a_customer_who_is_gone_has_no_subscription(stack: Stack) -> None:
    await having(stack)
    answer = await stack.get(stack.path(stack.link(customer="cus_gone")))
    assert "/c/pay/" in answer.location


@pytest.mark.parametrize("known", [True, False], ids=["customer", "nobody"])
async def test_a_recovered_session_is_closed_before_a_fresh_one_is_made(
    stack: Stack, known: bool
) -> None:
    customer = (await subscriber(stack))[0] if known else None
    await stack.campaign(policy="direct", destination={"recovery": True})
    link = stack.link(customer=customer)
    await stack.get(stack.path(link))
    [first] = await stack.open_sessions()
    await stack.control("POST", f"sessions/{first['id']}/expire")
    await _heard(stack, link)
    # The person opens the recovery link of Stripe's e-mail, and then ours again. linkgate is not
    # told: Stripe has no event for a session that opens.
    await stack.control("POST", f"sessions/{first['id']}/recover")
    [recovered] = await stack.open_sessions()
    assert recovered["recovered_from"] == first["id"]
    answer = await stack.get(stack.path(link))
    [fresh] = await stack.open_sessions()
    assert fresh["url"] == answer.location
    assert fresh["id"] != recovered["id"]


async def test_a_recovered_session_that_is_paid_counts_for_the_link(stack: Stack) -> None:
    await stack.campaign(policy="direct", destination={"recovery": True})
    link = stack.link()
    await stack.get(stack.path(link))
    [first] = await stack.open_sessions()
    await stack.control("POST", f"sessions/{first['id']}/expire")
    await _heard(stack, link)
    await stack.control("POST", f"sessions/{first['id']}/recover")
    [recovered] = await stack.open_sessions()
    await stack.control("POST", "webhooks/hold")
    await stack.control("POST", f"sessions/{recovered['id']}/pay")
    # Even before its webhook comes.
    page = await stack.get(stack.path(link))
    assert page.status == 200
    assert "already been paid" in page.text
    assert await stack.open_sessions() == []


@pytest.mark.parametrize(
    "fault",
    [
        {"mode": "hang", "times": None},
        {"status": 503, "times": None},
        {"status": 403, "times": None},
        # What was found by then is closed all the same.
        {"mode": "hang", "times": None, "skip": 1},
    ],
    ids=["silent", "failing", "refusing", "half way"],
)
async def test_who_cannot_be_told_of_recovered_sessions_is_let_in_all_the_same(
    stack: Stack, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(checkout, "STRAYS_SECONDS", 0.3)
    await stack.campaign(policy="direct", destination={"recovery": True})
    link = stack.link()
    await stack.get(stack.path(link))
    [first] = await stack.open_sessions()
    await stack.control("POST", f"sessions/{first['id']}/expire")
    await _heard(stack, link)
    await stack.control("POST", f"sessions/{first['id']}/recover")
    await stack.fault(match="GET /v1/checkout/sessions", **fault)
    answer = await stack.get(stack.path(link))
    urls = [session["url"] for session in await stack.open_sessions()]
    assert answer.location in urls
    assert len(urls) == (1 if "skip" in fault else 2)
    assert "recovered sessions" in caplog.text


async def _heard(stack: Stack, link: Link) -> None:
    """Wait until linkgate has taken in that the link's session has expired."""
    for _ in range(200):
        row = await stack.row(link)
        if row.sessions and all(one.state == "expired" for one in row.sessions):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the expiry was not heard of")
