"""Real Chromium against a real linkgate: who gets a session, and who doesn't."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from linkgate.store.apikeys import Scope
from linkgate.tokens import Link
from tests.stack import CHROME, PRICE, SCANNER, Stack, embedded

T = TypeVar("T")


class Threaded:
    """A running linkgate in a thread of its own, for tests that drive a browser in theirs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._earlier: frozenset[str] = frozenset()
        self.stack: Stack

    def _run(self) -> None:
        async def serve() -> None:
            async with embedded(self._folder) as self.stack:
                self._ready.set()
                await self._stop.wait()

        self._loop.run_until_complete(serve())

    def __enter__(self) -> "Threaded":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def do(self, work: Callable[[Stack], Coroutine[Any, Any, T]]) -> T:
        """Run something in the stack's own loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work(self.stack), self._loop).result(30)

    def begin(self) -> None:
        """Start afresh: what an earlier test left under way ends, and counts as that one's."""

        async def settled(stack: Stack) -> list[Any]:
            await stack.gateway.mint.drain()
            await stack.control("DELETE", "faults")
            return await stack.sessions()

        self._earlier = frozenset(session["id"] for session in self.do(settled))

    def sessions(self) -> list[Any]:
        """Return every session made since the test began, whichever link it is for."""
        made = self.do(lambda stack: stack.sessions())
        return [session for session in made if session["id"] not in self._earlier]

    def link(self) -> tuple[Link, str]:
        link = self.stack.link()
        return link, self.stack.url + self.stack.path(link)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Threaded]:
    with Threaded(tmp_path_factory.mktemp("gate") / "data") as threaded:
        threaded.do(lambda stack: stack.campaign())
        threaded.do(lambda stack: stack.campaign("confirmed", policy="confirm"))
        yield threaded


@pytest.fixture
def gate(started: Threaded) -> Threaded:
    """A running linkgate for all of these tests; each has links and a browser of its own."""
    started.begin()
    return started


