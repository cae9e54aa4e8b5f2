"""Second thoughts, from the visit that brings them to Stripe: nothing stays open for a machine,
and nothing is taken from a person.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from linkgate.web.app import create
from tests.reconsidering.thinking import (
    HERE,
    NEIGHBOURS,
    PERSON,
    at,
    chrome,
    counts,
    due,
    gateway,
    has_open,
    hit_decoy,
    moments_pass,
    picture,
    think,
    think_all,
    verdicts,
    visit,
)
from tests.stack import BROWSER, Stack, free_port, serving

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


@pytest.mark.parametrize("address", [PERSON, HERE], ids=["elsewhere", "same-address"])
@pytest.mark.parametrize("same_link", [True, False], ids=["same-link", "other-link"])
async def test_a_person_who_comes_in_the_minute_of_the_scan_presses(
    gate: Stack, address: str, same_link: bool
) -> None:
    await gate.campaign(policy="confirm")
    scanned = gate.link()
    await visit(gate, scanned)
    await hit_decoy(gate, scanned)
    await think(gate)
    link = scanned if same_link else gate.link()
    page = await visit(gate, link, address)
    assert page.status == 200
    pressed = await gate.press(page, at(address))
    assert pressed.status == 303
    assert await has_open(gate, link)
    # Trust that lasts is made by a press that nothing spoke against.
    tainted = same_link or address == HERE
    assert ("Set-Cookie" in pressed.headers) is not tainted
    await moments_pass(gate)
    later = await gate.press(await visit(gate, link, address), at(address))
    assert (later.status, later.headers["Set-Cookie"][:10]) == (303, "lg_device=")


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


async def test_a_storm_of_machines_after_it_keeps_no_session_open(gate: Stack) -> None:
    """More of them than visits are kept of a link."""
    await gate.campaign()
    link = gate.link()
    assert (await visit(gate, link)).status == 303
    heads = [gate.ask("HEAD", gate.path(link), at(NEIGHBOURS[n % 10])) for n in range(150)]
    assert {answer.status for answer in await asyncio.gather(*heads)} == {200}
    await hit_decoy(gate, link)
    await think_all(gate)
    assert not await has_open(gate, link)
    visits = (await picture(gate, link))["visits"]
    times = [each["at"] for each in visits]
    assert times == sorted(times, reverse=True)
    kept = gate.settings.store.visits_per_link
    assert (len(visits), visits[-1]["decision"]) == (kept + 1, "mint")
    assert Counter(each["decision"] for each in visits) == {"interstitial": kept, "mint": 1}


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
