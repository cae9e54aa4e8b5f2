"""A linkgate whose second thoughts come by hand."""

from collections.abc import AsyncIterator

import pytest

from tests.reconsidering.thinking import gateway
from tests.stack import Stack


@pytest.fixture
async def gate(valkey_url: str) -> AsyncIterator[Stack]:
    """A linkgate behind a proxy, whose second thoughts come when a test says so."""
    async with gateway(valkey_url) as stack:
        yield stack
