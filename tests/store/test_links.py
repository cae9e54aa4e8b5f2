"""The links' part of the store, on fakeredis, on a real Valkey and on a real cluster."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import replace

import pytest

from linkgate.payments import Session, SessionState
from linkgate.store import keys
from linkgate.store.connect import Connection
from linkgate.store.entries import Claim, Entered, Left, Visit
from linkgate.store.ledgers import Heard, Ledgers, Written
from linkgate.store.links import Links
from linkgate.tokens import Link

NOW = int(time.time())
LINK = Link("spring", "r-1001", NOW + 86_400)
KEEP = NOW + 90_000
SESSION = Session("cs_1", "https://pay/1", SessionState.OPEN, 1, NOW, NOW + 1800, 500, "eur")


@pytest.fixture
def links(connection: Connection) -> Links:
    return Links(connection, visits_kept=5, retention_s=3600)


@pytest.fixture
def ledgers(connection: Connection) -> Ledgers:
    return Ledgers(connection)


async def hear(ledgers: Ledgers, state: SessionState, event: str) -> Heard:
    known = [replace(SESSION, state=state)]
    nothing = Written((), "{}")
    return await ledgers.hear(LINK.id, known, lambda *_: nothing, event=event, keep_until=KEEP)


def visit(name: str, decision: str = "mint") -> Visit:
    return Visit(name, decision, json.dumps({"id": name, "at": float(NOW)}))


def claim(
    owner: str, *, lease_ms: int = 10_000, reuse_ms: int = 60_000, revision: int = 1
) -> Claim:
    return Claim(owner, lease_ms, reuse_ms, revision)


async def mint(links: Links, name: str, session: Session = SESSION, **claimed: int) -> None:
    entry = await links.enter(LINK, visit(name), claim(name, **claimed))
    assert entry.gate is Entered.CLAIMED
    fresh = replace(session, attempt=entry.attempt)
    assert await links.settle(LINK, name, fresh, name, revision=1)


async def test_a_page_visit_is_recorded_and_claims_nothing(links: Links) -> None:
    assert (await links.enter(LINK, visit("v1", "interstitial"), None)).gate is Entered.PAGE
    row = await links.read(LINK.id)
    assert row
    assert [(v["id"], v["decision"]) for v in row.visits] == [("v1", "interstitial")]
    assert row.fields["campaign"] == "spring"
    assert row.fields["recipient"] == "r-1001"
    assert not row.sessions


async def test_one_of_many_gets_the_lease(links: Links) -> None:
    entries = await asyncio.gather(
        *(links.enter(LINK, visit(f"v{n}"), claim(f"v{n}")) for n in range(50))
    )
    assert Counter(entry.gate for entry in entries) == {Entered.CLAIMED: 1, Entered.WAIT: 49}


async def test_a_young_open_session_is_used_again(links: Links) -> None:
    await mint(links, "v1")
    entry = await links.enter(LINK, visit("v2"), claim("v2"))
    assert entry.gate is Entered.REUSE
    assert entry.session == SESSION
    row = await links.read(LINK.id)
    assert row
    assert {v["id"]: v["outcome"] for v in row.visits} == {"v1": "minted cs_1", "v2": "reused cs_1"}


async def test_an_older_session_is_handed_over_to_be_closed(links: Links) -> None:
    await mint(links, "v1")
    entry = await links.enter(LINK, visit("v2"), claim("v2", reuse_ms=0))
    assert (entry.gate, entry.attempt, entry.session) == (Entered.CLAIMED, 2, SESSION)
    assert entry.request is None


async def test_whether_a_session_ran_out_is_stripes_to_say(links: Links) -> None:
    ran_out = replace(SESSION, expires_at=NOW - 1)
    await mint(links, "v1", ran_out)
    entry = await links.enter(LINK, visit("v2"), claim("v2"))
    assert (entry.gate, entry.attempt, entry.session) == (Entered.CLAIMED, 2, ran_out)


async def test_a_changed_campaign_gets_a_session_of_its_own(links: Links) -> None:
    await mint(links, "v1")
    entry = await links.enter(LINK, visit("v2"), claim("v2", revision=2))
    assert (entry.gate, entry.session) == (Entered.CLAIMED, SESSION)


async def test_times_ahead_of_the_stores_clock_block_nothing(
    links: Links, connection: Connection
) -> None:
    """What a failover to a server whose clock is behind leaves."""
    await mint(links, "v1")
    ahead = (NOW + 600) * 1000
    dead = {"lease": "dead", "lease_until": ahead, "current_at": ahead}
    await connection.client.hset(keys.link(LINK.id), mapping=dead)  # type: ignore[arg-type]
    entry = await links.enter(LINK, visit("v2"), claim("v2"))
    assert (entry.gate, entry.session) == (Entered.CLAIMED, SESSION)


async def test_an_attempt_nobody_knows_the_result_of_is_replayed(links: Links) -> None:
    first = await links.enter(LINK, visit("v1"), claim("v1", lease_ms=1))
    assert await links.arm(LINK.id, "v1", {"mode": "payment"})
    await asyncio.sleep(0.02)  # v1's process dies, and its lease runs out
    second = await links.enter(LINK, visit("v2"), claim("v2"))
    assert second.gate is Entered.CLAIMED
    assert (second.attempt, second.attempt_at) == (first.attempt, first.attempt_at)
    assert second.request == {"mode": "payment"}
    assert not await links.arm(LINK.id, "v1", {"mode": "setup"})


async def test_an_attempt_that_no_session_can_be_open_of_is_left_alone(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    await links.enter(LINK, visit("v1"), claim("v1", lease_ms=1))
    await links.arm(LINK.id, "v1", {"mode": "payment"})
    await asyncio.sleep(0.02)
    monkeypatch.setattr("linkgate.store.links.UNKNOWN_MS", 1)
    entry = await links.enter(LINK, visit("v2"), claim("v2"))
    assert (entry.attempt, entry.request) == (2, None)


async def test_a_spent_key_is_remembered_until_the_next_attempt(links: Links) -> None:
    await links.enter(LINK, visit("v1"), claim("v1"))
    await links.arm(LINK.id, "v1", {"mode": "payment"})
    await links.release(LINK.id, "v1", Left.SPENT, visit="v1", outcome="busy")
    entry = await links.enter(LINK, visit("v2"), claim("v2"))
    assert entry.attempt == 1
    assert entry.attempt_at <= entry.spent_at <= entry.now
    await links.release(LINK.id, "v2", Left.SETTLED, visit="v2", outcome="busy")
    entry = await links.enter(LINK, visit("v3"), claim("v3"))
    assert (entry.attempt, entry.spent_at) == (2, 0)


@pytest.mark.parametrize(("left", "attempt"), [(Left.SETTLED, 2), (Left.SPENT, 1), (Left.OPEN, 1)])
async def test_a_released_attempt_is_spent_or_kept(links: Links, left: Left, attempt: int) -> None:
    await links.enter(LINK, visit("v1"), claim("v1"))
    await links.release(LINK.id, "v1", left, visit="v1", outcome="busy:\n slow")
    entry = await links.enter(LINK, visit("v2"), claim("v2"))
    assert (entry.gate, entry.attempt) == (Entered.CLAIMED, attempt)
    row = await links.read(LINK.id)
    assert row
    assert {v["id"]: v["outcome"] for v in row.visits}["v1"] == "busy: slow"


async def test_only_the_owner_gives_the_lease_back(links: Links) -> None:
    await links.enter(LINK, visit("v1"), claim("v1"))
    await links.release(LINK.id, "v2", Left.SETTLED, visit="v2", outcome="")
    assert (await links.enter(LINK, visit("v3"), claim("v3"))).gate is Entered.WAIT


async def test_a_session_that_came_after_the_next_attempt_is_not_taken(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    await links.enter(LINK, visit("v1"), claim("v1", lease_ms=1))
    await asyncio.sleep(0.02)
    monkeypatch.setattr("linkgate.store.links.UNKNOWN_MS", 1)
    await links.enter(LINK, visit("v2"), claim("v2"))
    assert not await links.settle(LINK, "v1", SESSION, "v1")


async def test_a_link_revoked_while_it_minted_keeps_no_session(links: Links) -> None:
    await links.enter(LINK, visit("v1"), claim("v1"))
    await links.revoke(LINK.id, NOW, KEEP)
    assert not await links.settle(LINK, "v1", SESSION, "v1")


async def test_asking_again_records_nothing_twice(links: Links) -> None:
    for _ in range(3):
        await links.enter(LINK, visit("v1"), None)
    await links.enter(LINK, None, claim("v1"))
    row = await links.read(LINK.id)
    assert row
    assert len(row.visits) == 1


async def test_the_newest_visits_are_kept(links: Links) -> None:
    for number in range(9):
        await links.enter(LINK, visit(f"v{number}"), None)
    row = await links.read(LINK.id)
    assert row
    assert {v["id"] for v in row.visits} == {"v4", "v5", "v6", "v7", "v8"}


async def test_a_revoked_link_mints_no_more(links: Links) -> None:
    assert await links.revoke(LINK.id, NOW, KEEP)
    assert not await links.revoke(LINK.id, NOW, KEEP)
    entry = await links.enter(LINK, visit("v1"), claim("v1"))
    assert entry.gate is Entered.REVOKED
    row = await links.read(LINK.id)
    assert row
    assert row.visits[0]["decision"] == "refuse"


@pytest.mark.parametrize("state", [SessionState.PAID, SessionState.PENDING, SessionState.COMPLETE])
async def test_a_link_that_is_done_mints_no_more(
    links: Links, ledgers: Ledgers, state: SessionState
) -> None:
    await mint(links, "v1")
    await hear(ledgers, state, "evt_1")
    await links.revoke(LINK.id, NOW, KEEP)
    entry = await links.enter(LINK, visit("v2"), claim("v2"))
    assert (entry.gate, entry.done) == (Entered.DONE, state)


async def test_a_payment_that_failed_lets_the_person_try_again(
    links: Links, ledgers: Ledgers
) -> None:
    await mint(links, "v1")
    for number, state in enumerate((SessionState.PENDING, SessionState.FAILED)):
        await hear(ledgers, state, f"evt_{number}")
    entry = await links.enter(LINK, visit("v2"), claim("v2"))
    assert (entry.gate, entry.attempt) == (Entered.CLAIMED, 2)


async def test_an_event_is_heard_once(ledgers: Ledgers) -> None:
    heard = await asyncio.gather(*(hear(ledgers, SessionState.PAID, "evt_1") for _ in range(50)))
    [first] = [one for one in heard if not one.again]
    assert not first.before.sessions
    assert [one.state for one in first.after.sessions.values()] == [SessionState.PAID]


async def test_events_at_the_same_moment_lose_nothing(links: Links, ledgers: Ledgers) -> None:
    states = [SessionState.PENDING, SessionState.PAID, SessionState.OPEN, SessionState.EXPIRED]
    await asyncio.gather(*(hear(ledgers, state, f"evt_{n}") for n, state in enumerate(states * 5)))
    row = await links.read(LINK.id)
    assert row
    assert [s.state for s in row.sessions] == [SessionState.PAID]
    assert row.fields["done"] == "paid"


async def test_an_outcome_finds_its_visit_behind_a_storm_of_others(connection: Connection) -> None:
    links = Links(connection, visits_kept=100, retention_s=3600)
    await links.enter(LINK, visit("v1"), claim("v1"))
    for n in range(60):
        await links.enter(LINK, visit(f"storm-{n}"), None)
    assert await links.settle(LINK, "v1", SESSION, "v1")
    row = await links.read(LINK.id)
    assert row
    outcomes = {kept["id"]: kept["outcome"] for kept in row.visits}
    assert outcomes["v1"] == f"minted {SESSION.id}"


async def test_a_webhook_before_the_answer_is_not_overwritten(
    links: Links, ledgers: Ledgers
) -> None:
    await links.enter(LINK, visit("v1"), claim("v1"))
    paid = replace(SESSION, state=SessionState.PAID)
    await hear(ledgers, SessionState.PAID, "evt_1")
    assert await links.settle(LINK, "v1", SESSION, "v1")
    row = await links.read(LINK.id)
    assert row
    assert row.sessions == (paid,)


async def test_private_attributes_come_with_the_claim(links: Links) -> None:
    await links.keep_private(LINK, {"email": "someone@example.com"})
    entry = await links.enter(LINK, visit("v1"), claim("v1"))
    assert entry.private == {"email": "someone@example.com"}


async def test_nothing_outlives_the_link(
    links: Links, ledgers: Ledgers, connection: Connection
) -> None:
    await links.keep_private(LINK, {"email": "someone@example.com"})
    await mint(links, "v1")
    assert 86_400 < await connection.client.ttl(keys.sessions(LINK.id)) <= 86_400 + 3600
    await hear(ledgers, SessionState.PAID, "evt_1")
    for name in (keys.link, keys.visits, keys.sessions, keys.private, keys.events):
        ttl = await connection.client.ttl(name(LINK.id))
        assert 86_400 < ttl <= 86_400 + 3600, name.__name__


async def test_a_token_that_expires_sooner_ends_nothing(
    links: Links, connection: Connection
) -> None:
    shorter = replace(LINK, expires_at=NOW + 7200)
    await links.keep_private(LINK, {"email": "someone@example.com"})
    await links.revoke(LINK.id, NOW, KEEP, link=LINK)
    await links.enter(shorter, visit("v1"), None)
    await links.keep_private(shorter, {"email": "other@example.com"})
    assert await connection.client.ttl(keys.link(LINK.id)) > 86_000
    assert await connection.client.ttl(keys.private(LINK.id)) > 86_000


async def test_a_revoked_link_is_still_known(links: Links) -> None:
    await links.revoke(LINK.id, NOW, KEEP, link=LINK)
    row = await links.read(LINK.id)
    assert row
    assert (row.fields["campaign"], row.fields["recipient"]) == ("spring", "r-1001")


async def test_an_untouched_link_takes_no_memory(links: Links, connection: Connection) -> None:
    assert await links.read(LINK.id) is None
    assert not await connection.client.exists(keys.link(LINK.id))
