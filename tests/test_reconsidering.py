"""Second thoughts, from the visit that brings them to Stripe: nothing stays open for a machine,
nothing is taken from a person, and nothing is counted twice, whatever crashes in between.

Doubts are worked off by hand here: that they are due is written, not waited for.
"""

import asyncio
import contextlib
import functools
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from linkgate import reconsidering
from linkgate.campaigns import Policy
from linkgate.decision import Action
from linkgate.errors import StoreUnavailable
from linkgate.gateway import Gateway
from linkgate.reconsidering import PATIENT_TRIES, Reconsidering
from linkgate.store import doubts, keys
from linkgate.store.apikeys import Scope
from linkgate.store.connect import Connection
from linkgate.store.doubts import STALE_SECONDS, Doubtful, Doubts
from linkgate.tokens import Link
from linkgate.web.app import create
from tests.stack import BROWSER, PROXIED, Answer, Clock, Stack, free_port, running, serving

HERE = "198.51.100.7"
NEIGHBOURS = [f"198.51.100.{number}" for number in range(20, 30)]
PERSON = "203.0.113.50"
EXPIRE = "POST /v1/checkout/sessions/*/expire"


def chrome(version: int) -> Mapping[str, str]:
    changed = {name: value.replace("156", str(version)) for name, value in BROWSER.items()}
    assert changed["User-Agent"] != BROWSER["User-Agent"] or version == 156
    return changed


def at(address: str, headers: Mapping[str, str] = BROWSER) -> Mapping[str, str]:
    return {**headers, "X-Forwarded-For": address}


@contextlib.asynccontextmanager
async def gateway(store: str, more: Mapping[str, Any] = PROXIED) -> AsyncIterator[Stack]:
    connection = await Connection.open(store)
    await connection.client.flushall()
    await connection.close()
    terms = {"timeout_seconds": 0.3, "person_deadline_seconds": 1}
    async with running(store, Clock(), more=more, **terms) as stack:
        await stack.gateway.reconsidering.stop()
        yield stack


@pytest.fixture
async def gate(valkey_url: str) -> AsyncIterator[Stack]:
    """A linkgate behind a proxy, whose second thoughts come when a test says so."""
    async with gateway(valkey_url) as stack:
        yield stack


async def visit(stack: Stack, link: Link, address: str = HERE, **more: Any) -> Answer:
    # No cookies: whether a browser is known is the test's to say.
    stack.http.cookie_jar.clear()
    return await stack.get(stack.path(link), at(address, **more))


async def hit_decoy(stack: Stack, link: Link, address: str = HERE, **more: Any) -> None:
    stack.http.cookie_jar.clear()
    path = "/l/" + stack.gateway.tokens.issue_decoy(link)
    assert (await stack.get(path, at(address, **more))).status == 200


async def moments_pass(stack: Stack) -> None:
    """All that was remembered has gone, as it does by itself."""
    client = stack.gateway.store.connection.client
    for pattern in ("lg:*:seen", "lg:*:decoy*"):
        async for key in client.scan_iter(pattern):
            await client.delete(key)


async def due(stack: Stack) -> int:
    """Every doubt is due, and every lease is over; returns how many wait."""
    client = stack.gateway.store.connection.client
    for name in await client.hkeys(keys.DOUBTS):
        await client.zadd(keys.DOUBTS_DUE, {str(name): 0})
    return await stack.gateway.store.doubts.waiting()


async def think(stack: Stack, rounds: int = 1, worker: Reconsidering | None = None) -> None:
    await stack.gateway.store.recorder.flush()
    for _ in range(rounds):
        await due(stack)
        await (worker or stack.gateway.reconsidering).work()


async def think_all(stack: Stack, worker: Reconsidering | None = None) -> None:
    """Work until nothing is left to be done."""
    await think(stack, worker=worker)
    for _ in range(50):
        if not await due(stack):
            return
        await think(stack, worker=worker)
    raise AssertionError("there is no end to it")


async def counts(stack: Stack) -> dict[str, int]:
    await stack.gateway.store.recorder.flush()
    found = await stack.gateway.store.campaigns.counts("spring")
    return {name: number for name, number in found.items() if number}


async def picture(stack: Stack, link: Link) -> Any:
    """Return a link as the API shows it."""
    await stack.gateway.store.recorder.flush()
    _, key = await stack.gateway.store.keys.create("test", [Scope.ADMIN], stack.clock())
    answer = await stack.get(f"/api/v1/links/{link.id}", {"Authorization": f"Bearer {key}"})
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


