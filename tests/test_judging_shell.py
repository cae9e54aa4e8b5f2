"""A visit before its judges: what goes into the memory, what comes of it, and what if it's away."""

import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis

from linkgate.bench import Bench
from linkgate.detection import Doubt, Limits, Standing, Verdict
from linkgate.detection.assembly import assemble
from linkgate.errors import StoreUnavailable
from linkgate.judging import Judge
from linkgate.signals import Press, Signals
from linkgate.store import Store, memory
from linkgate.store.connect import Connection, Script
from linkgate.tokens import Keyring, Link
from tests.stack import BROWSER, SIGNING_KEY, Stack

NOW = time.time()
HERE = "198.51.100.7"
# Upgrade-Insecure-Requests is none of the signals.
_HEADERS: dict[str, Any] = {
    name.lower().replace("-", "_"): value
    for name, value in BROWSER.items()
    if not name.startswith("Upgrade")
}
PERSON = Signals(**_HEADERS, host="go.example.com", secure=True, address=HERE)
BY_HAND = Press(dwell=3.0, ran=True, pressed=True, trusted=True, visible=2.4)


def like(signals: Signals = PERSON, **changes: Any) -> Signals:
    fields = {name: getattr(signals, name) for name in Signals.__struct_fields__}
    return Signals(**{**fields, **changes})


class Noted:
    """In place of the second thoughts: keeps what it was told."""

    def __init__(self) -> None:
        self.doubts: list[tuple[str, str, str]] = []
        self.away = False

    async def note(self, visit: str, found: list[Doubt], now: float) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.doubts += [(visit, doubt.sighting.visit, doubt.evidence.rule) for doubt in found]


class Court:
    """A judge, a store, and visits that are named in turn."""

    def __init__(self, bench: Bench | None = None) -> None:
        self.store = Store(Connection(FakeAsyncRedis(decode_responses=True)))
        self.noted = Noted()
        keyring = Keyring([SIGNING_KEY])
        self.judge = Judge(self.store, keyring, self.noted, bench or Bench())  # type: ignore[arg-type]
        self._count = 0

    async def __call__(self, link: str = "a", signals: Signals = PERSON) -> Verdict:
        self._count += 1
        name = f"v{self._count}"
        return (await self.judge.judge(name, signals, token(link), NOW)).verdict

    async def sightings(self) -> int:
        client = self.store.connection.client
        found = [key async for key in client.scan_iter("lg:*:seen")]
        return sum([await client.zcard(key) for key in found])


def token(recipient: str) -> Link:
    return Link("spring", recipient, int(NOW) + 86_400)


def rules(verdict: Verdict) -> set[str]:
    return {evidence.rule for evidence in verdict.evidence}


@pytest.fixture
async def court() -> AsyncIterator[Court]:
    made = Court()
    yield made
    await made.store.connection.close()


async def test_a_person_alone_is_a_person(court: Court) -> None:
    assert (await court()).value is Standing.HUMAN
    assert await court.sightings() == 2
    assert court.noted.doubts == []


async def test_what_is_remembered_counts(court: Court) -> None:
    await court("a")
    twin = await court("a", like(address="203.0.113.9"))
    assert (twin.value, rules(twin) & {"twin"}) == (Standing.SUSPECT, {"twin"})
    await court("b")
    third = await court("c")
    assert (third.value, "burst-address" in rules(third)) == (Standing.SUSPECT, True)
    assert set(court.noted.doubts) == {
        ("v4", "v1", "burst-address"),
        ("v4", "v3", "burst-address"),
    }


async def test_a_decoy_speaks_of_those_before_it_and_those_after(court: Court) -> None:
    await court("a")
    await court("b")
    decoy = await court("a", like(decoy=True))
    assert decoy.value is Standing.AUTOMATED
    assert set(court.noted.doubts) == {("v3", "v1", "decoy-link"), ("v3", "v2", "decoy-address")}
    assert "decoy-link" in rules(await court("a", like(address="203.0.113.9")))
    assert "decoy-address" in rules(await court("c"))


