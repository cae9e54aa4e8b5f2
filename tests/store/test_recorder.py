"""The recorder: counts right, writes in batches, waits for a store that is away."""

import asyncio
import json
import time
from typing import Any

import pytest

from linkgate.errors import StoreUnavailable
from linkgate.store import keys, recorder
from linkgate.store.campaigns import Campaigns
from linkgate.store.connect import Connection
from linkgate.store.entries import Visit
from linkgate.store.links import Links
from linkgate.store.recorder import Recorder
from linkgate.tokens import Link

NOW = int(time.time())


@pytest.fixture
def recording(connection: Connection) -> Recorder:
    return Recorder(connection, visits_kept=5, retention_s=3600)


def link(number: int = 0) -> Link:
    return Link("spring", f"r-{number}", NOW + 86_400)


def visit(name: str) -> Visit:
    return Visit(name, "interstitial", json.dumps({"id": name, "at": NOW}))


async def test_what_is_recorded_can_be_read(recording: Recorder, connection: Connection) -> None:
    recording.count("spring", "visits.scanner", 2)
    recording.count("spring", "visits.scanner")
    recording.count("autumn", "visits.tool")
    recording.visit(link(), link().id, visit("v1"))
    await recording.flush()
    assert recording.depth == 0
    assert await Campaigns(connection).counts("spring") == {"visits.scanner": 3}
    assert await Campaigns(connection).counts("autumn") == {"visits.tool": 1}
    row = await Links(connection, visits_kept=5, retention_s=3600).read(link().id)
    assert row
    assert [v["id"] for v in row.visits] == ["v1"]
    assert row.fields["recipient"] == "r-0"
    assert 0 < await connection.client.ttl(keys.buffered(link().id)) <= 86_400 + 3600
    assert 0 < await connection.client.ttl(keys.link(link().id)) <= 86_400 + 3600


async def test_a_storm_on_one_link_keeps_its_newest_visits(
    recording: Recorder, connection: Connection
) -> None:
    for number in range(1000):
        recording.visit(link(), link().id, visit(f"v{number:04}"))
    await recording.flush()
    assert await connection.client.llen(keys.buffered(link().id)) == 5


async def test_a_storm_of_machines_pushes_out_no_persons_visit(
    recording: Recorder, connection: Connection
) -> None:
    links = Links(connection, visits_kept=5, retention_s=3600)
    await links.enter(link(), visit("person"), None)
    for batch in range(3):
        for number in range(50):
            recording.visit(link(), link().id, visit(f"m{batch}-{number:02}"))
        await recording.flush()
    row = await links.read(link().id)
    assert row
    assert {v["id"] for v in row.visits} == {"person", *(f"m2-{n}" for n in range(45, 50))}


async def test_both_lists_are_read_as_one_and_go_with_the_link(
    recording: Recorder, connection: Connection
) -> None:
    links = Links(connection, visits_kept=5, retention_s=3600)
    for number in range(6):
        body = json.dumps({"id": f"v{number}", "at": NOW + number})
        if number % 2:
            await links.enter(link(), Visit(f"v{number}", "mint", body), None)
        else:
            recording.visit(link(), link().id, Visit(f"v{number}", "interstitial", body))
    await recording.flush()
    row = await links.read(link().id)
    assert row
    assert [(v["id"], v["decision"]) for v in row.visits] == [
        (f"v{number}", "mint" if number % 2 else "interstitial") for number in (5, 4, 3, 2, 1, 0)
    ]
    names = [each(link().id) for each in (keys.link, keys.visits, keys.buffered)]
    ends = {await connection.client.expiretime(name) for name in names}
    assert ends == {NOW + 86_400 + 3600}


async def test_a_batch_is_counted_once_however_often_it_is_written(
    recording: Recorder, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = connection.script
    lost = iter([True, False])

    async def losing_the_answer(*args: Any) -> Any:
        answer = await run(*args)
        if next(lost, False):
            raise StoreUnavailable("the connection broke after the script ran")
        return answer

    monkeypatch.setattr(connection, "script", losing_the_answer)
    recording.count("spring", "visits.tool", 7)
    with pytest.raises(StoreUnavailable):
        await recording.flush()
    recording.count("spring", "visits.tool", 1)
    await recording.flush()
    assert await Campaigns(connection).counts("spring") == {"visits.tool": 8}


async def test_a_store_that_is_away_is_waited_for(
    recording: Recorder, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", 0.01)
    run, away = connection.script, True

    async def sometimes(*args: Any) -> Any:
        if away:
            raise StoreUnavailable("away")
        return await run(*args)

    monkeypatch.setattr(connection, "script", sometimes)
    recording.start()
    recording.count("spring", "visits.tool")
    recording.visit(link(), link().id, visit("v1"))
    await asyncio.sleep(0.05)
    assert recording.depth == 1
    away = False
    async with asyncio.timeout(5):
        while recording.depth:
            await asyncio.sleep(0.01)
    await recording.stop()
    assert await Campaigns(connection).counts("spring") == {"visits.tool": 1}


async def test_a_full_buffer_lets_go_and_says_so(
    recording: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_BUFFERED", 3)
    for number in range(5):
        recording.count("spring", "visits.tool")
        recording.visit(link(number), link(number).id, visit(f"v{number}"))
    assert (recording.depth, recording.let_go) == (3, 2)
    await recording.flush()


async def test_a_hot_link_does_not_fill_the_buffer(
    recording: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_BUFFERED", 10)
    for number in range(100):
        recording.visit(link(), link().id, visit(f"v{number}"))
    recording.visit(link(1), link(1).id, visit("w"))
    assert (recording.depth, recording.let_go) == (6, 0)
    await recording.flush()
    assert recording.depth == 0


async def test_a_foreign_value_costs_only_itself(
    recording: Recorder, connection: Connection
) -> None:
    await connection.client.set(keys.counters("spring"), "no hash")
    recording.count("spring", "visits.tool")
    recording.count("autumn", "visits.tool")
    recording.visit(link(), link().id, visit("v1"))
    await recording.flush()
    assert await Campaigns(connection).counts("autumn") == {"visits.tool": 1}
    assert await connection.client.llen(keys.buffered(link().id)) == 1


async def test_a_links_foreign_value_costs_no_other_link(
    recording: Recorder, connection: Connection
) -> None:
    await connection.client.set(keys.buffered(link(3).id), "no list")
    for number in range(6):
        recording.visit(link(number), link(number).id, visit(f"v{number}"))
    await recording.flush()
    store = Links(connection, visits_kept=5, retention_s=3600)
    for number in (0, 1, 2, 4, 5):
        row = await store.read(link(number).id)
        assert row
        assert [v["id"] for v in row.visits] == [f"v{number}"]
    assert recording.depth == 0


async def test_a_clock_that_steps_back_loses_no_counts(
    recording: Recorder, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (2000.0, 1000.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        recording.count("spring", "visits.tool")
        await recording.flush()
    assert await Campaigns(connection).counts("spring") == {"visits.tool": 2}


async def test_stopping_writes_what_is_left(recording: Recorder, connection: Connection) -> None:
    recording.start()
    recording.count("spring", "visits.tool")
    await recording.stop()
    assert await Campaigns(connection).counts("spring") == {"visits.tool": 1}