async def verdicts(stack: Stack, link: Link) -> list[str]:
    """Return what the visits to a link are held for now, oldest first."""
    found = await picture(stack, link)
    return [v["kind"] or v["verdict"] for v in reversed(found["visits"])]


async def has_open(stack: Stack, link: Link) -> bool:
    at_stripe = [s for s in await stack.open_sessions() if s["client_reference_id"] == link.id]
    assert len(at_stripe) <= 1
    ours = [s for s in (await stack.row(link)).sessions if s.state == "open"]
    assert [s["id"] for s in at_stripe] == [s.id for s in ours]
    return bool(at_stripe)


# What late evidence does


async def test_a_decoy_after_a_visit_makes_a_scanner_of_it(gate: Stack) -> None:
    await gate.campaign()
    link = gate.link()
    assert (await visit(gate, link)).status == 303
    assert (await counts(gate))["visits.human"] == 1
    await hit_decoy(gate, link)
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 0
    found = await picture(gate, link)
    decoy, first = found["visits"]
    assert (first["verdict"], first["kind"], first["decision"]) == ("automated", "scanner", "mint")
    [change] = first["changes"]
    assert (change["before"], change["after"], change["rule"]) == ("human", "scanner", "decoy-link")
    assert "decoy-link" in {e["rule"] for e in first["evidence"]}
    assert (decoy["verdict"], decoy["changes"]) == ("automated", [])
    assert [s["state"] for s in found["sessions"]] == ["expired"]
    assert await gate.open_sessions() == []
    counted = await counts(gate)
    assert "visits.human" not in counted
    assert (counted["visits.scanner"], counted["verdicts.changed"]) == (2, 1)
    # A person who comes later gets a session, and only one.
    await moments_pass(gate)
    assert (await visit(gate, link, PERSON)).status == 303
    assert (await visit(gate, link, PERSON)).status == 200  # within a second of it: a twin
    assert await has_open(gate, link)
    assert len(await gate.sessions()) == 2


async def test_a_person_who_comes_in_the_minute_of_the_scan_presses(gate: Stack) -> None:
    await gate.campaign()
    link = gate.link()
    await visit(gate, link)
    await hit_decoy(gate, link)
    await think(gate)
    page = await visit(gate, link, PERSON)
    assert page.status == 200
    assert (await gate.press(page, at(PERSON))).status == 303
    assert await has_open(gate, link)


async def test_a_decoy_taints_the_visits_of_its_own_address_to_other_links(gate: Stack) -> None:
    await gate.campaign()
    mine, same, other = gate.link(), gate.link(), gate.link()
    await visit(gate, other, headers=chrome(155))
    await visit(gate, same)
    await hit_decoy(gate, mine)
    await think_all(gate)
    assert not await has_open(gate, same)
    assert await verdicts(gate, same) == ["scanner"]
    # Somebody else's browser behind the same address.
    assert await has_open(gate, other)
    assert await verdicts(gate, other) == ["human"]


@pytest.mark.parametrize("agents", [(156, 156, 156), (154, 155, 156), (156, 155, 156)])
async def test_a_bursts_beginning_is_taken_back_from_one_machine_only(
    gate: Stack, agents: Sequence[int]
) -> None:
    await gate.campaign()
    links = [gate.link() for _ in agents]
    answers = [
        await visit(gate, link, headers=chrome(version))
        for link, version in zip(links, agents, strict=True)
    ]
    assert [answer.status for answer in answers] == [303, 303, 200]
    await think_all(gate)
    assert [await has_open(gate, link) for link in links] == [
        agents[0] != agents[2],
        agents[1] != agents[2],
        False,
    ]
    changed = agents[:2].count(agents[2])
    assert [await verdicts(gate, link) for link in links] == [
        ["suspect" if version == agents[2] else "human"] for version in agents
    ]
    counted = await counts(gate)
    assert counted.get("verdicts.changed", 0) == changed
    assert counted["visits.suspect"] == 1 + changed
    assert counted.get("visits.human", 0) == 2 - changed


@pytest.mark.parametrize(
    "addresses", [NEIGHBOURS[:5], [f"2001:db8:0:1:{n:x}::1" for n in range(1, 6)]], ids=["4", "6"]
)
async def test_a_burst_from_a_whole_network(gate: Stack, addresses: Sequence[str]) -> None:
    await gate.campaign()
    links = [gate.link() for _ in addresses]
    answers = await asyncio.gather(
        *(visit(gate, link, address) for link, address in zip(links, addresses, strict=True))
    )
    assert Counter(answer.status for answer in answers) == {303: 4, 200: 1}
    await think_all(gate)
    assert (await counts(gate))["visits.suspect"] == 5
    # Many people may be in a network: their sessions stay.
    assert len(await gate.open_sessions()) == 4


