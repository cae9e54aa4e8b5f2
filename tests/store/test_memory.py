"""What is remembered for some seconds, on fakeredis, on a real Valkey and on a real cluster."""

import asyncio
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from linkgate.addresses import neighbourhood
from linkgate.detection import History, Limits, hindsight
from linkgate.errors import StoreUnavailable
from linkgate.signals import Signals
from linkgate.store import keys, memory
from linkgate.store.connect import Connection, Script
from linkgate.store.memory import SIGHTINGS_KEPT, UNKNOWN, Memory, Source
from linkgate.tokens import Keyring

KEYS = Keyring(["a-key-of-the-tests-" + "0123456789" * 3])
HERE = "198.51.100.7"
NEIGHBOUR = "198.51.100.99"
ELSEWHERE = "203.0.113.7"


def source(address: str) -> Source:
    return Source(KEYS.pseudonym(neighbourhood(address)), KEYS.pseudonym(address))


class Visits:
    """Sights visits, each with a name of its own unless it is told one."""

    def __init__(self, connection: Connection) -> None:
        self._memory = Memory(connection)
        self._count = 0

    async def __call__(
        self, link: str, where: str | Source = HERE, agent: str = "Chrome", **more: Any
    ) -> History:
        self._count += 1
        return await self._memory.sight(
            **{
                "visit": f"v{self._count}",
                "link": link,
                "source": source(where) if isinstance(where, str) else where,
                "browser": agent,
                "keep_seconds": 10,
                "decoy_seconds": 60,
                **more,
            }
        )


@pytest.fixture
def sight(connection: Connection) -> Visits:
    return Visits(connection)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the store's clock ahead by so many seconds, or back."""
    real = memory._SIGHT
    known = "math.floor(tonumber(clock[2]) / 1000)"
    assert known in real.source

    def jump(seconds: float) -> None:
        source = real.source.replace(known, f"{known} + {int(seconds * 1000)}")
        monkeypatch.setattr(memory, "_SIGHT", Script(real.name, source))

    return jump


def seen(history: History) -> tuple[set[str], set[str]]:
    return {s.visit for s in history.link}, {s.visit for s in history.network}


async def test_the_first_visit_finds_nothing(sight: Visits) -> None:
    assert await sight("l1") == History()


async def test_a_visit_finds_those_before_it_and_never_itself(sight: Visits) -> None:
    await sight("l1")
    await sight("l2")
    assert seen(await sight("l1")) == ({"v1"}, {"v2"})
    assert seen(await sight("l3")) == (set(), {"v1", "v2", "v3"})


@pytest.mark.parametrize(
    ("where", "agent", "network", "address", "same_browser"),
    [
        (HERE, "Chrome", True, True, True),
        (HERE, "Firefox", True, True, False),
        (NEIGHBOUR, "Chrome", True, False, True),
        (ELSEWHERE, "Chrome", False, False, True),
    ],
)
async def test_sources_are_compared(
    sight: Visits, where: str, agent: str, network: bool, address: bool, same_browser: bool
) -> None:
    await sight("l1")
    [twin] = (await sight("l1", where, agent)).link
    assert (twin.same_network, twin.same_address, twin.same_browser) == (
        network,
        address,
        same_browser,
    )
    around = [s for s in (await sight("l2", where, agent)).network if s.visit == "v1"]
    assert bool(around) is network
    for sighting in around:
        assert sighting.same_network
        assert (sighting.same_address, sighting.same_browser) == (address, same_browser)


async def test_an_ipv6_visitor_is_known_by_the_64_before_his_address(sight: Visits) -> None:
    await sight("l1", "2001:db8:1:2::1")
    [moved] = (await sight("l2", "2001:db8:1:2:ffff::9")).network
    assert (moved.same_network, moved.same_address) == (True, False)
    assert (await sight("l3", "2001:db8:1:3::1")).network == ()


async def test_an_unknown_source_counts_for_no_network(
    sight: Visits, connection: Connection
) -> None:
    """A proxy that nobody told us of: everybody would be behind it."""
    for number in range(5):
        await sight(f"l{number}", UNKNOWN, decoy=number == 0)
    last = await sight("l9", UNKNOWN)
    assert last == History()
    assert not [key async for key in connection.client.scan_iter("lg:{net:*")]
    [twin] = (await sight("l9", UNKNOWN)).link
    assert (twin.same_network, twin.same_address) == (False, False)
    # Nor is one who is known taken for the same as one who isn't.
    assert not any(s.same_network or s.same_address for s in (await sight("l9", HERE)).link)


