"""Queues on each kind of store: nothing put in is lost, and one at a time works on it."""

import asyncio
import json
from typing import Any

import pytest

from linkgate.store import keys
from linkgate.store.connect import Connection
from linkgate.store.queue import Item, Queue

LONG = 60_000


@pytest.fixture
def queue(connection: Connection) -> Queue:
    return Queue(connection, "test")


async def hurry(queue: Queue, connection: Connection) -> None:
    """Let the time pass that everything waits for: put off, or held."""
    client: Any = connection.client
    due, items = keys.queue_due(queue.name), keys.queue_items(queue.name)
    for item_id, text in (await client.hgetall(items)).items():
        await client.zadd(due, {item_id: 1})
        generation, tries, _, body = json.loads(text)
        await client.hset(items, item_id, json.dumps([generation, tries, 0, body]))


async def one(queue: Queue) -> Item:
    [item] = await queue.take(10, lease_ms=LONG)
    return item


async def ids(queue: Queue, count: int = 10) -> list[str]:
    return [item.id for item in await queue.take(count, lease_ms=LONG)]


async def due_in(queue: Queue, connection: Connection, item_id: str) -> float:
    """Seconds, by the store's clock."""
    client: Any = connection.client
    score: float = await client.zscore(keys.queue_due(queue.name), item_id)
    # Some node's clock: they are all on this machine.
    clock = await client.time(target_nodes="random") if hasattr(client, "get_nodes") else None
    seconds, micros = clock or await client.time()
    return float(score / 1000 - seconds - micros / 1e6)


async def test_what_is_put_in_is_taken_once_and_struck_out(queue: Queue) -> None:
    assert await queue.put("a", "body") == 1
    assert await queue.put_all({"b": "", "c": 'x "quoted" é'}) == 3
    taken = {item.id: item.body for item in await queue.take(10, lease_ms=LONG)}
    assert taken == {"a": "body", "b": "", "c": 'x "quoted" é'}
    assert await ids(queue) == []
    assert await queue.depth() == 3


async def test_done_is_gone(queue: Queue, connection: Connection) -> None:
    await queue.put("a", "body")
    assert await queue.done(await one(queue))
    assert await queue.depth() == 0
    await hurry(queue, connection)
    assert await ids(queue) == []
    client: Any = connection.client
    assert await client.exists(keys.queue_items("test")) == 0


async def test_the_longest_due_comes_first_and_no_more_than_asked_for(queue: Queue) -> None:
    for item_id in "cab":
        await queue.put(item_id)
        await asyncio.sleep(0.002)
    assert await ids(queue, 2) == ["c", "a"]
    assert await ids(queue, 2) == ["b"]


async def test_what_is_not_due_waits_and_can_be_hurried(queue: Queue) -> None:
    await queue.put("a", delay_ms=LONG)
    assert await ids(queue) == []
    # A later time never puts off what was to come sooner.
    await queue.put("a")
    await queue.put("a", delay_ms=LONG)
    assert await ids(queue) == ["a"]


async def test_of_many_takers_one_gets_it(queue: Queue) -> None:
    await queue.put_all({str(n): "" for n in range(40)})
    taken = await asyncio.gather(*(queue.take(7, lease_ms=LONG) for _ in range(10)))
    found = [item.id for some in taken for item in some]
    assert len(found) == len(set(found)) == 40


async def test_whoever_dies_leaves_it_to_another(queue: Queue, connection: Connection) -> None:
    await queue.put("a", "body")
    await one(queue)
    await hurry(queue, connection)
    again = await one(queue)
    assert (again.id, again.body) == ("a", "body")


@pytest.mark.parametrize("delay", [0, LONG])
async def test_put_again_while_it_is_worked_on_it_comes_back_at_once(
    queue: Queue, delay: int
) -> None:
    await queue.put("a", "old")
    item = await one(queue)
    await queue.put("a", "new", delay_ms=delay)
    assert await ids(queue) == []
    assert not await queue.done(item)
    assert (await one(queue)).body == "new"


async def test_put_again_while_it_fails_it_comes_back_after_a_breath(
    queue: Queue, connection: Connection
) -> None:
    await queue.put("a", "old")
    item = await one(queue)
    await queue.put("a", "new")
    await queue.later(item, delay_ms=LONG, body="older")
    assert await ids(queue) == []
    assert 0 < await due_in(queue, connection, "a") <= 1
    await hurry(queue, connection)
    again = await one(queue)
    assert (again.body, again.tries) == ("new", 1)


async def test_tries_are_counted_and_begin_anew(queue: Queue, connection: Connection) -> None:
    await queue.put("a")
    for tries in range(3):
        item = await one(queue)
        assert item.tries == tries
        await queue.later(item, delay_ms=LONG)
        assert 55 < await due_in(queue, connection, "a") <= 60
        await hurry(queue, connection)
    item = await one(queue)
    await queue.later(item, delay_ms=0, failed=False, body="next")
    item = await one(queue)
    assert (item.tries, item.body) == (3, "next")
    await queue.put("a")
    assert not await queue.done(item)
    assert (await one(queue)).tries == 0


async def test_someone_late_strikes_out_no_newer_work(queue: Queue, connection: Connection) -> None:
    """Two had it, because the first one's lease ran out; then it was put in anew."""
    await queue.put("a", "old")
    first = await one(queue)
    await hurry(queue, connection)
    second = await one(queue)
    assert await queue.done(first)
    await asyncio.sleep(0.002)
    await queue.put("a", "new")
    await queue.done(second)
    assert (await one(queue)).body == "new"


async def test_a_repeated_done_strikes_out_no_newer_work(queue: Queue) -> None:
    """As a client does that lost the connection, and can't know that it had got through."""
    await queue.put("a")
    item = await one(queue)
    assert await queue.done(item)
    await asyncio.sleep(0.002)
    await queue.put("a", "new")
    await queue.done(item)
    assert (await one(queue)).body == "new"


async def test_what_waits_is_shown_soonest_first(queue: Queue) -> None:
    await queue.put("later", delay_ms=LONG)
    await queue.put("now")
    await queue.put("soon", delay_ms=1000)
    assert await queue.ids() == ["now", "soon", "later"]
    (first, at), (second, then) = await queue.waiting(2)
    assert (first, second) == ("now", "soon")
    assert 0.9 <= then - at <= 1.2


async def test_queues_are_apart(connection: Connection) -> None:
    one, two = Queue(connection, "one"), Queue(connection, "two")
    await one.put("a")
    assert await two.take(1, lease_ms=LONG) == []
    assert await two.depth() == 0
