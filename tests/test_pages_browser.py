"""The pages in real Chromium: what a person sees, presses and waits for."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as Tab

from linkgate.pages import SIMPLE, Brand, Page, Pages
from linkgate.pages.brand import contrast
from linkgate.pages.returns import Way
from tests.hosting import Host

BRAND = Brand("Fernhill Books", "#0b7a5b", "/brand/logo", "help@fernhill.example")
LANGUAGES = ("de", "en", "es", "fr", "ja", "pt")
# Every violation of the page's policy, kept for the test to read.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (e) => window.violations.push(`${e.effectiveDirective} ${e.blockedURI}`));
"""
# The script's own sends, counted and not sent: a POST on its way could be missed by a quick test.
COUNT = "window.sent = 0; HTMLFormElement.prototype.submit = () => { window.sent += 1; };"


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def elsewhere() -> Iterator[Host]:
    """A second origin, as Stripe is one."""
    host = Host()
    yield host
    host.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext) -> Tab:
    return watched(context)


def watched(context: BrowserContext) -> Tab:
    tab = context.new_page()
    tab.add_init_script(WATCH)
    return tab


def interstitial(pages: Pages, lang: str = "en", *, campaign: str = "Spring sale") -> Page:
    return pages.interstitial(
        campaign=campaign, lang=lang, action="/l/token", challenge="signed.one", session_minutes=30
    )


def busy(pages: Pages, lang: str = "en", retry_after: float = 5, *, crowded: bool = False) -> Page:
    return pages.busy(
        campaign="Spring sale",
        lang=lang,
        action="/l/token",
        challenge="signed.two",
        retry_after=retry_after,
        crowded=crowded,
    )


def confirming(lang: str, seconds: int = 3600) -> Page:
    return Pages(BRAND).returns.waiting(
        "confirming", lang=lang, campaign="Spring sale", seconds=seconds, since=1_800_000_000
    )


def cancelled(pages: Pages, lang: str = "en") -> Page:
    return pages.returns.stopped(
        "cancelled",
        lang=lang,
        campaign="Spring sale",
        way=Way.BUTTON,
        action="/l/token",
        challenge="signed.one",
    )


def every_page(pages: Pages) -> Iterator[tuple[str, Page]]:
    for lang in LANGUAGES:
        yield f"/interstitial-{lang}", interstitial(pages, lang)
        yield f"/busy-{lang}", busy(pages, lang, retry_after=3600)
    # Long words and none at all: the other languages lie between these two.
    for lang in ("de", "ja"):
        yield f"/crowded-{lang}", busy(pages, lang, retry_after=3600, crowded=True)
        yield f"/cancelled-{lang}", cancelled(pages, lang)
        yield f"/confirming-{lang}", confirming(lang)
        yield f"/unsubscribe-{lang}", pages.unsubscribe(lang=lang, action="/unsubscribe/ref")
        for name in SIMPLE:
            yield f"/{name}-{lang}", pages.simple(name, lang=lang, campaign="Spring sale")


def test_no_page_breaks_its_own_policy_or_scrolls_sideways_on_a_small_phone(
    host: Host, chromium: Browser
) -> None:
    host.pages = dict(every_page(Pages(BRAND)))
    long = "Donaudampfschifffahrtsgesellschaft" * 4
    long_pages = Pages(Brand(long, "#ffd400", "/brand/logo", "help@fernhill.example"))
    host.pages["/long"] = interstitial(long_pages, "de", campaign=long)
    context = chromium.new_context(viewport={"width": 320, "height": 568})
    tab = watched(context)
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    for path in host.pages:
        tab.goto(host.url + path)
        assert tab.evaluate("violations") == [], path
        assert tab.evaluate("document.documentElement.scrollWidth") == 320, path
        # Styled, and with its logo: a wrong hash in the policy would leave it bare.
        colour = tab.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
        assert colour == "rgb(243, 244, 246)", path
        assert tab.locator("img").evaluate("e => e.naturalWidth") == 80, path
    assert errors == []
    context.close()


def test_text_at_200_percent_still_fits(host: Host, chromium: Browser) -> None:
    host.pages = {f"/{lang}": interstitial(Pages(BRAND), lang) for lang in LANGUAGES}
    context = chromium.new_context(viewport={"width": 640, "height": 900})
    tab = context.new_page()
    for path in host.pages:
        tab.goto(host.url + path)
        before = tab.get_by_role("button").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        tab.evaluate("document.documentElement.style.fontSize = '200%'")
        after = tab.get_by_role("button").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        assert after == 2 * before
        assert tab.evaluate("document.documentElement.scrollWidth") == 640, path
    context.close()


def test_a_press_by_keyboard_posts_the_challenge(host: Host, tab: Tab) -> None:
    host.pages = {"/l/token": interstitial(Pages(BRAND))}
    tab.goto(f"{host.url}/l/token")
    button = tab.get_by_role("main").get_by_role("button", name="Continue to checkout")
    expect(button).to_be_visible()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Spring sale")
    tab.keyboard.press("Tab")
    expect(button).to_be_focused()
    outline = button.evaluate(
        "e => getComputedStyle(e).outlineStyle + getComputedStyle(e).outlineWidth"
    )
    assert outline == "solid3px"
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/arrived")
    [(path, form)] = host.posted
    assert (path, form["challenge"]) == ("/l/token", ["signed.one"])
    assert form.keys() == {"challenge", "gesture"}