@pytest.mark.parametrize(
    "signals",
    [
        like(user_agent="Barracuda Sentinel (EE)"),
        like(user_agent="curl/8.5.0"),
        like(method="HEAD"),
        like(sec_purpose="prefetch"),
        like(sec_purpose="prefetch", decoy=True),
    ],
    ids=["scanner", "tool", "head", "prefetch", "prefetched-decoy"],
)
async def test_what_says_what_it_is_costs_the_store_nothing_and_marks_nobody(
    court: Court, signals: Signals
) -> None:
    assert (await court("a", signals)).value is Standing.AUTOMATED
    assert [key async for key in court.store.connection.client.scan_iter("*")] == []
    assert (await court("a")).value is Standing.HUMAN


async def test_a_scanner_that_opens_a_decoy_marks_it(court: Court) -> None:
    await court("a")
    await court("a", like(user_agent="Barracuda Sentinel (EE)", decoy=True))
    assert [rule for _, _, rule in court.noted.doubts] == ["decoy-link"]
    assert await court.sightings() == 2


async def test_a_press_counts_against_nobody(court: Court) -> None:
    for link in "abc":
        pressed = await court(
            link, like(method="POST", press=BY_HAND, sec_fetch_site="same-origin")
        )
        assert pressed.value is Standing.HUMAN
    assert await court.sightings() == 0
    assert (await court("d")).value is Standing.HUMAN
    assert court.noted.doubts == []


async def test_the_busy_pages_repeat_counts_like_the_visit_that_it_repeats(court: Court) -> None:
    """Nobody pressed for it: it is seen, makes others suspect, and can be doubted."""
    waiting = Press(dwell=2.0, repeat=True, unpressed=True)
    repeat = like(method="POST", press=waiting, sec_fetch_site="same-origin")
    await court("a", repeat)
    await court("b", repeat)
    assert await court.sightings() == 4
    third = await court("c", repeat)
    assert (third.value, "burst-address" in rules(third)) == (Standing.SUSPECT, True)
    assert set(court.noted.doubts) == {("v3", "v1", "burst-address"), ("v3", "v2", "burst-address")}
    court.noted.doubts.clear()
    await court("a", like(decoy=True))
    assert ("v4", "v1", "decoy-link") in court.noted.doubts
    tainted = await court("a", repeat)
    assert (tainted.value, "decoy-link" in rules(tainted)) == (Standing.AUTOMATED, True)


async def test_an_address_that_is_not_the_visitors_own_is_not_counted(court: Court) -> None:
    for link in "abcdef":
        verdict = await court(link, like(address_known=False))
        assert verdict.value is Standing.HUMAN
    assert court.noted.doubts == []
    # The link itself still is.
    assert "twin" in rules(await court("a", like(address_known=False)))


async def test_neighbours_share_a_64(court: Court) -> None:
    for number, link in enumerate("abcde"):
        last = await court(link, like(address=f"2001:db8:0:1:{number:x}::1"))
    assert "burst-network" in rules(last)
    assert "burst-network" not in rules(await court("f", like(address="2001:db8:0:2::1")))


