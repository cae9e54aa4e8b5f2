"""Fixtures that every folder of tests may use."""

from collections.abc import AsyncIterator

import pytest

from linkgate.store.connect import Connection
from tests.browser import chromium
from tests.stack import Clock, Stack, running
from tests.store.conftest import cluster_url, valkey_url

__all__ = ["chromium", "cluster_url", "valkey_url"]


@pytest.fixture
async def stack(valkey_url: str) -> AsyncIterator[Stack]:
    """A whole linkgate on an empty store; the server behind it serves the whole run."""
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    async with running(valkey_url, Clock()) as found:
        yield found
