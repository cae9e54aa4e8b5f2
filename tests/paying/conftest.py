"""The whole of linkgate, with somebody who is told what happens."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from linkgate.store.connect import Connection
from linkgate.tokens import Link
from tests.outbound.receiving import Receiver, receiving, secret, verified
from tests.stack import Clock, Stack, running


@dataclass(frozen=True)
class Heard:
    """A linkgate whose messages somebody receives."""

    stack: Stack
    receiver: Receiver

    async def told(self, link: Link) -> list[Mapping[str, Any]]:
        """Every message about a link, in the order in which they were taken, when all were."""
        await self.stack.delivered()
        courier = self.stack.gateway.outbox.couriers["shop"]
        async with asyncio.timeout(10):
            client: Any = self.stack.gateway.store.connection.client
            while await client.llen(f"lg:{{{link.id}}}:outbox:shop"):
                courier.worker.nudge()
                await asyncio.sleep(0.01)
        if abs(self.stack.clock.offset) < 300:  # the library's clock is the real one
            for got in self.receiver.taken:
                verified(got, secret())
        return [{"id": got.id, **got.data} for got in self.receiver.taken if got.link == link.id]

    async def types(self, link: Link) -> list[str]:
        return [message["type"] for message in await self.told(link)]


@pytest.fixture
async def heard(valkey_url: str) -> AsyncIterator[Heard]:
    """A whole linkgate on an empty store that tells the fixture's receiver everything."""
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    async with receiving() as receiver:
        shop = {
            "name": "shop",
            "url": receiver.url,
            "secrets": [secret()],
            "allow_private_network": True,
        }
        more = {"outbound": {"endpoints": [shop]}}
        async with running(valkey_url, Clock(), more=more) as stack:
            yield Heard(stack, receiver)
