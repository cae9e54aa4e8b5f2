"""Stripe's clock and the store's, some minutes apart."""

import pytest

from linkgate import stripe_calls
from tests.paying.kit import bought, enter
from tests.stack import Stack


@pytest.mark.parametrize("ahead", [125, 600, 5000])
async def test_stripe_ahead_of_the_store_keeps_nobody_out(stack: Stack, ahead: int) -> None:
    await stack.campaign(policy="direct")
    await stack.control("POST", "clock", {"offset": ahead})
    link = stack.link()
    await bought(stack, link)
    assert "already been paid" in (await enter(stack, link)).text
    assert len(await stack.sessions()) == 1
    assert await stack.gateway.store.campaigns.trouble("spring") is None


async def test_nor_does_stripe_behind_it(stack: Stack) -> None:
    await stack.campaign(policy="direct", session_minutes=1430)
    await stack.control("POST", "clock", {"offset": -900})
    await bought(stack, stack.link())


async def test_an_expiry_that_is_refused_by_either_clock_is_the_operator_s(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_calls, "_date", lambda headers: stack.clock())
    await stack.campaign(policy="direct")
    await stack.control("POST", "clock", {"offset": 600})
    answer = await enter(stack, stack.link())
    assert answer.status == 503
    trouble = await stack.gateway.store.campaigns.trouble("spring")
    assert trouble
    assert "clock" in trouble["message"]


@pytest.mark.parametrize("off", [-300, 300])
async def test_a_session_of_another_clock_is_found(stack: Stack, off: int) -> None:
    await stack.campaign(policy="direct", session_minutes=60)
    await stack.control("POST", "clock", {"offset": off})
    await stack.fault(mode="status", status=500, executed=True, times=1)
    link = stack.link()
    assert "/c/pay/" in (await enter(stack, link)).location
    assert len(await stack.sessions()) == 1
