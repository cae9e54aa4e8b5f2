"""Real machines against a real linkgate: none of them gets a session, and the person after them
gets exactly one.

Each opens a link in adaptive, which asks for the least proof, and in confirm.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Tab

from tests.browser import CHROMES
from tests.cli.processes import PATIENCE_SECONDS, fetch
from tests.stack import CHROME
from tests.threaded import Threaded, press, read

CAMPAIGNS = ["spring", "confirmed"]
BUTTON = "button:not([hidden])"


def person_presses(gate: Threaded, undriven: Browser, url: str) -> None:
    """Debian's Chromium in a person's hands: it has no vendor, so that it presses in adaptive."""
    context = undriven.new_context(user_agent=CHROME)
    page = context.new_page()
    page.goto(url)
    press(page)
    context.close()
    assert len(gate.sessions()) == 1


# Browsers that programs drive


def only_load(tab: Tab) -> None:
    tab.wait_for_load_state("networkidle")
    expect(tab.get_by_role("button")).to_be_visible()
    # Nothing to follow, either.
    hrefs = tab.eval_on_selector_all("[href]", "all => all.map(element => element.href)")
    assert [href for href in hrefs if not href.startswith(("mailto:", "data:"))] == []


def send(tab: Tab, act: Callable[[], None]) -> None:
    """Read for as long as a person does, so that nothing but the press itself gives it away."""
    read(tab)
    with tab.expect_response(lambda answer: answer.request.method == "POST") as answered:
        act()
    # The same page again, with a button that still lets people in.
    assert answered.value.status == 200
    expect(tab.get_by_role("button")).to_be_visible()


def by_script(text: str) -> Callable[[Tab], None]:
    return lambda tab: send(tab, lambda: tab.evaluate(text))


def by_mouse(tab: Tab) -> None:
    send(tab, lambda: tab.click(BUTTON))


@dataclass(frozen=True)
class Driven:
    """A browser in a program's hands, and the rule that its last visit has to be found by."""

    act: Callable[[Tab], None]
    rule: str
    stealthed: bool = False
    """It hides that it is driven (`navigator.webdriver`)."""
    stock: bool = False
    """It says Headless, as it comes."""


DRIVEN: Mapping[str, Driven] = {
    "stock, loads": Driven(only_load, "agent-headless", stock=True),
    "stock, presses": Driven(by_mouse, "press-driven", stock=True),
    "webdriver, loads": Driven(only_load, "hints-unbranded"),
    "webdriver, presses": Driven(by_mouse, "press-driven"),
    "stealthed, loads": Driven(only_load, "hints-unbranded", stealthed=True),
    "stealthed, click()": Driven(
        by_script(f"document.querySelector('{BUTTON}').click()"), "press-scripted", stealthed=True
    ),
    "stealthed, submit()": Driven(
        by_script("document.forms[0].submit()"), "press-scripted", stealthed=True
    ),
    "stealthed, requestSubmit()": Driven(
        by_script("document.forms[0].requestSubmit()"), "press-scripted", stealthed=True
    ),
    "stealthed, first button": Driven(
        by_script("document.querySelector('button').click()"),
        "press-second-control",
        stealthed=True,
    ),
}


@pytest.mark.parametrize("campaign", CAMPAIGNS)
@pytest.mark.parametrize("driven", DRIVEN.values(), ids=DRIVEN)
def test_a_driven_browser_gets_nothing_and_the_person_after_it_one_session(
    gate: Threaded, chromium: Browser, undriven: Browser, driven: Driven, campaign: str
) -> None:
    link, url = gate.link(campaign)
    browser = undriven if driven.stealthed else chromium
    context = browser.new_context(user_agent=None if driven.stock else CHROME)
    tab = context.new_page()
    tab.goto(url)
    driven.act(tab)
    context.close()
    *_, (_, rules) = gate.judged(link)
    assert driven.rule in rules
    assert gate.sessions() == []
    person_presses(gate, undriven, url)


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_what_nothing_gives_away_gets_nothing_in_the_minutes_after_sending(
    gate: Threaded, undriven: Browser, campaign: str
) -> None:
    """A person's Chrome to the last header, in a program's hands: loading shows no difference."""
    link, url = gate.link(campaign, sent_at=int(gate.stack.clock()) - 30)
    context = undriven.new_context(**CHROMES)
    tab = context.new_page()
    tab.goto(url)
    only_load(tab)
    context.close()
    [(verdict, rules)] = gate.judged(link)
    assert (verdict, rules) == ("suspect", {"scan-window", "navigation"})
    assert gate.sessions() == []
    person_presses(gate, undriven, url)


