"""Unsigned ways in, over real HTTP: people get a session of their own, machines get nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar

from linkgate import anonymous, campaigns, device
from linkgate.campaigns import Status
from linkgate.errors import StoreUnavailable
from linkgate.store import keys
from linkgate.tokens import Keyring, Link, LinkTokens
from tests.stack import BROWSER, PRICE, SCANNER, SIGNING_KEY, SUSPECT, Answer, Stack

MONTHLY = "price_demo_monthly"
KEYS = Keyring([SIGNING_KEY])
TOKENS = LinkTokens(KEYS)
WAYS = ["/c/spring", f"/checkout?price={PRICE}"]
LAWS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}

Browse = Callable[[], Awaitable[Stack]]


@pytest.fixture
async def browse(stack: Stack) -> AsyncIterator[Browse]:
    """Opens a browser with cookies of its own."""
    async with AsyncExitStack() as closing:

        async def browser() -> Stack:
            http = ClientSession(cookie_jar=CookieJar(unsafe=True))
            return replace(stack, http=await closing.enter_async_context(http))

        yield browser


async def pay(stack: Stack, session: str, how: str = "pay") -> None:
    await stack.control("POST", f"sessions/{session}/{how}")
    await stack.delivered()


async def rows(stack: Stack) -> set[str]:
    """Return the recipients of all links that anything is kept of."""
    await stack.gateway.store.recorder.flush()
    client = stack.gateway.store.connection.client
    names = [name async for name in client.scan_iter("lg:*:link", count=1000)]
    return {await client.hget(name, "recipient") for name in names}


def is_interstitial(page: Answer) -> bool:
    return page.status == 200 and 'name="challenge"' in page.text


def is_unknown(page: Answer) -> bool:
    return page.status == 404 and "could not find this link" in page.text


def own(browser: Stack) -> str:
    """Return the cookie by which a browser's own link is known."""
    [cookie] = [c for c in browser.http.cookie_jar if c.key.startswith(anonymous.COOKIE)]
    return f"{cookie.key}={cookie.value}"


@pytest.mark.parametrize("way", WAYS)
async def test_a_person_goes_straight_to_a_session_of_their_own(
    stack: Stack, browse: Browse, way: str
) -> None:
    await stack.campaign(public=True)
    answers = [await (await browse()).get(way) for _ in range(2)]
    sessions = await stack.sessions()
    assert [answer.status for answer in answers] == [303, 303]
    assert {answer.location for answer in answers} == {session["url"] for session in sessions}
    assert len({session["client_reference_id"] for session in sessions}) == 2
    assert all(session["metadata"]["linkgate_campaign"] == "spring" for session in sessions)
    recipients = [session["metadata"]["linkgate_recipient"] for session in sessions]
    ways = {anonymous.way_of(Link("spring", recipient, 0)) for recipient in recipients}
    assert ways == {anonymous.Way("spring", PRICE if "price" in way else None)}
    assert all(answer.headers[name] == value for answer in answers for name, value in LAWS.items())


async def test_a_price_is_sold_once_by_the_first_campaign_that_sells_it(
    stack: Stack, browse: Browse
) -> None:
    many = {"line_items": [{"price": PRICE, "quantity": 3}]}
    await stack.campaign("private", destination=many)
    plus = {"mode": "subscription", "line_items": [{"price": MONTHLY}]}
    await stack.campaign("plus", destination=plus, public=True)
    await stack.campaign("first", destination=many, public=True)
    await stack.campaign("second", public=True, public_prices=[PRICE])
    asked = {
        f"price={PRICE}": "first",
        f"price={PRICE}&campaign=second": "second",
        f"utm_source=x&price={MONTHLY}&gclid=1": "plus",
        f"price={PRICE}.": "first",
    }
    for query, slug in asked.items():
        answer = await (await browse()).get(f"/checkout?{query}")
        [session] = [s for s in await stack.sessions() if s["url"] == answer.location]
        assert session["metadata"]["linkgate_campaign"] == slug, query
        assert session["amount_total"] == (1900 if slug == "plus" else 4900)
    # The campaign itself sells all that it sells.
    answer = await (await browse()).get("/c/first")
    assert max(s["amount_total"] for s in await stack.sessions()) == 3 * 4900