async def test_without_a_store_a_visit_is_judged_by_itself(
    court: Court, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await court("a")

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(court.store.connection, "script", away)
    assert (await court("a")).value is Standing.HUMAN
    assert (await court("a", like(decoy=True))).value is Standing.AUTOMATED
    assert (await court("a", like(user_agent="curl/8"))).value is Standing.AUTOMATED
    assert "judged without memory" in caplog.text
    assert HERE not in caplog.text


async def test_a_doubt_that_can_not_be_written_down_costs_no_memory(
    court: Court, caplog: pytest.LogCaptureFixture
) -> None:
    court.noted.away = True
    await court("a")
    await court("b")
    assert "burst-address" in rules(await court("c"))
    assert "judged without second thoughts" in caplog.text


async def test_a_rule_that_is_off_takes_nothing_back() -> None:
    court = Court(Bench(assemble(off=("burst-address", "decoy-link"))))
    for link in "abc":
        assert (await court(link)).value is Standing.HUMAN
    await court("a", like(decoy=True))
    assert {rule for _, _, rule in court.noted.doubts} == {"decoy-address"}


async def test_the_shadow_sees_the_same_memory_and_takes_nothing_back() -> None:
    court = Court(Bench(assemble(), assemble(Limits(burst_links=2, burst_seconds=5))))
    first = await court.judge.judge("v1", PERSON, token("a"), NOW)
    second = await court.judge.judge("v2", PERSON, token("b"), NOW)
    assert first.shadow is None
    assert second.verdict.value is Standing.HUMAN
    assert second.shadow
    assert (second.shadow.value, "burst-address" in rules(second.shadow)) == (
        Standing.SUSPECT,
        True,
    )
    assert court.noted.doubts == []
    await court.store.recorder.flush()
    assert await court.store.campaigns.counts("spring") == {
        "shadow.human.human": 1,
        "shadow.human.suspect": 1,
    }


@pytest.mark.parametrize("gap", [5, 45, 75, 250])
async def test_a_shadow_with_a_longer_memory_changes_no_doubt_of_the_active_rules(
    monkeypatch: pytest.MonkeyPatch, gap: int
) -> None:
    """Marks of decoys stay for longer: the rules in force pass over what is too old for them."""
    patient = Limits(decoy_seconds=900, decoy_before_seconds=60)
    found: list[tuple[list[tuple[str, str, str]], list[Verdict]]] = []
    for shadow in (None, assemble(patient)):
        monkeypatch.undo()
        court = Court(Bench(assemble(), shadow))
        verdicts = [await court("a"), await court("a", like(decoy=True))]
        await later(court, monkeypatch, gap)
        verdicts += [await court("a"), await court("b"), await court("a", like(decoy=True))]
        found.append((court.noted.doubts, verdicts))
        await court.store.connection.close()
    (doubts, verdicts), (beside, judged) = found
    assert beside == doubts
    assert [(v.value, v.kind, rules(v)) for v in judged] == [
        (v.value, v.kind, rules(v)) for v in verdicts
    ]
    # The second decoy is news only when the first is forgotten.
    assert [by for by, _, _ in doubts] == (["v2"] if gap < 60 else ["v2", "v5", "v5"])


async def later(court: Court, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """So many seconds pass in the store: its clock is ahead, and what was to go by then is gone."""
    client = court.store.connection.client
    async for key in client.scan_iter("lg:*"):
        if await client.ttl(key) <= seconds:
            await client.delete(key)
    known = "math.floor(tonumber(clock[2]) / 1000)"
    assert known in memory._SIGHT.source
    ahead = memory._SIGHT.source.replace(known, f"{known} + {seconds * 1000}")
    monkeypatch.setattr(memory, "_SIGHT", Script("sight", ahead))


async def test_the_memory_is_long_enough_for_both() -> None:
    slow = Limits(decoy_before_seconds=30, decoy_seconds=200)
    bench = Bench(assemble(), assemble(slow))
    assert (bench.remembered_seconds, bench.decoy_seconds) == (30, 200)
    assert Bench(assemble(slow), assemble()).remembered_seconds == 30
    court = Court(bench)
    await court("a", like(decoy=True))
    await court("a")
    client = court.store.connection.client
    ages = {key: await client.ttl(key) async for key in client.scan_iter("lg:*")}
    assert all(190 < ttl <= 200 for key, ttl in ages.items() if ":decoy" in key)
    assert all(20 < ttl <= 30 for key, ttl in ages.items() if key.endswith(":seen"))


async def test_through_the_gateway_a_store_that_is_away_leaves_people_a_page(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the memory is away: nothing else is the worse for it."""
    await stack.campaign()
    caplog.set_level(logging.WARNING)

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(stack.gateway.store.memory, "sight", away)
    link = stack.link()
    for _ in range(2):
        assert (await stack.get(stack.path(link))).status == 303
    assert len(await stack.open_sessions()) == 1
    assert "judged without memory" in caplog.text
    decoy = await stack.get("/l/" + stack.gateway.tokens.issue_decoy(link))
    assert (decoy.status, bool(decoy.challenge)) == (200, True)
