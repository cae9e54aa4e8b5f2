"""Billing portal sessions and their hosted page."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Clock, Live
from tests.sandbox.test_subscriptions import subscribed

RETURN = "https://shop.example.com/account"


async def portal(live: Live, customer: str, **params: Any) -> Any:
    return await live.client.v1.billing_portal.sessions.create_async(
        {"customer": customer, "return_url": RETURN, **params}  # type: ignore[arg-type]
    )


async def page(live: Live, path: str, form: Any = None) -> tuple[int, str, str]:
    method = "GET" if form is None else "POST"
    async with live.http.request(method, path, data=form, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def test_a_customer_cancels_and_goes_back(live: Live) -> None:
    bought = await subscribed(live)
    made = await portal(live, bought.customer)
    assert made.id.startswith("bps_")
    assert (made.customer, made.return_url, made.flow) == (bought.customer, RETURN, None)
    status, text, _ = await page(live, made.url)
    assert status == 200
    assert "Linkgate Plus" in text
    assert f'href="{RETURN}"' in text
    status, _, where = await page(live, f"{made.url}/cancel", {"subscription": bought.subscription})
    assert (status, where) == (303, made.url.removeprefix(live.url))
    read = await live.client.v1.subscriptions.retrieve_async(bought.subscription)
    assert read.status == "canceled"
    assert "Cancel subscription" not in (await page(live, made.url))[1]
    status, _, _ = await page(live, f"{made.url}/cancel", {"subscription": bought.subscription})
    assert status == 303


async def test_a_subscription_can_end_with_its_period_and_be_kept(live: Live) -> None:
    bought = await subscribed(live)
    made = await portal(live, bought.customer)
    form = {"subscription": bought.subscription}
    await page(live, f"{made.url}/cancel-later", form)
    assert "ends with this period" in (await page(live, made.url))[1]
    await page(live, f"{made.url}/keep", form)
    read = await live.client.v1.subscriptions.retrieve_async(bought.subscription)
    assert (read.status, read.cancel_at_period_end) == ("active", False)


async def test_nobody_cancels_anothers(live: Live) -> None:
    mine, yours = await subscribed(live), await subscribed(live)
    made = await portal(live, mine.customer)
    assert yours.subscription not in (await page(live, made.url))[1]
    await page(live, f"{made.url}/cancel", {"subscription": yours.subscription})
    read = await live.client.v1.subscriptions.retrieve_async(yours.subscription)
    assert read.status == "active"


async def test_the_address_lasts_minutes_unless_somebody_comes(live: Live, clock: Clock) -> None:
    bought = await subscribed(live)
    visited, unvisited = await portal(live, bought.customer), await portal(live, bought.customer)
    await page(live, visited.url)
    clock.at += 301
    assert (await page(live, unvisited.url))[0] == 404
    assert (await page(live, visited.url))[0] == 200
    clock.at += 3601
    assert (await page(live, visited.url))[0] == 404


async def test_a_flow_leads_where_it_was_told_to(live: Live) -> None:
    bought = await subscribed(live)
    made = await portal(
        live,
        bought.customer,
        flow_data={
            "type": "subscription_cancel",
            "subscription_cancel": {"subscription": bought.subscription},
            "after_completion": {"type": "redirect", "redirect": {"return_url": RETURN + "/done"}},
        },
    )
    assert made.flow.type == "subscription_cancel"
    assert "Cancel your subscription" in (await page(live, made.url))[1]
    _, _, where = await page(live, f"{made.url}/cancel", {"subscription": bought.subscription})
    assert where == RETURN + "/done"


ABOUT: dict[str, Any] = {
    "subscription_cancel": {},
    "subscription_pause": {},
    "subscription_update": {},
    "subscription_update_confirm": {"items": [{"id": "ITEM", "price": "price_demo_monthly"}]},
}


@pytest.mark.parametrize("kind", ["customer_update", "payment_method_update", *ABOUT])
async def test_every_flow_is_taken_with_what_it_needs(live: Live, kind: str) -> None:
    bought = await subscribed(live)
    flow: dict[str, Any] = {"type": kind}
    if kind in ABOUT:
        item = live.sandbox.world.objects["subscription"][bought.subscription]["items"]["data"][0]
        flow[kind] = {"subscription": bought.subscription, **ABOUT[kind]}
        for each in flow[kind].get("items", []):
            each["id"] = item["id"]
    made = await portal(live, bought.customer, flow_data=flow)
    assert made.flow.type == kind
    assert (await page(live, made.url))[0] == 200


CANCEL = {"type": "subscription_cancel"}
UPDATE = {"type": "subscription_update_confirm"}


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"customer": "cus_none"}, "customer"),
        ({"return_url": "shop"}, "return_url"),
        ({"configuration": "bpc_none"}, "configuration"),
        ({"locale": "xx"}, "locale"),
        ({"mode": "x"}, "mode"),
        ({"flow_data": {"after_completion": {"type": "redirect"}}}, "flow_data[type]"),
        ({"flow_data": {"type": "x"}}, "flow_data[type]"),
        ({"flow_data": CANCEL}, "flow_data[subscription_cancel]"),
        (
            {"flow_data": {**CANCEL, "subscription_cancel": {"subscription": "sub_none"}}},
            "flow_data[subscription_cancel][subscription]",
        ),
        (
            {
                "flow_data": {
                    "type": "customer_update",
                    "subscription_pause": {"subscription": "s"},
                }
            },
            "flow_data[subscription_pause]",
        ),
        (
            {
                "flow_data": {
                    **UPDATE,
                    "subscription_update_confirm": {
                        "subscription": "SUB",
                        "items": [{"id": "si_none"}],
                    },
                }
            },
            "flow_data[subscription_update_confirm][items][0][id]",
        ),
        (
            {
                "flow_data": {
                    **UPDATE,
                    "subscription_update_confirm": {
                        "subscription": "SUB",
                        "items": [{"id": "a"}, {"id": "b"}],
                    },
                }
            },
            "flow_data[subscription_update_confirm][items]",
        ),
        (
            {
                "flow_data": {
                    "type": "payment_method_update",
                    "after_completion": {"type": "redirect"},
                }
            },
            "flow_data[after_completion][redirect]",
        ),
    ],
)
async def test_a_wrong_portal_session_is_refused(live: Live, params: Any, param: str) -> None:
    bought = await subscribed(live)
    confirm = params.get("flow_data", {}).get("subscription_update_confirm")
    if confirm:
        confirm["subscription"] = bought.subscription
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await portal(live, **{"customer": bought.customer, **params})
    assert caught.value.param == param


async def test_what_is_canceled_cannot_be_canceled_by_a_flow(live: Live) -> None:
    bought = await subscribed(live)
    flow = {**CANCEL, "subscription_cancel": {"subscription": bought.subscription}}
    await live.do(bought.id, "cancel", at_period_end=True)
    with pytest.raises(stripe.InvalidRequestError, match="already set to be canceled"):
        await portal(live, bought.customer, flow_data=flow)
    await live.do(bought.id, "cancel")
    with pytest.raises(stripe.InvalidRequestError, match="can't be changed"):
        await portal(live, bought.customer, flow_data=flow)


async def test_a_customer_is_needed(live: Live) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Missing required param: customer"):
        await live.client.v1.billing_portal.sessions.create_async({"return_url": RETURN})
