"""Coming back through the whole of linkgate: from Stripe's own addresses to the pages and back."""

import asyncio
import json
import re
from collections.abc import Mapping

import pytest
from playwright.sync_api import BrowserContext, expect

from linkgate.references import CANCELLED, References
from linkgate.tokens import Link
from tests.stack import BROWSER, SCANNER, STRIPE_KEY, Answer, Stack
from tests.threaded import Threaded, press

OWN_PAGES = {"success_url": None, "cancel_url": None}
PREFETCH = {**BROWSER, "Sec-Purpose": "prefetch;prerender"}


async def addresses(stack: Stack) -> tuple[str, str]:
    """Where Stripe was told to send people who are done, and people who leave."""
    [session, *_] = await stack.sessions()
    answer = await stack.ask(
        "GET",
        f"{stack.sandbox_url}/v1/checkout/sessions/{session['id']}",
        {"Authorization": f"Bearer {STRIPE_KEY}"},
    )
    told = json.loads(answer.text)
    return told["success_url"], told["cancel_url"]


async def opened(stack: Stack) -> tuple[Link, str, str]:
    """A link whose checkout somebody has opened, and its two return addresses."""
    await stack.campaign(destination=OWN_PAGES, policy="direct")
    link = stack.link()
    assert (await stack.get(stack.path(link))).status == 303
    return link, *await addresses(stack)


def heading(page: Answer) -> str:
    found = re.search(r"<h1>(.*)</h1>", page.text)
    assert found, page.text
    return found[1]


async def test_a_payment_is_confirmed_by_the_webhook_and_not_by_the_return(stack: Stack) -> None:
    _, done, _ = await opened(stack)
    [session] = await stack.sessions()
    await stack.control("POST", "webhooks/hold")
    await stack.control("POST", f"sessions/{session['id']}/pay")
    page = await stack.get(done)
    assert (page.status, heading(page)) == (200, "Waiting for confirmation")
    found = re.search(r'http-equiv="refresh" content="3;url=(\?since=\d+)"', page.text)
    assert found
    await stack.control("POST", "webhooks/release")
    async with asyncio.timeout(10):
        while heading(page := await stack.get(done + found[1])) != "Payment confirmed":
            await asyncio.sleep(0.02)
    assert "http-equiv" not in page.text
    assert "Spring sale" in page.text


async def test_whoever_left_starts_afresh_by_a_press_alone(stack: Stack) -> None:
    link, _, left = await opened(stack)
    page = await stack.get(left)
    assert (page.status, heading(page)) == (200, "You have left the checkout")
    assert page.action == stack.path(link)
    # The first session has run out meanwhile.
    [first] = await stack.sessions()
    await stack.control("POST", f"sessions/{first['id']}/expire")
    await stack.get(left)
    assert len(await stack.sessions()) == 1
    answer = await stack.press(await stack.get(left))
    assert answer.status == 303
    [fresh] = await stack.open_sessions()
    assert answer.location.startswith(fresh["url"])
    assert fresh["id"] != first["id"]


async def test_another_browser_gets_no_button(stack: Stack) -> None:
    link, done, left = await opened(stack)
    token = stack.path(link).removeprefix("/l/")
    stack.http.cookie_jar.clear()
    page = await stack.get(left)
    assert "<form" not in page.text
    assert "open the link in your email" in page.text
    for address in (done, left):
        assert token not in address
        assert link.recipient not in address
        assert token not in (await stack.get(address)).text


async def test_the_cookie_is_for_the_links_return_pages_and_lasts_a_day(stack: Stack) -> None:
    await stack.campaign(destination=OWN_PAGES, policy="direct")
    link = stack.link()
    answer = await stack.get(stack.path(link))
    assert answer.status == 303
    set_cookie = answer.headers.getall("Set-Cookie")  # type: ignore[attr-defined]
    [value] = [one for one in set_cookie if one.startswith("lg_link=")]
    attributes = dict(part.strip().partition("=")[::2] for part in value.split(";")[1:])
    assert attributes.keys() == {"Max-Age", "Path", "HttpOnly", "SameSite"}
    done, _ = await addresses(stack)
    assert (stack.url + attributes["Path"], attributes["SameSite"]) == (done, "Lax")
    assert int(attributes["Max-Age"]) == 86_400