async def test_without_an_address_of_its_own_nobody_is_counted(valkey_url: str) -> None:
    """A proxy that nobody told us of: every visit seems to come from it."""
    async with gateway(valkey_url, more={}) as stack:
        await stack.campaign()
        links = [stack.link() for _ in range(6)]
        for link in links:
            assert (await visit(stack, link)).status == 303
        assert await stack.gateway.store.doubts.waiting() == 0


async def test_two_gateways_see_one_burst_and_one_twin(gate: Stack, valkey_url: str) -> None:
    await gate.campaign()
    port = free_port()
    server = gate.settings.server.model_copy(update={"port": port})
    settings = gate.settings.model_copy(update={"server": server})
    async with serving(create(settings, gate.clock), port) as other:
        first, second, third = links = [gate.link() for _ in range(3)]
        assert (await visit(gate, first)).status == 303
        assert (await gate.get(other + gate.path(second), at(HERE))).status == 303
        assert (await visit(gate, third)).status == 200
        await think_all(gate)
        assert await gate.open_sessions() == []
        assert [await verdicts(gate, link) for link in links] == [["suspect"]] * 3
        await moments_pass(gate)
        link = gate.link()
        assert (await visit(gate, link)).status == 303
        assert (await gate.get(other + gate.path(link), at(PERSON))).status == 200
        assert (await verdicts(gate, link))[-1] == "suspect"


# What is a person's own


async def test_a_press_keeps_its_session_whatever_burst_its_page_was_in(gate: Stack) -> None:
    await gate.campaign(policy="confirm")
    links = [gate.link() for _ in range(3)]
    pages = [await visit(gate, link) for link in links]
    assert [page.status for page in pages] == [200] * 3
    assert (await gate.press(pages[0], at(HERE))).status == 303
    await hit_decoy(gate, links[0])
    await think_all(gate)
    assert await has_open(gate, links[0])
    assert await verdicts(gate, links[0]) == ["scanner", "human", "scanner"]


async def test_a_known_device_keeps_its_session(gate: Stack) -> None:
    await gate.campaign(policy="confirm")
    page = await visit(gate, gate.link())
    cookie = (await gate.press(page, at(HERE))).headers["Set-Cookie"].partition(";")[0]
    await moments_pass(gate)
    known = {**BROWSER, "Cookie": cookie}
    links = [gate.link() for _ in range(3)]
    for link in links[:2]:
        assert (await visit(gate, link, headers=known)).status == 303
    await visit(gate, links[2])
    await hit_decoy(gate, links[0])
    await think_all(gate)
    assert [await has_open(gate, link) for link in links] == [True, True, False]
    assert [await verdicts(gate, link) for link in links[1:2]] == [["human"]]


async def test_a_direct_campaign_keeps_what_a_suspect_got(gate: Stack) -> None:
    await gate.campaign(policy="direct")
    links = [gate.link() for _ in range(3)]
    for link in links:
        assert (await visit(gate, link)).status == 303
    await think_all(gate)
    assert [await verdicts(gate, link) for link in links] == [["suspect"]] * 3
    assert [await has_open(gate, link) for link in links] == [True] * 3
    # An automated one keeps nothing anywhere.
    await hit_decoy(gate, links[0])
    await think_all(gate)
    assert not await has_open(gate, links[0])


@pytest.mark.parametrize("pressed", [True, False])
async def test_a_person_who_was_sent_to_the_same_session_keeps_it(
    gate: Stack, pressed: bool
) -> None:
    await gate.campaign()
    link = gate.link()
    machine = await visit(gate, link)
    if pressed:  # within a second of the machine: the button
        page = await visit(gate, link, PERSON)
        assert page.status == 200
        person = await gate.press(page, at(PERSON))
        await hit_decoy(gate, link)
    else:
        await hit_decoy(gate, link)
        await moments_pass(gate)
        person = await visit(gate, link, PERSON)
    assert (person.status, person.location) == (303, machine.location)
    await think_all(gate)
    assert await has_open(gate, link)
    await moments_pass(gate)
    assert (await visit(gate, link, PERSON)).location == machine.location


