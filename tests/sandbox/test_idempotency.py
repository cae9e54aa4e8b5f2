"""Idempotency keys with Stripe's rules: replayed, refused, forgotten."""

import asyncio
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import PAYMENT, Clock, Live


def keyed(key: str) -> Any:
    return {"idempotency_key": key}


async def test_the_same_key_replays_the_first_answer(live: Live) -> None:
    first = await live.sessions.create_async(PAYMENT, options=keyed("a"))
    await live.control(f"sessions/{first.id}/pay")
    again = await live.sessions.create_async(PAYMENT, options=keyed("a"))
    assert again.id == first.id
    assert again.status == "open", "a replay is the old answer, not a new look"
    headers = again.last_response.headers
    assert headers["Idempotent-Replayed"] == "true"
    assert headers["Idempotency-Key"] == "a"
    assert headers["Original-Request"] == first.last_response.headers["Request-Id"]
    assert headers["Request-Id"] != headers["Original-Request"]
    assert live.sandbox.world.created["checkout.session"] == 1


async def test_other_keys_and_no_keys_make_new_sessions(live: Live) -> None:
    ids = {(await live.sessions.create_async(PAYMENT, options=keyed(key))).id for key in "abc"}
    assert len(ids) == 3


async def test_the_same_key_with_other_parameters_is_an_error(live: Live) -> None:
    await live.sessions.create_async(PAYMENT, options=keyed("a"))
    with pytest.raises(stripe.IdempotencyError, match="same parameters") as caught:
        await live.sessions.create_async(
            {**PAYMENT, "client_reference_id": "x"}, options=keyed("a")
        )
    assert caught.value.http_status == 400
    assert live.sandbox.world.created["checkout.session"] == 1


async def test_the_same_key_at_another_endpoint_is_an_error(live: Live) -> None:
    await live.sessions.create_async(PAYMENT, options=keyed("a"))
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await live.client.v1.customers.create_async({}, options=keyed("a"))


async def test_a_key_in_use_is_a_conflict(live: Live) -> None:
    await live.fault(match="POST /v1/checkout/sessions", mode="slow", seconds=0.3)
    first = asyncio.create_task(live.sessions.create_async(PAYMENT, options=keyed("a")))
    while not live.sandbox.ledger.keys():
        await asyncio.sleep(0.005)
    with pytest.raises(stripe.StripeError, match="in-progress") as caught:
        await live.sessions.create_async(PAYMENT, options=keyed("a"))
    assert caught.value.http_status == 409
    assert "idempotency_key_in_use" in str(caught.value.json_body)
    assert caught.value.headers is not None
    assert caught.value.headers["Stripe-Should-Retry"] == "true"
    made = await first
    again = await live.sessions.create_async(PAYMENT, options=keyed("a"))
    assert again.id == made.id


async def test_parameters_refused_before_the_work_leave_the_key_free(live: Live) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        await live.sessions.create_async({**PAYMENT, "foo": "1"}, options=keyed("a"))
    assert live.sandbox.ledger.keys() == []
    await live.sessions.create_async(PAYMENT, options=keyed("a"))


async def test_a_refusal_found_by_the_work_is_replayed(live: Live) -> None:
    wanted = {**PAYMENT, "line_items": [{"price": "price_new", "quantity": 1}]}
    for made in (False, True):
        if made:
            live.sandbox.world.add_price("price_new", 4900, "eur")
        with pytest.raises(stripe.InvalidRequestError, match="No such price"):
            await live.sessions.create_async(wanted, options=keyed("a"))
    assert (await live.sessions.create_async(wanted, options=keyed("b"))).status == "open"


@pytest.mark.parametrize("executed", [False, True])
async def test_a_500_is_replayed_and_a_new_key_is_not(live: Live, executed: bool) -> None:
    await live.fault(match="POST /v1/checkout/sessions", status=500, executed=executed)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            await live.sessions.create_async(PAYMENT, options=keyed("a"))
        assert caught.value.http_status == 500
    assert caught.value.headers is not None
    assert caught.value.headers["Idempotent-Replayed"] == "true"
    assert caught.value.headers["Stripe-Should-Retry"] == "false"
    assert live.sandbox.world.created["checkout.session"] == int(executed)
    assert (await live.sessions.create_async(PAYMENT, options=keyed("b"))).status == "open"


@pytest.mark.parametrize("status", [429, 503])
async def test_what_never_began_is_not_replayed(live: Live, status: int) -> None:
    await live.fault(match="POST /v1/checkout/sessions", status=status)
    with pytest.raises(stripe.StripeError):
        await live.sessions.create_async(PAYMENT, options=keyed("a"))
    assert live.sandbox.ledger.keys() == []
    assert (await live.sessions.create_async(PAYMENT, options=keyed("a"))).status == "open"


async def test_a_key_is_forgotten_after_a_day(live: Live, clock: Clock) -> None:
    first = await live.sessions.create_async(PAYMENT, options=keyed("a"))
    clock.at += 24 * 3600 - 1
    assert (await live.sessions.create_async(PAYMENT, options=keyed("a"))).id == first.id
    clock.at += 1
    assert (await live.sessions.create_async(PAYMENT, options=keyed("a"))).id != first.id


async def test_a_key_may_have_255_characters(live: Live) -> None:
    await live.sessions.create_async(PAYMENT, options=keyed("k" * 255))
    with pytest.raises(stripe.IdempotencyError, match="255"):
        await live.sessions.create_async(PAYMENT, options=keyed("k" * 256))
