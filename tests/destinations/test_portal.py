"""The portal destination: afresh for every visit, where a flow can begin, and where it can't."""

from datetime import UTC, datetime
from typing import Any

import pytest

from linkgate import campaigns
from linkgate.campaigns import Campaign
from linkgate.destinations import portal_flows
from linkgate.errors import Invalid
from tests.stack import SCANNER, SUSPECT, Stack

MONTHLY = "price_demo_monthly"


async def leading(stack: Stack, slug: str = "account", **settings: Any) -> Any:
    campaign = campaigns.create(
        {
            "slug": slug,
            "name": "Your account",
            "policy": "direct",
            "destination": {"kind": "portal", **settings},
        },
        datetime.now(UTC),
    )
    await stack.gateway.store.campaigns.put(campaign, replaces=None)
    return campaign


async def subscriber(stack: Stack, slug: str = "plus", **link: Any) -> tuple[str, str]:
    """Let somebody subscribe by a link of their own; return customer and subscription."""
    if await stack.gateway.store.campaigns.get(slug) is None:
        await stack.campaign(
            slug,
            policy="direct",
            destination={
                "mode": "subscription",
                "line_items": [{"price": MONTHLY}],
                "existing_customer": "checkout",
            },
        )
    url = (await stack.get(stack.path(stack.link(campaign=slug, **link)))).location
    session = url.rpartition("/")[2].partition("#")[0]
    await stack.control("POST", f"sessions/{session}/pay", {"email": "a@example.com"})
    done = stack.sandbox.world.get("checkout.session", session)
    assert done
    return done["customer"], done["subscription"]


def portals(stack: Stack) -> list[Any]:
    """Every portal session that the sandbox has made, the newest first."""
    return stack.sandbox.world.every("billing_portal.session")


async def test_every_visit_of_a_person_has_one_of_its_own(stack: Stack) -> None:
    customer, _ = await subscriber(stack)
    await leading(stack, return_url="https://shop.example.com/account", locale="de")
    link = stack.link(campaign="account", customer=customer)
    for headers, method in ((SCANNER, "GET"), (SUSPECT, "HEAD")):
        assert (await stack.ask(method, stack.path(link), headers)).location == ""
    prefetch = await stack.get(stack.path(link), {**SUSPECT, "Sec-Purpose": "prefetch"})
    assert (prefetch.status, prefetch.location) == (503, "")
    assert portals(stack) == []
    first = await stack.get(stack.path(link))
    second = await stack.get(stack.path(link))
    made = portals(stack)
    assert [second.location, first.location] == [each["url"] for each in made]
    assert len(made) == 2
    assert {each["customer"] for each in made} == {customer}
    assert made[0]["return_url"] == "https://shop.example.com/account"
    assert made[0]["locale"] == "de"


async def test_a_flow_begins_with_the_one_subscription(stack: Stack) -> None:
    customer, subscription = await subscriber(stack)
    item = stack.sandbox.world.get("subscription", subscription)["items"]["data"][0]["id"]  # type: ignore[index]
    update = {"items": [{"price": MONTHLY, "quantity": 2}]}
    for slug, flow in {
        "cancel": {"type": "subscription_cancel"},
        "named": {
            "type": "subscription_update",
            "subscription_update": {"subscription": "{subscription}"},
        },
        "confirm": {
            "type": "subscription_update_confirm",
            "subscription_update_confirm": update,
            "after_completion": {
                "type": "redirect",
                "redirect": {"return_url": "https://a.example"},
            },
        },
        "card": {"type": "payment_method_update"},
    }.items():
        await leading(stack, slug, flow_data=flow)
        link = stack.link(campaign=slug, customer=customer)
        assert (await stack.get(stack.path(link))).location == portals(stack)[0]["url"]
    card, confirm, named, cancel = (each["flow"] for each in portals(stack))
    assert cancel["subscription_cancel"] == {"subscription": subscription}
    assert named["subscription_update"] == {"subscription": subscription}
    assert confirm["subscription_update_confirm"] == {
        "subscription": subscription,
        "items": [{"id": item, "price": MONTHLY, "quantity": 2}],
    }
    assert confirm["after_completion"]["redirect"] == {"return_url": "https://a.example"}
    assert card["type"] == "payment_method_update"


async def test_where_a_flow_is_not_clear_the_portal_opens_all_the_same(stack: Stack) -> None:
    customer, subscription = await subscriber(stack)
    await leading(stack, flow_data={"type": "subscription_cancel"})
    link = stack.link(campaign="account", customer=customer)
    # It is to end already, which Stripe would refuse to begin.
    await stack.control("POST", f"subscriptions/{subscription}/cancel", {"at_period_end": True})
    assert (await stack.get(stack.path(link))).status == 303
    assert portals(stack)[0]["flow"] is None
    # There are two.
    await subscriber(stack, customer=customer)
    await subscriber(stack, customer=customer)
    assert (await stack.get(stack.path(link))).status == 303
    assert portals(stack)[0]["flow"] is None
    # It names somebody else's.
    fixed = {"type": "subscription_update", "subscription_update": {"subscription": "sub_x"}}
    await leading(stack, "fixed", flow_data=fixed)
    link = stack.link(campaign="fixed", customer=customer)
    assert (await stack.get(stack.path(link))).location == portals(stack)[0]["url"]
    assert portals(stack)[0]["flow"] is None


