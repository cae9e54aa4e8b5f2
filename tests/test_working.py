"""Workers on a real queue: one item's trouble is no other's, and nothing that was taken is lost."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from linkgate import working
from linkgate.errors import StoreUnavailable
from linkgate.store.connect import Connection
from linkgate.store.queue import Item, Queue
from linkgate.working import Later, Worker, pause


@pytest.fixture
async def queue(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queue]:
    monkeypatch.setattr(working, "LOOK_SECONDS", 0.01)
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    yield Queue(connection, "test")
    await connection.close()


class Hands:
    """Handles items as a test says, and notes what came."""

    def __init__(self, said: Callable[[Item], Awaitable[Later | None]] | None = None) -> None:
        self.came: list[Item] = []
        self.most = 0
        self._now = 0
        self._said = said

    async def __call__(self, item: Item) -> Later | None:
        self.came.append(item)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await self._said(item) if self._said else None
        finally:
            self._now -= 1

    @property
    def ids(self) -> list[str]:
        return [item.id for item in self.came]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def empty(queue: Queue) -> None:
    async with asyncio.timeout(10):
        while await queue.depth():
            await asyncio.sleep(0.005)


async def test_all_that_is_due_is_worked_on_once(queue: Queue) -> None:
    hands = Hands()
    await queue.put_all({str(n): "" for n in range(25)})
    assert await Worker(queue, hands, side_by_side=4).work() == 25
    assert Counter(hands.ids) == Counter(map(str, range(25)))
    assert hands.most <= 4
    assert await queue.depth() == 0


async def test_what_fails_holds_up_nothing_and_comes_again(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    async def said(item: Item) -> None:
        if item.id == "bad":
            raise ValueError("odd")

    hands = Hands(said)
    await queue.put_all({"bad": "", **{str(n): "" for n in range(5)}})
    worker = Worker(queue, hands, side_by_side=2, longest_pause=0.0)
    worker.start()
    await until(lambda: hands.ids.count("bad") == 3)
    await worker.stop()
    assert set(hands.ids) == {"bad", *"01234"}
    assert await queue.ids() == ["bad"]
    assert [item.tries for item in hands.came if item.id == "bad"] == [0, 1, 2]
    assert "an item of the queue test failed" in caplog.text


async def test_a_handler_may_put_off_what_it_got(queue: Queue) -> None:
    async def said(item: Item) -> Later | None:
        return Later(0, body=item.body + "x") if len(item.body) < 3 else None

    hands = Hands(said)
    await queue.put("a")
    await Worker(queue, hands).work()
    assert [(item.body, item.tries) for item in hands.came] == [
        ("", 0),
        ("x", 0),
        ("xx", 0),
        ("xxx", 0),
    ]
    assert await queue.depth() == 0


async def test_put_again_meanwhile_it_is_worked_on_again(queue: Queue) -> None:
    async def said(item: Item) -> None:
        if item.body == "first":
            await queue.put("a", "second")

    hands = Hands(said)
    worker = Worker(queue, hands)
    worker.start()
    await queue.put("a", "first")
    worker.nudge()
    await empty(queue)
    await worker.stop()
    assert [item.body for item in hands.came] == ["first", "second"]


async def test_whoever_hangs_is_given_up_before_another_gets_the_item(queue: Queue) -> None:
    at_once: list[int] = []

    async def said(item: Item) -> None:
        if len(hands.came) == 1:
            await asyncio.Event().wait()
        at_once.append(hands.most)

    hands = Hands(said)
    await queue.put("a")
    worker = Worker(queue, hands, lease_seconds=0.1, longest_pause=0.01)
    worker.start()
    await empty(queue)
    await worker.stop()
    assert hands.ids == ["a", "a"]
    assert at_once == [1]


async def test_a_stopped_worker_leaves_its_items_to_another(queue: Queue) -> None:
    async def hang(_: Item) -> None:
        await asyncio.Event().wait()

    first, second = Hands(hang), Hands()
    await queue.put_all({"a": "", "b": ""})
    dying = Worker(queue, first)
    dying.start()
    await until(lambda: len(first.came) == 2)
    await dying.stop()
    assert await queue.depth() == 2
    # At once, and not only when the lease has run out; with no failure counted.
    assert await Worker(queue, second).work() == 2
    assert {(item.id, item.tries) for item in second.came} == {("a", 0), ("b", 0)}


async def test_whoever_died_is_inherited_when_the_lease_has_run_out(queue: Queue) -> None:
    await queue.put("a")
    await queue.take(1, lease_ms=50)
    hands = Hands()
    heir = Worker(queue, hands)
    heir.start()
    await empty(queue)
    await heir.stop()
    assert hands.ids == ["a"]


async def test_what_a_stopping_worker_is_just_taking_is_left_to_another(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, asked, go = queue.take, asyncio.Event(), asyncio.Event()

    async def late(*args: Any, **more: Any) -> Any:
        await go.wait()
        return await take(*args, **more)

    async def slow(*args: Any, **more: Any) -> Any:
        asked.set()
        # A command that has been sent is carried out, whoever has stopped to wait for it.
        return await asyncio.shield(asyncio.ensure_future(late(*args, **more)))

    hands = Hands()
    worker = Worker(queue, hands)
    with monkeypatch.context() as patch:
        patch.setattr(queue, "take", slow)
        worker.start()
        await asked.wait()
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        await queue.put("a")
        go.set()
        await stopping
        await asyncio.sleep(0.05)
    assert hands.ids == []
    assert await Worker(queue, hands).work() == 1


async def test_an_outage_is_waited_out_and_told_once(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hands = Hands()
    asked = 0

    async def away(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("nobody there")

    caplog.set_level(logging.WARNING)
    worker = Worker(queue, hands)
    with monkeypatch.context() as patch:
        patch.setattr(queue, "take", away)
        worker.start()
        await until(lambda: asked >= 3)
    await queue.put("a")
    await empty(queue)
    await worker.stop()
    assert hands.ids == ["a"]
    assert caplog.text.count("waits for the store") == 1


async def test_what_met_an_outage_comes_again(queue: Queue) -> None:
    async def said(item: Item) -> None:
        if len(hands.came) == 1:
            raise StoreUnavailable("in the middle of it")

    hands = Hands(said)
    await queue.put("a")
    worker = Worker(queue, hands, lease_seconds=0.05)
    worker.start()
    await empty(queue)
    await worker.stop()
    assert hands.ids == ["a", "a"]


async def test_a_bug_in_taking_stops_nobody(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take = queue.take
    failed: list[bool] = []

    async def odd(*args: Any, **more: Any) -> Any:
        if not failed:
            failed.append(True)
            raise TypeError("odd")
        return await take(*args, **more)

    monkeypatch.setattr(queue, "take", odd)
    hands = Hands()
    await queue.put("a")
    worker = Worker(queue, hands)
    worker.start()
    await empty(queue)
    await worker.stop()
    assert "the queue test failed" in caplog.text


async def test_one_that_is_at_its_limit_goes_on_when_there_is_room(queue: Queue) -> None:
    gate = asyncio.Event()

    async def said(item: Item) -> None:
        if item.id < "c":
            await gate.wait()

    hands = Hands(said)
    await queue.put_all({"a": "", "b": ""})
    worker = Worker(queue, hands, side_by_side=2)
    worker.start()
    await until(lambda: len(hands.came) == 2)
    await queue.put("c")
    worker.nudge()
    await asyncio.sleep(0.05)
    assert "c" not in hands.ids
    gate.set()
    await empty(queue)
    await worker.stop()
    assert hands.most == 2


async def test_pauses_grow_and_are_spread() -> None:
    for tries in range(12):
        found = [pause(tries, longest=300) for _ in range(50)]
        middle = min(2.0**tries, 300)
        assert all(0.8 * middle <= each <= 1.2 * middle for each in found)
        assert len(set(found)) > 1
    assert pause(10_000, longest=300) <= 360
