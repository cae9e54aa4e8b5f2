"""Stripe never sees more creations a second than it allows, whatever comes before each of them."""

import asyncio

from tests.stack import Stack

CREATE = "POST /v1/checkout/sessions"


async def test_what_takes_long_before_a_creation_does_not_bring_two_turns_together(
    stack: Stack,
) -> None:
    """Half of the people have an older session that Stripe takes a second to close."""
    await stack.campaign(policy="direct", reuse_minutes=0)
    first, later = [[stack.link() for _ in range(24)] for _ in range(2)]
    await asyncio.gather(*(stack.get(stack.path(link)) for link in first))
    await stack.fault(
        match="POST /v1/checkout/sessions/*/expire", mode="slow", seconds=1.0, times=None
    )
    await stack.control("POST", "limits", {"creations_per_second": 25})
    answers = await asyncio.gather(*(stack.get(stack.path(link)) for link in first + later))
    assert {answer.status for answer in answers} == {303}
    limits = (await stack.control("GET", "state"))["limits"]
    assert limits["refused"] == {}, limits
