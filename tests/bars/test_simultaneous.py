"""200 visits at once over four processes, again and again: one open session at any time, and one
idempotency key for each attempt.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from linkgate.payments import SessionState
from linkgate.store.connect import Connection
from linkgate.tokens import Link
from tests.stack import Clock, Stack, running
from tests.test_processes import address, gateways

VISITS = 200
#: What befalls each attempt's first request.
ROUNDS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"mode": "drop", "executed": True},
    {"mode": "slow", "seconds": 0.5},
)


async def test_one_session_and_one_key_for_each_attempt(valkey_url: str, tmp_path: Path) -> None:
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    async with running(valkey_url, Clock()) as stack:
        await stack.campaign(policy="direct")
        async with gateways(stack, valkey_url, tmp_path, 3) as processes:
            hosts = [stack.url, *map(address, processes)]
            link = stack.link()
            for number, fault in enumerate(ROUNDS, 1):
                if fault:
                    await stack.fault(**fault)
                answers = await _visits(stack, hosts, link)
                [session] = await stack.open_sessions()
                assert answers == {(303, session["url"])}
                keys = Counter((await stack.control("GET", "state"))["idempotency_keys"])
                assert sorted(key.split("-")[2] for key in keys) == [
                    str(n) for n in range(1, number + 1)
                ]
                deed = "expire" if number < len(ROUNDS) else "pay"
                await stack.control("POST", f"sessions/{session['id']}/{deed}")
                state = SessionState.EXPIRED if deed == "expire" else SessionState.PAID
                async with asyncio.timeout(20):
                    while (await stack.row(link)).sessions[-1].state is not state:
                        await asyncio.sleep(0.05)
            assert await _visits(stack, hosts, link) == {(200, "")}
            assert await stack.open_sessions() == []
            assert len(await stack.sessions()) == len(ROUNDS)


async def _visits(stack: Stack, hosts: list[str], link: Link) -> set[tuple[int, str]]:
    path = stack.path(link)
    asked = (stack.get(hosts[n % len(hosts)] + path) for n in range(VISITS))
    return {(answer.status, answer.location) for answer in await asyncio.gather(*asked)}
