"""The outbox: the operator's own systems are told what happened, by signed webhooks.

At least once, and in order for each link. Whoever changes a link says before that a change is to
be expected (`expect`), lets the change's own script append the `lines`, and wakes the couriers
afterwards (`wake`). A visit waits for none of them.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from linkgate.config.outbound import TYPES, EndpointTable, Outbound
from linkgate.delivering import LEASE_SECONDS, Courier, abandon
from linkgate.egress import Egress
from linkgate.ending import end_tasks
from linkgate.errors import StoreUnavailable
from linkgate.store import Store
from linkgate.store.outbox import SAFETY_SECONDS, Line, OutboxStore, list_key
from linkgate.store.parked import ParkedStore

log = logging.getLogger(__name__)

#: How often is looked for what waits for endpoints that are no longer configured.
SWEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """Something that happened at a link; `at` in Unix seconds, `data` as docs/webhooks.md says.

    Raises ValueError for a type that there isn't.
    """

    id: str
    type: str
    at: float
    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"{self.type!r} is no type of message")

    @classmethod
    def of(cls, link_id: str, key: str, kind: str, at: float, data: Mapping[str, Any]) -> Self:
        """Make the message of one change; `key` names the change among all of the link's.

        The same change always makes the same id, so that a receiver can tell a repeat.
        """
        name = hashlib.sha256("\0".join((link_id, kind, key)).encode()).hexdigest()[:32]
        return cls(f"msg_{name}", kind, at, data)


class Outbox:
    """All endpoints of one process. Belongs to one event loop."""

    def __init__(
        self,
        endpoints: Sequence[EndpointTable],
        store: OutboxStore,
        parked: ParkedStore,
        egress: Egress,
        clock: Callable[[], float],
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._endpoints = endpoints
        self._store = store
        self._parked = parked
        self._clock = clock
        self._sweeper: asyncio.Task[None] | None = None
        self.couriers = {
            endpoint.name: Courier(
                endpoint, store, parked, egress, clock, lease_seconds=lease_seconds
            )
            for endpoint in endpoints
        }

    @classmethod
    def of(
        cls, config: Outbound, store: Store, egress: Egress, clock: Callable[[], float]
    ) -> "Outbox":
        """Make the outbox of a configuration; it does nothing before `start`."""
        connection = store.connection
        return cls(
            config.endpoints, OutboxStore(connection), ParkedStore(connection), egress, clock
        )

    def start(self) -> None:
        """Begin to deliver."""
        for courier in self.couriers.values():
            courier.worker.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="linkgate-outbox-sweep")

    async def close(self) -> None:
        """Stop; what was on its way is sent again by whoever is next. The egress stays open."""
        await end_tasks(self._sweeper)
        await asyncio.gather(*(courier.worker.stop() for courier in self.couriers.values()))

    def wants(self, kind: str) -> bool:
        """Whether any endpoint gets messages of a type."""
        return any(endpoint.wants(kind) for endpoint in self._endpoints)

    def lines(self, link_id: str, messages: Iterable[Message]) -> list[tuple[str, str]]:
        """Return what a change's script appends: pairs of a list's key and a line for it.

        The keys are in the link's slot; see `store.outbox.APPEND`.
        """
        now = self._clock()
        found = []
        for message in messages:
            data = msgspec.Raw(msgspec.json.encode(message.data))
            line = Line(message.id, message.type, message.at, now, data).text
            found += [
                (list_key(link_id, endpoint.name), line)
                for endpoint in self._endpoints
                if endpoint.wants(message.type)
            ]
        return found

    async def expect(self, link_id: str, types: Iterable[str]) -> None:
        """Before a change: have the link looked at in a minute, whatever happens to this process.

        Raises StoreUnavailable: then don't make the change. Asks the store nothing where no
        endpoint wants any of these types.
        """
        await self._alert(link_id, types, int(SAFETY_SECONDS * 1000))

    async def wake(self, link_id: str, types: Iterable[str], delay_ms: int = 0) -> None:
        """After a change: have the link looked at now.

        Never raises for the store's sake: the change is made, and was expected.
        """
        try:
            names = await self._alert(link_id, types, delay_ms)
        except StoreUnavailable as error:
            log.warning("messages wait for a minute, because the store is away: %s", error)
            return
        if not delay_ms:
            for name in names:
                self.couriers[name].worker.nudge()

    async def send(self, link_id: str, messages: Sequence[Message]) -> None:
        """Put messages in that come with no change of the store's: expect, append, wake.

        Raises StoreUnavailable if they may not have been put in.
        """
        types = [message.type for message in messages]
        await self.expect(link_id, types)
        await self._store.add(self.lines(link_id, messages))
        await self.wake(link_id, types)

    async def _alert(self, link_id: str, types: Iterable[str], delay_ms: int) -> list[str]:
        wanted = set(types)
        names = [e.name for e in self._endpoints if any(map(e.wants, wanted))]
        now = self._clock()
        await asyncio.gather(
            *(self._store.alert(name, [link_id], now, delay_ms=delay_ms) for name in names)
        )
        return names

    async def _sweep(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreUnavailable:
                pass
            except Exception:
                log.exception("looking for removed endpoints failed; it goes on")
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Park what waits for endpoints that are no longer configured; returns how much it was."""
        count = 0
        for name in await self._parked.know(self.couriers) - set(self.couriers):
            some = await abandon(name, self._store, self._parked, self._clock())
            if some:
                log.warning("%d messages for %s are parked: it is no longer configured", some, name)
            count += some
        return count
