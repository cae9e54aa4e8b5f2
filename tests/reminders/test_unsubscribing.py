"""The way out of reminders, over real HTTP; and that it holds for every campaign."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession
from litestar.types import Receive, Scope, Send

from linkgate.errors import StoreUnavailable
from linkgate.pages import Pages
from linkgate.pages.brand import Brand
from linkgate.references import References
from linkgate.suppression import Suppression
from linkgate.tokens import Keyring, Link
from linkgate.web import unsubscribing
from tests.reminders.conftest import KEY, Scene
from tests.stack import Answer, free_port, serving

OTHER_KEY = "another-signing-key-" + "9876543210" * 3
PAGES = Pages(Brand("Example Shop", "#1f5eff"))
CLICK = {"List-Unsubscribe": "One-Click"}


@dataclass
class Site:
    """The way out on a loopback port."""

    url: str
    http: ClientSession
    suppression: Any

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        async with self.http.request(
            method, self.url + path, allow_redirects=False, **more
        ) as answer:
            return Answer(answer.status, answer.headers, (await answer.read()).decode())


@pytest.fixture
async def site(scene: Scene) -> AsyncIterator[Site]:
    site = Site("", ClientSession(), scene.suppression())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # type: ignore[comparison-overlap]
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})  # type: ignore[misc, arg-type]
            return
        assert unsubscribing.is_unsubscribe(scope)
        await unsubscribing.answer(site.suppression, PAGES, scope, receive, send)

    async with serving(app, free_port()) as url, site.http:  # type: ignore[arg-type]
        site.url = url
        await scene.campaign()
        yield site


def way_out(link: Link, key: str = KEY) -> str:
    return References(Keyring([key])).unsubscribe_path(link.id)


async def remind(scene: Scene, link: Link, **more: Any) -> int:
    """Try to remind; returns how many messages have come so far."""
    reminders = scene.reminders(**more)
    await reminders.consider(link.id, link.campaign)
    await reminders.worker.work()
    return len(scene.mailman.envelopes)


async def test_looking_changes_nothing(scene: Scene, site: Site) -> None:
    link = await scene.link()
    await remind(scene, link)
    [message] = scene.mailman.messages
    found = re.search(r"/unsubscribe/[^>]+", message["List-Unsubscribe"])
    assert found
    for _ in range(3):
        page = await site.ask("GET", found[0])
        assert page.status == 200
        assert page.action == found[0]
        assert 'method="post"' in page.text
    head = await site.ask("HEAD", found[0])
    assert (head.status, head.text) == (200, "")
    assert head.headers["content-length"] == page.headers["content-length"]
    assert await remind(scene, await scene.link("r-1", campaign="spring")) == 1
    other = await scene.link("r-2")
    assert await remind(scene, other) == 2


@pytest.mark.parametrize("form", [CLICK, None, {"x": "y" * 1000}])
async def test_one_click_is_enough(scene: Scene, site: Site, form: Any) -> None:
    link = await scene.link()
    assert await remind(scene, link) == 1
    answer = await site.ask("POST", way_out(link), data=form)
    assert answer.status == 200
    assert "no more reminders" in answer.text
    assert "Set-Cookie" not in answer.headers
    # The same address under another id, in another campaign; and the same id with another address.
    await scene.campaign("autumn")
    assert await remind(scene, await scene.link("x-9", campaign="autumn")) == 1
    assert await remind(scene, await scene.link("x-8", email="ANNA@Example.com")) == 1
    assert await remind(scene, await scene.link("r-1", campaign="autumn", email="b@c.de")) == 1
    # Anybody else is reminded.
    assert await remind(scene, await scene.link("r-2", email="bert@example.com")) == 2
    assert (await scene.counts("autumn"), await scene.counts()) == (
        {"suppressed": 2},
        {"sent": 2, "suppressed": 1},
    )


async def test_a_second_click_says_the_same(scene: Scene, site: Site) -> None:
    link = await scene.link()
    await remind(scene, link)
    answers = [await site.ask("POST", way_out(link), data=CLICK) for _ in range(2)]
    assert answers[0].text == answers[1].text
    assert {answer.status for answer in answers} == {200}


async def test_every_answer_stays_out_of_caches_referrers_and_indexes(
    scene: Scene, site: Site
) -> None:
    link = await scene.link()
    for method, path in (
        ("GET", way_out(link)),
        ("POST", way_out(link)),
        ("OPTIONS", way_out(link)),
        ("PUT", way_out(link)),
        ("GET", "/unsubscribe/junk"),
        ("GET", "/unsubscribe"),
    ):
        answer = await site.ask(method, path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"


async def test_what_is_no_way_out(scene: Scene, site: Site) -> None:
    link = await scene.link()
    good = way_out(link)
    returning = References(Keyring([KEY])).issue_return(link.id)
    for path in (
        "/unsubscribe",
        "/unsubscribe/",
        "/unsubscribe/junk",
        "/unsubscribe/" + returning,
        way_out(link, OTHER_KEY),
        good[:-4] + "AAAA",
        "/unsubscribe/" + "x" * 5000,
        "/unsubscribe/" + link.id,
    ):
        for method in ("GET", "POST"):
            assert (await site.ask(method, path)).status == 404, path
    assert (await site.ask("PUT", good)).status == 405
    assert (await site.ask("POST", good, data=b"x" * 20_000)).status == 413
    assert await remind(scene, link) == 1


async def test_mail_may_add_to_the_address(scene: Scene, site: Site) -> None:
    link = await scene.link()
    await remind(scene, link)
    for junk in (">", ".", "/", "%0D", "?utm_source=x", ")"):
        page = await site.ask("GET", way_out(link) + junk)
        assert page.action == way_out(link), junk
        assert (await site.ask("POST", way_out(link) + junk, data=CLICK)).status == 200


async def test_the_page_speaks_the_persons_language(scene: Scene, site: Site) -> None:
    link = await scene.link()
    page = await site.ask("GET", way_out(link), headers={"Accept-Language": "de-AT"})
    assert '<html lang="de">' in page.text


async def test_a_store_that_is_away_is_said(scene: Scene, site: Site) -> None:
    link = await scene.link()

    class Away(Suppression):
        async def unsubscribe(self, reference: str) -> None:
            raise StoreUnavailable("away")

    site.suppression = Away(scene.store, Keyring([KEY]), scene.clock)
    answer = await site.ask("POST", way_out(link), data=CLICK)
    assert answer.status == 503
    assert answer.headers["retry-after"]
    assert (await site.ask("GET", way_out(link))).status == 200


async def test_a_no_outlives_the_link_and_a_change_of_keys(scene: Scene, site: Site) -> None:
    link = await scene.link()
    await remind(scene, link)
    # Its address is gone, as when the link's time is over; the names of whom it went to are not.
    client: Any = scene.store.connection.client
    await client.delete(f"lg:{{{link.id}}}:private")
    await site.ask("POST", way_out(link), data=CLICK)
    both = (KEY, OTHER_KEY)
    assert await remind(scene, await scene.link("x-1"), keys_in_use=both) == 1
    # It was met, so it is known by the newest key too, and the old one may go.
    assert await remind(scene, await scene.link("x-2"), keys_in_use=(OTHER_KEY,)) == 1


async def test_nobody_can_be_read_off_the_store(scene: Scene, site: Site) -> None:
    link = await scene.link("r-77", email="anna@example.com")
    await remind(scene, link)
    await site.ask("POST", way_out(link), data=CLICK)
    client: Any = scene.store.connection.client
    names = [key async for key in client.scan_iter("lg:suppressed:*")]
    assert len(names) == 2
    for name in names:
        assert re.fullmatch(r"lg:suppressed:\{[A-Za-z0-9_-]{22}\}", name)
        # For as long as any link may live that exists now, and what is kept of it.
        assert 400 * 86_400 < await client.ttl(name) <= 431 * 86_400