async def test_nobody_learns_which_campaigns_there_are(stack: Stack) -> None:
    await stack.campaign("private")
    ended = await stack.campaign("ended", public=True)
    after = campaigns.change_status(ended, Status.ENDED, ended.created_at)
    await stack.gateway.store.campaigns.put(after, replaces=ended)
    await stack.campaign("spring", public=True)
    junk = [
        "",
        "%00",
        "-",
        "price_x",
        "p" * 3000,
        "..%2f..%2f",
        "%F0%9F%92%A9",
        "1' OR 1=1",
        "anon~",
    ]
    asked = [
        "/c", "/c/", "/c/none", "/c/private", "/c/ended", "/c/spring/none", "/c/%00",
        "/c/" + "a" * 3000, "/checkout", "/checkout?campaign=spring",
        f"/checkout?price={PRICE}&campaign=private",
        f"/checkout?price={PRICE}&campaign=ended", f"/checkout?price={PRICE}&campaign=none",
        f"/checkout?price={PRICE}&campaign={'x' * 60}", f"/checkout?{'a=b&' * 60}price={PRICE}",
        *(f"/checkout?campaign=spring&price={price}" for price in junk),
        *(f"/checkout?price={price}" for price in junk),
    ]  # fmt: skip
    answers = [await stack.get(path) for path in asked]
    assert [path for path, page in zip(asked, answers, strict=True) if not is_unknown(page)] == []
    assert len({page.text for page in answers}) == 1
    assert len({tuple(sorted(page.headers.items() - {("date", "")})) for page in answers}) <= 2
    assert (await stack.sessions(), await rows(stack)) == ([], set())


