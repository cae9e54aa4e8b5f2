"""The busy page tries again by itself, and proves no more than the visit that it repeats."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from linkgate import challenge
from linkgate.challenge import Challenge, Origin
from linkgate.tokens import Keyring, Link
from tests.reconsidering.thinking import (
    HERE,
    NEIGHBOURS,
    PERSON,
    at,
    has_open,
    hit_decoy,
    moments_pass,
    think_all,
    verdicts,
    visit,
)
from tests.stack import BROWSER, SIGNING_KEY, Answer, Stack

BUSY = {"status": 429, "retry_after": 9, "times": 99}


def origin(stack: Stack, link: Link, page: Answer) -> Origin:
    """Return what the challenge of a page says of the page."""
    keys, now = Keyring([SIGNING_KEY]), stack.clock()
    read = challenge.read(keys, page.challenge, link=link.id, now=now, max_age=60)
    assert isinstance(read, Challenge)
    return read.origin


async def again(stack: Stack, page: Answer, address: str = HERE, **more: Any) -> Answer:
    """The page's script sends its form: it fills in nothing."""
    stack.http.cookie_jar.clear()
    return await stack.press(page, at(address, **more), gesture="", read_seconds=0)


async def busy_page(stack: Stack, link: Link, address: str = HERE, **more: Any) -> Answer:
    """Return what a visitor gets who is let in while Stripe has no time."""
    await stack.fault(**BUSY)
    page = await visit(stack, link, address, **more)
    assert page.status == 503
    await stack.control("DELETE", "faults")
    return page


async def known_device(stack: Stack) -> Mapping[str, str]:
    page = await visit(stack, stack.link(campaign="asking"), PERSON)
    cookie = (await stack.press(page, at(PERSON))).headers["Set-Cookie"].partition(";")[0]
    await moments_pass(stack)
    return {**BROWSER, "Cookie": cookie}


async def test_whoever_was_let_in_by_the_verdict_alone_goes_on_by_it(gate: Stack) -> None:
    await gate.campaign()
    link = gate.link()
    page = await busy_page(gate, link)
    assert origin(gate, link, page) is Origin.WAITING
    await moments_pass(gate)  # it waits for longer than that
    answer = await again(gate, page)
    assert answer.status == 303
    assert "Set-Cookie" not in answer.headers
    first, second = reversed((await gate.row(link)).visits)
    assert (first["verdict"], second["verdict"]) == ("human", "human")
    assert "pressed" not in second


async def test_a_busy_page_after_another_is_no_more_than_the_first(gate: Stack) -> None:
    await gate.campaign()
    link = gate.link()
    page = await busy_page(gate, link)
    for _ in range(3):
        await gate.fault(**BUSY)
        await moments_pass(gate)
        page = await again(gate, page)
        assert (page.status, origin(gate, link, page)) == (503, Origin.WAITING)
    await gate.control("DELETE", "faults")
    await hit_decoy(gate, link)
    assert (await again(gate, page)).status == 200


async def test_after_a_press_and_for_a_known_device_it_goes_on_whatever_machines_do(
    gate: Stack,
) -> None:
    await gate.campaign()
    await gate.campaign("asking", policy="confirm")
    known = await known_device(gate)
    pressed, trusted = gate.link(campaign="asking"), gate.link(campaign="asking")
    asked = await visit(gate, pressed)
    await gate.fault(**BUSY)
    after_press = await gate.press(asked, at(HERE))
    await gate.control("DELETE", "faults")
    by_device = await busy_page(gate, trusted, PERSON, headers=known)
    for link, page in ((pressed, after_press), (trusted, by_device)):
        assert (page.status, origin(gate, link, page)) == (503, Origin.BUSY)
        await moments_pass(gate)
        # A twin, and a burst around it.
        for other in (link, gate.link(), gate.link()):
            await visit(gate, other)
        assert (await again(gate, page)).status == 303
        await think_all(gate)
        assert await has_open(gate, link)


@pytest.mark.parametrize("evidence", ["decoy", "burst"])
async def test_what_has_come_out_meanwhile_counts(gate: Stack, evidence: str) -> None:
    await gate.campaign()
    link = gate.link()
    page = await busy_page(gate, link)
    if evidence == "decoy":
        await hit_decoy(gate, link, PERSON)
    else:
        await moments_pass(gate)
        for _ in range(2):
            await visit(gate, gate.link())
    answer = await again(gate, page)
    assert (answer.status, origin(gate, link, answer)) == (200, Origin.INTERSTITIAL)
    assert not await has_open(gate, link)
    # The visitor may be a person after all.
    assert (await gate.press(answer, at(HERE))).status == 303


@pytest.mark.parametrize("evidence", ["decoy", "burst"])
async def test_what_it_minted_is_taken_back(gate: Stack, evidence: str) -> None:
    await gate.campaign()
    link = gate.link()
    page = await busy_page(gate, link)
    await moments_pass(gate)
    assert (await again(gate, page)).status == 303
    if evidence == "decoy":
        await hit_decoy(gate, link)
    else:
        for _ in range(2):
            await visit(gate, gate.link())
    await think_all(gate)
    assert not await has_open(gate, link)
    found = (await verdicts(gate, link))[1]
    assert found == ("scanner" if evidence == "decoy" else "suspect")


@pytest.mark.parametrize(
    ("addresses", "busy"), [([HERE] * 5, 2), (NEIGHBOURS[:5], 4)], ids=["address", "network"]
)
async def test_a_burst_while_stripe_is_busy_comes_in_by_no_door(
    gate: Stack, addresses: Sequence[str], busy: int
) -> None:
    await gate.campaign()
    links = [gate.link() for _ in addresses]
    await gate.fault(**BUSY)
    pages = await asyncio.gather(
        *(visit(gate, link, address) for link, address in zip(links, addresses, strict=True))
    )
    assert Counter(page.status for page in pages) == {503: busy, 200: 5 - busy}
    await gate.control("DELETE", "faults")
    waiting = [
        (page, address) for page, address in zip(pages, addresses, strict=True) if page.status > 200
    ]
    answers = await asyncio.gather(*(again(gate, page, address) for page, address in waiting))
    assert [answer.status for answer in answers] == [200] * busy
    await think_all(gate)
    assert await gate.sessions() == []
    for link in links:
        assert set(await verdicts(gate, link)) == {"suspect"}
