"""A second payment of a link through Stripe's recovery page, which nobody can close."""

import logging
from typing import Any

import pytest

from linkgate.tokens import Link
from tests.paying.kit import act, bought, fields
from tests.stack import Stack


async def recoverable(stack: Stack) -> tuple[Link, str]:
    """A link that is paid, and the id of an expired session of it that can be recovered."""
    await stack.campaign(destination={"recovery": True}, policy="direct")
    link = stack.link()
    await stack.get(stack.path(link))
    [first] = await stack.open_sessions()
    await act(stack, first["id"], "expire")
    await bought(stack, link)
    return link, first["id"]


async def test_what_is_recovered_of_a_paid_link_is_closed(stack: Stack) -> None:
    link, expired = await recoverable(stack)
    watched = await stack.gateway.watch.look(link.id)
    # It stays under watch as long as the recovery page is there.
    assert watched.again_at
    assert stack.clock() < watched.again_at <= stack.clock() + 3600
    await stack.control("POST", f"sessions/{expired}/recover")
    [stray] = await stack.open_sessions()
    assert (await stack.gateway.watch.look(link.id, dry_run=True)).drifted == 1
    assert await stack.open_sessions() == [stray]
    assert (await stack.gateway.watch.look(link.id)).drifted == 1
    assert await stack.open_sessions() == []
    # What was recovered can be recovered in turn.
    until = int((await fields(stack, link))["recovery_until"])
    stack.clock.offset += until - stack.clock() + 1
    assert (await stack.gateway.watch.look(link.id)).again_at is None


async def test_stripe_refusing_to_list_leaves_the_rest_to_be_done(stack: Stack) -> None:
    link, expired = await recoverable(stack)
    await stack.control("POST", f"sessions/{expired}/recover")
    await stack.fault(match="GET /v1/checkout/sessions", status=403, times=1)
    assert (await stack.gateway.watch.look(link.id)).again_at
    await stack.gateway.watch.look(link.id)
    assert await stack.open_sessions() == []


async def test_one_payment_more_than_allowed_is_told(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async def counted() -> Any:
        await stack.gateway.store.recorder.flush()
        return (await stack.gateway.store.campaigns.counts("spring")).get("payments.beyond_limit")

    link, expired = await recoverable(stack)
    assert await counted() is None
    await stack.control("POST", f"sessions/{expired}/recover")
    [stray] = await stack.open_sessions()
    with caplog.at_level(logging.ERROR):
        await act(stack, stray["id"], "pay")
    assert f"link {link.id} was paid 2 times" in caplog.text
    assert await counted() == 1
    # Told once, whatever is heard of it later.
    await act(stack, stray["id"], "refund")
    assert await counted() == 1
