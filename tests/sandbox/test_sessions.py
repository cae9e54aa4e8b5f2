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