@pytest.fixture
def person(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that doesn't call itself headless, as a person's doesn't."""
    context = chromium.new_context(user_agent=CHROME, locale="en-US")
    yield context
    context.close()


def test_from_the_api_to_the_webhook(gate: Threaded, person: BrowserContext) -> None:
    """The main job: made by the API, opened by a scanner and a person, paid, known as paid."""

    async def ask(stack: Stack, method: str, path: str, body: Any = None) -> Any:
        _, key = await stack.gateway.store.keys.create("test", [Scope.ADMIN], stack.clock())
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = json.dumps(body) if body else None
        answer = await stack.ask(method, f"/api/v1{path}", headers, data=data)
        assert answer.status < 300, answer.text
        return json.loads(answer.text)

    destination = {
        "kind": "checkout",
        "mode": "payment",
        "line_items": [{"price": PRICE, "quantity": 1}],
        "success_url": "https://shop.example.com/thanks",
        "cancel_url": "https://shop.example.com/",
    }
    campaign = {"slug": "by-api", "name": "Spring sale", "destination": destination}
    gate.do(lambda stack: ask(stack, "POST", "/campaigns", campaign))
    wanted = {"campaign": "by-api", "recipient": "r-1001"}
    link = gate.do(lambda stack: ask(stack, "POST", "/links", wanted))
    read = f"/links/{link['id']}"

    scanned = gate.do(lambda stack: stack.get(link["url"], SCANNER))
    assert (scanned.status, gate.sessions()) == (200, [])

    page = person.new_page()
    page.goto(link["url"])
    [session] = gate.sessions()
    assert page.url.partition("#")[0] == session["url"].partition("#")[0]
    page.route("https://shop.example.com/**", lambda route: route.fulfill(body="thanks"))
    page.get_by_role("button", name="Pay", exact=False).first.click()
    page.wait_for_url("https://shop.example.com/thanks")

    async def paid(stack: Stack) -> Any:
        async with asyncio.timeout(10):
            while (shown := await ask(stack, "GET", read))["state"] != "paid":
                await asyncio.sleep(0.05)
        return shown

    shown = gate.do(paid)
    assert [one["state"] for one in shown["sessions"]] == ["paid"]
    verdicts = [(visit["verdict"], visit["decision"]) for visit in reversed(shown["visits"])]
    assert verdicts == [("automated", "interstitial"), ("human", "mint")]
    assert all(visit["evidence"] for visit in shown["visits"])

    page.goto(link["url"])
    expect(page.locator("form")).to_have_count(0)
    assert len(gate.sessions()) == 1


def confirmed(gate: Threaded) -> str:
    link = gate.stack.link(campaign="confirmed")
    return gate.stack.url + gate.stack.path(link)


def test_a_person_presses_the_one_button(gate: Threaded, person: BrowserContext) -> None:
    page = person.new_page()
    page.goto(confirmed(gate))
    assert gate.sessions() == []
    page.get_by_role("button").click()
    page.wait_for_url("**/c/pay/**")
    assert len(gate.sessions()) == 1
    # The same browser goes straight through from now on.
    page.goto(confirmed(gate))
    assert "/c/pay/" in page.url


def test_a_person_presses_with_the_keyboard_and_without_javascript(
    gate: Threaded, chromium: Browser
) -> None:
    context = chromium.new_context(user_agent=CHROME, java_script_enabled=False)
    page = context.new_page()
    page.goto(confirmed(gate))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/c/pay/**")
    context.close()
    assert len(gate.sessions()) == 1


def test_a_double_click_and_two_windows_make_one_session(
    gate: Threaded, person: BrowserContext
) -> None:
    url = confirmed(gate)
    pages = [person.new_page(), person.new_page()]
    for page in pages:
        page.goto(url)
    pages[0].get_by_role("button").dblclick(no_wait_after=True)
    pages[1].get_by_role("button").click(no_wait_after=True)
    for page in pages:
        page.wait_for_url("**/c/pay/**")
    assert len(gate.sessions()) == 1


def test_a_scripted_page_that_only_loads_mints_nothing(gate: Threaded, chromium: Browser) -> None:
    """What a scanner's sandbox does: a stock headless browser loads, runs scripts and looks."""
    for _ in range(2):
        context = chromium.new_context()
        page = context.new_page()
        _, url = gate.link()
        page.goto(url)
        page.wait_for_load_state("networkidle")
        expect(page.get_by_role("button")).to_be_visible()
        links = page.eval_on_selector_all("[href], [src]", "all => all.map(e => e.href || e.src)")
        assert not [href for href in links if href.startswith("http")]
        context.close()
    assert gate.sessions() == []


def referring(gate: Threaded, page: Page, rules: str) -> None:
    """Open a page of the gateway's origin (speculation stays within one) that has `rules`."""
    html = f'<!doctype html><title>mail</title><script type="speculationrules">{rules}</script>'
    page.route("**/mail", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(gate.stack.url + "/mail")


@pytest.mark.parametrize("kind", ["prefetch", "prerender"])
def test_what_a_browser_speculates_about_costs_nothing(
    gate: Threaded, person: BrowserContext, kind: str
) -> None:
    link, url = gate.link()
    page = person.new_page()
    referring(gate, page, f'{{"{kind}": [{{"urls": ["{url}"], "eagerness": "immediate"}}]}}')

    async def speculated(stack: Stack) -> list[str]:
        async with asyncio.timeout(10):
            while await stack.gateway.store.links.read(link.id) is None:
                await asyncio.sleep(0.05)
                await stack.gateway.store.recorder.flush()
        return [visit["kind"] for visit in (await stack.row(link)).visits]

    assert gate.do(speculated) == ["prefetch"]
    assert gate.sessions() == []
    # Then the person really goes there: the browser asks again, and exactly one session is made.
    page.evaluate("url => { location.href = url }", url)
    page.wait_for_url("**/c/pay/**")
    assert len(gate.sessions()) == 1


def test_the_busy_page_gets_in_by_itself(gate: Threaded, person: BrowserContext) -> None:
    # Stripe names a longer wait than the gateway lets a person wait, so the page does the waiting;
    # Playwright's clock makes it short.
    wait = int(gate.stack.settings.stripe.person_deadline_seconds) + 10
    gate.do(lambda stack: stack.fault(status=429, times=1, retry_after=wait))
    link, url = gate.link()
    page = person.new_page()
    page.clock.install()
    page.goto(url)
    expect(page.locator("form")).to_have_attribute("data-retry-after", str(wait))
    page.clock.run_for(wait * 500)
    assert gate.sessions() == []
    # Nobody presses: the script alone sends the form.
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.clock.run_for(wait * 1500)
    assert sent.value.url == url
    page.wait_for_url("**/c/pay/**")
    [session] = gate.sessions()
    assert session["client_reference_id"] == link.id
