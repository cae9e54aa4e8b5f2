"""The reminders' part of the store, on each kind of store."""

import time
from typing import Any

from linkgate.store import keys
from linkgate.store.connect import Connection
from linkgate.store.reminders import ReminderStore, Said
from tests.store.conftest import connection

__all__ = ["connection"]

LINK = "lnk_" + "1" * 32


async def test_every_kind_of_store_keeps_it_alike(connection: Connection) -> None:
    client: Any = connection.client
    kept = ReminderStore(connection)
    await client.hset(keys.link(LINK), mapping={"campaign": "spring"})
    assert not await kept.suppressed(["one", "two"])
    claim = await kept.claim(LINK, ["one", "two"])
    assert claim
    assert await kept.claim(LINK, ["one"]) is None
    assert await kept.settle(LINK, claim, Said.REFUSED, "550")
    assert await client.hget(keys.link(LINK), "reminder") == "refused: 550"
    assert not await kept.release(LINK, claim)
    now = time.time()
    # Names of two places of a cluster.
    await kept.suppress(await kept.reminded_to(LINK), now, int(now) + 100)
    assert await kept.suppressed(["three", "two"])
    assert 0 < await client.ttl(keys.suppressed("one")) <= 100
    assert (await kept.turn(30_000))[0] == 0
    assert (await kept.turn(30_000))[0] > 29_000
