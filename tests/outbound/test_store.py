"""What waits and what is parked, in the store."""

import asyncio

import msgspec
import pytest

from linkgate.store import outbox as module
from linkgate.store import parked as parked_module
from linkgate.store.connect import Connection
from linkgate.store.outbox import KEEP_SECONDS, Line, OutboxStore, list_key, read_line
from linkgate.store.parked import Parked, ParkedStore
from tests.store.conftest import connection

__all__ = ["connection"]

LINK = "lnk_" + "b" * 22
KEY = list_key(LINK, "shop")


def line(number: int, kind: str = "payment.succeeded", queued: float = 5.0) -> Line:
    data = msgspec.Raw(msgspec.json.encode({"n": number, "text": "a\tb\nc 日本 \x00"}))
    return Line(f"msg_{number}", kind, 4.5, queued, data)


async def lines(connection: Connection, key: str = KEY) -> list[str]:
    async with connection.guard() as client:
        found: list[str] = await client.lrange(key, 0, -1)
    return found


async def add(connection: Connection, *some: Line) -> int:
    return await OutboxStore(connection).add([(KEY, each.text) for each in some])


def test_a_line_is_read_as_it_was_written() -> None:
    known = line(1)
    found = read_line(known.text)
    assert found
    assert (found.id, found.type, found.at, found.queued) == (
        "msg_1",
        "payment.succeeded",
        4.5,
        5.0,
    )
    assert found.body == known.body
    assert b'"timestamp":"1970-01-01T00:00:04.500Z"' in known.body
    for junk in ("", "x", "a\tb", "a\tb\tc", "a\tb\t{}", 'a\tb\t{"at":1}'):
        assert read_line(junk) is None


def test_a_time_that_no_calendar_has_is_still_sent() -> None:
    for at in (2.0**53, -1.0):
        assert msgspec.structs.replace(line(1), at=at).body


async def test_a_message_is_in_the_list_once_and_in_its_place(connection: Connection) -> None:
    assert await add(connection, line(1), line(11), line(2)) == 3
    assert await add(connection, line(1, queued=9.0), line(3)) == 1
    assert [text.split("\t")[0] for text in await lines(connection)] == [
        *("msg_1", "msg_11", "msg_2", "msg_3"),
    ]
    async with connection.guard() as client:
        left = await client.ttl(KEY)
    assert KEEP_SECONDS - 10 <= left <= KEEP_SECONDS


async def test_a_crowd_of_visits_leaves_room_for_what_was_paid(connection: Connection) -> None:
    visits = [line(number, "link.visited") for number in range(module.MAX_VISITS + 20)]
    assert await add(connection, *visits) == module.MAX_VISITS
    assert await add(connection, line(5_000)) == 1
    async with connection.guard() as client:
        await client.rpush(KEY, *(f"x{number}\t" for number in range(module.MAX_LINES)))
    assert await add(connection, line(5_001)) == 0


async def test_only_the_line_that_was_read_is_taken(connection: Connection) -> None:
    store = OutboxStore(connection)
    await add(connection, line(1), line(2))
    head = await store.head("shop", LINK)
    assert head == line(1).text
    assert await store.pop("shop", LINK, line(2).text) == head
    assert await store.pop("shop", LINK, head) == line(2).text
    assert await store.pop("shop", LINK, head) == line(2).text
    assert await store.pop("shop", LINK, line(2).text) == ""
    assert await store.head("shop", LINK) == ""


async def test_what_is_put_back_replaces_what_is_there(connection: Connection) -> None:
    """Or a message that is put back while it is being parked would be taken away with the rest."""
    store = OutboxStore(connection)
    await add(connection, line(1), line(2))
    head = await store.head("shop", LINK)
    again = line(1, queued=77.0)
    for _ in range(2):
        await store.put_back("shop", LINK, [again])
    await store.pop("shop", LINK, head)
    assert await lines(connection) == [line(2).text, again.text]


async def test_waiting_links_are_paged_without_gaps(connection: Connection) -> None:
    store = OutboxStore(connection)
    links = [f"lnk_{number:03d}" for number in range(25)]
    for link in links:
        await store.add([(list_key(link, "shop"), line(1).text)])
    await store.alert("shop", links, 0.0)  # all in one step: the same time
    found: list[str] = []
    place = None
    while some := await store.waiting("shop", 7, after=place):
        found += [each.link for each in some]
        assert all(each.line and each.line.id == "msg_1" for each in some)
        place = (some[-1].due, some[-1].link)
    assert found == links


def parked(number: int, endpoint: str = "shop") -> Parked:
    return Parked(LINK, endpoint, line(number), 100.0, "it answered 500")


async def test_parked_deliveries_are_listed_found_and_removed(connection: Connection) -> None:
    store = ParkedStore(connection)
    for number in range(10):
        await store.put(parked(number))
        await store.put(parked(number, "crm"))
    await store.put(parked(3))
    assert (await store.count(), await store.count("shop")) == (20, 10)
    numbers, before = [], None
    while True:
        page, before = await store.list("shop", 4, before=before)
        numbers += [each.line.id for each in page]
        if before is None:
            break
    assert numbers == [f"msg_{number}" for number in reversed(range(10))]
    oldest, _ = await store.list("shop", 3, oldest_first=True)
    assert [each.line.id for each in oldest] == ["msg_0", "msg_1", "msg_2"]
    assert await store.find("msg_3.crm") == parked(3, "crm")
    assert await store.remove("shop", ["msg_3.shop", "msg_99.shop"]) == 1
    assert await store.find("msg_3.shop") is None
    assert (await store.count(), await store.count("shop")) == (19, 9)


async def test_what_is_parked_in_one_moment_is_paged_without_gaps(connection: Connection) -> None:
    store = ParkedStore(connection)
    await asyncio.gather(*(store.put(parked(number)) for number in range(60)))
    found, before = [], None
    while True:
        page, before = await store.list(None, 7, before=before)
        found += [each.line.id for each in page]
        if before is None:
            break
    assert sorted(found) == sorted(f"msg_{number}" for number in range(60))


async def test_too_many_and_too_old_are_let_go_oldest_first(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ParkedStore(connection)
    monkeypatch.setattr(parked_module, "MAX_PARKED", 5)
    for number in range(8):
        await store.put(parked(number, "shop" if number % 2 else "crm"))
    assert (await store.count(), await store.count("shop"), await store.count("crm")) == (5, 3, 2)
    assert await store.find("msg_2.crm") is None
    monkeypatch.setattr(parked_module, "KEEP_SECONDS", 0)
    await asyncio.sleep(0.01)
    await store.put(parked(9))
    assert await store.count() <= 1
