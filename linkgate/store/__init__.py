"""The store: all of Redis is in this package.

``keys`` names every key, ``scripts`` holds what must be one step, and each other module is one
noun's part of the store. `Store` is what the rest of linkgate gets.
"""

from typing import Self

from linkgate.store.apikeys import ApiKeys
from linkgate.store.campaigns import Campaigns
from linkgate.store.connect import Connection
from linkgate.store.links import Links
from linkgate.store.recorder import Recorder

DAY = 86_400


class Store:
    """One connection, and the parts that use it. Belongs to one event loop."""

    def __init__(
        self, connection: Connection, *, visits_kept: int = 100, retention_days: int = 30
    ) -> None:
        retention_s = retention_days * DAY
        self.connection = connection
        self.campaigns = Campaigns(connection)
        self.keys = ApiKeys(connection)
        self.links = Links(connection, visits_kept=visits_kept, retention_s=retention_s)
        self.recorder = Recorder(connection, visits_kept=visits_kept, retention_s=retention_s)

    @classmethod
    async def open(cls, url: str, *, visits_kept: int = 100, retention_days: int = 30) -> Self:
        """Connect to `url`; raises ConfigError or StoreUnavailable."""
        connection = await Connection.open(url)
        return cls(connection, visits_kept=visits_kept, retention_days=retention_days)

    async def close(self) -> None:
        """Flush what is buffered, then let go of the connection."""
        await self.recorder.stop()
        await self.connection.close()
