"""Many doubts at a time: none is in another's way."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from linkgate import reconsidering
from linkgate.errors import StoreUnavailable
from linkgate.store import keys
from linkgate.store.doubts import Doubtful, Doubts
from linkgate.tokens import Link
from tests.reconsidering.thinking import (
    due,
    has_open,
    hit_decoy,
    moments_pass,
    think,
    verdicts,
    visit,
)
from tests.stack import Stack


async def test_what_can_not_be_worked_off_is_in_nobodys_way(
    gate: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program's value under a key of ours, or a verdict that a newer version knows."""
    await gate.campaign()
    client = gate.gateway.store.connection.client
    foreign = gate.link()
    await client.set(keys.visits(foreign.id), "not ours")
    bad = Doubtful(foreign.id, "v", "decoy-link", "automated", "x")
    for name in ("0", "1"):
        await gate.gateway.store.doubts.put([Doubts(name, gate.clock(), (bad,))], delay_ms=0)
    link = gate.link()
    await visit(gate, link)
    await hit_decoy(gate, link)
    await think(gate)
    assert not await has_open(gate, link)
    assert await gate.gateway.store.doubts.waiting() == 2
    assert "can't be worked off" in caplog.text


async def test_a_stripe_that_hangs_holds_up_only_what_it_is_asked_for(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gate.campaign()
    stuck, free = gate.link(), gate.link()
    close = gate.gateway.mint.close_one
    released = asyncio.Event()

    async def hang(name: str, *args: Any) -> bool:
        if name == stuck.id:
            await released.wait()
        return await close(name, *args)

    monkeypatch.setattr(gate.gateway.mint, "close_one", hang)
    for link in (stuck, free):
        await visit(gate, link)
        await hit_decoy(gate, link)
        await moments_pass(gate)
    await due(gate)
    work = asyncio.create_task(gate.gateway.reconsidering.work())
    async with asyncio.timeout(5):
        while any(s["client_reference_id"] == free.id for s in await gate.open_sessions()):
            await asyncio.sleep(0.01)
    assert not work.done()
    released.set()
    await work
    assert not await has_open(gate, stuck)


async def seven_tainted(stack: Stack) -> list[Link]:
    await stack.campaign()
    links = [stack.link() for _ in range(7)]
    for link in links:
        await visit(stack, link)
        await hit_decoy(stack, link)
        await moments_pass(stack)
    return links


async def all_taken_back(stack: Stack, links: Sequence[Link]) -> None:
    async with asyncio.timeout(10):
        while await stack.open_sessions() or await stack.gateway.store.doubts.waiting():
            await asyncio.sleep(0.02)
    assert [await verdicts(stack, link) for link in links] == [["scanner", "scanner"]] * len(links)


async def test_the_worker_goes_on_after_an_outage_and_after_a_bug(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconsidering, "FIRST_LOOK_MS", 10)
    monkeypatch.setattr(reconsidering, "LOOK_SECONDS", 0.05)
    failures = iter([StoreUnavailable("away"), RuntimeError("a bug")])
    take = gate.gateway.store.doubts.take

    async def failing(count: int) -> Any:
        if failure := next(failures, None):
            raise failure
        return await take(count)

    monkeypatch.setattr(gate.gateway.store.doubts, "take", failing)
    gate.gateway.reconsidering.start()
    await all_taken_back(gate, await seven_tainted(gate))


async def test_the_worker_works_through_any_number_without_a_pause(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconsidering, "FIRST_LOOK_MS", 10)
    monkeypatch.setattr(reconsidering, "LOOK_SECONDS", 600)
    monkeypatch.setattr(reconsidering, "AT_ONCE", 2)
    links = await seven_tainted(gate)
    await gate.gateway.store.recorder.flush()
    await due(gate)
    gate.gateway.reconsidering.start()
    await all_taken_back(gate, links)
