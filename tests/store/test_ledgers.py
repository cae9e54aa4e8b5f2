"""The ledgers of links on each kind of store: nothing is lost between two that write at once."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from linkgate.payments import Ledger, Payment, PaymentState, Session, SessionState
from linkgate.store import keys
from linkgate.store.connect import Connection
from linkgate.store.entries import Claim, Settled, Visit
from linkgate.store.ledgers import Ledgers, Written
from linkgate.store.links import Links
from linkgate.tokens import Link

NOW = int(time.time())
LINK = Link("spring", "r-1", NOW + 86_400)
KEEP = NOW + 400 * 86_400


@pytest.fixture
def ledgers(connection: Connection) -> Ledgers:
    return Ledgers(connection)


@pytest.fixture
def links(connection: Connection) -> Links:
    return Links(connection, visits_kept=10, retention_s=86_400)


def session(number: int, state: SessionState = SessionState.OPEN, **more: Any) -> Session:
    return Session(f"cs_{number}", "https://pay", state, number, NOW + number, NOW + 1800, **more)


def nothing(*_: Any) -> Written:
    return Written((), "")


def noting(before: Ledger, after: Ledger, _: Mapping[str, str]) -> Written:
    """Write what is new, as a message and as something left to be done."""
    fresh = " ".join(sorted(set(after.sessions) - set(before.sessions)))
    return Written([(f"lg:{{{LINK.id}}}:outbox:shop", f"msg_{fresh}\tx\t{fresh}")], fresh)


async def hear(ledgers: Ledgers, *known: Any, event: str = "", write: Any = nothing) -> Any:
    return await ledgers.hear(LINK.id, known, write, event=event, keep_until=KEEP)


async def fields(connection: Connection) -> dict[str, str]:
    client: Any = connection.client
    found: dict[str, str] = await client.hgetall(keys.link(LINK.id))
    return found


async def lines(connection: Connection) -> Sequence[str]:
    client: Any = connection.client
    found: list[str] = await client.lrange(f"lg:{{{LINK.id}}}:outbox:shop", 0, -1)
    return found


async def test_thirty_at_once_lose_nothing(ledgers: Ledgers, connection: Connection) -> None:
    paid = [session(n, SessionState.PAID, customer=f"cus_{n}") for n in range(30)]
    heard = await asyncio.gather(
        *(hear(ledgers, one, event=f"evt_{one.id}", write=noting) for one in paid)
    )
    known = await ledgers.read(LINK.id)
    assert set(known.after.sessions) == {one.id for one in paid}
    said = await fields(connection)
    assert (said["done"], said["done_count"], said["payer"]) == ("paid", "30", "cus_29")
    # Each told what was new by it, and nothing else.
    told = [line.rpartition("\t")[2] for line in await lines(connection)]
    assert sorted(told) == sorted(one.id for one in paid)
    assert {text for one in heard for text in one.todo.values() if " " in text} == set()
    assert sorted(known.todo.values()) == sorted(told)


async def test_an_event_is_taken_in_once_even_at_once(
    ledgers: Ledgers, connection: Connection
) -> None:
    paid = session(1, SessionState.PAID)
    heard = await asyncio.gather(
        *(hear(ledgers, paid, event="evt_1", write=noting) for _ in range(20))
    )
    assert sum(not one.again for one in heard) == 1
    assert len(await lines(connection)) == 1
    assert await ledgers.knows(LINK.id, "evt_1")
    assert not await ledgers.knows(LINK.id, "evt_2")


async def test_what_is_left_to_do_stays_until_it_is_done(ledgers: Ledgers) -> None:
    first = await hear(ledgers, session(1), event="evt_1", write=noting)
    assert list(first.todo.values()) == ["cs_1"]
    # Whoever hears something else, or the same again, finds it.
    second = await hear(ledgers, session(2), event="evt_2", write=noting)
    assert sorted(second.todo.values()) == ["cs_1", "cs_2"]
    again = await hear(ledgers, session(1), event="evt_1", write=noting)
    assert (again.again, sorted(again.todo.values())) == (True, ["cs_1", "cs_2"])
    await ledgers.finish(LINK.id, first.todo)
    assert sorted((await ledgers.read(LINK.id)).todo.values()) == ["cs_2"]
    await ledgers.finish(LINK.id, (await ledgers.read(LINK.id)).todo)
    await ledgers.finish(LINK.id, [])
    assert (await ledgers.read(LINK.id)).todo == {}


async def test_what_changes_nothing_writes_nothing(
    ledgers: Ledgers, connection: Connection
) -> None:
    await hear(ledgers, session(1), write=noting)
    before = await fields(connection)
    heard = await hear(ledgers, session(1), write=noting)
    assert heard.before == heard.after
    assert await fields(connection) == before


async def test_settling_and_hearing_at_once_lose_neither(
    ledgers: Ledgers, links: Links, connection: Connection
) -> None:
    for number in range(1, 9):
        claim = Claim(f"v{number}", 60_000, 0, revision=1, payments=0)
        visit = Visit(f"v{number}", "mint", json.dumps({"id": f"v{number}"}))
        entry = await links.enter(LINK, visit, claim)
        assert entry.attempt == number
        mine, other = session(number), session(100 + number, SessionState.PAID)
        settled, _ = await asyncio.gather(
            links.settle(LINK, f"v{number}", mine, f"v{number}"),
            hear(ledgers, other, event=f"evt_{number}"),
        )
        assert settled is Settled.DONE
        known = (await ledgers.read(LINK.id)).after
        assert {mine.id, other.id} <= set(known.sessions)
        said = await fields(connection)
        assert set(said["open"].split()) == {f"cs_{n}" for n in range(1, number + 1)}
        assert (said["done_count"], said["current"]) == (str(number), mine.id)


@pytest.mark.parametrize(
    ("state", "done", "count"),
    [
        (SessionState.OPEN, None, None),
        (SessionState.EXPIRED, None, None),
        (SessionState.FAILED, None, None),
        (SessionState.PENDING, "pending", "1"),
        (SessionState.COMPLETE, "complete", "1"),
        (SessionState.PAID, "paid", "1"),
    ],
)
async def test_what_visits_go_by(
    ledgers: Ledgers,
    connection: Connection,
    state: SessionState,
    done: str | None,
    count: str | None,
) -> None:
    await hear(ledgers, session(1, state, customer="cus_1", recovery_until=NOW + 9))
    said = await fields(connection)
    assert (said.get("done"), said.get("done_count")) == (done, count)
    assert said.get("payer") == "cus_1"
    assert said.get("open") == ("cs_1" if state is SessionState.OPEN else None)
    assert said["recovery_until"] == str(NOW + 9)


async def test_the_strongest_counts_and_what_is_no_more_is_taken_away(
    ledgers: Ledgers, connection: Connection
) -> None:
    await hear(ledgers, session(1, SessionState.PENDING, payment_intent="pi_1"), session(2))
    assert (await fields(connection))["done"] == "pending"
    await hear(ledgers, session(2, SessionState.PAID))
    said = await fields(connection)
    assert (said["done"], said["done_count"], said.get("open")) == ("paid", "2", None)
    failed = Payment(id="pi_1", at=NOW + 5, state=PaymentState.FAILED, attempt=1, processing_at=NOW)
    await hear(ledgers, failed)
    assert (await fields(connection))["done_count"] == "1"


async def test_of_expired_sessions_the_newest_hundred_are_kept(
    ledgers: Ledgers, connection: Connection
) -> None:
    """Whoever holds a link makes as many as they like; each visit reads them."""
    expired = SessionState.EXPIRED
    known = [session(n, expired) for n in range(1, 251)]
    known[0] = session(1, expired, recovery_until=NOW + 9999)
    known[1] = session(2, expired, recovery_until=NOW + 50)
    known[2] = session(3, SessionState.PAID)
    known[3] = session(4, SessionState.FAILED)
    known[4] = session(5)
    known[5] = session(6, expired, payment_intent="pi_6")
    failed = Payment(id="pi_6", at=NOW, state=PaymentState.FAILED, attempt=6)
    first = await hear(ledgers, *known[:200], failed, write=noting)
    assert len(first.after.sessions) == 200
    for start in range(200, 250, 10):
        heard = await hear(ledgers, *known[start : start + 10], write=noting)
        # What has just ended is there for whatever follows from it.
        assert known[start + 9].id in heard.after.sessions
    kept = (await ledgers.read(LINK.id)).after.sessions
    assert set(kept) == {f"cs_{n}" for n in (1, 3, 4, 5, 6, *range(151, 251))}
    assert (await fields(connection))["open"] == "cs_5"
    # One that was missed, and is heard of late, is told and not kept.
    late = await hear(ledgers, session(0, expired), event="evt_late", write=noting)
    assert "cs_0" in late.after.sessions
    assert "cs_0" not in (await ledgers.read(LINK.id)).after.sessions
    assert await ledgers.knows(LINK.id, "evt_late")


async def test_counters_count_once_for_each_thing(ledgers: Ledgers, connection: Connection) -> None:
    counters = {"sessions.paid": 1, "amount.eur": 4900}
    await asyncio.gather(*(ledgers.count("spring", "cs_1~paid", counters) for _ in range(10)))
    await ledgers.count("spring", "cs_2~paid", counters)
    client: Any = connection.client
    assert await client.hgetall(keys.counters("spring")) == {
        "sessions.paid": "2",
        "amount.eur": "9800",
    }


async def test_a_link_is_found_by_the_first_id_that_is_known(ledgers: Ledgers) -> None:
    await ledgers.refer(LINK.id, ["pi_1", "ch_1"], 60)
    await ledgers.refer("lnk_other", ["in_1"], 60)
    assert await ledgers.find(["ch_0", "ch_1", "in_1"]) == LINK.id
    assert await ledgers.find(["in_1", "pi_1"]) == "lnk_other"
    assert await ledgers.find(["sub_1"]) is None
    assert await ledgers.find([]) is None


async def test_the_latest_that_linkgate_closed_are_remembered(
    ledgers: Ledgers, connection: Connection
) -> None:
    for number in (*range(30), 29):
        await ledgers.closing(LINK.id, f"cs_{number}")
    # Each may be told with when that was.
    noted = (await fields(connection))["closing"].split()
    closing = [one.partition(":")[0] for one in noted]
    assert closing == [f"cs_{number}" for number in range(29, 9, -1)]


async def test_up_to_when_was_reconciled(ledgers: Ledgers) -> None:
    assert await ledgers.reconciled() is None
    await ledgers.set_reconciled(NOW)
    assert await ledgers.reconciled() == NOW
    # Whoever began earlier and ends later doesn't take it back.
    await ledgers.set_reconciled(NOW - 9)
    assert await ledgers.reconciled() == NOW


async def test_no_more_events_are_left_than_there_is_room_for(
    ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkgate.store.ledgers.MOST_LEFT", 3)
    assert [await ledgers.leave(f"evt_{n}", None, NOW + n) for n in range(5)] == [1, 2, 3, 3, 3]
    assert await ledgers.left() == [(f"evt_{n}", None) for n in (2, 3, 4)]
    await ledgers.strike_out("evt_3", "acct_1")
    await ledgers.strike_out("evt_3", None)
    assert await ledgers.left() == [("evt_2", None), ("evt_4", None)]


async def test_a_payment_is_kept_as_long_as_any_link_lives(
    ledgers: Ledgers, connection: Connection
) -> None:
    await hear(ledgers, session(1, SessionState.PAID), event="evt_1")
    await hear(ledgers, Payment(id="pi_1", at=NOW, state=PaymentState.SUCCEEDED, attempt=1))
    client: Any = connection.client
    for key in (keys.link, keys.sessions, keys.events, keys.ledger):
        assert await client.ttl(key(LINK.id)) > 399 * 86_400
