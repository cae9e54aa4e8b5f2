"""The busy page of someone who has long to wait: hidden tabs, sleeping machines, looking in."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as Tab

from linkgate.pages import Brand, Page, Pages
from tests.hosting import Host

COUNT = "window.sent = 0; HTMLFormElement.prototype.submit = () => { window.sent += 1; };"
HIDDEN = "Object.defineProperty(document, 'visibilityState', {get: () => window.seen || 'hidden'})"
TO_FRONT = "window.seen = 'visible'; document.dispatchEvent(new Event('visibilitychange'))"


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Tab]:
    context: BrowserContext = chromium.new_context()
    context.set_default_timeout(10_000)
    tab = context.new_page()
    tab.clock.install()
    tab.add_init_script(COUNT)
    yield tab
    context.close()


def crowded(wait: float, left: float = 0) -> Page:
    page = Pages(Brand("Fernhill Books", "#0b7a5b")).busy(
        campaign="Spring sale",
        lang="en",
        action="/l/token",
        challenge="signed.two",
        retry_after=wait,
        crowded=True,
    )
    body = re.sub(rb' data-left="[^"]*"', b"", page.body)
    body = body.replace(b"data-retry-after", f'data-left="{left:g}" data-retry-after'.encode())
    headers = [header for header in page.headers if header[0] != b"content-length"]
    length = (b"content-length", str(len(body)).encode())
    return Page(page.status, body, (*headers, length))


def show(host: Host, tab: Tab, page: Page) -> None:
    host.pages = {"/l/token": page}
    tab.goto(f"{host.url}/l/token")


def test_whoever_looks_in_early_reads_of_their_own_turn(host: Host, tab: Tab) -> None:
    show(host, tab, crowded(100, left=200))
    count = tab.locator(".count")
    expect(count).to_have_text(re.compile("in about 4 minutes"))
    expect(tab.get_by_role("status")).to_have_text(re.compile("in about 4 minutes"))
    tab.clock.run_for(99_000)
    expect(count).to_have_text(re.compile("in about 2 minutes"))
    assert tab.evaluate("sent") == 0
    tab.clock.run_for(3_000)
    assert tab.evaluate("sent") == 1


def test_a_hidden_tab_calls_by_its_title(host: Host, tab: Tab) -> None:
    tab.add_init_script(HIDDEN)
    show(host, tab, crowded(100))
    title = tab.title()
    tab.clock.run_for(99_000)
    assert tab.title() == title
    tab.clock.run_for(10_000)
    assert tab.title() == f"\u25cf {title}"
    assert tab.evaluate("sent") == 0
    tab.evaluate(TO_FRONT)
    assert tab.evaluate("sent") == 1
    assert tab.title() == title


@pytest.mark.parametrize("stands", ["performance.now = () => 1000", "Date.now = () => 1e12"])
def test_a_clock_that_stands_still_keeps_nobody(host: Host, tab: Tab, stands: str) -> None:
    # One stands still while a machine sleeps; the other may be set back.
    tab.add_init_script(stands)
    show(host, tab, crowded(100))
    tab.clock.run_for(99_000)
    assert tab.evaluate("sent") == 0
    tab.clock.run_for(3_000)
    assert tab.evaluate("sent") == 1


def test_in_turn_nobody_comes_more_than_two_seconds_late(host: Host, tab: Tab) -> None:
    # The budget counts on it: store/budget.py's grace, and how early it asks people to come.
    tab.add_init_script("Math.random = () => 0.999")
    show(host, tab, crowded(99.5))
    tab.clock.run_for(101_500)
    assert tab.evaluate("sent") == 1