def test_looking_at_the_interstitial_sends_nothing(host: Host, tab: Tab) -> None:
    host.pages = {"/l/token": interstitial(Pages(BRAND))}
    tab.goto(f"{host.url}/l/token", wait_until="networkidle")
    assert host.posted == []
    assert set(host.gotten) <= {"/l/token", "/static/press.js", "/brand/logo", "/favicon.ico"}


@pytest.mark.parametrize("make", [interstitial, busy, cancelled])
def test_a_press_works_without_javascript(host: Host, chromium: Browser, make: Any) -> None:
    page = make(Pages(BRAND))
    host.pages = {"/l/token": page}
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{host.url}/l/token")
    # Nothing may promise what only the script could do.
    expect(tab.get_by_text("by itself")).to_have_count(0)
    tab.get_by_role("button").click()
    tab.wait_for_url("**/arrived")
    assert [path for path, _ in host.posted] == ["/l/token"]
    context.close()


def test_the_answer_may_redirect_to_a_given_origin(host: Host, elsewhere: Host, tab: Tab) -> None:
    host.redirect = f"{elsewhere.url}/arrived"
    host.pages = {"/l/token": interstitial(Pages(BRAND, form_origins=[elsewhere.url]))}
    tab.goto(f"{host.url}/l/token")
    tab.get_by_role("button").click()
    tab.wait_for_url(f"{elsewhere.url}/arrived")
    assert tab.get_by_role("heading").inner_text() == "Arrived"


def test_the_answer_may_not_redirect_to_any_other_origin(
    host: Host, elsewhere: Host, tab: Tab
) -> None:
    host.redirect = f"{elsewhere.url}/arrived"
    host.pages = {"/l/token": interstitial(Pages(BRAND))}
    tab.goto(f"{host.url}/l/token")
    tab.get_by_role("button").click()
    tab.wait_for_function("violations.length > 0")
    assert tab.evaluate("violations")[0].startswith("form-action")
    assert elsewhere.gotten == []


def as_hex(rgb: str) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", rgb)[:3])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("colour", ["#0b7a5b", "#ffffff", "#000000", "#ffd400", "#0a1a3f"])
def test_the_button_is_big_readable_and_stands_out(
    host: Host, chromium: Browser, scheme: Any, colour: str
) -> None:
    host.pages = {"/l/token": interstitial(Pages(Brand("Fernhill", colour)))}
    context = chromium.new_context(
        color_scheme=scheme, reduced_motion="reduce", viewport={"width": 360, "height": 740}
    )
    tab = context.new_page()
    tab.goto(f"{host.url}/l/token")
    button = tab.get_by_role("button")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    assert box["width"] >= 250
    assert box["y"] + box["height"] <= 740, "below the fold of a phone"
    style = json.loads(
        button.evaluate(
            "e => { const s = getComputedStyle(e), c = getComputedStyle(e.closest('.card'));"
            " return JSON.stringify({ink: s.color, fill: s.backgroundColor,"
            " edge: s.borderTopColor, card: c.backgroundColor, moves: s.transitionDuration}); }"
        )
    )
    assert contrast(as_hex(style["ink"]), as_hex(style["fill"])) >= 4.5
    assert contrast(as_hex(style["edge"]), as_hex(style["card"])) >= 3
    assert style["card"] == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(26, 29, 34)")
    assert style["moves"] == "0s"
    context.close()


# The busy page: Playwright's clock stands in for the wait, so nothing here depends on speed.


def open_busy(host: Host, tab: Tab, lang: str = "en") -> None:
    host.pages = {"/l/token": busy(Pages(BRAND), lang, retry_after=5)}
    tab.clock.install()
    tab.goto(f"{host.url}/l/token")


def test_busy_counts_down_and_posts_by_itself_once(host: Host, tab: Tab) -> None:
    open_busy(host, tab)
    count, spoken = tab.locator(".count"), tab.get_by_role("status")
    tab.clock.run_for(1000)
    counted = re.compile(r"^This page tries again by itself in \d seconds\.$")
    expect(count).to_have_text(counted)
    expect(spoken).to_have_text(counted)
    first, said = count.inner_text(), spoken.inner_text()
    tab.clock.run_for(2000)
    # The eye sees every second; a screen reader isn't told each of them.
    assert count.inner_text() != first
    assert count.get_attribute("aria-hidden") == "true"
    assert spoken.inner_text() == said
    assert host.posted == []
    tab.clock.run_for(5000)
    tab.wait_for_url("**/arrived")
    assert host.posted == [("/l/token", {"challenge": ["signed.two"]})]


