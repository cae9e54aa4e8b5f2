"""kill -9 of any process at any moment: nothing that was taken or made is lost.

Some kills here; LINKGATE_KILLS=50 does fifty. The leases of the dead are not waited for (a minute
each) but moved to now, once nobody who lives has anything in hand; LINKGATE_KILLS_WAIT=1 waits.
"""

import asyncio
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path

from linkgate import campaigns
from linkgate.store import Store
from linkgate.tokens import Link
from tests.bars.killing import Town, compare, hurry, town, waiting
from tests.stack import PRICE

KILLS = int(os.environ.get("LINKGATE_KILLS", "4"))
WAIT = bool(os.environ.get("LINKGATE_KILLS_WAIT"))
#: Enough to be paid, and few enough to be opened again and again.
LINKS = 12 + KILLS
PATIENCE_SECONDS = 60.0 + 300.0 * WAIT


async def test_whatever_is_killed_nothing_is_lost(tmp_path: Path) -> None:
    chance = random.Random(time.time_ns())
    expires_at = int(time.time()) + 86_400
    links = [Link("spring", f"r-{n}", expires_at) for n in range(LINKS)]
    async with town(tmp_path, links) as made:
        store = await Store.open(made.store_url)
        try:
            await _campaign(store)
            await _until_served(made)
            over = asyncio.Event()
            people = [
                asyncio.create_task(made.live(random.Random(chance.random()), over))
                for _ in range(12)
            ]
            while made.killed.total() < KILLS:
                await made.kill(chance)
            await asyncio.sleep(1.0)
            over.set()
            await asyncio.gather(*people)
            await _quiet(made, store)
            found = await compare(made, store)
        finally:
            await store.close()
    assert found.wrong == []
    assert min(found.events, found.sessions, found.messages, made.let_in) > KILLS
    print(made.killed, found)


async def _campaign(store: Store) -> None:
    data = {
        "slug": "spring",
        "name": "Spring sale",
        "reuse_minutes": 0,
        "policy": "direct",
        "destination": {
            "line_items": [{"price": PRICE}],
            "success_url": "https://shop.example.com/thanks",
            "cancel_url": "https://shop.example.com/",
        },
    }
    await store.campaigns.put(campaigns.create(data, datetime.now(UTC)), replaces=None)


async def _until_served(made: Town) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(1 for gateway in made.gateways for _ in gateway.pids()) < 4:
            await asyncio.sleep(0.1)
        for url in made.urls:
            while not await _answers(url):
                await asyncio.sleep(0.1)


async def _answers(url: str) -> bool:
    port = int(url.rpartition(":")[2])
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _quiet(made: Town, store: Store) -> None:
    """Wait until all of Stripe's events have come, and nothing waits any more."""
    await _until_served(made)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await made.sandbox.courier.settled()
    # Longer than any lease of a visit: what an attempt's dead holder made can now be looked for.
    await asyncio.sleep(3.0 if not WAIT else 200.0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(3):
            if not WAIT:
                await hurry(store)
            await asyncio.sleep(1.0)
            while await waiting(store, made.links):
                await asyncio.sleep(0.2)
            await made.sandbox.courier.settled()
