"""Real Chromium for tests: `chromium`, as programs drive it, and `undriven`, as people have it.

Each is one browser for the whole run.

Playwright's sync API leaves its event loop marked as running in the main thread between calls, and
then no asyncio test can start there. `_LoopParking` takes the mark away around every test that
doesn't use the browser, and puts it back for those that do.
"""

import asyncio
import os
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.stack import BROWSER, CHROME

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: A context's settings in which Chromium sends what a person's Chrome does: it has a vendor, which
#: the builds that programs drive have not.
CHROMES: Mapping[str, Any] = {
    "user_agent": CHROME,
    "locale": "en-US",
    "extra_http_headers": {k: v for k, v in BROWSER.items() if k.startswith("sec-ch-ua")},
}


def chromium_path() -> str | None:
    """Where Chromium is: $LINKGATE_CHROMIUM, or the first one on the PATH."""
    named = os.environ.get("LINKGATE_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """One headless Chromium; take a context per test. Without Chromium: skips, but fails in CI."""
    path = chromium_path()
    if path is None:
        missing = "Chromium is missing: install it or name it in LINKGATE_CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        # The README promises a test run on a machine with only Python and pip, and a browser can't
        # be had from pip. Where it matters, in CI, its absence has failed above.
        pytest.skip(missing)
    with sync_playwright() as playwright:
        # Between the calls of the sync API this is the loop that Playwright has marked.
        loop = asyncio.get_running_loop()
        parking = _LoopParking(loop)
        request.config.pluginmanager.register(parking)
        try:
            with playwright.chromium.launch(executable_path=path, args=list(FLAGS)) as browser:
                yield browser
                asyncio._set_running_loop(loop)
        finally:
            request.config.pluginmanager.unregister(parking)
    asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def undriven(chromium: Browser) -> Iterator[Browser]:
    """A Chromium that doesn't say that it is driven (`navigator.webdriver`)."""
    loop = asyncio.get_running_loop()
    with chromium.browser_type.launch(
        executable_path=chromium_path(),
        args=[*FLAGS, "--disable-blink-features=AutomationControlled"],
    ) as browser:
        yield browser
        asyncio._set_running_loop(loop)
    asyncio._set_running_loop(None)


class _LoopParking:
    """Hooks around each phase of a test, registered once the browser is there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @contextmanager
    def _marked_for(self, item: pytest.Item) -> Iterator[None]:
        uses_browser = "chromium" in getattr(item, "fixturenames", ())
        asyncio._set_running_loop(self._loop if uses_browser else None)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        with self._marked_for(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        with self._marked_for(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        with self._marked_for(item):
            return (yield)
