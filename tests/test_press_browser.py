"""The press in real Chromium: what a person's leaves in the form, and what a program's does."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect
from playwright.sync_api import Page as Tab

from linkgate.challenge import Challenge, Origin, read_press
from linkgate.pages import Brand, Page, Pages
from linkgate.signals import Press
from tests.browser import FLAGS, chromium_path
from tests.hosting import Host

BRAND = Brand("Fernhill Books", "#0b7a5b", None, "help@fernhill.example")
BUTTON = "button:not([hidden])"
FOCUSED = "document.activeElement.name || document.activeElement.tagName"
SEND = "document.forms[0].requestSubmit()"


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    host.pages["/l/token"] = interstitial()
    yield host
    host.close()


@pytest.fixture(scope="module")
def undriven(chromium: Browser) -> Iterator[Browser]:
    """A Chromium that doesn't say that it is driven, as a person's is."""
    browser = chromium.browser_type.launch(
        executable_path=chromium_path(),
        args=[*FLAGS, "--disable-blink-features=AutomationControlled"],
    )
    yield browser
    browser.close()


@pytest.fixture
def context(undriven: Browser) -> Iterator[BrowserContext]:
    context = undriven.new_context(has_touch=True)
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext) -> Tab:
    return context.new_page()


def interstitial() -> Page:
    return Pages(BRAND).interstitial(
        campaign="Spring sale",
        lang="en",
        action="/l/token",
        challenge="signed.one",
        session_minutes=30,
    )


def opened(host: Host, tab: Tab) -> Tab:
    tab.goto(f"{host.url}/l/token")
    expect(tab.locator("[name=gesture]")).to_have_value("ran")
    return tab


def sent(host: Host, tab: Tab) -> tuple[list[str], Press]:
    """The words without the time, and the whole as the gateway reads it."""
    tab.wait_for_url("**/arrived")
    [(_, form)] = host.posted
    assert form.keys() - {"also"} == {"challenge", "gesture"}
    [gesture] = form["gesture"]
    good = Challenge("lnk", 0.0, Origin.INTERSTITIAL)
    words = [word for word in gesture.split(" ") if not word.startswith("seen=")]
    return words, read_press(good, gesture, form.get("also") == ["1"], 60.0)


def script(text: str) -> Callable[[Tab], None]:
    return lambda tab: tab.evaluate(text)


def by_keyboard(key: str) -> Callable[[Tab], None]:
    def press(tab: Tab) -> None:
        tab.keyboard.press("Tab")
        tab.keyboard.press(key)

    return press


# What a person does


@pytest.mark.parametrize(
    "press",
    [
        lambda tab: tab.click(BUTTON),
        lambda tab: tab.tap(BUTTON),
        by_keyboard("Enter"),
        by_keyboard("Space"),
    ],
    ids=["mouse", "touch", "enter", "space"],
)
def test_a_persons_press(host: Host, tab: Tab, press: Callable[[Tab], None]) -> None:
    press(opened(host, tab))
    words, read = sent(host, tab)
    assert words == ["ran", "pressed", "trusted"]
    assert (read.ran, read.pressed, read.trusted) == (True, True, True)
    assert (read.driven, read.second) == (False, False)
    # The page was there for some time: how long is the machine's business.
    assert 0 < read.visible < 60


@pytest.mark.parametrize(
    "meddling",
    [
        "document.body.innerHTML += '<p>An offer of ours</p>';",
        "const form = document.forms[0]; form.replaceWith(form.cloneNode(true));",
        "const main = document.querySelector('main'); main.innerHTML = String(main.innerHTML);",
        """const all = document.querySelectorAll('button'); const button = all[all.length - 1];
        button.replaceWith(button.cloneNode(true));""",
        """const own = document.createElement('button'); own.type = 'button'; own.name = 'theirs';
        own.textContent = 'Translate'; document.forms[0].prepend(own);""",
        """document.forms[0].addEventListener('submit', (event) => {
        event.preventDefault(); event.target.submit(); }, true);""",
        """window.addEventListener('click', (event) => event.stopImmediatePropagation(), true);""",
    ],
    ids=["appends", "clones form", "rebuilds", "clones button", "adds button", "resends", "stops"],
)
def test_an_extension_that_meddles_with_the_page_locks_nobody_out(
    host: Host, tab: Tab, meddling: str
) -> None:
    opened(host, tab)
    tab.evaluate(f"() => {{ {meddling} }}")
    tab.click(f"{BUTTON} >> nth=-1" if "theirs" not in meddling else "button:not([name]):visible")
    words, _ = sent(host, tab)
    assert words == ["ran", "pressed", "trusted"]


def test_a_double_click_is_a_press_each_time(host: Host, tab: Tab) -> None:
    host.redirect = "/nothing"  # a 204 leaves the page where it is, as a slow answer does
    opened(host, tab)
    for count in (1, 2):
        with tab.expect_response(lambda response: response.request.method == "POST"):
            tab.click(BUTTON)
        assert host.posted[count - 1][1]["gesture"][0].startswith("ran pressed trusted seen=")


@pytest.mark.parametrize(
    "breaking",
    [
        # The script can't load, or is stopped by its first line, or by one while sending.
        None,
        "document.createEvent = () => { throw new Error('broken'); };",
        "Object.defineProperty(navigator, 'webdriver', {get: () => { throw new Error('no'); }});",
        # A browser from before isTrusted.
        "document.createEvent = () => ({});",
    ],
    ids=["blocked", "fails at first", "fails at last", "old"],
)
def test_where_the_script_fails_the_button_works_as_without(
    host: Host, tab: Tab, breaking: str | None
) -> None:
    if breaking is None:
        tab.route("**/press.js", lambda route: route.abort())
    else:
        tab.add_init_script(breaking)
    tab.goto(f"{host.url}/l/token")
    tab.click(BUTTON)
    words, read = sent(host, tab)
    assert words == [""]
    assert read == Press(dwell=60.0)


def test_without_javascript_the_field_is_empty(host: Host, undriven: Browser) -> None:
    context = undriven.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{host.url}/l/token")
    tab.click(BUTTON)
    words, read = sent(host, tab)
    assert words == [""]
    assert read == Press(dwell=60.0)
    context.close()


# What a program does


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (script(f"document.querySelector('{BUTTON}').click()"), ["ran", "pressed"]),
        (
            script(
                f"document.querySelector('{BUTTON}').dispatchEvent("
                "new MouseEvent('click', {bubbles: true, cancelable: true, detail: 1}))"
            ),
            ["ran", "pressed"],
        ),
        (script("document.forms[0].submit()"), ["ran"]),
        (script(SEND), ["ran"]),
        (
            script(f"document.forms[0].requestSubmit(document.querySelector('{BUTTON}'))"),
            ["ran"],
        ),
    ],
    ids=["click()", "dispatchEvent()", "submit()", "requestSubmit()", "requestSubmit(button)"],
)
def test_a_scripts_press_is_not_trusted_or_none(
    host: Host, tab: Tab, act: Callable[[Tab], None], expected: list[str]
) -> None:
    act(opened(host, tab))
    words, read = sent(host, tab)
    assert words == expected
    assert not read.trusted
    assert not read.second


def test_a_press_counts_once(host: Host, tab: Tab) -> None:
    """A script can't send the form again on the strength of an earlier press."""
    host.redirect = "/nothing"
    opened(host, tab)
    for act in (lambda: tab.click(BUTTON), lambda: tab.evaluate(SEND)):
        with tab.expect_response(lambda response: response.request.method == "POST"):
            act()
    first, second = (form["gesture"][0] for _, form in host.posted)
    assert first.startswith("ran pressed trusted ")
    assert second.startswith("ran seen=")


