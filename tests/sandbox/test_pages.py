"""The hosted pay page: what it shows, what its buttons do, and a real browser pressing them."""

import html
import re
from typing import Any

import pytest
import stripe
from aiohttp import encode_basic_auth
from playwright.async_api import async_playwright

from linkgate.sandbox import page_orders
from tests.sandbox.conftest import KEY, Live, Receiver

CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")


def page_of(session: Any) -> str:
    return str(session.url).partition("#")[0]


async def read(live: Live, url: str) -> tuple[int, str, Any]:
    async with live.http.get(url) as response:
        return response.status, html.unescape(await response.text()), response.headers


async def press(live: Live, session: Any, button: str, **form: str) -> tuple[int, str]:
    async with live.http.post(
        f"{page_of(session)}/{button}", data=form, allow_redirects=False
    ) as response:
        return response.status, response.headers.get("Location", "")


async def test_the_page_says_what_is_bought_and_that_no_money_moves(live: Live) -> None:
    session = await live.session(client_reference_id="link-7")
    status, text, headers = await read(live, session.url)
    assert status == 200
    for words in ("Sandbox", "No money moves", "Linkgate workshop ticket", "€49.00", "link-7"):
        assert words in text
    assert "noindex" in headers["X-Robots-Tag"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


async def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script(live: Live) -> None:
    session = await live.session()
    _, text, _ = await read(live, session.url)
    assert re.findall(r'(?:src|href)="(?!/c/|data:)[^"]*"', text) == []
    assert "<script" not in text
    assert " style=" not in text


async def test_what_a_creator_writes_is_escaped(live: Live) -> None:
    data = {
        "currency": "eur",
        "unit_amount": 500,
        "product_data": {"name": "<script>alert(1)</script>"},
    }
    session = await live.session(line_items=[{"price_data": data, "quantity": 1}])
    async with live.http.get(session.url) as response:
        assert "<script" not in await response.text()


async def test_head_answers_like_get(live: Live) -> None:
    session = await live.session()
    async with live.http.head(page_of(session)) as response:
        assert response.status == 200


async def test_fail_keeps_the_session_open_with_a_notice(live: Live, receiver: Receiver) -> None:
    session = await live.session()
    assert await press(live, session, "fail") == (303, f"/c/pay/{session.id}")
    assert "Your card was declined" in (await read(live, session.url))[1]
    await live.sandbox.courier.settled()
    assert receiver.kinds == ["payment_intent.payment_failed"]
    assert receiver.events[0]["data"]["object"]["last_payment_error"]["code"] == "card_declined"
    after = await live.sessions.retrieve_async(session.id)
    assert (after.status, after.payment_status) == ("open", "unpaid")
    status, where = await press(live, session, "pay")
    assert (status, where) == (303, f"https://shop.example.com/thanks?s={session.id}")
    paid = await live.sessions.retrieve_async(session.id)
    assert paid.payment_intent == receiver.events[0]["data"]["object"]["id"]


async def test_cancel_goes_back_and_leaves_the_session_open(live: Live) -> None:
    session = await live.session()
    assert await press(live, session, "cancel") == (303, "https://shop.example.com/cart?from=mail")
    assert (await live.sessions.retrieve_async(session.id)).status == "open"


async def test_a_used_page_offers_no_payment(live: Live) -> None:
    session = await live.session()
    await press(live, session, "pay")
    _, text, _ = await read(live, session.url)
    assert "complete and paid" in text
    assert '/pay"' not in text
    assert "Pay later" not in text
    assert await press(live, session, "pay") == (303, f"/c/pay/{session.id}")
    assert live.sandbox.world.created["payment_intent"] == 1


async def test_an_expired_page_offers_no_payment(live: Live) -> None:
    session = await live.session()
    await live.sessions.expire_async(session.id)
    _, text, _ = await read(live, session.url)
    assert "expired" in text
    assert re.findall(r'action="/c/pay/[^/]+/(.*?)"', text) == ["fault", "clock"]
    assert await press(live, session, "pay") == (303, f"/c/pay/{session.id}")
    assert (await live.sessions.retrieve_async(session.id)).payment_status == "unpaid"


@pytest.mark.parametrize(
    ("button", "status", "kind", "words"),
    [
        ("settle", "paid", "checkout.session.async_payment_succeeded", "complete and paid"),
        ("fail-async", "unpaid", "checkout.session.async_payment_failed", "Nothing was paid"),
    ],
)
@pytest.mark.parametrize("mode", ["payment", "subscription"])
async def test_pay_later_is_decided_on_a_control_page(
    live: Live, receiver: Receiver, mode: str, button: str, status: str, kind: str, words: str
) -> None:
    price = "price_demo_once" if mode == "payment" else "price_demo_monthly"
    session = await live.session(mode=mode, line_items=[{"price": price, "quantity": 1}])
    await press(live, session, "pay-later")
    pending = await live.sessions.retrieve_async(session.id)
    assert (pending.status, pending.payment_status) == ("complete", "unpaid")
    assert "Waiting for the money" in (await read(live, session.url))[1]
    await press(live, session, button)
    await live.sandbox.courier.settled()
    assert (await live.sessions.retrieve_async(session.id)).payment_status == status
    assert receiver.kinds.count("checkout.session.completed") == 1
    assert receiver.kinds.count(kind) == 1
    assert words in (await read(live, session.url))[1]
    code, told = await live.control(f"sessions/{session.id}/settle")
    assert (code, "isn't waiting" in told["error"]["message"]) == (400, True)


async def test_no_such_session_is_404(live: Live) -> None:
    for path in ("/c/pay/cs_test_none", "/c/recover/none"):
        status, text, headers = await read(live, live.url + path)
        assert (status, "no such page" in text) == (404, True)
        assert "noindex" in headers["X-Robots-Tag"]


async def test_a_recovery_page_opens_a_fresh_copy(live: Live, receiver: Receiver) -> None:
    session = await live.session(
        after_expiration={"recovery": {"enabled": True}}, metadata={"linkgate_link": "l"}
    )
    expired = await live.sessions.expire_async(session.id)
    url = expired.after_expiration.recovery.url
    async with live.http.get(url, allow_redirects=False) as response:
        assert response.status == 303
    (fresh,) = (await live.sessions.list_async({"status": "open"})).data
    assert fresh.id != session.id
    assert fresh.recovered_from == session.id
    assert fresh.metadata.to_dict() == {"linkgate_link": "l"}
    assert fresh.amount_total == session.amount_total
    await press(live, fresh, "pay")
    await live.sandbox.courier.settled()
    assert receiver.events[-1]["data"]["object"]["recovered_from"] == session.id


async def test_a_person_pays_in_a_real_browser_on_a_phone(live: Live, receiver: Receiver) -> None:
    session = await live.session(success_url=f"{live.url}/?s={{CHECKOUT_SESSION_ID}}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(CHROMIUM)
        )
        context = await browser.new_context(
            viewport={"width": 360, "height": 740}, java_script_enabled=False
        )
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(session.url)
        box = await page.locator("main").bounding_box()
        assert box is not None
        assert box["width"] <= 360
        await page.get_by_label("E-mail").fill("mina@example.com")
        await page.get_by_role("button", name="Pay €49.00").click()
        assert page.url == f"{live.url}/?s={session.id}"
        assert complaints == []
        await browser.close()
    await live.sandbox.courier.settled()
    assert receiver.events[-1]["data"]["object"]["customer_details"]["email"] == "mina@example.com"


async def test_the_overview_shows_sessions_and_deliveries_to_who_has_the_key(live: Live) -> None:
    session = await live.session(client_reference_id="link-9")
    await press(live, session, "pay-later")
    await live.sandbox.courier.settled()
    assert (await read(live, f"{live.url}/sandbox"))[0] == 401
    headers = {"Authorization": encode_basic_auth(KEY, "")}
    async with live.http.get(f"{live.url}/sandbox", headers=headers) as response:
        text = await response.text()
    for words in (
        "link-9",
        f"/c/pay/{session.id}",
        "complete, unpaid",
        "payment_intent.processing",
    ):
        assert words in text


async def test_what_comes_later_is_offered_while_it_can_come(live: Live) -> None:
    session = await live.session()
    await press(live, session, "refund")
    assert (await live.sessions.retrieve_async(session.id)).status == "open"
    await press(live, session, "pay")
    text = (await read(live, session.url))[1]
    assert "Refund" in text
    assert "End the subscription" not in text
    await press(live, session, "dispute")
    text = (await read(live, session.url))[1]
    assert "Refund" not in text
    assert "Lose the dispute" in text
    await press(live, session, "lose-dispute")
    text = (await read(live, session.url))[1]
    assert "What may happen later" not in text
    assert "<dd>lost</dd>" in text


async def test_a_subscription_lives_on_its_sessions_page(live: Live) -> None:
    session = await live.session(
        mode="subscription", line_items=[{"price": "price_demo_monthly", "quantity": 1}]
    )
    for button, shown in (
        ("pay", "active"),
        ("fail-renewal", "past due"),
        ("catch-up", "active"),
        ("renew", "active"),
        ("cancel", "canceled"),
    ):
        await press(live, session, button)
        assert f"<dd>{shown}</dd>" in (await read(live, session.url))[1], button


async def test_a_person_lets_a_session_expire(live: Live) -> None:
    session = await live.session()
    await press(live, session, "expire")
    assert "This session has expired" in (await read(live, session.url))[1]


async def test_a_button_says_what_becomes_of_its_webhooks(live: Live, receiver: Receiver) -> None:
    lost, doubled = await live.session(), await live.session()
    await press(live, lost, "pay", webhooks="lost")
    await press(live, doubled, "pay", webhooks="doubled")
    await live.sandbox.courier.settled()
    assert sorted(receiver.kinds) == [
        "checkout.session.completed",
        "checkout.session.completed",
        "payment_intent.succeeded",
        "payment_intent.succeeded",
    ]
    assert {event["data"]["object"]["id"] for event in receiver.events} == {
        doubled.id,
        (await live.sessions.retrieve_async(doubled.id)).payment_intent,
    }


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("429", stripe.RateLimitError),
        ("500", stripe.APIError),
        ("cut", stripe.APIConnectionError),
    ],
)
async def test_the_page_lets_creations_fail(live: Live, kind: str, error: type[Exception]) -> None:
    session = await live.session()
    assert await press(live, session, "fault", kind=kind, times="1") == (
        303,
        f"/c/pay/{session.id}",
    )
    assert "1 more" in (await read(live, session.url))[1]
    with pytest.raises(error):
        await live.session()
    await live.session()
    await press(live, session, "fault", kind=kind, times="all")
    await press(live, session, "fault", kind="clear", times="1")
    await live.session()
    assert "more" not in (await read(live, session.url))[1]


async def test_the_page_makes_creations_slow(live: Live) -> None:
    session = await live.session()
    await press(live, session, "fault", kind="slow", times="10")
    [fault] = live.sandbox.faults.open()
    assert (fault.mode, fault.seconds, fault.times) == ("slow", page_orders.SLOW_SECONDS, 10)
    await press(live, session, "fault", kind="worse", times="1")
    assert live.sandbox.faults.open() == [fault]


async def test_the_page_moves_stripe_s_clock(live: Live) -> None:
    session = await live.session()
    await press(live, session, "clock", change="-5m")
    assert live.sandbox.world.offset == -300
    assert "The clock is 300 s behind" in (await read(live, session.url))[1]
    await press(live, session, "clock", change="+1d")
    await press(live, session, "clock", change="nowhere")
    await press(live, session, "clock", change="+1h")
    assert live.sandbox.world.offset == 89_700
    assert "This session has expired" in (await read(live, session.url))[1]
    await press(live, session, "clock", change="right")
    assert live.sandbox.world.offset == 0
    assert "The clock" not in (await read(live, session.url))[1]