# HTTP clients, as they come

_AIOHTTP = """
import aiohttp, asyncio, sys
async def get():
    async with aiohttp.ClientSession() as client, client.get(sys.argv[1]) as answer:
        await answer.read()
asyncio.run(get())
"""


@dataclass(frozen=True)
class Client:
    """A program and its arguments before the URL, and what it was seen to send (2026-11), for
    machines where it isn't installed.
    """

    words: tuple[str, ...]
    sends: Mapping[str, str]
    method: str = "GET"
    module: str = ""

    def open(self, url: str) -> None:
        """Open a link, following where it leads."""
        missing = self.module and importlib.util.find_spec(self.module) is None
        if missing or shutil.which(self.words[0]) is None:
            fetch(url, self.method, self.sends)
            return
        # A proxy that the environment names isn't meant for loopback.
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        done = subprocess.run(
            [*self.words, url], env=env, capture_output=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr


def python(code: str, module: str, **sends: str) -> Client:
    sent = {name.replace("_", "-"): value for name, value in sends.items()}
    return Client((sys.executable, "-c", code), sent, module=module)


CURL = {"User-Agent": "curl/7.88.1", "Accept": "*/*"}
WGET = {"User-Agent": "Wget/1.21.3", "Accept": "*/*", "Accept-Encoding": "identity"}
CLIENTS: Mapping[str, Client] = {
    "curl": Client(("curl", "-sSL", "-o", os.devnull), CURL),
    "curl, HEAD": Client(("curl", "-sSIL", "-o", os.devnull), CURL, "HEAD"),
    "wget": Client(("wget", "-q", "-O", os.devnull), WGET),
    "wget, HEAD": Client(("wget", "-q", "--spider"), WGET, "HEAD"),
    "node fetch": Client(
        ("node", "-e", "fetch(process.argv[1]).then(answer => answer.text())"),
        {
            "Accept": "*/*",
            "Accept-Language": "*",
            "Sec-Fetch-Mode": "cors",
            "User-Agent": "node",
            "Accept-Encoding": "gzip, deflate",
        },
    ),
    "aiohttp": python(_AIOHTTP, "aiohttp", Accept="*/*", User_Agent="Python/3.11 aiohttp/3.14.5"),
    "httpx": python(
        "import httpx, sys; httpx.get(sys.argv[1], follow_redirects=True)",
        "httpx",
        Accept="*/*",
        User_Agent="python-httpx/0.28.1",
    ),
    "requests": python(
        "import requests, sys; requests.get(sys.argv[1])",
        "requests",
        Accept="*/*",
        User_Agent="python-requests/2.34.2",
    ),
    "urllib": python(
        "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()",
        "urllib",
        Accept_Encoding="identity",
        User_Agent="Python-urllib/3.11",
    ),
}


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_http_clients_get_nothing_and_the_person_after_them_one_session(
    gate: Threaded, undriven: Browser, campaign: str
) -> None:
    link, url = gate.link(campaign)
    for name, client in CLIENTS.items():
        seen = len(gate.judged(link))
        client.open(url)
        assert [verdict for verdict, _ in gate.judged(link)[seen:]] == ["tool"], name
    assert gate.sessions() == []
    person_presses(gate, undriven, url)