def test_a_driven_browser_says_so(host: Host, chromium: Browser) -> None:
    context = chromium.new_context()
    tab = opened(host, context.new_page())
    tab.click(BUTTON)
    words, read = sent(host, tab)
    assert words == ["ran", "pressed", "trusted", "driver"]
    assert read.driven
    context.close()


# The second button


@pytest.mark.parametrize(
    "act",
    [
        "document.querySelector('button').click()",
        "document.querySelector('[type=submit]').click()",
        "document.forms[0].requestSubmit(document.querySelector('button'))",
    ],
)
def test_what_takes_the_first_button_takes_the_wrong_one(host: Host, tab: Tab, act: str) -> None:
    opened(host, tab).evaluate(act)
    words, read = sent(host, tab)
    assert words == ["ran"]
    assert read.second


def test_no_person_meets_the_second_button(host: Host, tab: Tab) -> None:
    opened(host, tab)
    trap = tab.locator("button[name=also]")
    expect(trap).to_be_hidden()
    assert trap.bounding_box() is None
    # The tree that screen readers get, and whatever else the browser would say of the page.
    snapshot = tab.locator("body").aria_snapshot()
    assert "Continue to checkout" in snapshot
    assert "programs" not in re.sub(r"Mail security programs", "", snapshot)
    assert "programs only" not in tab.locator("body").inner_text()
    # Round the whole page by keyboard, both ways.
    for key in ("Tab", "Shift+Tab"):
        reached = []
        for _ in range(6):
            tab.keyboard.press(key)
            reached.append(tab.evaluate(FOCUSED))
        assert "BUTTON" in reached
        assert "also" not in reached


def test_enter_elsewhere_on_the_page_sends_nothing(host: Host, tab: Tab) -> None:
    """The first button would be the form's default one, had it any field to press Enter in."""
    opened(host, tab)
    fields = tab.locator("form input:not([type=hidden]), form select, form textarea")
    expect(fields).to_have_count(0)
    tab.click("h1")
    tab.keyboard.press("Enter")
    tab.click(BUTTON)
    assert sent(host, tab)[0] == ["ran", "pressed", "trusted"]


