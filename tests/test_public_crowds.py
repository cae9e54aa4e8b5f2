"""Many at one unsigned way: people at a poster get in, and machines leave few keys behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar

from linkgate import anonymous
from linkgate.store import admission
from linkgate.store.connect import Connection
from tests.stack import BROWSER, PRICE, PROXIED, SCANNER, SUSPECT, Answer, Clock, Stack, running

HERE, ELSEWHERE = "198.51.100.7", "203.0.113.7"
PER_MINUTE = 4


def at(address: str, headers: Mapping[str, str] = BROWSER, **more: str) -> Mapping[str, str]:
    return {**headers, "X-Forwarded-For": address, **more}


@contextlib.asynccontextmanager
async def opened(valkey_url: str, more: Mapping[str, Any]) -> AsyncIterator[Stack]:
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    links = {"links": {"public_per_minute": PER_MINUTE}}
    async with (
        running(valkey_url, Clock(), more={**links, **more}) as found,
        ClientSession(cookie_jar=DummyCookieJar()) as http,
    ):
        # Everybody comes with a browser of their own.
        yield replace(found, http=http)


@pytest.fixture
async def crowded(valkey_url: str) -> AsyncIterator[Stack]:
    """A gateway behind a proxy that says who comes; a network gets four sessions by coming."""
    async with opened(valkey_url, PROXIED) as stack:
        yield stack


def is_interstitial(page: Answer) -> bool:
    return page.status == 200 and 'name="challenge"' in page.text


async def evidence(stack: Stack) -> set[str]:
    """Return the names of all rules that found anything in any visit."""
    await stack.gateway.store.recorder.flush()
    client = stack.gateway.store.connection.client
    found: set[str] = set()
    for name in await client.keys("lg:*:link"):
        row = await stack.gateway.store.links.read(name[len("lg:{") : -len("}:link")])
        found |= {rule for visit in row.visits for rule, *_ in visit["evidence"]} if row else set()
    return found


async def test_people_at_a_poster_get_in_and_above_the_rate_by_one_press(crowded: Stack) -> None:
    await crowded.campaign(public=True)
    # Within moments, from one address, all with the same telephone.
    pages = await asyncio.gather(*(crowded.get("/c/spring", at(HERE)) for _ in range(10)))
    straight = [page for page in pages if page.status == 303]
    asked = [page for page in pages if is_interstitial(page)]
    assert (len(straight), len(asked)) == (PER_MINUTE, 6)
    assert (await crowded.get("/c/spring", at(ELSEWHERE))).status == 303
    pressed = [await crowded.press(page, at(HERE)) for page in asked]
    assert [page.status for page in pressed] == [303] * 6
    assert len(await crowded.open_sessions()) == 11
    # They were neither each other's twins nor a burst.
    assert await evidence(crowded) == {"navigation", "press-real"}


async def test_above_ten_times_the_rate_people_wait_and_then_get_in(
    crowded: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crowded.campaign(public=True, policy="confirm")
    pages = [await crowded.get("/c/spring", at(HERE)) for _ in range(PER_MINUTE * 10 + 2)]
    crowded.clock.offset += 3
    answers = [await crowded.press(page, at(HERE), read_seconds=0) for page in pages]
    assert [answer.status for answer in answers] == [303] * PER_MINUTE * 10 + [429] * 2
    held = answers[-1]
    assert 50 <= int(held.headers["Retry-After"]) <= 60
    assert held.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in held.headers
    # Others, elsewhere and those who are in already, go on.
    other = await crowded.get("/c/spring", at(ELSEWHERE))
    assert (await crowded.press(other, at(ELSEWHERE))).status == 303
    assert (await crowded.press(pages[0], at(HERE))).status == 303
    # Nothing is kept of each who waits.
    client = crowded.gateway.store.connection.client
    assert len(await client.keys("lg:*:link")) == PER_MINUTE * 10 + 1 + len(["shelf"])
    # The page's script comes again by itself, later: there is room when the first are a minute ago.
    monkeypatch.setattr(admission, "WINDOW_SECONDS", 0.05)
    again = await crowded.press(held, at(HERE), gesture="")
    assert again.status == 303


async def test_whom_nobody_can_tell_apart_press_and_never_wait(valkey_url: str) -> None:
    async with opened(valkey_url, {}) as stack:
        await stack.campaign(public=True)
        pages = [await stack.get("/c/spring") for _ in range(PER_MINUTE * 10 + 3)]
        assert [page.status for page in pages].count(303) == PER_MINUTE
        asked = [page for page in pages if is_interstitial(page)]
        stack.clock.offset += 3
        pressed = [await stack.press(page, read_seconds=0) for page in asked]
        assert {page.status for page in pressed} == {303}


async def test_a_machine_that_opens_all_prices_at_once_gets_none(crowded: Stack) -> None:
    """A scanner that drives a real browser, on a pricing page: the third price gives it away."""
    names = [f"price_{number}" for number in range(3)]
    for name in names:
        crowded.sandbox.world.add_price(name, 100, "eur", product_name=name)
    await crowded.campaign(public=True, public_prices=names)
    ways = [f"/checkout?price={name}" for name in names]
    answers = [await crowded.get(way, at(HERE)) for way in ways]
    assert [answer.status for answer in answers] == [303, 303, 200]
    async with asyncio.timeout(10):
        while await crowded.open_sessions():
            await asyncio.sleep(0.05)
    assert len(await crowded.sessions()) == 2


async def test_a_storm_leaves_a_bounded_number_of_keys(crowded: Stack) -> None:
    await crowded.campaign(public=True)
    store = crowded.gateway.store
    before = set(await store.connection.client.keys("*"))
    machines = [
        at(HERE, SCANNER),
        at(HERE, SUSPECT),
        at(HERE, BROWSER),
        at(HERE, {"User-Agent": ""}),
        at(HERE, BROWSER, **{"Sec-Purpose": "prefetch"}),
    ]
    ways = ["/c/spring", f"/checkout?price={PRICE}", "/c/none", "/checkout?price=none"]

    async def come(number: int) -> None:
        headers, way = machines[number % 5], ways[number // 5 % 4]
        page = await crowded.get(way, headers)
        if is_interstitial(page):
            await crowded.ask("POST", page.action, headers, data={"challenge": page.challenge})

    for start in range(0, 600, 50):
        await asyncio.gather(*map(come, range(start, start + 50)))
    await store.recorder.flush()
    client = store.connection.client
    left = {name for name in set(await client.keys("*")) - before if "{queue:" not in name}
    sessions = await crowded.sessions()
    assert len(sessions) == PER_MINUTE
    links = {name for name in left if name.endswith(":link")}
    assert len(links) == PER_MINUTE + 1
    # What belongs to these links, and what is remembered of one network.
    kept = {name for name in left if "{lnk_" in name}
    assert len(kept) <= 6 * len(links), kept
    assert {name for name in left - kept if "{net:" in name} == {
        name for name in left if name.endswith((":admitted", ":seen")) and "{net:" in name
    }
    assert len(left - kept) <= 12, left - kept
    shelf = await crowded.row(anonymous.shelf(anonymous.link("spring", None, "x", 0)))
    assert len(shelf.visits) == crowded.settings.store.visits_per_link