async def test_whoever_stripe_does_not_know_has_a_way_on(stack: Stack) -> None:
    await leading(stack, flow_data={"type": "subscription_cancel"})
    for customer in (None, "cus_nobody"):
        page = await stack.get(stack.path(stack.link(campaign="account", customer=customer)))
        assert page.status == 503
        assert "help@example.com" in page.text
        trouble = await stack.gateway.store.campaigns.trouble("account")
        assert trouble
        assert "cus_nobody" not in trouble["message"]
    login = "https://billing.stripe.com/p/login/abc"
    await leading(stack, "login", login_url=login)
    for customer in (None, "cus_nobody"):
        link = stack.link(campaign="login", customer=customer)
        assert (await stack.get(stack.path(link))).location == login
    assert await stack.gateway.store.campaigns.trouble("login") is None


async def test_the_login_page_is_on_that_very_host(stack: Stack) -> None:
    await leading(stack, login_url="https://bücher.example/öffnen")
    page = await stack.get(stack.path(stack.link(campaign="account")))
    assert page.location == "https://xn--bcher-kva.example/%C3%B6ffnen"


async def test_a_login_page_that_was_kept_and_can_not_be_one_is_said(stack: Stack) -> None:
    campaign = await leading(stack, login_url="https://shop.example/")
    kept = campaign.model_dump_json().replace("//shop.example", "//\u2024.\u2024")
    older = Campaign.model_validate_json(kept).model_copy(update={"revision": 2})
    await stack.gateway.store.campaigns.put(older, replaces=campaign)
    page = await stack.get(stack.path(stack.link(campaign="account")))
    assert (page.status, page.location) == (503, "")
    trouble = await stack.gateway.store.campaigns.trouble("account")
    assert trouble
    assert "login_url" in trouble["message"]


async def test_a_wrong_configuration_is_not_the_persons_fault(stack: Stack) -> None:
    customer, _ = await subscriber(stack)
    login = "https://billing.stripe.com/p/login/abc"
    await leading(stack, configuration="bpc_nope", login_url=login)
    page = await stack.get(stack.path(stack.link(campaign="account", customer=customer)))
    assert (page.status, page.location) == (503, "")
    trouble = await stack.gateway.store.campaigns.trouble("account")
    assert trouble
    assert "bpc_nope" in trouble["message"]


async def test_while_stripe_is_away_the_page_leads_on(stack: Stack) -> None:
    customer, _ = await subscriber(stack)
    await leading(stack, flow_data={"type": "subscription_cancel"})
    await stack.fault(match="POST /v1/billing_portal/sessions", status=500, times=1)
    link = stack.link(campaign="account", customer=customer)
    busy = await stack.get(stack.path(link))
    assert busy.status == 503
    assert "retry.js" in busy.text
    assert (await stack.press(busy)).location == portals(stack)[0]["url"]


def refused(**settings: Any) -> dict[str, str]:
    data = {"slug": "s", "name": "S", "destination": {"kind": "portal", **settings}}
    with pytest.raises(Invalid) as caught:
        campaigns.create(data, datetime.now(UTC))
    return {problem.field: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("flow", "field"),
    [
        ({}, ""),
        ({"type": "whatever"}, ".type"),
        ({"type": "subscription_update_confirm"}, ""),
        (
            {"type": "subscription_update_confirm", "subscription_update_confirm": {"items": []}},
            ".subscription_update_confirm.items",
        ),
        ({"type": "customer_update", "subscription_cancel": {"subscription": "sub_1"}}, ""),
        (
            {"type": "customer_update", "after_completion": {"type": "redirect"}},
            ".after_completion",
        ),
        (
            {
                "type": "customer_update",
                "after_completion": {"type": "redirect", "redirect": {"return_url": "ftp://x"}},
            },
            ".after_completion.redirect.return_url",
        ),
        ({"type": "customer_update", "after": 1}, ".after"),
        (
            {"type": "subscription_cancel", "subscription_cancel": {"retention": {}}},
            ".subscription_cancel.retention.type",
        ),
    ],
)
def test_flows_that_stripe_would_refuse_are_refused(flow: Any, field: str) -> None:
    assert f"destination.flow_data{field}" in refused(flow_data=flow)


def test_other_settings_are_held_to_stripes() -> None:
    assert refused(locale="hi-IN", configuration="x").keys() == {"destination.configuration"}
    assert "en-AU" in refused(locale="hi-IN")["destination.locale"]


def test_several_items_leave_no_item_to_mean() -> None:
    flow = {
        "type": "subscription_update_confirm",
        "subscription_update_confirm": {"items": [{"price": "price_1"}]},
    }
    items = {"data": [{"id": "si_1"}, {"id": "si_2"}]}
    known = {"id": "sub_1", "status": "active", "items": items}
    assert portal_flows.filled(flow, [known]) is None
    cancel = portal_flows.filled({"type": "subscription_cancel"}, [known])
    assert cancel == {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": "sub_1"},
    }
    assert portal_flows.filled({"type": "subscription_cancel"}, []) is None
    ended = {**known, "status": "canceled"}
    assert portal_flows.filled({"type": "subscription_cancel"}, [ended]) is None
