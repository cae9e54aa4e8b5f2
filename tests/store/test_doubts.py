"""Late evidence on its way: kept, taken under a lease, worked into visits, counted once."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from linkgate.campaigns import Policy
from linkgate.payments import Session, SessionState
from linkgate.reconsidering import TakenBack, take_back
from linkgate.store import doubt_scripts, doubts, keys
from linkgate.store.campaigns import Campaigns
from linkgate.store.connect import Connection, Script
from linkgate.store.doubts import (
    LEASE_MS,
    LONGEST_DELAY_MS,
    Disowned,
    Doubtful,
    Doubts,
    DoubtStore,
)
from linkgate.store.entries import Claim, Entered, Settled, Visit
from linkgate.store.links import Links
from linkgate.store.recorder import Recorder
from linkgate.tokens import Link

NOW = int(time.time())
LINK = Link("spring", "r-1001", NOW + 86_400)
SESSION = Session("cs_1", "https://pay/1", SessionState.OPEN, 1, NOW, NOW + 1800, 500, "eur")
PERSON = ["navigation", "human", "as a browser's window does"]


@pytest.fixture
def store(connection: Connection) -> DoubtStore:
    return DoubtStore(connection)


@pytest.fixture
def links(connection: Connection) -> Links:
    return Links(connection, visits_kept=20, retention_s=3600)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the store's clock ahead by so many seconds, or back."""
    known = "math.floor(tonumber(clock[2]) / 1000)"
    real = {name: getattr(doubt_scripts, name) for name in ("PUT", "TAKE", "PUT_BACK")}

    def jump(seconds: float) -> None:
        for name, script in real.items():
            assert known in script.source
            source = script.source.replace(known, f"{known} + {int(seconds * 1000)}")
            monkeypatch.setattr(doubt_scripts, name, Script(script.name, source))

    return jump


def decoyed(visit: str = "v1", link: str = LINK.id) -> Doubtful:
    return Doubtful(link, visit, "decoy-link", "automated", "a decoy was opened", "scanner")


def hurried(visit: str = "v1") -> Doubtful:
    return Doubtful(LINK.id, visit, "burst-address", "suspect", "it began a burst")


def doubt(name: str, *visits: Doubtful) -> Doubts:
    return Doubts(name, NOW + 1.0, visits or (decoyed(),))


def visit(name: str, decision: str = "mint", **more: Any) -> Visit:
    body = {"id": name, "at": float(NOW), "verdict": "human", "evidence": [PERSON], "method": "GET"}
    return Visit(name, decision, json.dumps({**body, **more}))


async def mint(links: Links, name: str = "v1", **more: Any) -> None:
    claim = Claim(name, 10_000, 60_000, 1)
    assert (await links.enter(LINK, visit(name, **more), claim)).gate is Entered.CLAIMED
    assert await links.settle(LINK, name, SESSION, name, revision=1) is Settled.DONE


async def reuse(links: Links, name: str, **more: Any) -> None:
    entry = await links.enter(LINK, visit(name, **more), Claim(name, 10_000, 60_000, 1))
    assert entry.gate is Entered.REUSE


async def adaptive(slug: str) -> Policy:
    assert slug == "spring"
    return Policy.ADAPTIVE


async def direct(slug: str) -> Policy:
    return Policy.DIRECT


async def kept(links: Links, name: str) -> Any:
    row = await links.read(LINK.id)
    assert row
    [found] = [v for v in row.visits if v["id"] == name]
    return found


