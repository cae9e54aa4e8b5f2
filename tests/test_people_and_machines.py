"""Real Chromium against a real linkgate: a person in it gets a session, and just one."""

import asyncio
import json
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from linkgate.store.apikeys import Scope
from tests.stack import CHROME, PRICE, SCANNER, Stack
from tests.threaded import Threaded, press, read


def test_from_the_api_to_the_webhook(gate: Threaded, person: BrowserContext) -> None:
    """The main job: made by the API, opened by a scanner and a person, paid, known as paid."""

    async def ask(stack: Stack, method: str, path: str, body: Any = None) -> Any:
        _, key = await stack.gateway.store.keys.create("test", [Scope.ADMIN], stack.clock())
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = json.dumps(body) if body else None
        answer = await stack.ask(method, f"/api/v1{path}", headers, data=data)
        assert answer.status < 300, answer.text
        return json.loads(answer.text)

    destination = {
        "kind": "checkout",
        "mode": "payment",
        "line_items": [{"price": PRICE, "quantity": 1}],
        "success_url": "https://shop.example.com/thanks",
        "cancel_url": "https://shop.example.com/",
    }
    campaign = {"slug": "by-api", "name": "Spring sale", "destination": destination}
    gate.do(lambda stack: ask(stack, "POST", "/campaigns", campaign))
    wanted = {"campaign": "by-api", "recipient": "r-1001"}
    link = gate.do(lambda stack: ask(stack, "POST", "/links", wanted))
    read = f"/links/{link['id']}"

    scanned = gate.do(lambda stack: stack.get(link["url"], SCANNER))
    assert (scanned.status, gate.sessions()) == (200, [])

    page = person.new_page()
    page.goto(link["url"])
    [session] = gate.sessions()
    assert page.url.partition("#")[0] == session["url"].partition("#")[0]
    page.route("https://shop.example.com/**", lambda route: route.fulfill(body="thanks"))
    page.get_by_role("button", name="Pay", exact=False).first.click()
    page.wait_for_url("https://shop.example.com/thanks")

    async def paid(stack: Stack) -> Any:
        async with asyncio.timeout(10):
            while (shown := await ask(stack, "GET", read))["state"] != "paid":
                await asyncio.sleep(0.05)
        return shown

    shown = gate.do(paid)
    assert [one["state"] for one in shown["sessions"]] == ["paid"]
    verdicts = [(visit["verdict"], visit["decision"]) for visit in reversed(shown["visits"])]
    assert verdicts == [("automated", "interstitial"), ("human", "mint")]
    assert all(visit["evidence"] for visit in shown["visits"])

    page.goto(link["url"])
    expect(page.locator("form")).to_have_count(0)
    assert len(gate.sessions()) == 1


def test_a_person_presses_the_one_button(gate: Threaded, person: BrowserContext) -> None:
    page = person.new_page()
    page.goto(gate.link("confirmed")[1])
    assert gate.sessions() == []
    press(page)
    assert len(gate.sessions()) == 1
    # The same browser goes straight through from now on.
    page.goto(gate.link("confirmed")[1])
    assert "/c/pay/" in page.url


def test_a_person_presses_with_the_keyboard_and_without_javascript(
    gate: Threaded, undriven: Browser
) -> None:
    context = undriven.new_context(user_agent=CHROME, java_script_enabled=False)
    page = context.new_page()
    page.goto(gate.link("confirmed")[1])
    read(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/c/pay/**")
    context.close()
    assert len(gate.sessions()) == 1


def test_a_double_click_and_two_windows_make_one_session(
    gate: Threaded, person: BrowserContext
) -> None:
    _, url = gate.link("confirmed")
    pages = [person.new_page(), person.new_page()]
    for page in pages:
        page.goto(url)
    for page in pages:
        read(page)
    pages[0].get_by_role("button").dblclick(no_wait_after=True)
    pages[1].get_by_role("button").click(no_wait_after=True)
    for page in pages:
        page.wait_for_url("**/c/pay/**")
    assert len(gate.sessions()) == 1


def test_in_the_minutes_after_sending_a_person_presses_once(
    gate: Threaded, person: BrowserContext
) -> None:
    page = person.new_page()
    just_sent = int(gate.stack.clock())
    page.goto(gate.link(sent_at=just_sent)[1])
    assert gate.sessions() == []
    press(page)
    assert len(gate.sessions()) == 1


def test_a_campaign_without_a_scan_window_lets_a_person_in_at_once(
    gate: Threaded, person: BrowserContext
) -> None:
    gate.do(lambda stack: stack.campaign("at-once", scan_minutes=0))
    page = person.new_page()
    page.goto(gate.link("at-once", sent_at=int(gate.stack.clock()))[1])
    assert "/c/pay/" in page.url


def referring(gate: Threaded, page: Page, rules: str) -> None:
    """Open a page of the gateway's origin (speculation stays within one) that has `rules`."""
    html = f'<!doctype html><title>mail</title><script type="speculationrules">{rules}</script>'
    page.route("**/mail", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(gate.stack.url + "/mail")


@pytest.mark.parametrize("campaign", ["spring", "confirmed"])
@pytest.mark.parametrize("kind", ["prefetch", "prerender"])
def test_what_a_browser_speculates_about_costs_nothing(
    gate: Threaded, person: BrowserContext, kind: str, campaign: str
) -> None:
    link, url = gate.link(campaign)
    page = person.new_page()
    referring(gate, page, f'{{"{kind}": [{{"urls": ["{url}"], "eagerness": "immediate"}}]}}')

    async def speculated(stack: Stack) -> list[str]:
        async with asyncio.timeout(10):
            while await stack.gateway.store.links.read(link.id) is None:
                await asyncio.sleep(0.05)
                await stack.gateway.store.recorder.flush()
        return [visit["kind"] for visit in (await stack.row(link)).visits]

    assert gate.do(speculated) == ["prefetch"]
    assert gate.sessions() == []
    # Then the person really goes there: the browser asks again, and exactly one session is made.
    page.evaluate("url => { location.href = url }", url)
    if campaign == "confirmed":
        press(page)
    page.wait_for_url("**/c/pay/**")
    assert len(gate.sessions()) == 1


def test_the_busy_page_gets_in_by_itself(gate: Threaded, person: BrowserContext) -> None:
    # Stripe names a longer wait than the gateway lets a person wait, so the page does the waiting;
    # Playwright's clock makes it short.
    wait = int(gate.stack.settings.stripe.person_deadline_seconds) + 10
    gate.do(lambda stack: stack.fault(status=429, times=1, retry_after=wait))
    link, url = gate.link()
    page = person.new_page()
    page.clock.install()
    page.goto(url)
    expect(page.locator("form")).to_have_attribute("data-retry-after", str(wait))
    page.clock.run_for(wait * 500)
    assert gate.sessions() == []
    # Nobody presses: the script alone sends the form.
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.clock.run_for(wait * 1500)
    assert sent.value.url == url
    page.wait_for_url("**/c/pay/**")
    [session] = gate.sessions()
    assert session["client_reference_id"] == link.id