async def test_each_of_two_links_in_one_browser_keeps_its_way_back(stack: Stack) -> None:
    first, _, left = await opened(stack)
    second = stack.link()
    await stack.get(stack.path(second))
    assert (await stack.get(left)).action == stack.path(first)
    reference = References(stack.gateway.keyring)
    page = await stack.get(reference.return_path(second.id) + CANCELLED)
    assert page.action == stack.path(second)


@pytest.mark.parametrize("headers", [BROWSER, SCANNER, PREFETCH, {}])
async def test_nothing_that_comes_to_a_return_address_mints(
    stack: Stack, headers: Mapping[str, str]
) -> None:
    _, done, left = await opened(stack)
    [session] = await stack.sessions()
    await stack.control("POST", f"sessions/{session['id']}/expire")
    for address in (done, left):
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"):
            await stack.ask(method, address, headers)
        for query in ("?confirm=1", "?challenge=x&gesture=ran", "?since=1&also=1"):
            await stack.get(address + query, headers)
    assert len(await stack.sessions()) == 1


async def test_every_answer_carries_the_laws_headers(stack: Stack) -> None:
    _, done, left = await opened(stack)
    for method, address, headers, status in [
        ("GET", done, BROWSER, 200),
        ("GET", left, BROWSER, 200),
        ("HEAD", done, BROWSER, 200),
        ("HEAD", left, SCANNER, 200),
        ("OPTIONS", done, BROWSER, 204),
        ("POST", done, BROWSER, 405),
        ("TRACE", left, BROWSER, 405),
        ("GET", "/return", BROWSER, 404),
        ("GET", "/return/", BROWSER, 404),
        ("GET", "/return/junk", BROWSER, 404),
        ("GET", "/return/%00/cancelled", BROWSER, 404),
        ("GET", done, {**BROWSER, "Host": "not a host"}, 200),
        ("GET", done, {**BROWSER, "Cookie": "lg_link=" + "x" * 9000}, 200),
    ]:
        answer = await stack.ask(method, address, headers)
        assert answer.status == status, (method, address)
        assert answer.headers["Cache-Control"] == "no-store", (method, address)
        assert answer.headers["Referrer-Policy"] == "no-referrer", (method, address)
        assert answer.headers["X-Robots-Tag"].startswith("noindex"), (method, address)
        if method != "OPTIONS":
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        if method == "HEAD":
            assert (answer.text, int(answer.headers["Content-Length"]) > 1000) == ("", True)
        if status == 405:
            assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_stripe_is_asked_for_a_person_who_waits_and_not_for_a_head_request(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def ask(link: str) -> None:
        asked.append(link)

    link, done, _ = await opened(stack)
    monkeypatch.setattr(stack.gateway.returning, "_on_waiting", ask)
    waiting = f"{done}?since={int(stack.clock()) - 30}"
    await stack.ask("HEAD", waiting)
    assert asked == []
    await stack.get(waiting)
    assert asked == [link.id]


async def test_a_bug_is_a_page_with_the_laws_headers(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("linkgate.returning.telling", bug)
    _, done, _ = await opened(stack)
    answer = await stack.get(done)
    assert answer.status == 500
    assert answer.headers["Cache-Control"] == "no-store"
    assert "bug" not in answer.text


# In a real browser


def test_a_person_leaves_comes_back_and_pays(gate: Threaded, person: BrowserContext) -> None:
    gate.do(lambda stack: stack.campaign("ours", destination=OWN_PAGES))
    page = person.new_page()
    page.goto(gate.link("ours")[1])
    page.wait_for_url("**/c/pay/**")
    page.get_by_role("button", name="Cancel Go back").click()
    page.wait_for_url("**/return/*/cancelled")
    expect(page.get_by_role("heading", level=1)).to_have_text("You have left the checkout")
    press(page)
    page.wait_for_url("**/c/pay/**")
    page.get_by_role("button", name=re.compile("^Pay ")).first.click()
    page.wait_for_url("**/return/**")
    # By itself, as soon as the webhook has told.
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment confirmed", timeout=20_000)
    page.goto(page.url.partition("?")[0] + "/cancelled")
    expect(page.get_by_role("heading", level=1)).to_have_text("This has already been paid")
    assert len(gate.sessions()) == 1
