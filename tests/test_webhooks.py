"""Stripe's webhooks over real HTTP: signed ones are taken in once, everything else is refused."""

import asyncio
import json
import time
from typing import Any

import pytest
import stripe

from linkgate.errors import BadSignature, StoreUnavailable
from linkgate.webhooks import verify
from tests.stack import WEBHOOK_SECRET, Answer, Stack

NOW = 1_800_000_000.0


def signed(payload: str, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> str:
    when = int(at if at is not None else time.time())
    header: str = stripe.WebhookSignature.generate_signature_header(payload, secret, when)
    return header


def completed(link_id: str, session: str = "cs_test_1", event: str = "evt_1") -> dict[str, Any]:
    now = int(time.time())
    return {
        "id": event,
        "object": "event",
        "type": "checkout.session.completed",
        "created": now,
        "data": {
            "object": {
                "id": session,
                "object": "checkout.session",
                "status": "complete",
                "payment_status": "paid",
                "created": now,
                "expires_at": now + 1800,
                "amount_total": 4900,
                "currency": "eur",
                "url": None,
                "metadata": {"linkgate_link": link_id, "linkgate_campaign": "spring"},
            }
        },
    }


async def send(stack: Stack, payload: str | bytes, signature: str) -> Answer:
    return await stack.ask(
        "POST", "/webhooks/stripe", {"Stripe-Signature": signature}, data=payload
    )


async def test_a_signed_event_is_taken_in(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    payload = json.dumps(completed(link.id))
    answer = await send(stack, payload, signed(payload))
    assert (answer.status, json.loads(answer.text)) == (200, {"status": "kept"})
    await stack.heard()
    assert (await stack.row(link)).fields["done"] == "paid"


async def test_fifty_copies_at_once_count_once(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    payload = json.dumps(completed(link.id))
    answers = await asyncio.gather(*(send(stack, payload, signed(payload)) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    await stack.heard()
    await stack.row(link)
    assert (await stack.gateway.store.campaigns.counts("spring"))["sessions.paid"] == 1


async def test_forged_and_stale_events_are_refused(stack: Stack) -> None:
    link = stack.link()
    payload = json.dumps(completed(link.id))
    good = signed(payload)
    refused = [
        (payload, ""),
        (payload, "junk"),
        (payload, "t=1,v1="),
        (payload, f"t={'9' * 400},v1=a"),
        (payload, good.replace("t=", "t=x")),
        (payload, signed(payload, secret="whsec_" + "x" * 32)),
        (payload, signed(payload, at=time.time() - 301)),
        (payload, signed(payload, at=time.time() + 3600)),
        (payload.replace("paid", "unpaid"), good),
        (payload[:-5], good),
        (b"\xff\xfe", good),
        ("", signed("x")),
    ]
    for body, signature in refused:
        answer = await send(stack, body, signature)
        assert answer.status == 400, signature
    assert await stack.gateway.store.links.read(link.id) is None


async def test_a_second_timestamp_does_not_freshen_an_old_signature(stack: Stack) -> None:
    payload = json.dumps(completed(stack.link().id))
    old = signed(payload, at=time.time() - 3600)
    for forged in (f" t={int(time.time())},{old}", f"t={int(time.time())},{old}"):
        assert (await send(stack, payload, forged)).status == 400


async def test_what_is_signed_but_no_event_is_refused(stack: Stack) -> None:
    for payload in (
        "[]",
        "1",
        "null",
        "{",
        '{"type": "checkout.session.completed"}',
        '{"type": "checkout.session.completed", "data": {"object": []}}',
    ):
        assert (await send(stack, payload, signed(payload))).status == 400, payload


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("created", "1e999"),
        ("expires_at", "1e999"),
        ("amount_total", "1.5"),
        ("amount_total", "1" + "0" * 30),
        ("amount_total", '"x"'),
        ("amount_total", "[" * 5000 + "]" * 5000),
        ("currency", '"\\ud800"'),
        ("id", '"\\ud800"'),
        ("url", "7"),
        ("metadata", '"text"'),
        ("metadata", "[1]"),
        ("metadata", '{"linkgate_link": "{x}", "linkgate_campaign": "spring"}'),
        ("metadata", '{"linkgate_link": 7, "linkgate_campaign": "spring"}'),
    ],
)
async def test_odd_but_signed_events_harm_nothing(stack: Stack, field: str, text: str) -> None:
    event = completed(stack.link().id)
    event["data"]["object"][field] = "HERE"
    payload = json.dumps(event).replace('"HERE"', text)
    assert (await send(stack, payload, signed(payload))).status == 400
    await stack.gateway.store.recorder.flush()


async def test_other_peoples_events_are_ignored(stack: Stack) -> None:
    foreign = completed("x")
    foreign["data"]["object"]["metadata"] = {"order": "7"}
    for event in (foreign, {**completed("x"), "type": "customer.created"}):
        payload = json.dumps(event)
        answer = await send(stack, payload, signed(payload))
        assert (answer.status, json.loads(answer.text)) == (200, {"status": "ignored"})


async def test_a_huge_body_is_refused(stack: Stack) -> None:
    assert (await send(stack, b"x" * 50_000_000, "t=1,v1=a")).status == 413


async def test_without_a_store_stripe_is_asked_to_send_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    payload = json.dumps(completed(stack.link().id))
    with monkeypatch.context() as patch:
        patch.setattr(stack.gateway.store.connection, "script", away)
        assert (await send(stack, payload, signed(payload))).status == 503
    assert (await send(stack, payload, signed(payload))).status == 200


def test_any_of_several_secrets_will_do() -> None:
    payload = b'{"id": "evt_1"}'
    secrets = ["whsec_old" + "o" * 24, "whsec_new" + "n" * 24]
    for secret in secrets:
        header = signed(payload.decode(), secret=secret, at=NOW)
        verify(payload, header, secrets, NOW)
        with pytest.raises(BadSignature):
            verify(payload, header, [], NOW)