@pytest.mark.parametrize("order", [(0, 1), (1, 0), None], ids=str)
async def test_a_session_goes_with_the_last_machine_that_was_sent_to_it(
    gate: Stack, order: tuple[int, int] | None
) -> None:
    await gate.campaign()
    link = gate.link()
    for _ in range(2):
        assert (await visit(gate, link)).status == 303
        await hit_decoy(gate, link)
        await moments_pass(gate)
    if order:
        store = gate.gateway.store.doubts
        await due(gate)
        both = sorted(await store.take(2), key=lambda each: each.at)
        for place in order:
            assert await has_open(gate, link)
            await store.put_back(both[place], delay_ms=0)
            await gate.gateway.reconsidering.work()
    await think_all(gate)
    assert not await has_open(gate, link)
    assert (await counts(gate))["verdicts.changed"] == 2


# While Stripe makes the session


async def minting(stack: Stack, link: Link, **fault: Any) -> asyncio.Task[Answer]:
    """Return a visit whose session Stripe takes its time to make."""
    await stack.fault(**{"mode": "slow", "seconds": 0.2, **fault})
    task = asyncio.create_task(visit(stack, link))
    async with asyncio.timeout(5):
        client = stack.gateway.store.connection.client
        while not await client.hget(keys.link(link.id), "request"):
            await asyncio.sleep(0.005)
    return task


@pytest.mark.parametrize(
    "fault", [{}, {"mode": "hang", "seconds": 0.6}, {"mode": "hang", "executed": True}], ids=str
)
async def test_a_decoy_while_stripe_makes_the_session(gate: Stack, fault: dict[str, Any]) -> None:
    await gate.campaign()
    link = gate.link()
    task = await minting(gate, link, **fault)
    await hit_decoy(gate, link)
    await think(gate)
    answer = await task
    assert (answer.status, bool(answer.challenge)) == (200, True)
    assert len(await gate.sessions()) == 1
    assert not await has_open(gate, link)
    await think_all(gate)
    assert await verdicts(gate, link) == ["scanner", "scanner"]
    assert (await counts(gate)).get("sessions.minted", 0) == 0
    # The visitor may be a person after all.
    assert (await gate.press(answer, at(HERE))).status == 303
    assert await has_open(gate, link)


async def test_a_decoy_whose_doubt_is_looked_at_after_the_session_was_made(gate: Stack) -> None:
    await gate.campaign()
    link = gate.link()
    task = await minting(gate, link)
    await hit_decoy(gate, link)
    assert (await task).status == 303
    await think_all(gate)
    assert not await has_open(gate, link)


async def test_a_session_that_can_not_be_closed_when_it_is_made_is_closed_later(
    gate: Stack,
) -> None:
    await gate.campaign()
    link = gate.link()
    task = await minting(gate, link)
    await hit_decoy(gate, link)
    await gate.fault(match=EXPIRE, status=503, times=99)
    await think(gate)
    assert (await task).status == 200
    assert await has_open(gate, link)
    await think(gate, 2)
    assert await has_open(gate, link)
    await gate.control("DELETE", "faults")
    await think_all(gate)
    assert not await has_open(gate, link)


