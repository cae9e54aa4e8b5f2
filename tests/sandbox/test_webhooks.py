"""Events and their delivery: signed, retried, filtered, held back and repeated."""

from typing import Any

import pytest
import stripe

from linkgate.sandbox import Sandbox, WebhookEndpoint
from tests.sandbox.conftest import KEY, SECRET, Clock, Live, Receiver, serving


async def completed(live: Live) -> Any:
    session = await live.session()
    await live.control(f"sessions/{session.id}/pay")
    await live.sandbox.courier.settled()
    return session


async def test_an_event_has_stripes_shape(live: Live, receiver: Receiver, clock: Clock) -> None:
    session = await completed(live)
    event = receiver.events[-1]
    assert event["object"] == "event"
    assert event["id"].startswith("evt_")
    assert event["api_version"] == stripe.api_version
    assert event["created"] == int(clock())
    assert event["livemode"] is False
    assert event["pending_webhooks"] == 1
    assert event["request"] == {"id": None, "idempotency_key": None}
    assert event["data"]["object"]["id"] == session.id
    parsed = stripe.Webhook.construct_event(receiver.got[-1][1], receiver.got[-1][0], SECRET, 10**9)
    assert parsed.type == "checkout.session.completed"


async def test_an_event_shows_its_object_as_it_was_then(live: Live) -> None:
    session = await live.session()
    await live.control(f"sessions/{session.id}/pay-later")
    await live.control(f"sessions/{session.id}/settle")
    (event,) = (await live.client.v1.events.list_async({"type": "checkout.session.completed"})).data
    assert event.to_dict()["data"]["object"]["payment_status"] == "unpaid"


async def test_a_signature_is_of_the_wall_clock_whatever_the_offset(
    live: Live, receiver: Receiver, clock: Clock
) -> None:
    await live.control("clock", {"offset": 7200})
    await completed(live)
    assert receiver.got[-1][0].startswith(f"t={int(clock())},v1=")
    assert receiver.events[-1]["created"] == int(clock()) + 7200


async def test_an_event_is_sent_again_until_it_is_taken(live: Live, receiver: Receiver) -> None:
    receiver.statuses = [500, 404, 302]
    await live.client.v1.customers.create_async({})
    await live.sandbox.courier.settled()
    assert [d.status for d in live.sandbox.courier.log] == [500, 404, 302, 200]
    assert [d.attempt for d in live.sandbox.courier.log] == [1, 2, 3, 4]
    assert len({event["id"] for event in receiver.events}) == 1
    event = await live.client.v1.events.retrieve_async(receiver.events[0]["id"])
    assert event.pending_webhooks == 0


async def test_attempts_come_to_an_end(live: Live, receiver: Receiver) -> None:
    receiver.statuses = [500] * 9
    await live.client.v1.customers.create_async({})
    await live.sandbox.courier.settled()
    assert len(receiver.got) == 4
    undelivered = await live.client.v1.events.list_async({"delivery_success": False})
    assert [event.type for event in undelivered.data] == ["customer.created"]
    assert undelivered.data[0].to_dict()["request"]["id"].startswith("req_")


async def test_nobody_listening_is_logged(live: Live) -> None:
    live.sandbox.world.objects["webhook_endpoint"].clear()
    live.sandbox.world.add_webhook_endpoint(WebhookEndpoint("http://127.0.0.1:1/", SECRET))
    await live.client.v1.customers.create_async({})
    await live.sandbox.courier.settled()
    assert {d.status for d in live.sandbox.courier.log} == {None}
    assert "Connect" in str(live.sandbox.courier.log[0].error)


async def test_each_endpoint_gets_what_it_asked_for_under_its_own_secret(
    live: Live, receiver: Receiver
) -> None:
    made = await live.client.v1.webhook_endpoints.create_async(
        {"url": receiver.url, "enabled_events": ["checkout.session.completed"]}
    )
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    await completed(live)
    assert sorted(receiver.kinds) == [
        "checkout.session.completed",
        "checkout.session.completed",
        "payment_intent.succeeded",
    ]
    by_new_secret = 0
    for header, body in receiver.got:
        try:
            stripe.WebhookSignature.verify_header(body, header, made.secret)
        except stripe.SignatureVerificationError:
            continue
        by_new_secret += 1
    assert by_new_secret == 1
    listed = await live.client.v1.webhook_endpoints.list_async()
    assert listed.data[0].id == made.id
    assert "secret" not in listed.data[0].to_dict()
    found = await live.client.v1.webhook_endpoints.retrieve_async(made.id)
    assert found.enabled_events == ["checkout.session.completed"]


