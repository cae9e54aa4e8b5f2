"""An outbox on a real store, with a receiver on loopback."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from linkgate.config.outbound import EndpointTable
from linkgate.delivering import Rest
from linkgate.egress import Egress
from linkgate.outbox import Message, Outbox
from linkgate.store import Store
from linkgate.store.outbox import OutboxStore
from linkgate.store.parked import ParkedStore
from tests.outbound.receiving import Receiver, endpoint, receiving
from tests.stack import Clock

LINK = "lnk_" + "a" * 22


def message(number: int, link: str = LINK, kind: str = "payment.succeeded") -> Message:
    """A message that can be told from others by its number."""
    data = {"link": {"id": link}, "n": number}
    return Message.of(link, f"change-{number}", kind, 1_800_000_000.25, data)


@dataclass
class Desk:
    """Makes outboxes on one store, and does with them what the rest of linkgate does."""

    store: Store
    egress: Egress
    clock: Clock
    outboxes: list[Outbox] = field(default_factory=list)

    def outbox(self, *endpoints: EndpointTable, resting: bool = False, **more: Any) -> Outbox:
        """An outbox; unless told otherwise it leaves no endpoint alone, however often it fails."""
        connection = self.store.connection
        made = Outbox(
            endpoints,
            OutboxStore(connection),
            ParkedStore(connection),
            self.egress,
            self.clock,
            **more,
        )
        if not resting:
            hurried = count(step=1000)
            for courier in made.couriers.values():
                courier.rest = Rest(lambda: float(next(hurried)))
        self.outboxes.append(made)
        return made

    async def deliver(self, outbox: Outbox, *links: str) -> None:
        """Let everything be due now, and be worked on once."""
        for link in links or (LINK,):
            await outbox.wake(link, ["payment.succeeded"])
        for courier in outbox.couriers.values():
            await courier.worker.work()

    async def waiting(self, name: str = "shop", link: str = LINK) -> int:
        """How many lines are in a list."""
        async with self.store.connection.guard() as client:
            return int(await client.llen(f"lg:{{{link}}}:outbox:{name}"))


@pytest.fixture
async def desk(valkey_url: str) -> AsyncIterator[Desk]:
    store = await Store.open(valkey_url)
    await store.connection.client.flushall()
    made = Desk(store, Egress(), Clock())
    yield made
    for outbox in made.outboxes:
        await outbox.close()
    await made.egress.close()
    await store.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
def shop(receiver: Receiver) -> EndpointTable:
    """The endpoint that is the receiver."""
    made: EndpointTable = endpoint("shop", receiver.url)
    return made
