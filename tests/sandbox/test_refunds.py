"""Charges, refunds and disputes."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Live


async def paid(live: Live) -> Any:
    session = await live.session(payment_intent_data={"metadata": {"linkgate_link": "l"}})
    await live.do(session.id, "pay")
    return await live.sessions.retrieve_async(session.id)


async def test_a_payment_leaves_a_charge_with_the_intents_metadata(live: Live) -> None:
    session = await paid(live)
    intent = await live.client.v1.payment_intents.retrieve_async(
        session.payment_intent, {"expand": ["latest_charge"]}
    )
    charge: Any = intent.latest_charge
    assert (charge.amount, charge.paid, charge.metadata.to_dict()) == (
        4900,
        True,
        {"linkgate_link": "l"},
    )
    (listed,) = (
        await live.client.v1.charges.list_async({"payment_intent": session.payment_intent})
    ).data
    assert listed.id == charge.id
    assert (await live.client.v1.charges.retrieve_async(charge.id)).payment_intent == intent.id


async def test_a_declined_card_leaves_a_failed_charge(live: Live) -> None:
    session = await live.session()
    await live.do(session.id, "decline")
    (charge,) = (await live.client.v1.charges.list_async()).data
    assert (charge.status, charge.failure_code) == ("failed", "card_declined")
    with pytest.raises(stripe.InvalidRequestError, match="successful charge"):
        await live.client.v1.refunds.create_async({"payment_intent": str(charge.payment_intent)})


async def test_refunds_add_up_to_the_whole_and_no_further(live: Live) -> None:
    session = await paid(live)
    refunds = live.client.v1.refunds
    part = await refunds.create_async({"payment_intent": session.payment_intent, "amount": 900})
    assert (part.amount, part.status) == (900, "succeeded")
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        await refunds.create_async({"payment_intent": session.payment_intent, "amount": 4001})
    rest = await refunds.create_async({"charge": str(part.charge)})
    assert rest.amount == 4000
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await refunds.create_async({"charge": str(part.charge)})
    assert caught.value.code == "charge_already_refunded"
    told = [event for event in await live.events() if event["type"] == "charge.refunded"][::-1]
    assert [
        (event["data"]["object"]["amount_refunded"], event["data"]["object"]["refunded"])
        for event in told
    ] == [(900, False), (4900, True)]
    assert told[1]["data"]["previous_attributes"] == {"amount_refunded": 900, "refunded": False}
    assert told[0]["request"]["id"].startswith("req_")


@pytest.mark.parametrize(
    "params", [{}, {"charge": "ch_none"}, {"payment_intent": "pi_none"}, {"amount": 0}]
)
async def test_a_wrong_refund_is_refused(live: Live, params: Any) -> None:
    await paid(live)
    with pytest.raises(stripe.InvalidRequestError):
        await live.client.v1.refunds.create_async(params)


async def test_a_refund_can_fail_days_later(live: Live) -> None:
    session = await paid(live)
    made = await live.do(session.id, "refund", amount=100)
    await live.do(session.id, "fail-refund")
    charge = await live.client.v1.charges.retrieve_async(made["charge"])
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert (await live.client.v1.refunds.retrieve_async(made["id"])).status == "failed"
    assert (await live.events())[0]["type"] == "refund.failed"


@pytest.mark.parametrize(("action", "status"), [("win-dispute", "won"), ("lose-dispute", "lost")])
async def test_a_dispute_is_opened_and_decided(live: Live, action: str, status: str) -> None:
    session = await paid(live)
    dispute = await live.do(session.id, "dispute")
    assert (dispute["status"], dispute["payment_intent"]) == (
        "needs_response",
        session.payment_intent,
    )
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await live.client.v1.refunds.create_async({"charge": dispute["charge"]})
    assert caught.value.code == "charge_disputed"
    await live.do(session.id, action)
    read = await live.client.v1.disputes.retrieve_async(dispute["id"])
    assert read.status == status
    kinds = [event["type"] for event in await live.events()]
    assert kinds[:2] == ["charge.dispute.closed", "charge.dispute.created"]
    assert (await live.control(f"sessions/{session.id}/{action}"))[0] == 400


async def test_an_inquiry_just_closes(live: Live) -> None:
    session = await paid(live)
    dispute = await live.do(session.id, "dispute", inquiry=True)
    assert dispute["status"] == "warning_needs_response"
    assert (await live.control(f"sessions/{session.id}/win-dispute"))[0] == 400
    assert (await live.do(session.id, "close-inquiry"))["status"] == "warning_closed"


async def test_a_subscriptions_payment_can_be_refunded_by_its_session(live: Live) -> None:
    session = await live.session(
        mode="subscription", line_items=[{"price": "price_demo_monthly", "quantity": 1}]
    )
    await live.do(session.id, "pay")
    made = await live.do("last", "refund", amount=900)
    assert (made["amount"], made["object"]) == (900, "refund")


@pytest.mark.parametrize("action", ["refund", "dispute", "cancel", "recover"])
async def test_what_has_not_come_yet_cannot_be_undone(live: Live, action: str) -> None:
    session = await live.session()
    assert (await live.control(f"sessions/{session.id}/{action}"))[0] == 400


@pytest.mark.parametrize("body", [{"amount": 0}, {"amount": "x"}, {"nothing": 1}, []])
async def test_a_control_takes_only_what_it_knows(live: Live, body: Any) -> None:
    session = await paid(live)
    assert (await live.control(f"sessions/{session.id}/refund", body))[0] == 400