@pytest.mark.parametrize(
    "params",
    [
        {"url": "ftp://a.example", "enabled_events": ["*"]},
        {"url": "https://a.example", "enabled_events": ["checkout.done"]},
        {"url": "https://a.example"},
    ],
)
async def test_a_wrong_endpoint_is_refused(live: Live, params: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await live.client.v1.webhook_endpoints.create_async(params)


async def test_events_can_be_held_and_let_go_backwards(live: Live, receiver: Receiver) -> None:
    await live.control("webhooks/hold")
    session = await live.session()
    await live.control(f"sessions/{session.id}/pay-later")
    await live.control(f"sessions/{session.id}/settle")
    await live.sandbox.courier.settled()
    assert receiver.got == []
    _, told = await live.control("webhooks/release?order=backwards")
    assert told == {"held": False, "sent": 4}
    await live.sandbox.courier.settled()
    assert receiver.kinds == [
        "checkout.session.async_payment_succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
        "payment_intent.processing",
    ]


async def test_an_event_can_be_sent_twice(live: Live, receiver: Receiver) -> None:
    await completed(live)
    event_id = receiver.events[-1]["id"]
    status, _ = await live.control(f"events/{event_id}/resend")
    await live.sandbox.courier.settled()
    assert status == 200
    assert [event["id"] for event in receiver.events].count(event_id) == 2
    assert (await live.control("events/evt_none/resend"))[0] == 404


async def test_events_are_listed_by_type(live: Live) -> None:
    await completed(live)
    events = live.client.v1.events
    every = await events.list_async()
    assert [event.type for event in every.data] == [
        "checkout.session.completed",
        "payment_intent.succeeded",
    ]
    for params in ({"type": "payment_intent.*"}, {"types": ["payment_intent.succeeded"]}):
        found = await events.list_async(params)  # type: ignore[arg-type]
        assert [event.type for event in found.data] == ["payment_intent.succeeded"]


async def test_what_happens_before_the_start_is_delivered_after_it(
    receiver: Receiver, clock: Clock
) -> None:
    hook = WebhookEndpoint(receiver.url, SECRET)
    sandbox = Sandbox("http://pay.example.com", KEY, [hook], clock)
    sandbox.world.emit("customer.created", {"object": "customer", "id": "cus_1"})
    async with serving(sandbox.app()):
        await sandbox.courier.settled()
    assert receiver.kinds == ["customer.created"]


def test_the_sandbox_takes_no_live_key() -> None:
    with pytest.raises(ValueError, match="sk_test_"):
        Sandbox("http://pay.example.com", "sk_live_123")


async def test_a_lost_event_is_never_delivered_and_still_listed(
    live: Live, receiver: Receiver
) -> None:
    status, _ = await live.control("webhooks/lose", {"kind": "payment_intent.*", "events": 1})
    assert status == 201
    await completed(live)
    assert receiver.kinds == ["checkout.session.completed"]
    (lost,) = (await live.client.v1.events.list_async({"delivery_success": False})).data
    assert lost.type == "payment_intent.succeeded"
    assert "lost" in str(live.sandbox.courier.log[0].error)
    await completed(live)
    assert receiver.kinds.count("payment_intent.succeeded") == 1


async def test_a_doubled_event_comes_at_once_and_the_next_only_once(
    live: Live, receiver: Receiver
) -> None:
    await live.control("webhooks/double", {"copies": 50})
    for _ in range(2):
        await live.client.v1.customers.create_async({})
    await live.sandbox.courier.settled()
    first, second = [event["id"] for event in await live.events()][::-1]
    ids = [event["id"] for event in receiver.events]
    assert (ids.count(first), ids.count(second)) == (50, 1)
    assert len({body for _, body in receiver.got}) == 2


async def test_a_late_event_is_overtaken(live: Live, receiver: Receiver) -> None:
    await live.control("webhooks/delay", {"seconds": 0.1, "kind": "payment_intent.succeeded"})
    await completed(live)
    assert receiver.kinds == ["checkout.session.completed", "payment_intent.succeeded"]


async def test_what_was_ordered_of_webhooks_can_be_cleared(live: Live, receiver: Receiver) -> None:
    await live.control("webhooks/lose", {"events": None})
    state = (await live.control("state", method="GET"))[1]
    assert [order["fate"] for order in state["webhooks"]] == ["lose"]
    await live.control("webhooks", method="DELETE")
    await live.client.v1.customers.create_async({})
    await live.sandbox.courier.settled()
    assert receiver.kinds == ["customer.created"]


@pytest.mark.parametrize(
    ("fate", "body"), [("eat", {}), ("lose", {"events": 0}), ("lose", {"type": "x"})]
)
async def test_a_wrong_order_of_webhooks_is_refused(live: Live, fate: str, body: Any) -> None:
    assert (await live.control(f"webhooks/{fate}", body))[0] in (400, 404)


async def test_a_resent_event_passes_by_all_orders(live: Live, receiver: Receiver) -> None:
    await live.control("webhooks/lose", {"events": None})
    await live.client.v1.customers.create_async({})
    _, told = await live.control("events/last/resend?copies=3")
    await live.sandbox.courier.settled()
    assert told["copies"] == 3
    assert receiver.kinds == ["customer.created"] * 3


async def test_an_endpoint_is_changed_and_deleted(live: Live, receiver: Receiver) -> None:
    endpoints = live.client.v1.webhook_endpoints
    made = await endpoints.create_async(
        {
            "url": receiver.url,
            "enabled_events": ["customer.created"],
            "metadata": {"a": "1"},
            "api_version": "2022-11-15",
        }
    )
    changed = await endpoints.update_async(
        made.id, {"enabled_events": ["invoice.paid"], "metadata": {"b": "2"}, "description": "d"}
    )
    assert changed.enabled_events == ["invoice.paid"]
    assert changed.metadata.to_dict() == {"a": "1", "b": "2"}
    assert (changed.api_version, changed.url) == ("2022-11-15", receiver.url)
    assert "secret" not in changed.to_dict()
    assert (await endpoints.update_async(made.id, {"disabled": True})).status == "disabled"
    assert (await endpoints.delete_async(made.id)).deleted
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await endpoints.retrieve_async(made.id)
    assert caught.value.http_status == 404
    with pytest.raises(stripe.InvalidRequestError):
        await endpoints.update_async("we_none", {"enabled_events": ["x.y"]})  # type: ignore[list-item]


async def test_each_endpoint_gets_events_in_its_own_version(live: Live, receiver: Receiver) -> None:
    await live.client.v1.webhook_endpoints.create_async(
        {"url": receiver.url, "enabled_events": ["invoice.paid"], "api_version": "2022-11-15"}
    )
    session = await live.session(
        mode="subscription", line_items=[{"price": "price_demo_monthly", "quantity": 1}]
    )
    await live.do(session.id, "pay")
    await live.sandbox.courier.settled()
    invoices = [event for event in receiver.events if event["type"] == "invoice.paid"]
    shapes = {event["api_version"]: "parent" in event["data"]["object"] for event in invoices}
    assert shapes == {"2022-11-15": False, stripe.api_version: True}


async def test_events_are_paged_between_times_and_for_thirty_days(live: Live, clock: Clock) -> None:
    start = int(clock())
    for _ in range(5):
        await live.client.v1.customers.create_async({})
        clock.at += 10
    events = live.client.v1.events
    params: Any = {"created": {"gt": start, "lte": start + 30}, "limit": 2}
    first = await events.list_async(params)
    assert first.has_more
    rest = await events.list_async({**params, "starting_after": first.data[-1].id})
    assert [event.created - start for event in (*first.data, *rest.data)] == [30, 20, 10]
    newest = (await events.list_async({"limit": 1})).data[0]
    outside = await events.list_async({**params, "starting_after": newest.id})
    assert outside.data[0].id == first.data[0].id
    with pytest.raises(stripe.InvalidRequestError, match="20 types"):
        await events.list_async({"types": ["a"] * 21})
    clock.at += 30 * 86_400
    assert (await events.list_async()).data == []
