"""Real Chromium on a pricing page: what it speculates about costs nothing, and its person buys."""

import asyncio
import json

import pytest
from playwright.sync_api import BrowserContext, Page

from linkgate import anonymous
from tests.stack import PRICE, Stack
from tests.threaded import Threaded, press

MONTHLY = "price_demo_monthly"


@pytest.fixture
def shop(gate: Threaded) -> Threaded:
    """The running linkgate, where two campaigns are open to the public."""

    async def sell(stack: Stack) -> None:
        if await stack.gateway.store.campaigns.get("open") is None:
            await stack.campaign("open", public=True)
            plus = {"mode": "subscription", "line_items": [{"price": MONTHLY}]}
            await stack.campaign("plus", public=True, policy="confirm", destination=plus)

    gate.do(sell)
    return gate


def pricing(shop: Threaded, page: Page, rules: str = "") -> None:
    """Open the pricing page of docs/public.md, on the gateway's origin: speculation stays there."""
    html = (
        f'<!doctype html><title>Pricing</title><script type="speculationrules">{rules}</script>'
        f'<a href="/checkout?price={PRICE}" rel="nofollow">Once</a> '
        f'<a href="/checkout?price={MONTHLY}" rel="nofollow">Monthly</a>'
    )
    page.route("**/pricing", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(shop.stack.url + "/pricing")


@pytest.mark.parametrize("kind", ["prefetch", "prerender"])
def test_a_pricing_page_that_is_speculated_about_mints_for_its_person_alone(
    shop: Threaded, person: BrowserContext, kind: str
) -> None:
    page = person.new_page()
    before = {slug: shop.do(lambda stack, slug=slug: prefetched(stack, slug)) for slug in SLUGS}
    where = {"where": {"href_matches": "/checkout\\?*"}, "eagerness": "immediate"}
    pricing(shop, page, json.dumps({kind: [where]}))

    async def both(stack: Stack) -> None:
        async with asyncio.timeout(10):
            while not all([await prefetched(stack, slug) > before[slug] for slug in SLUGS]):
                await asyncio.sleep(0.05)

    shop.do(both)
    assert shop.sessions() == []
    page.get_by_role("link", name="Once").click()
    page.wait_for_url("**/c/pay/**")
    [session] = shop.sessions()
    assert session["metadata"]["linkgate_campaign"] == "open"
    # Back, and to the other one, which asks everybody to press.
    pricing(shop, page)
    page.get_by_role("link", name="Monthly").click()
    press(page)
    sold = {session["metadata"]["linkgate_campaign"] for session in shop.sessions()}
    assert (sold, len(shop.sessions())) == ({"open", "plus"}, 2)


SLUGS = ("open", "plus")


async def prefetched(stack: Stack, slug: str) -> int:
    await stack.gateway.store.recorder.flush()
    return (await stack.gateway.store.campaigns.counts(slug)).get("visits.prefetch", 0)


def test_the_back_button_leaves_one_open_session_of_one_link(
    shop: Threaded, person: BrowserContext
) -> None:
    page = person.new_page()
    pricing(shop, page)
    for _ in range(2):
        page.get_by_role("link", name="Once").click()
        page.wait_for_url("**/c/pay/**")
        page.go_back()
        page.wait_for_url("**/pricing")
        # Two visits within a second would be a machine's, or a double click.
        page.wait_for_timeout(1100)
    assert len({session["client_reference_id"] for session in shop.sessions()}) == 1
    assert [session["status"] for session in shop.sessions()] == ["open"]
    [name] = [c["name"] for c in person.cookies() if c["name"].startswith(anonymous.COOKIE)]
    assert name == anonymous.Way("open", PRICE).cookie