async def test_a_repeated_call_leaves_one_sighting_and_does_not_find_itself(sight: Visits) -> None:
    for _ in range(3):
        assert await sight("l1", visit="again") == History()
    assert seen(await sight("l1")) == ({"again"}, set())
    assert seen(await sight("l2"))[1] == {"again", "v4"}


async def test_a_visit_that_leaves_nothing_still_finds_the_others(sight: Visits) -> None:
    await sight("l1")
    assert seen(await sight("l1", leave=False)) == ({"v1"}, set())
    assert seen(await sight("l1")) == ({"v1"}, set())


async def test_a_decoy_marks_its_link_and_its_address(sight: Visits) -> None:
    assert await sight("l1", leave=False, decoy=True) == History()
    at_link = await sight("l1", ELSEWHERE)
    assert at_link.link_decoy is not None
    assert at_link.address_decoy is None
    at_address = await sight("l2")
    assert at_address.link_decoy is None
    assert at_address.address_decoy is not None
    neighbour = await sight("l3", NEIGHBOUR)
    assert (neighbour.link_decoy, neighbour.address_decoy) == (None, None)


def doubts(history: History) -> set[tuple[str, str]]:
    """What a decoy's opener tells of the visits that it finds."""
    found = hindsight(Signals(decoy=True), history, Limits())
    return {(doubt.sighting.visit, doubt.evidence.rule) for doubt in found}


async def test_a_repeated_call_of_a_decoy_raises_the_same_doubts(sight: Visits) -> None:
    """The answer to the first call was lost: its own mark is there already."""
    await sight("l1")
    await sight("l2")
    for leave in (False, True, True):
        history = await sight("l1", visit="again", leave=leave, decoy=True)
        assert seen(history) == ({"v1"}, {"v2"})
        assert (history.link_decoy, history.address_decoy) == (None, None)
        assert doubts(history) == {("v1", "decoy-link"), ("v2", "decoy-address")}


async def test_another_visits_mark_counts(sight: Visits) -> None:
    await sight("l1")
    await sight("l2")
    await sight("l1", visit="one", leave=False, decoy=True)
    # The one's name begins like the other's.
    for other in ("one2", "on"):
        history = await sight("l1", visit=other, leave=False, decoy=True)
        assert history.link_decoy is not None
        assert history.address_decoy is not None
        assert doubts(history) == set()


async def test_a_mark_that_names_nobody_is_read(sight: Visits, connection: Connection) -> None:
    """As a version before this one writes it, beside this one for a while."""
    here = source(HERE)
    at = int(time.time() * 1000) - 5000
    for key in (keys.decoy("l1"), keys.address_decoy(here.network, here.address)):
        await connection.client.set(key, at)
    history = await sight("l1")
    for age in (history.link_decoy, history.address_decoy):
        assert age is not None
        assert 5 <= age < 60


async def test_ages_are_told_by_the_stores_clock(
    sight: Visits, clock: Callable[[float], None]
) -> None:
    await sight("l1", decoy=True)
    clock(4)
    history = await sight("l1")
    assert 4 <= history.link[0].age < 9
    assert history.link_decoy is not None
    assert 4 <= history.link_decoy < 9
    clock(15)
    history = await sight("l1")
    assert [s.visit for s in history.link] == []
    assert history.link_decoy is not None


async def test_a_clock_that_was_ahead_leaves_no_blind_hour(
    sight: Visits, clock: Callable[[float], None]
) -> None:
    """A failover to a server whose clock is an hour behind, on a link that is never left alone."""
    clock(3600)
    for _ in range(SIGHTINGS_KEPT + 5):
        await sight("l1", decoy=True)
    clock(0)
    history = await sight("l1", visit="first")
    assert (history.link, history.link_decoy, history.address_decoy) == ((), None, None)
    await sight("l2", visit="second")
    assert seen(await sight("l1")) == ({"first"}, {"second"})


async def test_a_clock_that_leaps_ahead_only_forgets(
    sight: Visits, clock: Callable[[float], None]
) -> None:
    await sight("l1", visit="before")
    clock(7200)
    assert (await sight("l1", visit="after")).link == ()
    assert seen(await sight("l1"))[0] == {"after"}


