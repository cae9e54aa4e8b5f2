"""Subscriptions, their invoices, and what a control makes of them."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Clock, Live, Receiver


async def subscribed(live: Live, **data: Any) -> Any:
    """A paid session with a subscription; nothing of that is in the receiver any more."""
    session = await live.session(
        mode="subscription",
        line_items=[{"price": "price_demo_monthly", "quantity": 1}],
        subscription_data={"metadata": {"linkgate_link": "l"}, **data},
    )
    await live.do(session.id, "pay")
    await live.sandbox.courier.settled()
    return await live.sessions.retrieve_async(session.id)


async def test_renewal_advances_the_period_and_pays_an_invoice_of_its_own(
    live: Live, receiver: Receiver
) -> None:
    session = await subscribed(live)
    receiver.got.clear()
    await live.do(session.id, "renew")
    await live.sandbox.courier.settled()
    events = {event["type"]: event["data"] for event in receiver.events}
    assert set(events) == {
        "payment_intent.succeeded",
        "invoice.paid",
        "customer.subscription.updated",
    }
    invoice = events["invoice.paid"]["object"]
    assert invoice["billing_reason"] == "subscription_cycle"
    assert (invoice["amount_paid"], invoice["status"]) == (1900, "paid")
    assert invoice["parent"]["subscription_details"] == {
        "metadata": {"linkgate_link": "l"},
        "subscription": session.subscription,
    }
    assert events["payment_intent.succeeded"]["object"]["metadata"] == {}
    told = events["customer.subscription.updated"]
    before = told["previous_attributes"]["items"]["data"][0]
    after = told["object"]["items"]["data"][0]
    assert after["current_period_start"] == before["current_period_end"]
    assert set(told["previous_attributes"]) == {"items", "latest_invoice"}


async def test_an_invoices_metadata_are_a_snapshot(live: Live) -> None:
    session = await subscribed(live)
    world = live.sandbox.world
    world.objects["subscription"][session.subscription]["metadata"]["later"] = "x"
    invoice = await live.client.v1.invoices.retrieve_async(session.invoice)
    details = invoice.to_dict()["parent"]["subscription_details"]
    assert details["metadata"] == {"linkgate_link": "l"}


async def test_a_card_that_stops_working_ends_in_cancellation(live: Live) -> None:
    session = await subscribed(live)
    before = len(await live.events())
    for action in ("fail-renewal", "fail-again", "unpaid", "catch-up", "cancel"):
        await live.do(session.subscription, action)
    told = (await live.events())[:-before][::-1]
    assert [event["type"] for event in told] == [
        "payment_intent.payment_failed",
        "invoice.payment_failed",
        "customer.subscription.updated",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
        "customer.subscription.updated",
        "payment_intent.succeeded",
        "invoice.paid",
        "customer.subscription.updated",
        "customer.subscription.deleted",
    ]
    steps = [
        (event["data"]["previous_attributes"].get("status"), event["data"]["object"]["status"])
        for event in told
        if event["type"] == "customer.subscription.updated"
    ]
    assert steps == [("active", "past_due"), ("past_due", "unpaid"), ("unpaid", "active")]
    assert told[-1]["data"]["object"]["status"] == "canceled"
    assert "previous_attributes" not in told[-1]["data"]


async def test_a_trial_is_announced_to_end_and_ends(live: Live, clock: Clock) -> None:
    session = await subscribed(live, trial_period_days=14)
    subscription = await live.do(session.id, "announce-trial-end")
    assert subscription["status"] == "trialing"
    clock.at += 14 * 86_400
    subscription = await live.do(session.id, "end-trial")
    assert (subscription["status"], subscription["trial_end"]) == ("active", int(clock()))
    types = [event["type"] for event in await live.events()]
    assert types[:3] == [
        "customer.subscription.updated",
        "invoice.paid",
        "payment_intent.succeeded",
    ]
    assert "customer.subscription.trial_will_end" in types


async def test_canceling_at_the_end_of_the_period_waits_for_it(live: Live) -> None:
    session = await subscribed(live)
    subscription = await live.do(session.id, "cancel", at_period_end=True)
    assert (subscription["status"], subscription["cancel_at_period_end"]) == ("active", True)
    assert (await live.do(session.id, "keep"))["cancel_at"] is None
    await live.do(session.id, "cancel", at_period_end=True)
    assert (await live.do(session.id, "renew"))["status"] == "canceled"
    assert (await live.events())[0]["type"] == "customer.subscription.deleted"


@pytest.mark.parametrize("action", ["end", "unpaid", "catch-up", "keep", "settle"])
async def test_what_does_not_fit_the_state_is_refused(live: Live, action: str) -> None:
    session = await subscribed(live)
    status, told = await live.control(f"sessions/{session.id}/{action}")
    assert status == 400
    assert told["error"]["message"]


async def test_subscriptions_are_listed_by_customer_price_and_status(live: Live) -> None:
    first = await subscribed(live)
    second = await subscribed(live)
    await live.do(first.id, "cancel")
    listed = live.client.v1.subscriptions

    async def found(**params: Any) -> list[str]:
        return [each.id for each in (await listed.list_async(params)).data]  # type: ignore[arg-type]

    assert await found() == [second.subscription]
    assert await found(status="all") == [second.subscription, first.subscription]
    assert await found(status="ended") == [first.subscription]
    assert await found(status="trialing") == []
    assert await found(customer=first.customer) == []
    assert await found(customer=second.customer, price="price_demo_monthly") == [
        second.subscription
    ]
    assert await found(price="price_demo_once") == []
    with pytest.raises(stripe.InvalidRequestError):
        await found(status="gone")


async def test_canceling_by_the_api(live: Live) -> None:
    session = await subscribed(live)
    gone = await live.client.v1.subscriptions.cancel_async(session.subscription)
    assert gone.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await live.client.v1.subscriptions.cancel_async(session.subscription)
    assert caught.value.http_status == 404


async def test_an_invoices_payment_leads_from_the_intent_to_the_invoice(live: Live) -> None:
    session = await subscribed(live)
    await subscribed(live)
    (payment,) = (
        await live.client.v1.invoice_payments.list_async({"invoice": session.invoice})
    ).data
    assert payment.status == "paid"
    intent = str(payment.payment.payment_intent)
    (again,) = (
        await live.client.v1.invoice_payments.list_async(
            {"payment": {"type": "payment_intent", "payment_intent": intent}}
        )
    ).data
    assert again.invoice == session.invoice
    with pytest.raises(stripe.InvalidRequestError, match="payment_intent"):
        await live.client.v1.invoice_payments.list_async({"payment": {"type": "payment_intent"}})


async def test_an_account_of_an_old_version_gets_old_shapes(live: Live) -> None:
    status, _ = await live.control("api-version", {"version": "2022-11-15"})
    assert status == 200
    session = await subscribed(live)
    await live.do(session.id, "renew")
    await live.do(session.id, "refund")
    told = {event["type"]: event for event in reversed(await live.events())}
    invoice = told["invoice.paid"]["data"]["object"]
    assert told["invoice.paid"]["api_version"] == "2022-11-15"
    assert invoice["subscription"] == session.subscription
    assert "parent" not in invoice
    assert invoice["lines"]["data"][0]["metadata"] == {"linkgate_link": "l"}
    charge = told["charge.refunded"]["data"]["object"]
    assert charge["invoice"] == invoice["id"]
    assert invoice["charge"] == charge["id"]
    updated = told["customer.subscription.updated"]["data"]
    assert updated["object"]["current_period_end"] > updated["object"]["current_period_start"]
    assert (
        updated["previous_attributes"]["current_period_end"]
        == updated["object"]["current_period_start"]
    )
    assert "current_period_end" not in updated["object"]["items"]["data"][0]


async def test_an_answer_is_in_the_version_that_the_request_names(live: Live) -> None:
    session = await subscribed(live)
    old = await live.client.v1.invoices.retrieve_async(
        session.invoice, options={"stripe_version": "2022-11-15"}
    )
    assert old.to_dict()["subscription"] == session.subscription
    new = await live.client.v1.invoices.retrieve_async(session.invoice)
    assert "subscription" not in new.to_dict()
