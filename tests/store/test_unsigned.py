"""What the store does for unsigned ways in: on fakeredis, a real Valkey and a real cluster."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from linkgate import campaigns
from linkgate.detection import Limits, hindsight
from linkgate.errors import StoreUnavailable
from linkgate.signals import Signals
from linkgate.store import admission, keys
from linkgate.store.admission import Admission, Standing
from linkgate.store.campaigns import FRESH_SECONDS, MAX_CACHED, STALE_SECONDS, Campaigns
from linkgate.store.connect import Connection
from linkgate.store.memory import UNKNOWN, Memory, Source

HERE, NEXT_DOOR = Source("net", "here"), Source("net", "next door")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(connection: Connection, clock: Clock) -> Campaigns:
    return Campaigns(connection, monotonic=clock)


# How many are let in


async def test_so_many_are_let_in_and_each_counts_once(connection: Connection) -> None:
    door = Admission(connection)
    assert [await door.admit("net", f"lnk_{n}", 3) for n in range(3)] == [0, 0, 0]
    wait = await door.admit("net", "lnk_3", 3)
    assert 59 < wait <= 60
    # Whoever was let in goes on, whatever the others do; and whoever presses finds more room.
    assert [await door.admit("net", f"lnk_{n}", 3) for n in range(3)] == [0, 0, 0]
    assert await door.admit("net", "lnk_3", 4) == 0
    assert await door.admit("net", "lnk_4", 4) > 0
    assert await door.admit("elsewhere", "lnk_4", 1) == 0


async def test_whoever_waits_as_long_as_told_finds_room(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "WINDOW_SECONDS", 0.2)
    door = Admission(connection)
    for name in ("a", "b"):
        assert await door.admit("net", name, 2) == 0
    first, second = [await door.admit("net", name, 2) for name in ("c", "d")]
    # Nobody is counted who was not let in, so that both may come for the first one's place.
    assert 0 < first <= 0.2
    assert 0 < second <= first
    await asyncio.sleep(first + 0.01)
    assert await door.admit("net", "c", 2) == 0


async def test_a_hundred_at_once_are_counted_right(connection: Connection) -> None:
    door = Admission(connection)
    waits = await asyncio.gather(*(door.admit("net", f"lnk_{n}", 30) for n in range(100)))
    assert waits.count(0.0) == 30


async def test_what_is_known_of_a_network_goes(connection: Connection) -> None:
    door = Admission(connection)
    for number in range(50):
        await door.admit("net", f"lnk_{number}", 5)
    name = keys.admitted("net")
    assert await connection.client.zcard(name) == 5
    assert 0 < await connection.client.pttl(name) <= 60_000
    # Another server's clock, before a failover, was ahead: it locks nobody out.
    await connection.client.zadd(name, {f"f{n}": 1e15 for n in range(5)})
    for number in range(5):
        await connection.client.zrem(name, f"lnk_{number}")
    assert await door.admit("net", "lnk_9", 5) == 0


async def test_how_a_browsers_own_link_stands(connection: Connection) -> None:
    stored: list[tuple[dict[str, str], int | None, Standing]] = [
        ({}, 1, Standing(known=False, over=False)),
        ({"campaign": "s"}, 1, Standing(known=True, over=False)),
        ({"campaign": "s", "done": "paid"}, 1, Standing(known=True, over=True)),
        ({"campaign": "s", "done": "complete"}, 1, Standing(known=True, over=True)),
        # Money that is on its way: nobody pays beside it.
        ({"campaign": "s", "done": "pending"}, 1, Standing(known=True, over=False)),
        ({"campaign": "s", "done": "", "done_count": ""}, 1, Standing(known=True, over=False)),
        ({"campaign": "s", "done": "paid", "done_count": "1"}, 2, Standing(True, over=False)),
        ({"campaign": "s", "done": "paid", "done_count": "2"}, 2, Standing(True, over=True)),
        ({"campaign": "s", "done": "paid", "done_count": "9"}, None, Standing(True, over=False)),
    ]
    door = Admission(connection)
    for number, (fields, payments, standing) in enumerate(stored):
        if fields:
            await connection.client.hset(keys.link(f"lnk_{number}"), mapping=fields)
        assert await door.standing(f"lnk_{number}", payments) == standing, fields


# Which campaigns are open


def campaign(slug: str, created: int = 0, **changes: Any) -> campaigns.Campaign:
    data = {"slug": slug, "name": "Spring", "destination": {"line_items": [{"price": "p"}]}}
    at = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(days=created)
    return campaigns.create({**data, **changes}, at)


async def test_the_campaigns_that_are_open_come_by_age(kept: Campaigns, clock: Clock) -> None:
    for slug, created, public in (("c", 3, True), ("a", 2, False), ("b", 1, True)):
        await kept.put(campaign(slug, created, public=public), replaces=None)
    assert [one.slug for one in await kept.public()] == ["b", "c"]
    # A change made here is seen here at once, and one made elsewhere when the copy is old.
    before = campaign("a", 2)
    after = campaigns.change(before, {"public": True}, before.created_at)
    await kept.put(after, replaces=before)
    assert [one.slug for one in await kept.public()] == ["b", "a", "c"]
    elsewhere = Campaigns(kept._connection)
    await elsewhere.put(campaign("d", 4, public=True), replaces=None)
    assert len(await kept.public()) == 3
    clock.now += FRESH_SECONDS
    assert len(await kept.public()) == 4


async def test_they_serve_while_the_store_is_away(
    kept: Campaigns, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> Any:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(kept, "_load_public", away)
        with pytest.raises(StoreUnavailable):
            await kept.public()
    await kept.put(campaign("a", public=True), replaces=None)
    assert len(await kept.public()) == 1
    monkeypatch.setattr(kept, "_load_public", away)
    clock.now += FRESH_SECONDS
    assert len(await kept.public()) == 1
    clock.now += STALE_SECONDS
    with pytest.raises(StoreUnavailable):
        await kept.public()


async def test_many_who_ask_at_once_ask_the_store_once(
    kept: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, loads = kept._load_public, []

    async def counted() -> Any:
        loads.append(1)
        return await load()

    monkeypatch.setattr(kept, "_load_public", counted)
    await asyncio.gather(*(kept.public() for _ in range(50)))
    assert len(loads) == 1


async def test_a_campaign_of_another_version_is_read(kept: Campaigns) -> None:
    old = campaign("old", public=True)
    await kept.put(old, replaces=None)
    stored = json.loads(old.model_dump_json(exclude_none=True))
    del stored["public_prices"]
    text = json.dumps({**stored, "newer": True})
    await kept._connection.client.set(keys.campaign("old"), text)
    kept._public = (), 0.0
    assert [one.slug for one in await kept.public()] == ["old"]


async def test_slugs_that_are_made_up_push_out_nothing(kept: Campaigns) -> None:
    await kept.put(campaign("real"), replaces=None)
    assert await kept.get("real")
    for number in range(100):
        assert await kept.get(f"made-up-{number}") is None
    assert kept.peek("real")
    assert len(kept._cache) == 1 < MAX_CACHED


# What is remembered of visits


async def sight(connection: Connection, visit: str, link: str, where: Source, **more: Any) -> Any:
    given = {"browser": "Chrome", "keep_seconds": 10, "decoy_seconds": 60, **more}
    return await Memory(connection).sight(visit=visit, link=link, source=where, **given)


async def test_people_at_a_poster_are_no_burst(connection: Connection) -> None:
    for number in range(20):
        where = HERE if number % 2 else NEXT_DOOR
        visit, link = f"v{number}", f"lnk_{number}"
        history = await sight(connection, visit, link, where, way="lnk_way", fresh=True)
        assert (history.link, history.network) == ((), ())
    # For somebody else at the same address they are one thing that was opened.
    history = await sight(connection, "w", "lnk_w", HERE)
    assert {sighting.opened for sighting in history.network} == {"lnk_way"}
    # Nothing is kept of each of their links.
    assert [await connection.client.exists(keys.seen(f"lnk_{n}")) for n in range(20)] == [0] * 20


async def test_several_ways_at_once_are_a_burst_and_the_first_are_doubted(
    connection: Connection,
) -> None:
    for number in (1, 2):
        names = f"v{number}", f"lnk_{number}"
        await sight(connection, *names, HERE, way=f"lnk_way{number}", fresh=True)
    history = await sight(connection, "v3", "lnk_3", HERE, way="lnk_way3", fresh=True)
    doubts = hindsight(Signals(), history, Limits())
    # By their links: under these they are recorded.
    assert {doubt.sighting.link for doubt in doubts} == {"lnk_1", "lnk_2"}
    assert {doubt.evidence.rule for doubt in doubts} == {"burst-address"}


async def test_a_browsers_own_link_is_remembered_as_every_link(connection: Connection) -> None:
    await sight(connection, "v1", "lnk_1", HERE, way="lnk_way")
    history = await sight(connection, "v2", "lnk_1", HERE, way="lnk_way")
    assert [sighting.visit for sighting in history.link] == ["v1"]
    assert history.network == ()


async def test_of_an_unknown_source_nothing_is_kept(connection: Connection) -> None:
    await sight(connection, "v1", "lnk_1", UNKNOWN, way="lnk_way", fresh=True)
    assert not await connection.client.exists(keys.seen("lnk_1"))
