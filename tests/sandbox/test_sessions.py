"""Checkout Sessions over real HTTP with stripe-python: made, read, listed, ended."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import PAYMENT, SECRET, Clock, Live, Receiver


async def test_a_payment_session_is_made_as_asked_for(live: Live, clock: Clock) -> None:
    session = await live.session(
        client_reference_id="link-1",
        metadata={"linkgate_link": "link-1"},
        expires_at=int(clock()) + 1900,
    )
    assert session.id.startswith("cs_test_")
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert (session.amount_total, session.currency) == (4900, "eur")
    assert session.expires_at == clock() + 1900
    assert session.client_reference_id == "link-1"
    assert session.metadata.to_dict() == {"linkgate_link": "link-1"}
    assert session.url.startswith(f"{live.url}/c/pay/{session.id}#fid")
    assert "%2F" in session.url
    assert session.last_response.headers["Request-Id"].startswith("req_")
    assert session.last_response.headers["Stripe-Version"] == stripe.api_version


async def test_paying_sends_signed_events_and_completes(live: Live, receiver: Receiver) -> None:
    session = await live.session(payment_intent_data={"metadata": {"linkgate_link": "l"}})
    async with live.http.post(
        session.url.partition("#")[0] + "/pay", data={"email": "a@b.example"}, allow_redirects=False
    ) as paid:
        assert paid.status == 303
        assert paid.headers["Location"] == f"https://shop.example.com/thanks?s={session.id}"
    await live.sandbox.courier.settled()
    assert receiver.kinds == ["payment_intent.succeeded", "checkout.session.completed"]
    for header, body in receiver.got:
        assert stripe.WebhookSignature.verify_header(body, header, SECRET)
    intent, completed = (event["data"]["object"] for event in receiver.events)
    assert intent["metadata"] == {"linkgate_link": "l"}
    assert completed["payment_status"] == "paid"
    assert completed["payment_intent"] == intent["id"]
    assert completed["customer_details"]["email"] == "a@b.example"
    read = await live.sessions.retrieve_async(session.id, {"expand": ["payment_intent"]})
    assert (read.status, read.payment_status, read.url) == ("complete", "paid", None)
    assert read.payment_intent.status == "succeeded"


async def test_a_forged_body_fails_the_signature(live: Live, receiver: Receiver) -> None:
    session = await live.session()
    await live.control(f"sessions/{session.id}/pay")
    await live.sandbox.courier.settled()
    header, body = receiver.got[-1]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.replace("paid", "Paid"), header, SECRET)


@pytest.mark.parametrize(
    ("params", "param", "message"),
    [
        ({"foo": 1}, "foo", "Received unknown parameter: foo"),
        ({"mode": "buy"}, "mode", "Invalid mode: must be one of payment, setup, or subscription"),
        ({"line_items": [{"price": "x", "quantity": 1}]}, "line_items[0][price]", "No such price"),
        ({"success_url": "javascript:alert(1)"}, "success_url", "Not a valid URL"),
        ({"customer": "cus_none"}, "customer", "No such customer: 'cus_none'"),
        ({"client_reference_id": "x" * 201}, "client_reference_id", "at most 200 characters"),
        ({"subscription_data": {"metadata": {"a": "b"}}}, "subscription_data", "`payment` mode"),
    ],
)
async def test_what_stripe_refuses_is_refused(
    live: Live, params: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await live.sessions.create_async({**PAYMENT, **params})
    assert caught.value.param == param
    assert message in str(caught.value)
    assert caught.value.http_status == 400
    assert live.sandbox.world.created["checkout.session"] == 0


async def test_a_subscription_leaves_its_objects_behind(live: Live, receiver: Receiver) -> None:
    session = await live.session(
        mode="subscription",
        line_items=[{"price": "price_demo_monthly", "quantity": 2}],
        subscription_data={"metadata": {"linkgate_link": "l"}},
    )
    await live.control(f"sessions/{session.id}/pay")
    await live.sandbox.courier.settled()
    assert set(receiver.kinds) == {
        "customer.created",
        "customer.subscription.created",
        "payment_intent.succeeded",
        "invoice.paid",
        "checkout.session.completed",
    }
    done = await live.sessions.retrieve_async(
        session.id, {"expand": ["subscription.latest_invoice", "customer"]}
    )
    assert (done.payment_status, done.amount_total) == ("paid", 3800)
    assert done.subscription.status == "active"
    assert done.subscription.metadata.to_dict() == {"linkgate_link": "l"}
    assert done.subscription.customer == done.customer.id
    parent = done.subscription.latest_invoice.to_dict()["parent"]["subscription_details"]
    assert parent == {"metadata": {"linkgate_link": "l"}, "subscription": done.subscription.id}
    item = done.subscription.to_dict()["items"]["data"][0]
    assert item["current_period_end"] > item["current_period_start"]
    read = await live.client.v1.subscriptions.retrieve_async(done.subscription.id)
    assert read.id == done.subscription.id
    (found,) = (await live.sessions.list_async({"subscription": read.id})).data
    assert found.id == session.id


async def test_a_trial_needs_no_payment(live: Live) -> None:
    session = await live.session(
        mode="subscription",
        line_items=[{"price": "price_demo_monthly", "quantity": 1}],
        subscription_data={"trial_period_days": 7},
    )
    await live.control(f"sessions/{session.id}/pay")
    done = await live.sessions.retrieve_async(session.id, {"expand": ["subscription"]})
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert done.subscription.status == "trialing"


async def test_setup_saves_without_charging(live: Live, receiver: Receiver) -> None:
    session = await live.sessions.create_async(
        {
            "mode": "setup",
            "currency": "eur",
            "success_url": "https://shop.example.com/",
            "setup_intent_data": {"metadata": {"linkgate_link": "l"}},
        }
    )
    assert session.amount_total is None
    assert (await live.control(f"sessions/{session.id}/pay-later"))[0] == 400
    await live.control(f"sessions/{session.id}/fail")
    await live.control(f"sessions/{session.id}/pay")
    await live.sandbox.courier.settled()
    assert set(receiver.kinds) == {
        "setup_intent.setup_failed",
        "setup_intent.succeeded",
        "checkout.session.completed",
    }
    done = await live.sessions.retrieve_async(session.id, {"expand": ["setup_intent"]})
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert done.setup_intent.metadata.to_dict() == {"linkgate_link": "l"}
    assert done.setup_intent.status == "succeeded"


async def test_a_session_expires_when_its_time_is_over(
    live: Live, receiver: Receiver, clock: Clock
) -> None:
    session = await live.session(expires_at=int(clock()) + 1800)
    later = await live.session(expires_at=int(clock()) + 3600)
    clock.at += 1799
    assert (await live.sessions.retrieve_async(session.id)).status == "open"
    clock.at += 1
    ended = await live.sessions.retrieve_async(session.id)
    assert (ended.status, ended.payment_status, ended.url) == ("expired", "unpaid", None)
    await live.sandbox.courier.settled()
    assert receiver.kinds == ["checkout.session.expired"]
    assert (await live.sessions.retrieve_async(later.id)).status == "open"
    assert (await live.control(f"sessions/{session.id}/pay"))[0] == 400


async def test_a_sweep_expires_what_nobody_looks_at(live: Live, clock: Clock) -> None:
    session = await live.session()
    clock.at += 24 * 3600
    assert live.sandbox.world.sweep() == 1
    assert live.sandbox.world.sweep() == 0
    assert live.sandbox.world.get("checkout.session", session.id)["status"] == "expired"  # type: ignore[index]


@pytest.mark.parametrize(("action", "status"), [("pay", "complete"), ("expire", "expired")])
async def test_only_an_open_session_can_be_expired(live: Live, action: str, status: str) -> None:
    session = await live.session()
    await live.control(f"sessions/{session.id}/{action}")
    with pytest.raises(stripe.InvalidRequestError, match=f"status of `{status}`") as caught:
        await live.sessions.expire_async(session.id)
    assert caught.value.http_status == 400


async def test_lists_are_paged_from_the_newest(live: Live, clock: Clock) -> None:
    ids = []
    for _ in range(5):
        ids.append((await live.session()).id)
        clock.at += 10
    ids.reverse()
    first = await live.sessions.list_async({"limit": 2})
    assert ([s.id for s in first.data], first.has_more) == (ids[:2], True)
    second = await live.sessions.list_async({"limit": 3, "starting_after": ids[1]})
    assert ([s.id for s in second.data], second.has_more) == (ids[2:], False)
    back = await live.sessions.list_async({"limit": 1, "ending_before": ids[2]})
    assert ([s.id for s in back.data], back.has_more) == ([ids[1]], True)
    recent = await live.sessions.list_async({"created": {"gte": int(clock()) - 20}})
    assert [s.id for s in recent.data] == ids[:2]
    assert [s.id async for s in first.auto_paging_iter()] == ids
    for wrong in ({"limit": 0}, {"limit": 101}, {"starting_after": "cs_none"}):
        with pytest.raises(stripe.InvalidRequestError):
            await live.sessions.list_async(wrong)


async def test_lists_are_filtered(live: Live) -> None:
    customer = await live.client.v1.customers.create_async({"email": "a@b.example"})
    mine = await live.session(customer=customer.id)
    paid = await live.session()
    await live.control(f"sessions/{paid.id}/pay")
    paid = await live.sessions.retrieve_async(paid.id)
    for wanted, found in (
        ({"customer": customer.id}, mine),
        ({"payment_intent": paid.payment_intent}, paid),
        ({"status": "complete"}, paid),
        ({"status": "open"}, mine),
    ):
        assert [s.id for s in (await live.sessions.list_async(wanted)).data] == [found.id]


async def test_line_items_are_listed_and_expanded(live: Live) -> None:
    session = await live.session(
        line_items=[{"price": "price_demo_once", "quantity": 3}],
        expand=["line_items.data.price.product"],
    )
    assert "line_items" not in (await live.sessions.retrieve_async(session.id)).to_dict()
    assert session.line_items.data[0].price.product.name == "Linkgate workshop ticket"
    (item,) = (await live.sessions.line_items.list_async(session.id)).data
    assert (item.quantity, item.amount_total, item.price.id) == (3, 14_700, "price_demo_once")


@pytest.mark.parametrize("path", ["id", "nothing", "customer.nothing.at.all.there"])
async def test_what_cannot_be_expanded_is_refused(live: Live, path: str) -> None:
    session = await live.session()
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await live.sessions.retrieve_async(session.id, {"expand": [path]})


async def test_prices_products_and_the_account_can_be_read(live: Live) -> None:
    price = await live.client.v1.prices.retrieve_async("price_demo_monthly")
    assert (price.unit_amount, price.currency, price.type) == (1900, "eur", "recurring")
    product = await live.client.v1.products.retrieve_async(str(price.product))
    assert product.default_price == price.id
    recurring = await live.client.v1.prices.list_async({"type": "recurring"})
    assert [each.id for each in recurring.data] == [price.id]
    account = await live.client.v1.accounts.retrieve_current_async()
    assert account.id.startswith("acct_")


async def test_customers_are_made_and_found(live: Live) -> None:
    customers = live.client.v1.customers
    made = await customers.create_async({"email": "a@b.example", "metadata": {"k": "v"}})
    read = await customers.retrieve_async(made.id)
    assert (read.email, read.to_dict()["metadata"]) == ("a@b.example", {"k": "v"})
    await customers.create_async({"email": "c@d.example"})
    found = await customers.list_async({"email": "a@b.example"})
    assert [each.id for each in found.data] == [made.id]
    with pytest.raises(stripe.InvalidRequestError, match="Invalid email"):
        await customers.create_async({"email": "nobody"})


async def test_the_state_counts_what_happened(live: Live) -> None:
    session = await live.sessions.create_async(PAYMENT, options={"idempotency_key": "k1"})
    await live.session()
    await live.control(f"sessions/{session.id}/pay")
    await live.fault(match="*", status=429)
    await live.sandbox.courier.settled()
    status, state = await live.control("state", method="GET")
    assert status == 200
    assert state["counts"] == {"created": 2, "open": 1, "complete": 1, "expired": 0, "paid": 1}
    assert state["requests"] == {"POST /v1/checkout/sessions": 2}
    assert "k1" in state["idempotency_keys"]
    assert [each["status"] for each in state["sessions"]] == ["open", "complete"]
    assert state["events"] == {"checkout.session.completed": 1, "payment_intent.succeeded": 1}
    assert [each["status"] for each in state["deliveries"]] == [200, 200]
    assert [each["status"] for each in state["faults"]] == [429]


async def test_an_unknown_control_is_refused(live: Live) -> None:
    session = await live.session()
    assert (await live.control(f"sessions/{session.id}/steal"))[0] in (400, 404)
    assert (await live.control("sessions/cs_none/pay"))[0] == 404
    assert (await live.control("clock", {"offset": "soon"}))[0] == 400
