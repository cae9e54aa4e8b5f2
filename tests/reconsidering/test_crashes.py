"""Whatever crashes in between, second thoughts come to their end, and nothing is counted twice."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from linkgate.errors import StoreUnavailable
from linkgate.gateway import Gateway
from linkgate.store import doubts
from linkgate.store.doubts import Doubts
from tests.reconsidering.crashing import (
    STEPS,
    Killed,
    another,
    assert_all_is_done,
    kill_at,
    part,
    two_minted_then_a_decoy,
)
from tests.reconsidering.thinking import (
    EXPIRE,
    PERSON,
    counts,
    due,
    gateway,
    hit_decoy,
    moments_pass,
    think,
    think_all,
    visit,
)
from tests.stack import Stack


async def test_a_decoy_that_taints_two_links(gate: Stack) -> None:
    """What every crash below has to come to."""
    links = await two_minted_then_a_decoy(gate)
    await think(gate)
    await assert_all_is_done(gate, links)


async def test_the_same_on_a_cluster(cluster_url: str) -> None:
    async with gateway(cluster_url) as stack:
        links = await two_minted_then_a_decoy(stack)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, stack.gateway.store.doubts, "recount", after=True)
            with pytest.raises(Killed):
                await think(stack)
        await think_all(stack, another(stack))
        await assert_all_is_done(stack, links)


async def test_the_same_after_a_restart_on_the_embedded_store(tmp_path: Path) -> None:
    """Nothing was worked off before linkgate was stopped; whoever starts next does."""
    async with gateway(f"embedded:{tmp_path / 'data'}") as stack:
        links = await two_minted_then_a_decoy(stack)
        await stack.gateway.store.recorder.flush()
        await due(stack)
        closed: list[str] = []
        later = await Gateway.open(stack.settings, stack.clock)
        with pytest.MonkeyPatch.context() as patch:
            close = later.mint.close_one

            async def counted_close(name: str, *args: Any) -> bool:
                closed.append(name)
                return await close(name, *args)

            patch.setattr(later.mint, "close_one", counted_close)
            async with asyncio.timeout(10):
                while await stack.gateway.store.doubts.waiting():
                    await asyncio.sleep(0.02)
        await later.close()
        assert sorted(closed) == sorted(link.id for link in links)
        await assert_all_is_done(stack, links)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name", "call"), STEPS, ids=str)
async def test_a_process_that_dies_at_any_step_leaves_the_rest_to_another(
    gate: Stack, owner: str, name: str, call: int, after: bool
) -> None:
    links = await two_minted_then_a_decoy(gate)
    with pytest.MonkeyPatch.context() as patch:
        died = kill_at(patch, part(gate, owner), name, after=after, call=call)
        with pytest.raises(Killed):
            await think(gate)
        assert died()
    await think_all(gate, another(gate))
    await assert_all_is_done(gate, links)


@pytest.mark.parametrize("seed", range(4))
async def test_processes_that_die_one_after_the_other(gate: Stack, seed: int) -> None:
    chance = random.Random(seed)
    links = await two_minted_then_a_decoy(gate)
    for _ in range(8):
        owner, name, call = chance.choice(STEPS)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, part(gate, owner), name, after=chance.random() < 0.5, call=call)
            with contextlib.suppress(Killed):
                await think(gate, worker=another(gate))
    await think_all(gate, another(gate))
    await assert_all_is_done(gate, links)


async def test_one_that_is_stopped_amid_closing_leaves_it_to_another(gate: Stack) -> None:
    links = await two_minted_then_a_decoy(gate)
    await gate.fault(match=EXPIRE, mode="hang", seconds=5, times=99)
    await due(gate)
    worker = another(gate)
    worker.start()
    async with asyncio.timeout(5):
        while (await counts(gate)).get("verdicts.changed") != len(links):
            await asyncio.sleep(0.01)
    await worker.stop()
    await gate.control("DELETE", "faults")
    await think_all(gate, another(gate))
    await assert_all_is_done(gate, links)


async def test_a_store_that_goes_away_at_any_step_is_waited_for(gate: Stack) -> None:
    links = await two_minted_then_a_decoy(gate)
    for owner, name, call in STEPS:
        if owner in {"mint", "stripe"}:
            continue
        with pytest.MonkeyPatch.context() as patch:
            work, calls = getattr(part(gate, owner), name), itertools.count(1)

            async def away(
                *args: Any, work: Any = work, calls: Any = calls, call: int = call, **more: Any
            ) -> Any:
                if next(calls) == call:
                    raise StoreUnavailable("away")
                return await work(*args, **more)

            patch.setattr(part(gate, owner), name, away)
            with contextlib.suppress(StoreUnavailable):
                await think(gate)
    await think_all(gate)
    await assert_all_is_done(gate, links)


async def test_doubts_that_find_no_store_are_written_down_when_it_is_back(
    gate: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put = gate.gateway.store.doubts.put
    written: list[str] = []
    away = True

    async def sometimes(found: Sequence[Doubts], **more: Any) -> None:
        if away:
            raise StoreUnavailable("away")
        written.extend(each.id for each in found)
        await put(found, **more)

    monkeypatch.setattr(gate.gateway.store.doubts, "put", sometimes)
    links = await two_minted_then_a_decoy(gate)
    assert "judged without second thoughts" in caplog.text
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await think(gate)
    assert (written, await gate.gateway.store.doubts.waiting()) == ([], 0)
    away = False
    await think_all(gate)
    await think(gate, 3)
    assert len(written) == 1
    await assert_all_is_done(gate, links)


async def test_doubts_whose_writing_seemed_to_fail_are_worked_off_once(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the store, and another process has struck them out since."""
    put = gate.gateway.store.doubts.put
    lost = iter([True])

    async def losing_the_answer(found: Sequence[Doubts], **more: Any) -> None:
        await put(found, **more)
        if next(lost, False):
            raise StoreUnavailable("the connection broke after it")

    monkeypatch.setattr(gate.gateway.store.doubts, "put", losing_the_answer)
    links = await two_minted_then_a_decoy(gate)
    await think_all(gate, another(gate))
    await assert_all_is_done(gate, links)
    await think_all(gate)
    await assert_all_is_done(gate, links)


