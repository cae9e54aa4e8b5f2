"""The store: all of Redis is in this package.

``keys`` names every key, ``scripts`` holds what must be one step, and each other module is one
noun's part of the store. `Store` is what the rest of linkgate gets.
"""

from typing import Self

from linkgate.errors import StoreUnavailable
from linkgate.store import keys
from linkgate.store.admission import Admission
from linkgate.store.apikeys import ApiKeys
from linkgate.store.campaigns import Campaigns
from linkgate.store.connect import Client, Connection
from linkgate.store.doubts import DoubtStore
from linkgate.store.ledgers import Ledgers
from linkgate.store.links import Links
from linkgate.store.memory import Memory
from linkgate.store.recorder import Recorder

DAY = 86_400


async def _mode(client: Client, mode: str) -> str:
    await client.set(keys.MODE, mode, nx=True)
    return str(await client.get(keys.MODE))


class Store:
    """One connection, and the parts that use it. Belongs to one event loop."""

    def __init__(
        self,
        connection: Connection,
        *,
        visits_kept: int = 100,
        retention_days: int = 30,
        longest_days: int = 400,
    ) -> None:
        retention_s = retention_days * DAY
        self.connection = connection
        self.campaigns = Campaigns(connection)
        self.keys = ApiKeys(connection)
        self.links = Links(
            connection,
            visits_kept=visits_kept,
            retention_s=retention_s,
            longest_s=longest_days * DAY,
        )
        self.ledgers = Ledgers(connection)
        self.memory = Memory(connection)
        self.admission = Admission(connection)
        self.doubts = DoubtStore(connection)
        self.recorder = Recorder(connection, visits_kept=visits_kept, retention_s=retention_s)

    @classmethod
    async def open(
        cls, url: str, *, visits_kept: int = 100, retention_days: int = 30, longest_days: int = 400
    ) -> Self:
        """Connect to `url`; raises ConfigError or StoreUnavailable.

        `longest_days` is how long any link may live.
        """
        connection = await Connection.open(url)
        return cls(
            connection,
            visits_kept=visits_kept,
            retention_days=retention_days,
            longest_days=longest_days,
        )

    async def keep_to(self, mode: str) -> str:
        """Give the store to a mode, live or test, for good; returns the one that it belongs to.

        Raises StoreUnavailable.
        """
        async with self.connection.guard() as client:
            return await _mode(client, mode)

    def insist_on(self, mode: str) -> None:
        """Have the store do nothing until it has answered that it belongs to a mode.

        For one that was away when that was asked. In the other mode's, everything raises
        StoreUnavailable.
        """

        async def check(client: Client) -> None:
            known = await _mode(client, mode)
            if known != mode:
                raise StoreUnavailable(
                    f"this store holds what {known} mode did, and stripe.api_key is a {mode} key"
                )

        self.connection.require(check)

    async def close(self) -> None:
        """Flush what is buffered, then let go of the connection, whatever the flush does."""
        try:
            await self.recorder.stop()
        finally:
            await self.connection.close()