class TestWaiting:
    async def test_a_doubt_is_taken_when_it_is_due(
        self, store: DoubtStore, clock: Callable[[float], None]
    ) -> None:
        both = doubt("b", decoyed(), hurried("v2"))
        await store.put([doubt("a"), both], delay_ms=5000)
        assert await store.take(10) == []
        clock(6)
        taken = await store.take(10)
        assert sorted(taken, key=lambda d: d.id) == [
            doubt("a"),
            doubt("b", decoyed(), hurried("v2")),
        ]

    async def test_writing_it_down_twice_adds_nothing(self, store: DoubtStore) -> None:
        for _ in range(3):
            await store.put([doubt("a")], delay_ms=0)
        assert await store.waiting() == 1
        assert len(await store.take(10)) == 1
        # Nor does it come back early to whoever has it under a lease.
        await store.put([doubt("a")], delay_ms=0)
        assert await store.take(10) == []

    async def test_each_is_one_process_s_for_the_lease(
        self, store: DoubtStore, connection: Connection, clock: Callable[[float], None]
    ) -> None:
        await store.put([doubt(f"d{number}") for number in range(40)], delay_ms=0)
        other = DoubtStore(connection)
        shares = await asyncio.gather(*(each.take(7) for each in (store, other) * 4))
        names = [each.id for share in shares for each in share]
        assert sorted(names) == sorted(f"d{number}" for number in range(40))
        clock(LEASE_MS / 1000 - 5)
        assert await other.take(50) == []
        clock(LEASE_MS / 1000 + 1)
        assert len(await other.take(50)) == 40

    async def test_what_is_struck_out_is_gone(
        self, store: DoubtStore, connection: Connection, clock: Callable[[float], None]
    ) -> None:
        await store.put([doubt("a")], delay_ms=0)
        [taken] = await store.take(10)
        await store.strike_out(taken)
        # A process that was slow has not heard of it.
        await store.put_back(taken, delay_ms=0)
        clock(3600)
        assert await store.take(10) == []
        assert await store.waiting() == 0
        assert await connection.client.exists(keys.DOUBTS) == 0
        assert await connection.client.exists(keys.DOUBTS_DUE) == 0

    async def test_what_is_put_back_is_what_is_left(
        self, store: DoubtStore, clock: Callable[[float], None]
    ) -> None:
        await store.put([doubt("a", decoyed("v1"), decoyed("v2"))], delay_ms=0)
        [taken] = await store.take(10)
        left = Doubts(taken.id, taken.at, taken.visits[1:], 1)
        await store.put_back(left, delay_ms=2000)
        assert await store.take(10) == []
        clock(3)
        assert await store.take(10) == [left]

    async def test_no_more_wait_than_there_is_room_for(
        self, store: DoubtStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(doubts, "MAX_WAITING", 3)
        await store.put([doubt(f"d{number}") for number in range(3)], delay_ms=0)
        assert not caplog.records
        await store.put([doubt("d3"), doubt("d4")], delay_ms=0)
        assert "late evidence is let go" in caplog.text
        assert await store.waiting() == 3
        [first, *_] = await store.take(10)
        await store.strike_out(first)
        await store.put([doubt("d5")], delay_ms=0)
        assert await store.waiting() == 3

    async def test_what_can_not_be_read_holds_up_nobody(
        self, store: DoubtStore, connection: Connection
    ) -> None:
        for name, text in (("0", "{"), ("1", "[]"), ("2", '{"id":"2"}')):
            await connection.client.hset(keys.DOUBTS, name, text)
            await connection.client.zadd(keys.DOUBTS_DUE, {name: 1})
        await connection.client.zadd(keys.DOUBTS_DUE, {"3": 1})  # and one whose text is gone
        await store.put([doubt("a")], delay_ms=0)
        assert [each.id for each in await store.take(4)] == []
        assert [each.id for each in await store.take(4)] == ["a"]
        assert await store.waiting() == 1

    async def test_what_a_newer_version_adds_is_passed_over(
        self, store: DoubtStore, connection: Connection
    ) -> None:
        await store.put([doubt("a")], delay_ms=0)
        text = json.loads(msgspec.json.encode(doubt("a")))
        text["more"] = text["visits"][0]["more"] = [1]
        await connection.client.hset(keys.DOUBTS, "a", json.dumps(text))
        assert await store.take(1) == [doubt("a")]

    async def test_a_clock_that_was_ahead_leaves_no_doubt_behind(
        self, store: DoubtStore, clock: Callable[[float], None]
    ) -> None:
        """A failover to a server whose clock is a day behind."""
        clock(86_400)
        await store.put([doubt("a")], delay_ms=300)
        clock(0)
        assert await store.take(10) == [doubt("a")]
        assert await store.take(10) == []

    async def test_the_longest_delay_is_no_sign_of_such_a_clock(self, store: DoubtStore) -> None:
        await store.put([doubt("a")], delay_ms=LONGEST_DELAY_MS)
        assert await store.take(10) == []


class TestTakingBack:
    async def test_a_person_turns_out_a_scanner(self, store: DoubtStore, links: Links) -> None:
        await mint(links)
        taken = await take_back(store, decoyed(), NOW + 3.5, adaptive)
        assert taken == TakenBack("spring", "v1", (("human", "scanner"),), "cs_1")
        after = await kept(links, "v1")
        assert (after["verdict"], after["kind"], after["outcome"]) == (
            "automated",
            "scanner",
            "minted cs_1",
        )
        assert after["changes"] == [
            {
                "at": NOW + 3.5,
                "from": "human",
                "to": "scanner",
                "rule": "decoy-link",
                "closing": True,
            }
        ]
        assert ["decoy-link", "automated", "a decoy was opened", "scanner"] in after["evidence"]
        assert PERSON in after["evidence"]

    async def test_repeating_it_says_the_same_and_changes_nothing(
        self, store: DoubtStore, links: Links
    ) -> None:
        await mint(links)
        first = await take_back(store, decoyed(), NOW + 3, adaptive)
        once = await kept(links, "v1")
        assert await take_back(store, decoyed(), NOW + 9, adaptive) == first
        assert await kept(links, "v1") == once

    async def test_two_kinds_of_evidence_are_two_changes(
        self, store: DoubtStore, links: Links
    ) -> None:
        await mint(links)
        await take_back(store, hurried(), NOW + 2, adaptive)
        taken = await take_back(store, decoyed(), NOW + 3, adaptive)
        assert taken
        assert taken.changes == (("human", "suspect"), ("suspect", "scanner"))
        # The other way round the weaker adds to the evidence, and to nothing else.
        again = await take_back(store, hurried(), NOW + 4, adaptive)
        assert again == taken

    async def test_where_everybody_is_let_in_a_suspect_keeps_the_session(
        self, store: DoubtStore, links: Links
    ) -> None:
        await mint(links)
        taken = await take_back(store, hurried(), NOW + 2, direct)
        assert taken == TakenBack("spring", "v1", (("human", "suspect"),), "")
        taken = await take_back(store, decoyed(), NOW + 2, direct)
        assert taken
        assert taken.session == "cs_1"

    @pytest.mark.parametrize("own", [{"pressed": True}, {"known_device": True}], ids=str)
    async def test_a_press_and_a_known_device_are_never_taken_back(
        self, store: DoubtStore, links: Links, own: dict[str, Any]
    ) -> None:
        await mint(links, **own)
        before = await kept(links, "v1")
        assert await take_back(store, decoyed(), NOW, adaptive) == TakenBack("spring", "v1", (), "")
        assert await kept(links, "v1") == before

    async def test_one_that_was_sent_to_the_session_of_another_is_told_with_it(
        self, store: DoubtStore, links: Links
    ) -> None:
        await mint(links)
        await reuse(links, "v2")
        taken = await take_back(store, decoyed("v2"), NOW, adaptive)
        assert taken
        assert (taken.session, taken.unsettled) == ("cs_1", False)

    async def test_a_visit_that_got_only_a_page_has_nothing_to_lose(
        self, store: DoubtStore, links: Links
    ) -> None:
        await links.enter(LINK, visit("v1", "interstitial", verdict="suspect", evidence=[]), None)
        taken = await take_back(store, decoyed(), NOW, adaptive)
        assert taken == TakenBack("spring", "v1", (("suspect", "scanner"),), "")

    async def test_one_that_is_minting_still_is_told_when_it_settles(
        self, store: DoubtStore, links: Links
    ) -> None:
        await links.enter(LINK, visit("v1"), Claim("v1", 10_000, 60_000, 1))
        taken = await take_back(store, decoyed(), NOW, adaptive)
        assert taken
        assert (taken.session, taken.unsettled) == ("", True)
        assert await links.settle(LINK, "v1", SESSION, "v1", revision=1) is Settled.TAKEN_BACK
        entry = await links.enter(LINK, visit("v2"), Claim("v2", 10_000, 60_000, 1))
        assert (entry.gate, entry.session) == (Entered.CLAIMED, SESSION)
        taken = await take_back(store, decoyed(), NOW, adaptive)
        assert taken
        assert (taken.session, taken.unsettled) == ("cs_1", False)

    @pytest.mark.parametrize("agent", ['"closing":true', '\\"closing\\":true', "a\tb\nc", "\t\t"])
    async def test_a_visitor_can_not_write_himself_off(
        self, store: DoubtStore, links: Links, agent: str
    ) -> None:
        await links.enter(
            LINK, visit("v1", user_agent=agent), claim := Claim("v1", 10_000, 60_000, 1)
        )
        assert await links.settle(LINK, claim.owner, SESSION, "v1", revision=1) is Settled.DONE
        assert await store.disown(LINK.id, "cs_1") is Disowned.KEPT
        taken = await take_back(store, decoyed(), NOW, adaptive)
        assert taken
        assert taken.session == "cs_1"
        assert (await kept(links, "v1"))["user_agent"] == agent
        assert await store.disown(LINK.id, "cs_1") is Disowned.YES

    async def test_a_visit_that_is_not_there(self, store: DoubtStore, links: Links) -> None:
        assert await take_back(store, decoyed(), NOW, adaptive) is None
        await mint(links)
        assert await take_back(store, decoyed("v"), NOW, adaptive) is None
        # Its name in another's user agent is not the visit.
        await reuse(links, "v2", user_agent="v3")
        assert await take_back(store, decoyed("v3"), NOW, adaptive) is None

    async def test_all_at_once_are_one_change(self, store: DoubtStore, links: Links) -> None:
        await mint(links)
        for number in range(2, 8):
            await reuse(links, f"v{number}")
        said = await asyncio.gather(
            *(
                take_back(store, each(f"v{number}"), NOW + 1, adaptive)
                for number in range(1, 8)
                for each in (decoyed, hurried, decoyed)
            ),
            *(links.note(LINK.id, f"v{number}", "reused cs_1") for number in range(2, 8)),
        )
        assert all(taken is None or taken.campaign == "spring" for taken in said)
        for number in range(1, 8):
            after = await kept(links, f"v{number}")
            rules = [evidence[0] for evidence in after["evidence"]]
            assert sorted(rules) == ["burst-address", "decoy-link", "navigation"]
            assert after["changes"][-1]["to"] == "scanner"
            assert after["outcome"] == ("minted" if number == 1 else "reused") + " cs_1"

    async def test_an_outcome_written_meanwhile_is_not_lost(
        self, store: DoubtStore, links: Links
    ) -> None:
        await links.enter(LINK, visit("v1"), Claim("v1", 10_000, 60_000, 1))
        asked: list[str] = []

        async def settling(slug: str) -> Policy:
            if not asked:
                asked.append(slug)
                await links.settle(LINK, "v1", SESSION, "v1", revision=1)
            return Policy.ADAPTIVE

        taken = await take_back(store, decoyed(), NOW, settling)
        assert taken
        assert (taken.session, taken.unsettled) == ("cs_1", False)
        assert (await kept(links, "v1"))["outcome"] == "minted cs_1"


class TestDisowning:
    async def test_a_session_of_nobody_is_not_used_again(
        self, store: DoubtStore, links: Links
    ) -> None:
        await mint(links)
        await take_back(store, decoyed(), NOW, adaptive)
        assert await store.disown(LINK.id, "cs_1") is Disowned.YES
        assert await store.disown(LINK.id, "cs_1") is Disowned.YES
        entry = await links.enter(LINK, visit("v2"), Claim("v2", 10_000, 60_000, 1))
        assert (entry.gate, entry.session) == (Entered.CLAIMED, SESSION)

    @pytest.mark.parametrize("last", ["v1", "v3"])
    async def test_it_goes_with_the_last_who_was_sent_to_it(
        self, store: DoubtStore, links: Links, last: str
    ) -> None:
        await mint(links)
        await reuse(links, "v2")
        await reuse(links, "v3")
        for name in {"v1", "v2", "v3"} - {last}:
            await take_back(store, decoyed(name), NOW, adaptive)
            assert await store.disown(LINK.id, "cs_1") is Disowned.KEPT
        await reuse(links, "v4", method="POST")
        await take_back(store, decoyed(last), NOW, adaptive)
        assert await store.disown(LINK.id, "cs_1") is Disowned.KEPT
        # And then it is used again, as ever.
        await reuse(links, "v5")

    async def test_one_on_the_way_to_it_is_waited_for(
        self, store: DoubtStore, links: Links
    ) -> None:
        """Another visit waited for the mint, and is about to be sent to what it made."""
        claim = Claim("v2", 10_000, 60_000, 1)
        await links.enter(LINK, visit("v1"), Claim("v1", 10_000, 60_000, 1))
        assert (await links.enter(LINK, visit("v2"), claim)).gate is Entered.WAIT
        assert await links.settle(LINK, "v1", SESSION, "v1", revision=1) is Settled.DONE
        assert (await links.enter(LINK, None, claim)).gate is Entered.REUSE
        await take_back(store, decoyed(), NOW, adaptive)
        assert await store.disown(LINK.id, "cs_1", patient=True) is Disowned.NOT_YET
        # Nobody else gets it meanwhile.
        entry = await links.enter(LINK, None, Claim("v3", 10_000, 60_000, 1))
        assert entry.gate is Entered.CLAIMED
        await links.note(LINK.id, "v2", "reused cs_1")
        assert await store.disown(LINK.id, "cs_1", patient=True) is Disowned.KEPT

    async def test_one_whose_process_died_is_not_waited_for_for_ever(
        self, store: DoubtStore, links: Links
    ) -> None:
        await mint(links)
        await links.enter(LINK, visit("v2"), None)
        await take_back(store, decoyed(), NOW, adaptive)
        assert await store.disown(LINK.id, "cs_1", patient=True) is Disowned.NOT_YET
        assert await store.disown(LINK.id, "cs_1") is Disowned.YES

    async def test_a_newer_session_is_left_alone(self, store: DoubtStore, links: Links) -> None:
        await mint(links)
        await take_back(store, decoyed(), NOW, adaptive)
        entry = await links.enter(LINK, visit("v2"), Claim("v2", 10_000, 0, 1))
        second = Session("cs_2", "https://pay/2", SessionState.OPEN, entry.attempt, NOW, NOW + 1800)
        assert await links.settle(LINK, "v2", second, "v2", revision=1) is Settled.DONE
        assert await store.disown(LINK.id, "cs_1") is Disowned.YES
        assert (await links.enter(LINK, None, Claim("v3", 10_000, 60_000, 1))).session == second

    async def test_machines_storm_between_the_mint_and_the_decoy_keeps_no_session_open(
        self, store: DoubtStore, links: Links, connection: Connection
    ) -> None:
        await mint(links)
        machines = Recorder(connection, visits_kept=20, retention_s=3600)
        for number in range(150):
            machines.visit(LINK, LINK.id, visit(f"m{number}", "interstitial", method="HEAD"))
        await machines.flush()
        taken = await take_back(store, decoyed(), NOW, adaptive)
        assert taken
        assert taken.session == "cs_1"
        assert await store.disown(LINK.id, "cs_1") is Disowned.YES

    async def test_a_session_whose_mint_is_not_in_the_list_any_more_is_kept(
        self, store: DoubtStore, links: Links, connection: Connection
    ) -> None:
        """Who was sent there first is forgotten, and may be a person: a machine that came to the
        same session later must not close it.
        """
        await mint(links)
        await reuse(links, "v2")
        for name in ("v1", "v2"):
            await take_back(store, decoyed(name), NOW, adaptive)
        first = await store.find(LINK.id, "v1")
        assert first
        await connection.client.lrem(keys.visits(LINK.id), 1, first.line)
        assert await store.disown(LINK.id, "cs_1") is Disowned.KEPT
        assert await store.disown(LINK.id, "cs_1", patient=True) is Disowned.KEPT
        # It is used on.
        await reuse(links, "v3")

    async def test_a_crowd_of_people_pushes_out_who_minted(
        self, store: DoubtStore, links: Links
    ) -> None:
        await mint(links)
        for number in range(2, 23):
            await reuse(links, f"v{number}")
        for number in range(3, 23):
            await take_back(store, decoyed(f"v{number}"), NOW, adaptive)
        assert await store.find(LINK.id, "v2") is None
        assert await store.disown(LINK.id, "cs_1") is Disowned.KEPT

    async def test_a_link_that_was_forgotten_stays_forgotten(
        self, store: DoubtStore, connection: Connection
    ) -> None:
        await store.disown(LINK.id, "cs_1")
        assert await take_back(store, decoyed(), NOW, adaptive) is None
        assert await connection.client.exists(keys.link(LINK.id)) == 0
        assert await connection.client.exists(keys.visits(LINK.id)) == 0


class TestRecounting:
    async def test_each_change_is_counted_once(
        self, store: DoubtStore, connection: Connection
    ) -> None:
        await connection.client.hset(keys.counters("spring"), mapping={"visits.human": 3})
        first = TakenBack("spring", "v1", (("human", "suspect"),), "")
        then = TakenBack("spring", "v1", (("human", "suspect"), ("suspect", "scanner")), "cs_1")
        await asyncio.gather(
            *(
                store.recount(each.campaign, each.visit, each.changes)
                for each in (first, then, first, then)
            )
        )
        await store.recount("spring", "v2", (("human", "scanner"),))
        counts = await Campaigns(connection).counts("spring")
        assert counts == {
            "visits.human": 1,
            "visits.suspect": 0,
            "visits.scanner": 2,
            "verdicts.changed": 3,
        }

    async def test_what_ends_a_session_is_counted_once(
        self, store: DoubtStore, connection: Connection
    ) -> None:
        await asyncio.gather(
            *(store.count_once("spring", "sessions.taken_back", f"cs_{n % 2}") for n in range(8))
        )
        await store.count_once("spring", "sessions.taken_back", "cs_1")
        await store.count_once("", "sessions.taken_back", "cs_9")
        assert await Campaigns(connection).counts("spring") == {"sessions.taken_back": 2}
        ttl = await connection.client.ttl(keys.recounted("spring", "cs_1", 0))
        assert doubts.STALE_SECONDS + 3600 < ttl <= doubts.STALE_SECONDS + 2 * 3600

    async def test_no_counter_is_read_below_zero(
        self, store: DoubtStore, connection: Connection
    ) -> None:
        """The process that judged the visit died before it had written its counters."""
        await store.recount("spring", "v1", (("human", "scanner"),))
        assert await Campaigns(connection).counts("spring") == {
            "visits.human": 0,
            "visits.scanner": 1,
            "verdicts.changed": 1,
        }

    async def test_nothing_is_counted_where_nothing_changed(
        self, store: DoubtStore, connection: Connection
    ) -> None:
        await store.recount("spring", "v1", ())
        await store.recount("", "v1", (("human", "scanner"),))
        assert [key async for key in connection.client.scan_iter("*")] == []

    async def test_that_it_was_counted_is_known_for_longer_than_a_doubt_waits(
        self, store: DoubtStore, connection: Connection
    ) -> None:
        await store.recount("spring", "v1", (("human", "scanner"),))
        ttl = await connection.client.ttl(keys.recounted("spring", "v1", 0))
        assert doubts.STALE_SECONDS + 3600 < ttl <= doubts.STALE_SECONDS + 2 * 3600
