"""Known machines replayed against a running linkgate, and against gateways that fail at it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from linkgate.simulation import CannotStart, Result, Targets, behaviours, examine, replay
from linkgate.simulation.forms import find_form
from linkgate.simulation.replay import leads_to, short
from tests.stack import Stack, embedded

BEHAVIOURS = {behaviour.name: behaviour for behaviour in behaviours()}
POLICIES = ("adaptive", "confirm")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def targets(stack: Stack, slug: str) -> Targets:
    links = [stack.link(campaign=slug) for _ in range(3)]
    decoy = stack.gateway.tokens.issue_decoy(links[0])
    return Targets(tuple(stack.url + stack.path(link) for link in links), f"{stack.url}/l/{decoy}")


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve one answer for everything; yields what looks like a link there."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/l/anything"))


async def minting_for_all(request: web.Request) -> web.Response:
    return web.Response(status=303, headers={"Location": "https://checkout.stripe.com/c/pay/1"})


async def replayed(stack: Stack, slug: str) -> list[Result]:
    """Each behaviour on fresh links, long after the one before: none helps to catch another."""
    results = []
    for behaviour in behaviours():
        stack.clock.offset += 120
        results.append(await replay(behaviour, targets(stack, slug)))
    return results


@pytest.mark.parametrize("policy", POLICIES)
async def test_no_known_machine_is_sent_on(tmp_path: Path, policy: str) -> None:
    async with embedded(tmp_path / "data") as stack:
        await stack.campaign(policy=policy)
        results = await replayed(stack, "spring")
        assert [result.behaviour.name for result in results if result.passed] == []
        assert {r.behaviour.name: r.trouble for r in results if r.trouble} == {}
        assert await stack.sessions() == []
        # It is not that nobody gets in: a person's press does, and on adaptive the visit alone.
        path = stack.path(stack.link())
        stack.clock.offset += 120
        shown = await stack.get(path)
        if policy == "confirm":
            stack.clock.offset += 5
            shown = await stack.press(shown)
        assert (shown.status, len(await stack.sessions())) == (303, 1)


async def test_every_behaviour_goes_through_a_gateway_that_mints_for_all() -> None:
    async with serving(minting_for_all) as url:
        every = Targets((url, f"{url}2", f"{url}3"), f"{url}decoy")
        for behaviour in behaviours():
            result = await replay(behaviour, every)
            assert (behaviour.name, result.passed, result.trouble) == (behaviour.name, True, "")


async def test_a_campaign_that_lets_through_is_reported_as_it_is(tmp_path: Path) -> None:
    async with embedded(tmp_path / "data") as stack:
        await stack.campaign(policy="direct")
        passed = {
            result.behaviour.name for result in await replayed(stack, "spring") if result.passed
        }
        assert "defender-chrome-64" in passed
        assert passed.isdisjoint({"defender-head", "prefetch", "prerender", "slack-link", "curl"})
        assert await stack.sessions() != []


async def test_each_step_sends_what_it_says_and_nothing_else() -> None:
    seen: list[tuple[str, dict[str, str], str]] = []

    async def remember(request: web.Request) -> web.Response:
        names = {name.lower(): value for name, value in request.headers.items()}
        seen.append((request.method, names, request.path_qs))
        return web.Response(text="")

    async with serving(remember) as url:
        for name in ("defender-head", "proofpoint", "post-blind"):
            await replay(BEHAVIOURS[name], Targets((url,)))
    probe, scrambled, blind = seen
    assert (probe[0], set(probe[1])) == ("HEAD", {"host"})
    assert scrambled[2].startswith("/l/anything?utm_source=")
    assert scrambled[1]["user-agent"] == BEHAVIOURS["proofpoint"].steps[0].headers["user-agent"]
    assert blind[0] == "POST"
    assert (blind[1]["origin"], blind[1]["sec-fetch-site"]) == ("null", "same-origin")


PAGE = """
<html><form method=post action="/l/other"><input type=hidden name=challenge value="a&amp;b">
<input type="hidden" name="gesture"><button>Go</button>
<button name="also" value="1">Not this</button></form><form><input name=x></form></html>
"""


async def test_a_form_is_sent_as_the_page_has_it() -> None:
    posted: list[tuple[str, dict[str, str]]] = []

    async def page(request: web.Request) -> web.Response:
        if request.method == "POST":
            fields = {name: str(value) for name, value in (await request.post()).items()}
            posted.append((request.path, fields))
        return web.Response(text=PAGE, content_type="text/html")

    async with serving(page) as url:
        for name in ("defender-form", "sandbox-second-button", "form-without-script"):
            result = await replay(BEHAVIOURS[name], Targets((url,)))
            assert [got.what for got in result.answers] == ["the page with the button"] * 2
    challenge = {"challenge": "a&b"}
    assert posted == [
        ("/l/other", challenge | {"gesture": "ran"}),
        ("/l/other", challenge | {"gesture": "ran pressed seen=1500", "also": "1"}),
        ("/l/other", challenge | {"gesture": ""}),
    ]


async def test_cookies_do_not_outlive_a_behaviour() -> None:
    cookies: list[str] = []

    async def remember(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie", ""))
        return web.Response(text="", headers={"Set-Cookie": "a=b; Path=/"})

    async with serving(remember) as url:
        for _ in range(2):
            await replay(BEHAVIOURS["defender-chrome-64"], Targets((url,)))
    assert cookies == ["", ""]


async def test_a_burst_opens_every_link_and_waits_for_none() -> None:
    under_way: set[str] = set()
    together = asyncio.Event()

    async def wait_for_all(request: web.Request) -> web.Response:
        under_way.add(request.path)
        if len(under_way) == 3:
            together.set()
        await together.wait()
        return web.Response(text="")

    async with serving(wait_for_all) as url:
        result = await replay(BEHAVIOURS["burst"], Targets((url, f"{url}2", f"{url}3")))
    assert len(result.answers) == 3
    assert result.trouble == ""


async def test_a_twin_does_not_wait_for_its_brother() -> None:
    number = 0
    second = asyncio.Event()

    async def first_waits_for_second(request: web.Request) -> web.Response:
        nonlocal number
        number += 1
        if number == 2:
            second.set()
        await second.wait()
        return web.Response(text="")

    async with serving(first_waits_for_second) as url:
        result = await replay(BEHAVIOURS["defender-twice"], Targets((url,)))
    assert [got.status for got in result.answers] == [200, 200]


async def test_a_connection_that_breaks_is_trouble_and_no_pass() -> None:
    async def drop(request: web.Request) -> web.Response:
        assert request.transport
        request.transport.abort()
        return web.Response()

    async with serving(drop) as url:
        result = await replay(BEHAVIOURS["x"], Targets((url,)))
    assert not result.passed
    assert result.trouble.startswith("no answer")


async def test_who_is_let_in_and_asked_to_wait_went_through() -> None:
    async def busy(request: web.Request) -> web.Response:
        text = '<form method="post" data-retry-after="5"></form>'
        return web.Response(status=503, text=text, content_type="text/html")

    async with serving(busy) as url:
        assert (await replay(BEHAVIOURS["curl"], Targets((url,)))).passed


async def test_a_page_without_a_form_ends_what_would_send_one() -> None:
    async def paid(request: web.Request) -> web.Response:
        return web.Response(text="<p>paid</p>", content_type="text/html")

    async with serving(paid) as url:
        result = await replay(BEHAVIOURS["defender-form"], Targets((url,)))
    assert [got.what for got in result.answers] == ["a page without a button"]
    assert "no page with a form" in result.trouble


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no link of"), (410, "expired"), (503, "paused"), (500, "500")]
)
async def test_a_link_that_opens_nothing_is_told_before(status: int, words: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        assert request.method == "HEAD"
        return web.Response(status=status)

    async with serving(refuse) as url:
        with pytest.raises(CannotStart, match=words):
            await examine(Targets((url,), f"{url}d"))


async def test_unreachable_gateways_are_told_before() -> None:
    with pytest.raises(CannotStart, match="can't be reached"):
        await examine(Targets(("http://127.0.0.1:9/l/x",)))
    async with serving(minting_for_all) as url:
        with pytest.raises(CannotStart, match="TLS failed"):
            await examine(Targets((url.replace("http:", "https:"),)))


def test_what_targets_lack_is_told() -> None:
    few, all_of_it = Targets(("a",)), Targets(("a", "b", "c"), "d")
    lacking = {name for name, one in BEHAVIOURS.items() if one.lacks(few)}
    assert lacking == {"burst", "decoy"}
    assert not any(one.lacks(all_of_it) for one in BEHAVIOURS.values())


def test_behaviours_are_named_once_and_say_where_they_are_from() -> None:
    assert len(BEHAVIOURS) == len(behaviours())
    assert all(one.what and one.source and one.steps for one in behaviours())
    # The decoy's opening counts against this address for a minute.
    assert behaviours()[-1].name == "decoy"


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://checkout.stripe.com/c/pay/1#x", "checkout.stripe.com"),
        ("/elsewhere", "go.example.com"),
        ("/l/other", "go.example.com"),
        ("https://go.example.com/l/token/", ""),
        ("?a=b", ""),
        ("http://[", "an unreadable address"),
    ],
)
def test_where_a_redirect_leads(location: str, host: str) -> None:
    assert leads_to("http://go.example.com/l/token", location) == host


def test_tokens_are_not_printed_whole() -> None:
    url = "https://go.example.com/l/" + "x" * 200
    assert len(short(url)) < 60


def test_a_page_without_a_form_has_none() -> None:
    assert find_form("<p>no form<input name=a>") is None