def test_busy_says_one_second_in_the_singular(host: Host, tab: Tab) -> None:
    tab.add_init_script("Math.random = () => 0")
    open_busy(host, tab, "de")
    tab.clock.run_for(4500)
    expect(tab.locator(".count")).to_have_text(
        "Diese Seite versucht es in 1 Sekunde von selbst noch einmal."
    )


def test_a_press_on_busy_takes_the_place_of_the_next_try(host: Host, tab: Tab) -> None:
    host.redirect = "/nothing"  # a 204 leaves the page where it is, as a slow answer does
    tab.add_init_script(COUNT)
    open_busy(host, tab)
    with tab.expect_request(lambda request: request.method == "POST"):
        tab.get_by_role("button", name="Try again now").click()
    tab.clock.run_for(60_000)
    assert tab.evaluate("sent") == 0


@pytest.mark.parametrize(
    ("asleep", "awake"),
    [
        (
            "Object.defineProperty(document, 'visibilityState', {value: 'hidden', writable: true})",
            "Object.defineProperty(document, 'visibilityState', {value: 'visible'});"
            "document.dispatchEvent(new Event('visibilitychange'))",
        ),
        (
            "Object.defineProperty(Navigator.prototype, 'onLine', {get: () => !window.away});"
            "window.away = true",
            "window.away = false; window.dispatchEvent(new Event('online'))",
        ),
    ],
    ids=["hidden", "offline"],
)
def test_busy_waits_for_someone_who_can_see_it(
    host: Host, tab: Tab, asleep: str, awake: str
) -> None:
    tab.add_init_script(COUNT)
    tab.add_init_script(asleep)
    open_busy(host, tab)
    tab.clock.run_for(60_000)
    assert tab.evaluate("sent") == 0
    tab.evaluate(awake)
    tab.clock.run_for(60_000)
    assert tab.evaluate("sent") == 1


def test_a_prerendered_busy_page_starts_when_it_is_shown(host: Host, tab: Tab) -> None:
    tab.add_init_script(COUNT)
    tab.add_init_script(
        "Object.defineProperty(document, 'prerendering', {get: () => !window.shown})"
    )
    open_busy(host, tab)
    tab.clock.run_for(60_000)
    assert tab.evaluate("sent") == 0
    tab.evaluate("window.shown = true; document.dispatchEvent(new Event('prerenderingchange'))")
    tab.clock.run_for(60_000)
    assert tab.evaluate("sent") == 1


def test_someone_who_comes_back_is_not_sent_on_again(host: Host, tab: Tab) -> None:
    tab.add_init_script(COUNT)
    open_busy(host, tab)
    tab.clock.run_for(1000)
    # As on leaving for the back-forward cache, from which the page returns with its timers.
    tab.evaluate("window.dispatchEvent(new Event('pagehide'))")
    tab.clock.run_for(60_000)
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert tab.evaluate("sent") == 0


def test_a_long_wait_is_counted_in_minutes_and_then_in_seconds(host: Host, tab: Tab) -> None:
    host.pages = {"/l/token": busy(Pages(BRAND), "en", retry_after=150, crowded=True)}
    tab.add_init_script(COUNT)
    tab.clock.install()
    tab.goto(f"{host.url}/l/token")
    count = tab.locator(".count")
    tab.clock.run_for(1000)
    expect(count).to_contain_text("in about 3 minutes")
    tab.clock.run_for(40_000)
    expect(count).to_contain_text("in about 2 minutes")
    tab.clock.run_for(30_000)
    expect(count).to_contain_text(re.compile(r"in about (79|80) seconds"))
    assert tab.evaluate("sent") == 0
    # Nobody waits past their turn: the jitter is a second.
    tab.clock.run_for(81_000)
    assert tab.evaluate("sent") == 1


# The pages that renew themselves


@pytest.mark.parametrize("script", [True, False])
def test_the_confirming_page_renews_itself(host: Host, chromium: Browser, script: bool) -> None:
    host.pages = {
        "/return/ref": confirming("en", seconds=1),
        "/return/ref?since=1800000000": Pages(BRAND).returns.finished(lang="en", campaign="x"),
    }
    context = chromium.new_context(java_script_enabled=script)
    tab = context.new_page()
    tab.goto(f"{host.url}/return/ref")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Waiting for confirmation")
    expect(tab.get_by_role("heading", level=1)).to_have_text("All done")
    context.close()


def test_one_can_look_again_by_hand(host: Host, tab: Tab) -> None:
    host.pages = {
        "/return/ref": confirming("en"),
        "/return/ref?since=1800000000": Pages(BRAND).returns.finished(lang="en", campaign="x"),
    }
    tab.goto(f"{host.url}/return/ref")
    tab.get_by_role("link", name="Look again now").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("All done")


# The browser fixture itself


async def test_asyncio_tests_run_beside_the_browser() -> None:
    await asyncio.sleep(0)


def test_the_browser_works_again_after_an_asyncio_test(tab: Tab) -> None:
    tab.set_content("<h1>Here</h1>")
    assert tab.get_by_role("heading").inner_text() == "Here"