def test_without_the_stylesheet_the_second_button_stays_hidden(host: Host, tab: Tab) -> None:
    opened(host, tab).evaluate("document.querySelector('style').remove()")
    expect(tab.locator("button[name=also]")).to_be_hidden()
    expect(tab.locator(BUTTON)).to_be_visible()


# How long it was in sight: Playwright's clock stands in for the wait.

HIDE = """
window.hidden = {hidden};
Object.defineProperty(document, 'visibilityState', {{
  get: () => window.hidden ? 'hidden' : 'visible'
}});
"""
PRERENDER = """
window.prerendering = true;
Object.defineProperty(document, 'prerendering', {get: () => window.prerendering});
"""


def turn(tab: Tab, hidden: bool) -> None:
    tab.evaluate(
        "hidden => { window.hidden = hidden;"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def timed(host: Host, tab: Tab, setting: str) -> Tab:
    tab.add_init_script(setting)
    tab.clock.install()
    return opened(host, tab)


def seen(host: Host, tab: Tab) -> float:
    tab.click(BUTTON)
    return sent(host, tab)[1].visible


def test_time_out_of_sight_does_not_count(host: Host, tab: Tab) -> None:
    timed(host, tab, HIDE.format(hidden="false"))
    tab.clock.run_for(100_000)
    turn(tab, True)
    tab.clock.run_for(1_000_000)
    turn(tab, False)
    tab.clock.run_for(100_000)
    assert 200 <= seen(host, tab) < 300


def test_a_page_that_was_never_shown_was_never_seen(host: Host, tab: Tab) -> None:
    timed(host, tab, HIDE.format(hidden="true"))
    tab.clock.run_for(1_000_000)
    assert seen(host, tab) == 0


def test_a_page_opened_in_the_background_counts_from_when_it_is_shown(host: Host, tab: Tab) -> None:
    timed(host, tab, HIDE.format(hidden="true"))
    tab.clock.run_for(1_000_000)
    turn(tab, False)
    tab.clock.run_for(100_000)
    assert 100 <= seen(host, tab) < 200


def test_a_prerendered_page_counts_from_when_it_is_shown(host: Host, tab: Tab) -> None:
    timed(host, tab, PRERENDER)
    tab.clock.run_for(1_000_000)
    tab.evaluate(
        "window.prerendering = false; document.dispatchEvent(new Event('prerenderingchange'))"
    )
    tab.clock.run_for(100_000)
    assert 100 <= seen(host, tab) < 200


def test_a_prerendered_page_that_is_never_shown_was_never_seen(host: Host, tab: Tab) -> None:
    timed(host, tab, PRERENDER)
    tab.clock.run_for(1_000_000)
    assert seen(host, tab) == 0


def test_time_away_on_another_page_does_not_count(host: Host, tab: Tab) -> None:
    """As on leaving for the back/forward cache and coming back, in a browser that keeps no word of
    visibility about it.
    """
    timed(host, tab, "")
    tab.clock.run_for(100_000)
    tab.evaluate("window.dispatchEvent(new Event('pagehide'))")
    tab.clock.run_for(1_000_000)
    tab.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    tab.clock.run_for(100_000)
    assert 200 <= seen(host, tab) < 300


def test_a_press_before_leaving_is_spent(host: Host, tab: Tab) -> None:
    host.redirect = "/nothing"
    opened(host, tab)
    with tab.expect_response(lambda response: response.request.method == "POST"):
        tab.click(BUTTON)
    host.posted.clear()
    host.redirect = "/arrived"
    tab.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    tab.evaluate("document.forms[0].submit()")
    assert sent(host, tab)[0] == ["ran"]


def test_an_old_browser_that_knows_no_visibility_counts_as_in_sight(host: Host, tab: Tab) -> None:
    timed(host, tab, "Object.defineProperty(document, 'visibilityState', {value: undefined});")
    tab.clock.run_for(100_000)
    assert 100 <= seen(host, tab) < 200


def test_a_slow_script_does_not_make_a_person_hasty(host: Host, tab: Tab) -> None:
    """What the page showed before the script had come is counted too."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.route("**/press.js", hold)
    tab.goto(f"{host.url}/l/token", wait_until="commit")
    expect(tab.locator(BUTTON)).to_be_visible()
    held[0].continue_()
    expect(tab.locator("[name=gesture]")).to_have_value("ran")
    there = tab.evaluate(
        "performance.now() - (performance.timing.domLoading - performance.timing.navigationStart)"
    )
    tab.click(BUTTON)
    assert sent(host, tab)[1].visible * 1000 >= there


def test_the_script_keeps_nothing_and_asks_nobody(host: Host, tab: Tab) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    opened(host, tab)
    tab.click(BUTTON)
    sent(host, tab)
    own = {host.url + path for path in ("/l/token", "/static/press.js", "/arrived", "/favicon.ico")}
    assert set(asked) <= own
    assert tab.context.cookies() == []
    assert tab.evaluate("localStorage.length + sessionStorage.length") == 0