async def test_a_mint_that_died_is_waited_for_and_then_let_go(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gate.campaign()
    link = gate.link()

    async def die(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(gate.gateway.store.links, "settle", die)
        patch.setattr(gate.gateway.store.links, "release", die)
        assert (await visit(gate, link)).status == 503
    await hit_decoy(gate, link)
    await think(gate, PATIENT_TRIES)
    assert await gate.gateway.store.doubts.waiting() == 1
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 0
    assert (await verdicts(gate, link))[0] == "scanner"


# Visits that aren't there


async def test_a_visit_that_is_written_down_later_is_found_then(gate: Stack) -> None:
    """A machine's visit waits in the recorder's buffer for half a second, or as long as the store
    is away."""
    await gate.campaign()
    link = gate.link()
    page = await visit(gate, link)
    assert page.status == 303
    line = await gate.gateway.store.connection.client.lpop(keys.visits(link.id))
    await hit_decoy(gate, link)
    await think(gate, 3)
    assert await has_open(gate, link)
    assert await gate.gateway.store.doubts.waiting() == 1
    assert isinstance(line, str)
    await gate.gateway.store.connection.client.rpush(keys.visits(link.id), line)
    await think_all(gate)
    assert not await has_open(gate, link)
    assert await verdicts(gate, link) == ["scanner", "scanner"]


async def test_one_that_never_is_is_given_up(gate: Stack) -> None:
    await gate.campaign()
    gone = [Doubtful(gate.link().id, f"v{n}", "decoy-link", "automated", "x") for n in range(3)]
    await gate.gateway.store.doubts.put([Doubts("d", gate.clock(), tuple(gone))], delay_ms=0)
    await think(gate, PATIENT_TRIES)
    assert await gate.gateway.store.doubts.waiting() == 1
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 0
    assert await counts(gate) == {}
    client = gate.gateway.store.connection.client
    assert not await client.exists(keys.link(gone[0].link), keys.visits(gone[0].link))


async def test_what_waited_for_a_day_is_let_go(gate: Stack) -> None:
    """Whether it was counted isn't known any more, and nothing of it is open at Stripe."""
    await gate.campaign()
    link = gate.link()
    await visit(gate, link)
    await hit_decoy(gate, link)
    gate.clock.offset = STALE_SECONDS - 60
    await gate.fault(match=EXPIRE, status=500, times=99)
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 1
    before = await counts(gate)
    gate.clock.offset = STALE_SECONDS + 60
    await think(gate)
    assert await gate.gateway.store.doubts.waiting() == 0
    assert await counts(gate) == before


# Crashes


class Killed(BaseException):
    """The process ends here."""


def kill_at(
    patch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool, call: int = 1
) -> Callable[[], bool]:
    """Let the process die at a call of a step, before or after its work; says whether it did."""
    work = getattr(owner, name)
    calls = itertools.count(1)
    died: list[bool] = []

    @functools.wraps(work)
    async def step(*args: Any, **more: Any) -> Any:
        fatal = next(calls) == call
        if fatal and not after:
            died.append(True)
            raise Killed
        result = await work(*args, **more)
        if fatal:
            died.append(True)
            raise Killed
        return result

    patch.setattr(owner, name, step)
    return lambda: bool(died)


async def two_minted_then_a_decoy(stack: Stack) -> list[Link]:
    await stack.campaign()
    # What these tell of a closed session is no business of the second thoughts'.
    await stack.control("POST", "webhooks/hold")
    links = [stack.link("a"), stack.link("b")]
    for link in links:
        assert (await visit(stack, link)).status == 303
    await hit_decoy(stack, links[0])
    return links


async def assert_all_is_done(stack: Stack, links: Sequence[Link]) -> None:
    assert await stack.gateway.store.doubts.waiting() == 0
    assert await stack.open_sessions() == []
    for link in links:
        assert not await has_open(stack, link)
        found = (await picture(stack, link))["visits"][-1]
        assert (found["verdict"], found["kind"]) == ("automated", "scanner")
        assert [(c["before"], c["after"]) for c in found["changes"]] == [("human", "scanner")]
        rules = [e["rule"] for e in found["evidence"]]
        assert len(rules) == len(set(rules))
    counted = await counts(stack)
    assert counted == {
        "visits.scanner": 3,
        "verdicts.changed": 2,
        "decisions.mint": 2,
        "decisions.interstitial": 1,
        "sessions.minted": 2,
        "sessions.taken_back": 2,
    }


STEPS = [
    *(("doubts", name, 1) for name in ("take", "strike_out")),
    *(("doubts", name, n) for name in ("find", "rewrite", "recount") for n in (1, 2)),
    *(("doubts", name, n) for name in ("disown", "count_once") for n in (1, 2)),
    *(("mint", "close_one", n) for n in (1, 2)),
    *(("links", "hear", n) for n in (1, 2)),
    *(("links", "read", n) for n in (1, 2)),
    *(("stripe", "expire_session", n) for n in (1, 2)),
]


def part(stack: Stack, name: str) -> Any:
    gateway = stack.gateway
    return {
        "doubts": gateway.store.doubts,
        "links": gateway.store.links,
        "mint": gateway.mint,
        "stripe": gateway.stripe,
    }[name]


def another(stack: Stack) -> Reconsidering:
    """Return the second thoughts of another process on the same store."""
    return Reconsidering(stack.gateway.store, stack.gateway.mint, stack.clock)


async def test_a_decoy_that_taints_two_links(gate: Stack) -> None:
    """What every crash below has to come to."""
    links = await two_minted_then_a_decoy(gate)
    await think(gate)
    await assert_all_is_done(gate, links)


async def test_the_same_on_a_cluster(cluster_url: str) -> None:
    async with gateway(cluster_url) as stack:
        links = await two_minted_then_a_decoy(stack)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, stack.gateway.store.doubts, "recount", after=True)
            with pytest.raises(Killed):
                await think(stack)
        await think_all(stack, another(stack))
        await assert_all_is_done(stack, links)


async def test_the_same_after_a_restart_on_the_embedded_store(tmp_path: Path) -> None:
    """Nothing was worked off before linkgate was stopped; whoever starts next does."""
    async with gateway(f"embedded:{tmp_path / 'data'}") as stack:
        links = await two_minted_then_a_decoy(stack)
        await stack.gateway.store.recorder.flush()
        await due(stack)
        closed: list[str] = []
        later = await Gateway.open(stack.settings, stack.clock)
        with pytest.MonkeyPatch.context() as patch:
            close = later.mint.close_one

            async def counted_close(name: str, *args: Any) -> bool:
                closed.append(name)
                return await close(name, *args)

            patch.setattr(later.mint, "close_one", counted_close)
            async with asyncio.timeout(10):
                while await stack.gateway.store.doubts.waiting():
                    await asyncio.sleep(0.02)
        await later.close()
        assert sorted(closed) == sorted(link.id for link in links)
        await assert_all_is_done(stack, links)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name", "call"), STEPS, ids=str)
async def test_a_process_that_dies_at_any_step_leaves_the_rest_to_another(
    gate: Stack, owner: str, name: str, call: int, after: bool
) -> None:
    links = await two_minted_then_a_decoy(gate)
    with pytest.MonkeyPatch.context() as patch:
        died = kill_at(patch, part(gate, owner), name, after=after, call=call)
        with pytest.raises(Killed):
            await think(gate)
        assert died()
    await think_all(gate, another(gate))
    await assert_all_is_done(gate, links)


@pytest.mark.parametrize("seed", range(4))
async def test_processes_that_die_one_after_the_other(gate: Stack, seed: int) -> None:
    chance = random.Random(seed)
    links = await two_minted_then_a_decoy(gate)
    for _ in range(8):
        owner, name, call = chance.choice(STEPS)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, part(gate, owner), name, after=chance.random() < 0.5, call=call)
            with contextlib.suppress(Killed):
                await think(gate, worker=another(gate))
    await think_all(gate, another(gate))
    await assert_all_is_done(gate, links)


