"""Failures to order: each one as a client of a real connection meets it."""

import asyncio
from typing import Any

import aiohttp
import pytest
import stripe

from tests.sandbox.conftest import KEY, PAYMENT, Live

CREATE = "POST /v1/checkout/sessions"
OPTIONS: Any = {"idempotency_key": "a"}


async def raw(live: Live) -> tuple[int, bytes]:
    """Create a session without stripe-python, to see the connection as it is."""
    form = {
        "mode": "payment",
        "line_items[0][price]": "price_demo_once",
        "line_items[0][quantity]": "1",
        "success_url": "https://shop.example.com/",
    }
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "raw"}
    async with live.http.post(
        f"{live.url}/v1/checkout/sessions", data=form, headers=headers
    ) as response:
        return response.status, await response.read()


async def test_429_says_when_to_come_back_as_often_as_ordered(live: Live) -> None:
    await live.fault(match=CREATE, status=429, times=2, retry_after=3)
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError) as caught:
            await live.session()
        assert "'rate_limit'" in str(caught.value.json_body)
        assert caught.value.headers is not None
        assert caught.value.headers["Retry-After"] == "3"
    assert (await live.session()).status == "open"
    assert live.sandbox.world.created["checkout.session"] == 1
    assert live.sandbox.world.requests[CREATE] == 3


async def test_a_fault_can_let_some_pass_first(live: Live) -> None:
    await live.fault(match=CREATE, status=429, skip=1)
    await live.session()
    with pytest.raises(stripe.RateLimitError):
        await live.session()
    await live.session()


@pytest.mark.parametrize("executed", [False, True])
async def test_truncate_promises_more_than_it_sends(live: Live, executed: bool) -> None:
    await live.fault(match=CREATE, mode="truncate", executed=executed)
    with pytest.raises(aiohttp.ClientPayloadError):
        await raw(live)
    assert live.sandbox.world.created["checkout.session"] == int(executed)
    assert (await raw(live))[0] == 200
    assert live.sandbox.world.created["checkout.session"] == 1


@pytest.mark.parametrize("executed", [False, True])
async def test_drop_closes_without_a_byte(live: Live, executed: bool) -> None:
    await live.fault(match=CREATE, mode="drop", executed=executed)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await raw(live)
    assert live.sandbox.world.created["checkout.session"] == int(executed)
    assert (await raw(live))[0] == 200
    assert live.sandbox.world.created["checkout.session"] == 1


async def test_drop_hits_replays_too(live: Live) -> None:
    await live.fault(match=CREATE, mode="drop", executed=True, times=2)
    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError):
            await live.sessions.create_async(PAYMENT, options=OPTIONS)
    assert (await live.sessions.create_async(PAYMENT, options=OPTIONS)).status == "open"
    assert live.sandbox.world.created["checkout.session"] == 1


@pytest.mark.parametrize("executed", [False, True])
async def test_hang_keeps_silent_until_the_client_gives_up(live: Live, executed: bool) -> None:
    await live.fault(match=CREATE, mode="hang", seconds=60, executed=executed)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(raw(live), 0.2)
    assert live.sandbox.world.created["checkout.session"] == int(executed)
    assert (await raw(live))[0] == 200


async def test_a_500_does_not_hit_a_replay(live: Live) -> None:
    made = await live.sessions.create_async(PAYMENT, options=OPTIONS)
    await live.fault(match=CREATE, status=500)
    assert (await live.sessions.create_async(PAYMENT, options=OPTIONS)).id == made.id
    with pytest.raises(stripe.APIError):
        await live.session()


async def test_hang_ends_by_closing(live: Live) -> None:
    await live.fault(match=CREATE, mode="hang", seconds=0.01)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await raw(live)


async def test_an_executed_gateway_error_loses_only_the_answer(live: Live) -> None:
    await live.fault(match=CREATE, status=502, executed=True)
    with pytest.raises(stripe.APIError):
        await live.sessions.create_async(PAYMENT, options=OPTIONS)
    assert live.sandbox.world.created["checkout.session"] == 1
    found = await live.sessions.create_async(PAYMENT, options=OPTIONS)
    assert found.last_response.headers["Idempotent-Replayed"] == "true"
    assert live.sandbox.world.created["checkout.session"] == 1


async def test_a_fault_hits_only_what_it_matches(live: Live) -> None:
    await live.fault(match="POST /v1/checkout/sessions/{id}/expire", status=500, times=None)
    session = await live.session()
    await live.sessions.retrieve_async(session.id)
    for _ in range(3):
        with pytest.raises(stripe.APIError):
            await live.sessions.expire_async(session.id)
    status, _ = await live.control("faults", method="DELETE")
    assert status == 204
    assert (await live.sessions.expire_async(session.id)).status == "expired"


async def test_a_star_matches_every_endpoint(live: Live) -> None:
    await live.fault(match="*", status=503, times=2)
    with pytest.raises(stripe.APIError):
        await live.session()
    with pytest.raises(stripe.APIError):
        await live.client.v1.accounts.retrieve_current_async()


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ({"match": CREATE, "mode": "explode"}, "mode"),
        ({"match": CREATE, "status": 200}, "status"),
        ({"match": CREATE, "times": 0}, "times"),
        ({"match": CREATE, "seconds": 6000}, "seconds"),
        ({"match": CREATE, "retry": 1}, "retry"),
        ({"status": 500}, "match"),
    ],
)
async def test_a_wrong_order_is_refused_by_name(
    live: Live, order: dict[str, Any], named: str
) -> None:
    status, told = await live.control("faults", order)
    assert status == 400
    assert named in str(told)
    assert live.sandbox.faults.open() == []
