"""Second thoughts that come while the session is made, or before the visit is written down."""

import asyncio
from typing import Any

import pytest

from linkgate.errors import StoreUnavailable
from linkgate.reconsidering import PATIENT_TRIES
from linkgate.store import keys
from linkgate.store.doubts import STALE_SECONDS, Doubtful, Doubts
from linkgate.tokens import Link
from tests.reconsidering.thinking import (
    EXPIRE,
    HERE,
    at,
    counts,
    has_open,
    hit_decoy,
    think,
    think_all,
    verdicts,
    visit,
)
from tests.stack import Answer, Stack

# While Stripe makes the session


async def minting(stack: Stack, link: Link, **fault: Any) -> asyncio.Task[Answer]:
    """Return a visit whose session Stripe takes its time to make."""
    await stack.fault(**{"mode": "slow", "seconds": 0.2, **fault})
    task = asyncio.create_task(visit(stack, link))
    async with asyncio.timeout(5):
        client = stack.gateway.store.connection.client
        while not await client.hget(keys.link(link.id), "request"):
            await asyncio.sleep(0.005)
    return task


@pytest.mark.parametrize(
    "fault", [{}, {"mode": "hang", "seconds": 0.6}, {"mode": "hang", "executed": True}], ids=str
)
async def test_a_decoy_while_stripe_makes_the_session(gate: Stack, fault: dict[str, Any]) -> None:
    await gate.campaign()
    link = gate.link()
    task = await minting(gate, link, **fault)
    await hit_decoy(gate, link)
    await think(gate)
    answer = await task
    assert (answer.status, bool(answer.challenge)) == (200, True)
    assert len(await gate.sessions()) == 1
    assert not await has_open(gate, link)
    await think_all(gate)
    assert await verdicts(gate, link) == ["scanner", "scanner"]
    assert (await counts(gate)).get("sessions.minted", 0) == 0
    # The visitor may be a person after all.
    assert (await gate.press(answer, at(HERE))).status == 303
    assert await has_open(gate, link)


async def test_a_decoy_whose_doubt_is_looked_at_after_the_session_was_made(gate: Stack) -> None:
    await gate.campaign()
    link = gate.link()
    task = await minting(gate, link)
    await hit_decoy(gate, link)
    assert (await task).status == 303
    await think_all(gate)
    assert not await has_open(gate, link)


async def test_a_session_that_can_not_be_closed_when_it_is_made_is_closed_later(
    gate: Stack,
) -> None:
    await gate.campaign()
    link = gate.link()
    task = await minting(gate, link)
    await hit_decoy(gate, link)
    await gate.fault(match=EXPIRE, status=503, times=99)
    await think(gate)
    assert (await task).status == 200
    assert await has_open(gate, link)
    await think(gate, 2)
    assert await has_open(gate, link)
    await gate.control("DELETE", "faults")
    await think_all(gate)
    assert not await has_open(gate, link)


async def test_a_mint_that_died_is_waited_for_and_then_let_go(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gate.campaign()
    link = gate.link()

    async def die(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(gate.gateway.store.links, "settle", die)
        patch.setattr(gate.gateway.store.links, "release", die)
        assert (await visit(gate, link)).status == 503
    await hit_decoy(gate, link)
    await think(gate, PATIENT_TRIES)
    assert await gate.gateway.store.doubts.waiting() == 1
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 0
    assert (await verdicts(gate, link))[0] == "scanner"


# Visits that aren't there


async def test_a_visit_that_is_written_down_later_is_found_then(gate: Stack) -> None:
    """It is seen before it is judged, and its line is written when it is."""
    await gate.campaign()
    link = gate.link()
    page = await visit(gate, link)
    assert page.status == 303
    line = await gate.gateway.store.connection.client.lpop(keys.visits(link.id))
    await hit_decoy(gate, link)
    await think(gate, 3)
    assert await has_open(gate, link)
    assert await gate.gateway.store.doubts.waiting() == 1
    assert isinstance(line, str)
    await gate.gateway.store.connection.client.rpush(keys.visits(link.id), line)
    await think_all(gate)
    assert not await has_open(gate, link)
    assert await verdicts(gate, link) == ["scanner", "scanner"]


async def test_one_that_never_is_is_given_up(gate: Stack) -> None:
    await gate.campaign()
    gone = [Doubtful(gate.link().id, f"v{n}", "decoy-link", "automated", "x") for n in range(3)]
    await gate.gateway.store.doubts.put([Doubts("d", gate.clock(), tuple(gone))], delay_ms=0)
    await think(gate, PATIENT_TRIES)
    assert await gate.gateway.store.doubts.waiting() == 1
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 0
    assert await counts(gate) == {}
    client = gate.gateway.store.connection.client
    assert not await client.exists(keys.link(gone[0].link), keys.visits(gone[0].link))


async def test_what_waited_for_a_day_is_let_go(gate: Stack) -> None:
    """Whether it was counted isn't known any more, and nothing of it is open at Stripe."""
    await gate.campaign()
    link = gate.link()
    await visit(gate, link)
    await hit_decoy(gate, link)
    gate.clock.offset = STALE_SECONDS - 60
    await gate.fault(match=EXPIRE, status=500, times=99)
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 1
    before = await counts(gate)
    gate.clock.offset = STALE_SECONDS + 60
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 0
    assert await counts(gate) == before
