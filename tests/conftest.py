"""Fixtures that every folder of tests may use."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from linkgate.store.connect import Connection
from tests.browser import CHROMES, chromium, undriven
from tests.stack import Clock, Stack, running
from tests.store.conftest import cluster_url, valkey_url
from tests.threaded import Threaded

__all__ = ["chromium", "cluster_url", "undriven", "valkey_url"]


@pytest.fixture
async def stack(valkey_url: str) -> AsyncIterator[Stack]:
    """A whole linkgate on an empty store; the server behind it serves the whole run."""
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    async with running(valkey_url, Clock()) as found:
        yield found


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Threaded]:
    with Threaded(tmp_path_factory.mktemp("gate") / "data") as threaded:
        threaded.do(lambda stack: stack.campaign())
        threaded.do(lambda stack: stack.campaign("confirmed", policy="confirm"))
        yield threaded


@pytest.fixture
def gate(started: Threaded) -> Threaded:
    """A running linkgate for all tests of a module; each has links and a browser of its own."""
    started.begin()
    return started


@pytest.fixture
def person(undriven: Browser) -> Iterator[BrowserContext]:
    """A person's Chrome."""
    context = undriven.new_context(**CHROMES)
    yield context
    context.close()