@pytest.mark.parametrize("policy", ["adaptive", "confirm", "direct"])
async def test_a_machine_never_mints(stack: Stack, policy: str) -> None:
    await stack.campaign(public=True, policy=policy)
    asked: list[tuple[str, Mapping[str, str], int]] = [
        ("HEAD", BROWSER, 200),
        ("OPTIONS", BROWSER, 204),
        ("GET", {**BROWSER, "Sec-Purpose": "prefetch"}, 503),
        ("GET", {**BROWSER, "Sec-Purpose": "prefetch;prerender"}, 503),
        ("GET", {**BROWSER, "Purpose": "prefetch"}, 503),
        ("GET", {**BROWSER, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 200),
        ("GET", SCANNER, 200),
        ("GET", {"User-Agent": ""}, 200),
        ("GET", {**BROWSER, "User-Agent": "Slackbot-LinkExpanding 1.0"}, 200),
        ("PUT", BROWSER, 405),
    ]
    for way in WAYS:
        for method, headers, status in asked:
            answer = await stack.ask(method, way, headers)
            assert answer.status == status, (method, headers)
            assert all(answer.headers[name] == value for name, value in LAWS.items())
            assert "Set-Cookie" not in answer.headers
            if method == "HEAD":
                assert answer.text == ""
        page = await stack.get(way, SCANNER)
        assert is_interstitial(await stack.press(page, SCANNER))
        # Posting what was made up, or another visit's challenge, is no way in either.
        if way.startswith("/c/"):
            forged = {"challenge": page.challenge, "gesture": "ran pressed trusted seen=9000"}
            assert is_interstitial(await stack.ask("POST", way, BROWSER, data=forged))
        else:
            assert (await stack.ask("POST", way, BROWSER)).status == 405
    assert await stack.sessions() == []
    # All of them in one place, for the operator to look at.
    assert await rows(stack) == {"anon~-~machines"}
    shelf = await stack.row(anonymous.shelf(anonymous.link("spring", None, "x", 0)))
    assert {"preview", "scanner", "prefetch", "tool"} <= {visit["kind"] for visit in shelf.visits}
    counts = await stack.gateway.store.campaigns.counts("spring")
    assert sum(n for name, n in counts.items() if name.startswith("visits.")) == 2 * 10 + 1


@pytest.mark.parametrize("way", WAYS)
async def test_whoever_is_in_doubt_presses_once_without_cookies_too(
    stack: Stack, browse: Browse, way: str
) -> None:
    await stack.campaign(public=True)
    one, other = await browse(), await browse()
    page = await one.get(way, SUSPECT)
    assert is_interstitial(page)
    assert "Set-Cookie" not in page.headers
    assert await rows(stack) == {"anon~-~machines"}
    # Another browser: there are no cookies, and the page's own address is all there is.
    answer = await other.press(page, SUSPECT)
    [session] = await stack.sessions()
    assert (answer.status, answer.location) == (303, session["url"])
    assert len(await rows(stack)) == 2


async def test_what_is_posted_to_a_link_that_never_minted_leaves_no_row(stack: Stack) -> None:
    await stack.campaign(public=True, policy="confirm")
    for _ in range(5):
        page = await stack.get("/c/spring")
        for challenge in ("", "forged", page.challenge[:-1]):
            sent = await stack.ask("POST", page.action, BROWSER, data={"challenge": challenge})
            assert is_interstitial(sent)
        assert is_interstitial(await stack.get(page.action))
    assert await rows(stack) == {"anon~-~machines"}
    assert (await stack.press(page)).status == 303


async def test_the_same_browser_has_one_link_and_one_open_session(
    stack: Stack, browse: Browse
) -> None:
    before = await stack.campaign(public=True, policy="direct")
    one, other = await browse(), await browse()
    first = await one.get("/c/spring")
    assert (await one.get("/c/spring")).location == first.location
    # Back from Stripe's page, as often as one likes: never two that are open.
    after = campaigns.change(before, {"reuse_minutes": 0}, before.created_at)
    await stack.gateway.store.campaigns.put(after, replaces=before)
    for _ in range(3):
        again = await one.get("/c/spring")
        [session] = await stack.open_sessions()
        assert (again.status, again.location) == (303, session["url"])
    assert len(await stack.sessions()) == 4
    # Somebody else is somebody else.
    assert (await other.get("/c/spring")).status == 303
    assert len(await stack.open_sessions()) == 2
    assert len({s["client_reference_id"] for s in await stack.sessions()}) == 2


async def test_each_way_has_a_link_of_its_own(stack: Stack) -> None:
    await stack.campaign(public=True, policy="direct", public_prices=[PRICE])
    for _ in range(2):
        for way in WAYS:
            assert (await stack.get(way)).status == 303
    assert len({s["client_reference_id"] for s in await stack.sessions()}) == 2
    assert len(await stack.sessions()) == 2


async def test_what_was_paid_may_be_bought_again_but_not_while_money_is_on_its_way(
    stack: Stack,
) -> None:
    await stack.campaign(public=True, policy="direct")
    await stack.get("/c/spring")
    [first] = await stack.sessions()
    await pay(stack, first["id"])
    assert (await stack.get("/c/spring")).status == 303
    [second] = await stack.open_sessions()
    assert second["client_reference_id"] != first["client_reference_id"]
    # The new one is the browser's from now on.
    assert (await stack.get("/c/spring")).location == second["url"]
    await pay(stack, second["id"], "pay-later")
    answer = await stack.get("/c/spring")
    assert (answer.status, "do not pay again" in answer.text) == (200, True)
    assert len(await stack.sessions()) == 2


async def test_no_other_cookie_leads_anywhere(stack: Stack, browse: Browse) -> None:
    await stack.campaign(public=True, policy="direct")
    await stack.campaign("autumn", public=True, policy="direct")
    one = await browse()
    await one.get("/c/spring")
    [first] = await stack.sessions()
    name, _, token = own(one).partition("=")
    issued = TOKENS.issue(stack.link("r-1"))
    other = anonymous.Way("autumn").cookie
    for path, cookie in (
        ("/c/spring", f"{name}={token[:-2]}AA"),
        ("/c/spring", f"{name}={issued}"),
        ("/c/autumn", f"{other}={token}"),
        (f"/checkout?price={PRICE}", f"{anonymous.Way('spring', PRICE).cookie}={token}"),
    ):
        before = len(await stack.sessions())
        answer = await (await browse()).get(path, {**BROWSER, "Cookie": cookie})
        assert (answer.status, len(await stack.sessions())) == (303, before + 1), cookie
        assert answer.location != first["url"]
    stack.clock.offset += anonymous.LIFE_SECONDS + 3600
    answer = await (await browse()).get("/c/spring", {**BROWSER, "Cookie": f"{name}={token}"})
    assert answer.status == 303
    ids = [session["client_reference_id"] for session in await stack.sessions()]
    assert ids.count(first["client_reference_id"]) == 1


async def test_two_hundred_visits_of_one_browser_leave_one_open_session(stack: Stack) -> None:
    before = await stack.campaign(public=True, policy="direct")
    cookie = f"{device.COOKIE}={device.issue(KEYS, 'd1', stack.clock() + 60)}"
    headers = {**BROWSER, "Cookie": cookie}
    await stack.get("/c/spring", headers)
    mine = f"{cookie}; {own(stack)}"
    stack.http.cookie_jar.clear()
    # What was minted before a change is not used again.
    after = campaigns.change(before, {"name": "Spring"}, before.created_at)
    await stack.gateway.store.campaigns.put(after, replaces=before)
    answers = await asyncio.gather(
        *(stack.get("/c/spring", {**BROWSER, "Cookie": mine}) for _ in range(200))
    )
    [session] = await stack.open_sessions()
    assert {(answer.status, answer.location) for answer in answers} == {(303, session["url"])}
    assert len(await stack.sessions()) == 2
    assert len({s["client_reference_id"] for s in await stack.sessions()}) == 1


@pytest.mark.parametrize("change", [{"public": False}, {"public_prices": []}])
async def test_a_way_that_is_closed_meanwhile_lets_nobody_in(
    stack: Stack, browse: Browse, change: Any
) -> None:
    stack.sandbox.world.add_price("price_more", 100, "eur", product_name="More")
    before = await stack.campaign(public=True, public_prices=["price_more"])
    way = "/checkout?price=price_more"
    one, other = await browse(), await browse()
    page = await one.get(way, SUSPECT)
    assert (await other.get(way)).status == 303
    [session] = await stack.sessions()
    assert session["amount_total"] == 100
    after = campaigns.change(before, change, before.created_at)
    await stack.gateway.store.campaigns.put(after, replaces=before)
    assert is_unknown(await one.press(page, SUSPECT))
    assert is_unknown(await other.get(way))
    assert is_unknown(await other.get(page.action))
    assert len(await stack.sessions()) == 1


async def test_a_campaign_that_pauses_says_so(stack: Stack) -> None:
    before = await stack.campaign(public=True)
    after = campaigns.change_status(before, Status.PAUSED, before.created_at)
    await stack.gateway.store.campaigns.put(after, replaces=before)
    for way in WAYS:
        page = await stack.get(way)
        assert (page.status, "has paused this" in page.text) == (503, True)


@pytest.mark.parametrize("way", WAYS)
async def test_a_link_that_has_expired_leads_back_to_its_way(
    stack: Stack, browse: Browse, way: str
) -> None:
    campaign = await stack.campaign(public=True, policy="confirm")
    price = PRICE if way != WAYS[0] else None
    left_open = await stack.get(way)
    stack.clock.offset += anonymous.LIFE_SECONDS + 3600
    # Pressed the day after, or the link's own address opened again.
    answers = [
        await (await browse()).press(left_open),
        await (await browse()).get(left_open.action),
    ]
    for answer in answers:
        assert answer.status == 303
        again = await (await browse()).get(answer.location)
        assert is_interstitial(again)
        assert again.action != left_open.action
        assert anonymous.way_of(TOKENS.read(again.action[3:], stack.clock()).link) == (
            anonymous.Way("spring", price)
        )
    assert await stack.sessions() == []
    # Of a way that is closed, nobody is sent on.
    closed = campaign.model_copy(update={"public": False})
    await stack.gateway.store.campaigns.put(closed, replaces=campaign)
    assert (await stack.get(left_open.action)).status == 410


async def test_what_somebody_paid_by_a_way_they_are_told_after_its_link_expired(
    stack: Stack,
) -> None:
    await stack.campaign(public=True)
    await stack.get("/c/spring")
    [session] = await stack.sessions()
    link = stack.gateway.store.links
    await pay(stack, session["id"])
    row = await link.read(session["client_reference_id"])
    assert row
    token = TOKENS.issue(Link("spring", row.fields["recipient"], int(row.fields["expires_at"])))
    stack.clock.offset += anonymous.LIFE_SECONDS + 3600
    assert "already been paid" in (await stack.get(f"/l/{token}")).text


async def test_nobody_without_a_link_is_sent_to_an_email_alone(stack: Stack) -> None:
    unknown = await stack.get("/c/nowhere")
    assert "the email or page where you found it" in unknown.text


async def test_without_the_store_nobody_is_turned_away_and_nothing_is_minted(
    stack: Stack, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign(public=True)
    campaigns_, connection = stack.gateway.store.campaigns, stack.gateway.store.connection

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    one = await browse()
    with monkeypatch.context() as patch:
        patch.setattr(connection, "script", away)
        patch.setattr(campaigns_, "_load", away)
        patch.setattr(campaigns_, "_load_public", away)
        # Nothing is at hand: the button, or a page that comes again by itself.
        page = await one.get("/c/spring")
        assert is_interstitial(page)
        later = await one.get(WAYS[1])
        assert (later.status, later.headers["Refresh"]) == (503, "5")
        prefetched = await one.get("/c/spring", {**BROWSER, "Sec-Purpose": "prefetch"})
        assert (prefetched.status, prefetched.text) == (503, "")
    assert (await one.press(page)).status == 303
    await campaigns_.public()
    with monkeypatch.context() as patch:
        patch.setattr(connection, "script", away)
        for way in WAYS:
            # What is at hand is used: the busy page, which lets people in by itself.
            busy = await (await browse()).get(way)
            assert (busy.status, "data-retry-after" in busy.text) == (503, True)
            assert is_interstitial(await (await browse()).get(way, SCANNER))
            assert is_interstitial(await (await browse()).get(way, SUSPECT))
    assert len(await stack.sessions()) == 1
    assert (await one.press(busy)).status == 303


async def test_an_address_may_be_printed_in_capitals_and_stand_in_a_sentence(
    stack: Stack, browse: Browse
) -> None:
    await stack.campaign(public=True)
    for path in (
        "/C/SPRING",
        "/c/spring/",
        "/c/spring.",
        "/c/spring)%20",
        "/checkout/" + WAYS[1][9:],
    ):
        assert (await (await browse()).get(path)).status == 303, path


async def test_a_way_to_an_address_needs_no_cookie(stack: Stack) -> None:
    data = {
        "slug": "offer",
        "name": "Offer",
        "public": True,
        "destination": {"kind": "url", "url": "https://shop.example.com/offer"},
    }
    campaign = campaigns.create(data, (await stack.campaign()).created_at)
    await stack.gateway.store.campaigns.put(campaign, replaces=None)
    answer = await stack.get("/c/offer")
    assert (answer.status, answer.location) == (303, "https://shop.example.com/offer")
    assert "Set-Cookie" not in answer.headers
    assert is_unknown(await stack.get(f"/checkout?price={PRICE}&campaign=offer"))


async def test_the_api_issues_no_such_link(stack: Stack) -> None:
    await stack.campaign(public=True)
    _, key = await stack.gateway.store.keys.create("test", ["admin"], stack.clock())
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"campaign": "spring", "recipient": "anon~-~machines"})
    answer = await stack.ask("POST", "/api/v1/links", headers, data=body)
    assert (answer.status, "must not begin with anon~" in answer.text) == (422, True)
    assert not await stack.gateway.store.connection.client.exists(keys.link("anon"))