async def test_a_crowd_is_bounded_and_its_newest_are_kept(
    sight: Visits, connection: Connection, clock: Callable[[float], None]
) -> None:
    for number in range(SIGHTINGS_KEPT + 20):
        clock(number / 1000)
        await sight("l1")
    assert await connection.client.zcard(keys.seen("l1")) == SIGHTINGS_KEPT
    network = keys.network(source(HERE).network)
    assert await connection.client.zcard(network) == SIGHTINGS_KEPT
    clock(1)
    history = await sight("l1")
    assert len(history.link) == SIGHTINGS_KEPT
    assert f"v{SIGHTINGS_KEPT + 20}" in seen(history)[0]
    assert "v1" not in seen(history)[0]


async def test_all_of_it_goes_by_itself(sight: Visits, connection: Connection) -> None:
    await sight("l1", keep_seconds=2.5, decoy_seconds=7.5, decoy=True)
    found = {key: await connection.client.ttl(key) async for key in _all(connection)}
    here = source(HERE)
    sightings = {keys.seen("l1"), keys.network(here.network)}
    decoys = {keys.decoy("l1"), keys.address_decoy(here.network, here.address)}
    assert set(found) == sightings | decoys
    assert all(0 <= found[key] <= 3 for key in sightings)
    assert all(3 < found[key] <= 8 for key in decoys)


@pytest.mark.parametrize("address", [HERE, "2001:db8:1:2::77"])
async def test_no_address_is_in_the_store(
    sight: Visits, connection: Connection, address: str
) -> None:
    """Law 10: keyed hashes, and only for seconds."""
    await sight("l1", address)
    await sight("l2", address, decoy=True)
    parsed = ip_address(address)
    written = [address, parsed.exploded, parsed.packed.hex(), str(int(parsed))]
    network = neighbourhood(address)
    written += [network, network.partition("/")[0], network.partition("/")[0].rstrip(".0:")]
    everything = [text async for text in _everything(connection)]
    assert len(everything) > 4
    for text in everything:
        for piece in written:
            assert piece not in text, text
    # Without the key nobody can try addresses out.
    other = Keyring(["another-key-of-the-tests-" + "0123456789" * 3])
    assert other.pseudonym(address) != KEYS.pseudonym(address)
    assert KEYS.pseudonym(address) in "\n".join(everything)


async def test_what_another_version_left_is_passed_over(
    sight: Visits, connection: Connection
) -> None:
    await sight("l1")
    at = await connection.client.zscore(keys.seen("l1"), await _only(connection, "l1"))
    assert at
    for odd in ("x", "a b", "a b c d e f"):
        await connection.client.zadd(keys.seen("l1"), {odd: at})
        await connection.client.zadd(keys.network(source(HERE).network), {odd: at})
    assert seen(await sight("l1")) == ({"v1"}, set())
    assert seen(await sight("l2")) == (set(), {"v1", "v2"})


async def test_of_many_at_once_each_finds_another_number_before_it(sight: Visits) -> None:
    """A burst's visits reach several processes at once: exactly one of them completes it."""
    found = await asyncio.gather(*(sight(f"l{number}") for number in range(20)))
    assert sorted(len(history.network) for history in found) == list(range(20))
    twins = await asyncio.gather(*(sight("twin") for _ in range(10)))
    assert sorted(len(history.link) for history in twins) == list(range(10))


async def test_two_gateways_remember_together(connection: Connection) -> None:
    one, other = Visits(connection), Visits(connection)
    await one("l1", visit="a")
    await other("l2", visit="b", agent="Firefox")
    history = await one("l3", visit="c")
    assert {(s.visit, s.same_browser) for s in history.network} == {("a", True), ("b", False)}


async def test_a_user_agent_is_any_text_at_all(sight: Visits) -> None:
    for odd in ("", " ", "a b\tc", "\ud800", "é" * 500, "\x00"):
        await sight(f"l{odd!r}", agent=odd)
        [twin] = (await sight(f"l{odd!r}", agent=odd)).link
        assert twin.same_browser


async def test_an_outage_is_told() -> None:
    away = await Connection.open("redis://127.0.0.1:1/0", timeout=0.2)
    with pytest.raises(StoreUnavailable):
        await Visits(away)("l1")
    await away.close()


async def _only(connection: Connection, link: str) -> str:
    [member] = await connection.client.zrange(keys.seen(link), 0, -1)
    return str(member)


def _all(connection: Connection) -> Any:
    return connection.client.scan_iter("*")


async def _everything(connection: Connection) -> Any:
    client = connection.client
    async for key in _all(connection):
        yield key
        if await client.type(key) == "zset":
            for member in await client.zrange(key, 0, -1):
                yield member
        else:
            yield await client.get(key)