async def test_doubts_that_find_no_store_are_written_down_in_their_order(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, worker = gate.gateway.store.doubts, gate.gateway.reconsidering
    put = store.put
    written: list[str] = []
    fails = iter([True] * 4 + [False, True])

    async def sometimes(found: Sequence[Doubts], **more: Any) -> None:
        if next(fails, False):
            raise StoreUnavailable("away")
        written.extend(each.id for each in found)
        await put(found, **more)

    monkeypatch.setattr(store, "put", sometimes)
    for name in ("a", "b", "c"):
        with pytest.raises(StoreUnavailable):
            await worker.note(name, (), gate.clock())
    for _ in range(2):  # the store goes away again before all of them are written
        with pytest.raises(StoreUnavailable):
            await worker.work()
    await worker.work()
    assert written == ["a", "b", "c"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503},
        {"status": 429, "retry_after": 9},
        {"status": 401},
        {"mode": "drop"},
        {"mode": "drop", "executed": True},
        {"mode": "truncate", "executed": True},
        {"mode": "hang", "seconds": 5},
    ],
    ids=str,
)
async def test_a_stripe_that_does_not_close_is_asked_again(
    gate: Stack, fault: dict[str, Any]
) -> None:
    links = await two_minted_then_a_decoy(gate)
    await gate.fault(match=EXPIRE, times=99, **fault)
    await gate.fault(match="GET /v1/checkout/sessions/*", times=99, **fault)
    await think(gate, 2)
    assert await gate.gateway.store.doubts.waiting() == 1
    # The verdicts and the counters have not waited for it, and nobody is sent there meanwhile.
    counted = await counts(gate)
    assert (counted["visits.scanner"], counted["verdicts.changed"]) == (3, 2)
    await moments_pass(gate)
    assert (await visit(gate, links[0], PERSON)).status == 503
    await gate.control("DELETE", "faults")
    await think_all(gate)
    assert await gate.open_sessions() == []
    assert (await counts(gate))["verdicts.changed"] == 2


async def test_it_is_asked_for_as_long_as_a_session_may_live(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = await two_minted_then_a_decoy(gate)

    async def no(*_: Any) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(gate.gateway.mint, "close_one", no)
        await think(gate, 60)
    assert await gate.gateway.store.doubts.waiting() == 1
    await think_all(gate)
    await assert_all_is_done(gate, links)


async def test_one_that_was_paid_meanwhile_stays_paid(gate: Stack) -> None:
    await gate.campaign()
    link = gate.link()
    await visit(gate, link)
    [session] = await gate.sessions()
    await gate.control("POST", "webhooks/hold")
    await gate.control("POST", f"sessions/{session['id']}/pay")
    await hit_decoy(gate, link)
    await think_all(gate)
    row = await gate.row(link)
    assert (row.sessions[0].state, row.fields["done"]) == ("paid", "paid")


async def test_two_processes_at_the_same_doubt_do_it_once(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease of one has run out while it was still at work."""
    monkeypatch.setattr(doubts, "LEASE_MS", 0)
    links = await two_minted_then_a_decoy(gate)
    await gate.gateway.store.recorder.flush()
    await due(gate)
    workers = [another(gate) for _ in range(4)]
    await asyncio.gather(*(worker.work() for worker in workers))
    await think_all(gate)
    await assert_all_is_done(gate, links)