async def test_one_that_is_stopped_amid_closing_leaves_it_to_another(gate: Stack) -> None:
    links = await two_minted_then_a_decoy(gate)
    await gate.fault(match=EXPIRE, mode="hang", seconds=5, times=99)
    await due(gate)
    worker = another(gate)
    worker.start()
    async with asyncio.timeout(5):
        while (await counts(gate)).get("verdicts.changed") != len(links):
            await asyncio.sleep(0.01)
    await worker.stop()
    await gate.control("DELETE", "faults")
    await think_all(gate, another(gate))
    await assert_all_is_done(gate, links)


async def test_a_store_that_goes_away_at_any_step_is_waited_for(gate: Stack) -> None:
    links = await two_minted_then_a_decoy(gate)
    for owner, name, call in STEPS:
        if owner in {"mint", "stripe"}:
            continue
        with pytest.MonkeyPatch.context() as patch:
            work, calls = getattr(part(gate, owner), name), itertools.count(1)

            async def away(
                *args: Any, work: Any = work, calls: Any = calls, call: int = call, **more: Any
            ) -> Any:
                if next(calls) == call:
                    raise StoreUnavailable("away")
                return await work(*args, **more)

            patch.setattr(part(gate, owner), name, away)
            with contextlib.suppress(StoreUnavailable):
                await think(gate)
    await think_all(gate)
    await assert_all_is_done(gate, links)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503},
        {"status": 429, "retry_after": 9},
        {"status": 401},
        {"mode": "drop"},
        {"mode": "drop", "executed": True},
        {"mode": "truncate", "executed": True},
        {"mode": "hang", "seconds": 5},
    ],
    ids=str,
)
async def test_a_stripe_that_does_not_close_is_asked_again(
    gate: Stack, fault: dict[str, Any]
) -> None:
    links = await two_minted_then_a_decoy(gate)
    await gate.fault(match=EXPIRE, times=99, **fault)
    await gate.fault(match="GET /v1/checkout/sessions/*", times=99, **fault)
    await think(gate, 2)
    assert await gate.gateway.store.doubts.waiting() == 1
    # The verdicts and the counters have not waited for it, and nobody is sent there meanwhile.
    counted = await counts(gate)
    assert (counted["visits.scanner"], counted["verdicts.changed"]) == (3, 2)
    await moments_pass(gate)
    assert (await visit(gate, links[0], PERSON)).status == 503
    await gate.control("DELETE", "faults")
    await think_all(gate)
    assert await gate.open_sessions() == []
    assert (await counts(gate))["verdicts.changed"] == 2


