"""What became of the money of a link that is done, and what its person finds there."""

import pytest

from linkgate.tokens import Link
from tests.paying.kit import SUBSCRIPTION, act, bought, enter, fields, until
from tests.stack import Answer, Stack


async def catch_up(stack: Stack, link: Link, session_id: str) -> None:
    [one] = [s for s in await stack.sessions() if s["id"] == session_id]
    await stack.control("POST", f"subscriptions/{one['subscription']}/catch-up")
    await stack.delivered()

    async def runs() -> bool:
        # Two changes of one second: Stripe is asked which was the last.
        return (await fields(stack, link)).get("standing") in (None, "active")

    await until(runs)


def leads_to_portal(answer: Answer) -> bool:
    return answer.status == 303 and "/c/pay/" not in answer.location


async def test_a_first_debit_that_came_back_sells_no_second_subscription(stack: Stack) -> None:
    await stack.campaign(destination=SUBSCRIPTION)
    link = stack.link()
    session_id = await bought(stack, link, "pay-later")
    await act(stack, session_id, "fail-async")
    assert (await fields(stack, link))["payer"].startswith("cus_")
    for _ in range(2):
        assert leads_to_portal(await enter(stack, link))
    await catch_up(stack, link, session_id)
    assert "already" in (await enter(stack, link)).text
    assert len(await stack.sessions()) == 1


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"existing_customer": "checkout"}, 1),
        ({"existing_customer": "checkout"}, "unlimited"),
        ({"existing_customer": "page"}, 3),
    ],
)
async def test_nor_where_the_campaign_would_sell_another(
    stack: Stack, settings: dict[str, str], most: int | str
) -> None:
    await stack.campaign(destination={**SUBSCRIPTION, **settings}, max_payments=most)
    link = stack.link()
    session_id = await bought(stack, link, "pay-later")
    await act(stack, session_id, "fail-async")
    answer = await enter(stack, link)
    if settings["existing_customer"] == "page":
        assert "Please check your subscription" in answer.text
    else:
        assert leads_to_portal(answer)
    assert len(await stack.sessions()) == 1


async def test_who_owes_is_led_to_where_they_can_pay(stack: Stack) -> None:
    await stack.campaign(destination=SUBSCRIPTION)
    link = stack.link()
    session_id = await bought(stack, link)
    assert "already been paid" in (await enter(stack, link)).text
    await act(stack, session_id, "fail-renewal")
    assert (await fields(stack, link))["standing"] == "past_due"
    # A button first, as for everybody who is not yet known to be a person.
    page = await stack.get(stack.path(link))
    assert "challenge" in page.text
    assert leads_to_portal(await stack.press(page))
    await stack.fault(match="POST /v1/billing_portal/sessions", status=400, times=1)
    assert "Please check your subscription" in (await enter(stack, link)).text
    await catch_up(stack, link, session_id)
    assert "already been paid" in (await enter(stack, link)).text


async def test_a_subscription_that_has_ended_may_be_had_again(stack: Stack) -> None:
    await stack.campaign(destination=SUBSCRIPTION)
    link = stack.link()
    first = await bought(stack, link)
    await act(stack, first, "cancel")
    second = await bought(stack, link)
    assert second != first
    # The one that lives counts, and one is all.
    assert "already been paid" in (await enter(stack, link)).text
    assert await stack.open_sessions() == []


async def test_where_a_page_is_shown_to_who_has_it_a_link_is_for_once(stack: Stack) -> None:
    await stack.campaign(destination={**SUBSCRIPTION, "existing_customer": "page"})
    link = stack.link()
    await act(stack, await bought(stack, link), "cancel")
    assert "already been paid" in (await enter(stack, link)).text
    assert await stack.open_sessions() == []


async def test_what_was_refunded_says_so(stack: Stack) -> None:
    await stack.campaign(completed_url="https://shop.example.com/done")
    link = stack.link()
    session_id = await bought(stack, link)
    assert (await enter(stack, link)).location == "https://shop.example.com/done"
    await act(stack, session_id, "refund")
    page = await enter(stack, link)
    assert page.status == 200
    assert "This payment was refunded" in page.text
    assert len(await stack.sessions()) == 1


async def test_a_payment_on_its_way_is_shown_before_another_is_made(stack: Stack) -> None:
    await stack.campaign(max_payments=2, policy="direct")
    link = stack.link()
    await bought(stack, link, "pay-later")
    page = await stack.get(stack.path(link))
    assert page.status == 200
    assert "A payment is on its way" in page.text
    assert await stack.open_sessions() == []
    assert "/c/pay/" in (await stack.press(page)).location
    assert len(await stack.open_sessions()) == 1