async def test_it_is_asked_for_as_long_as_a_session_may_live(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = await two_minted_then_a_decoy(gate)

    async def no(*_: Any) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(gate.gateway.mint, "close_one", no)
        await think(gate, 60)
    assert await gate.gateway.store.doubts.waiting() == 1
    await think_all(gate)
    await assert_all_is_done(gate, links)


async def test_one_that_was_paid_meanwhile_stays_paid(gate: Stack) -> None:
    await gate.campaign()
    link = gate.link()
    await visit(gate, link)
    [session] = await gate.sessions()
    await gate.control("POST", "webhooks/hold")
    await gate.control("POST", f"sessions/{session['id']}/pay")
    await hit_decoy(gate, link)
    await think_all(gate)
    row = await gate.row(link)
    assert (row.sessions[0].state, row.fields["done"]) == ("paid", "paid")


async def test_two_processes_at_the_same_doubt_do_it_once(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease of one has run out while it was still at work."""
    monkeypatch.setattr(doubts, "LEASE_MS", 0)
    links = await two_minted_then_a_decoy(gate)
    await gate.gateway.store.recorder.flush()
    await due(gate)
    workers = [another(gate) for _ in range(4)]
    await asyncio.gather(*(worker.work() for worker in workers))
    await think_all(gate)
    await assert_all_is_done(gate, links)


# Many doubts


async def test_what_can_not_be_worked_off_is_in_nobodys_way(
    gate: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program's value under a key of ours, or a verdict that a newer version knows."""
    await gate.campaign()
    client = gate.gateway.store.connection.client
    foreign = gate.link()
    await client.set(keys.visits(foreign.id), "not ours")
    bad = Doubtful(foreign.id, "v", "decoy-link", "automated", "x")
    for name in ("0", "1"):
        await gate.gateway.store.doubts.put([Doubts(name, gate.clock(), (bad,))], delay_ms=0)
    link = gate.link()
    await visit(gate, link)
    await hit_decoy(gate, link)
    await think(gate)
    assert not await has_open(gate, link)
    assert await gate.gateway.store.doubts.waiting() == 2
    assert "can't be worked off" in caplog.text


async def test_a_stripe_that_hangs_holds_up_only_what_it_is_asked_for(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gate.campaign()
    stuck, free = gate.link(), gate.link()
    close = gate.gateway.mint.close_one
    released = asyncio.Event()

    async def hang(name: str, *args: Any) -> bool:
        if name == stuck.id:
            await released.wait()
        return await close(name, *args)

    monkeypatch.setattr(gate.gateway.mint, "close_one", hang)
    for link in (stuck, free):
        await visit(gate, link)
        await hit_decoy(gate, link)
        await moments_pass(gate)
    await due(gate)
    work = asyncio.create_task(gate.gateway.reconsidering.work())
    async with asyncio.timeout(5):
        while await has_open(gate, free):
            await asyncio.sleep(0.01)
    assert not work.done()
    released.set()
    await work
    assert not await has_open(gate, stuck)


async def seven_tainted(stack: Stack) -> list[Link]:
    await stack.campaign()
    links = [stack.link() for _ in range(7)]
    for link in links:
        await visit(stack, link)
        await hit_decoy(stack, link)
        await moments_pass(stack)
    return links


async def all_taken_back(stack: Stack, links: Sequence[Link]) -> None:
    async with asyncio.timeout(10):
        while await stack.open_sessions() or await stack.gateway.store.doubts.waiting():
            await asyncio.sleep(0.02)
    assert [await verdicts(stack, link) for link in links] == [["scanner", "scanner"]] * len(links)


async def test_the_worker_goes_on_after_an_outage_and_after_a_bug(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconsidering, "FIRST_LOOK_MS", 10)
    monkeypatch.setattr(reconsidering, "LOOK_SECONDS", 0.05)
    failures = iter([StoreUnavailable("away"), RuntimeError("a bug")])
    take = gate.gateway.store.doubts.take

    async def failing(count: int) -> Any:
        if failure := next(failures, None):
            raise failure
        return await take(count)

    monkeypatch.setattr(gate.gateway.store.doubts, "take", failing)
    gate.gateway.reconsidering.start()
    await all_taken_back(gate, await seven_tainted(gate))


async def test_the_worker_works_through_any_number_without_a_pause(
    gate: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconsidering, "FIRST_LOOK_MS", 10)
    monkeypatch.setattr(reconsidering, "LOOK_SECONDS", 600)
    monkeypatch.setattr(reconsidering, "AT_ONCE", 2)
    links = await seven_tainted(gate)
    await gate.gateway.store.recorder.flush()
    await due(gate)
    gate.gateway.reconsidering.start()
    await all_taken_back(gate, links)


# Anything at all


class Anything:
    """Visits, presses, decoys and work in any order, several at once, with crashes in between."""

    def __init__(self, stack: Stack, seed: int, policy: Policy) -> None:
        self._stack = stack
        self._chance = random.Random(seed)
        self._policy = policy
        self.links = [stack.link(f"r-{number}") for number in range(4)]
        self.visits = 0

    async def happen(self) -> None:
        await self._stack.campaign(policy=self._policy.value)
        for _ in range(25):
            acts = self._chance.choices(
                [self._visit, self._decoy, self._press, self._work, self._wait],
                weights=[8, 2, 2, 3, 2],
                k=self._chance.choice([1, 1, 3, 6]),
            )
            if self._chance.random() < 0.3:
                acts.append(self._die)  # one at a time: it replaces what the others call
            await asyncio.gather(*(act() for act in acts))
            if self._chance.random() < 0.2:
                await self._stack.control("DELETE", "faults")
                if self._chance.random() < 0.5:
                    status = self._chance.choice([429, 500, 503])
                    await self._stack.fault(match=EXPIRE, status=status, times=3)
                await self._stack.fault(mode="slow", seconds=0.05, times=6)
        await self._stack.control("DELETE", "faults")

    def _who(self) -> Mapping[str, str]:
        version = self._chance.choice([155, 156])
        return at(self._chance.choice([HERE, HERE, NEIGHBOURS[0], PERSON]), chrome(version))

    async def _visit(self) -> None:
        self.visits += 1
        link = self._chance.choice(self.links)
        answer = await self._stack.get(self._stack.path(link), self._who())
        assert answer.status in {200, 303, 503}

    async def _press(self) -> None:
        self.visits += 2
        link = self._chance.choice(self.links)
        who = self._who()
        page = await self._stack.get(self._stack.path(link), who)
        if page.status == 303:
            self.visits -= 1
            return
        answer = await self._stack.press(page, who)
        assert answer.status in {200, 303, 503}
        self._stack.http.cookie_jar.clear()

    async def _decoy(self) -> None:
        self.visits += 1
        link = self._chance.choice(self.links)
        await self._stack.get("/l/" + self._stack.gateway.tokens.issue_decoy(link), self._who())

    async def _wait(self) -> None:
        await moments_pass(self._stack)

    async def _work(self) -> None:
        with contextlib.suppress(Killed):
            await think(self._stack, worker=another(self._stack))

    async def _die(self) -> None:
        owner, name, call = self._chance.choice([step for step in STEPS if step[0] == "doubts"])
        with pytest.MonkeyPatch.context() as patch:
            after = self._chance.random() < 0.5
            kill_at(patch, part(self._stack, owner), name, after=after, call=call)
            with contextlib.suppress(Killed):
                await think(self._stack, worker=another(self._stack))


@pytest.mark.parametrize("policy", [Policy.ADAPTIVE, Policy.DIRECT], ids=str)
@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_the_sums_are_right_and_no_machine_has_a_session(
    gate: Stack, seed: int, policy: Policy
) -> None:
    world = Anything(gate, seed, policy)
    await world.happen()
    await think_all(gate)
    counted = await counts(gate)
    held_for: Counter[str] = Counter()
    changes = 0
    for link in world.links:
        row = await gate.gateway.store.links.read(link.id)
        for kept in row.visits if row else ():
            held_for["visits." + (kept["kind"] or kept["verdict"])] += 1
            changes += len(kept.get("changes", ()))
        if row and await has_open(gate, link):
            [session] = [s for s in row.sessions if s.state == "open"]
            theirs = [v for v in row.visits if v["outcome"].endswith(f" {session.id}")]
            assert [
                v
                for v in theirs
                if v["decision"] == Action.MINT
                and not any(change.get("closing") for change in v.get("changes", ()))
            ], theirs
    assert {name: n for name, n in counted.items() if name.startswith("visits.")} == held_for
    assert sum(held_for.values()) == world.visits
    assert counted.get("verdicts.changed", 0) == changes
