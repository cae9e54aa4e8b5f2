"""Visits and second thoughts, for the tests of both.

Doubts are worked off by hand here: that they are due is written, not waited for.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from linkgate.reconsidering import Reconsidering
from linkgate.store import keys
from linkgate.store.apikeys import Scope
from linkgate.store.connect import Connection
from linkgate.tokens import Link
from tests.stack import BROWSER, PROXIED, Answer, Clock, Stack, running

HERE = "198.51.100.7"
NEIGHBOURS = [f"198.51.100.{number}" for number in range(20, 30)]
PERSON = "203.0.113.50"
EXPIRE = "POST /v1/checkout/sessions/*/expire"


def chrome(version: int) -> Mapping[str, str]:
    changed = {name: value.replace("156", str(version)) for name, value in BROWSER.items()}
    assert changed["User-Agent"] != BROWSER["User-Agent"] or version == 156
    return changed


def at(address: str, headers: Mapping[str, str] = BROWSER) -> Mapping[str, str]:
    return {**headers, "X-Forwarded-For": address}


@contextlib.asynccontextmanager
async def gateway(store: str, more: Mapping[str, Any] = PROXIED) -> AsyncIterator[Stack]:
    connection = await Connection.open(store)
    await connection.client.flushall()
    await connection.close()
    terms = {"timeout_seconds": 0.3, "person_deadline_seconds": 1}
    async with running(store, Clock(), more=more, **terms) as stack:
        await stack.gateway.reconsidering.stop()
        yield stack


async def visit(stack: Stack, link: Link, address: str = HERE, **more: Any) -> Answer:
    # No cookies: whether a browser is known is the test's to say.
    stack.http.cookie_jar.clear()
    return await stack.get(stack.path(link), at(address, **more))


async def hit_decoy(stack: Stack, link: Link, address: str = HERE, **more: Any) -> None:
    stack.http.cookie_jar.clear()
    path = "/l/" + stack.gateway.tokens.issue_decoy(link)
    assert (await stack.get(path, at(address, **more))).status == 200


async def moments_pass(stack: Stack) -> None:
    """All that was remembered has gone, as it does by itself."""
    client = stack.gateway.store.connection.client
    for pattern in ("lg:*:seen", "lg:*:decoy*"):
        async for key in client.scan_iter(pattern):
            await client.delete(key)


async def due(stack: Stack) -> int:
    """Every doubt is due, and every lease is over; returns how many wait."""
    client = stack.gateway.store.connection.client
    for name in await client.hkeys(keys.DOUBTS):
        await client.zadd(keys.DOUBTS_DUE, {str(name): 0})
    return await stack.gateway.store.doubts.waiting()


async def think(stack: Stack, rounds: int = 1, worker: Reconsidering | None = None) -> None:
    await stack.gateway.store.recorder.flush()
    for _ in range(rounds):
        await due(stack)
        await (worker or stack.gateway.reconsidering).work()


async def think_all(stack: Stack, worker: Reconsidering | None = None) -> None:
    """Work until nothing is left to be done."""
    await think(stack, worker=worker)
    for _ in range(50):
        if not await due(stack):
            return
        await think(stack, worker=worker)
    raise AssertionError("there is no end to it")


async def counts(stack: Stack) -> dict[str, int]:
    await stack.gateway.store.recorder.flush()
    found = await stack.gateway.store.campaigns.counts("spring")
    return {name: number for name, number in found.items() if number}


async def picture(stack: Stack, link: Link) -> Any:
    """Return a link as the API shows it."""
    await stack.gateway.store.recorder.flush()
    _, key = await stack.gateway.store.keys.create("test", [Scope.ADMIN], stack.clock())
    answer = await stack.get(f"/api/v1/links/{link.id}", {"Authorization": f"Bearer {key}"})
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


async def verdicts(stack: Stack, link: Link) -> list[str]:
    """Return what the visits to a link are held for now, oldest first."""
    found = await picture(stack, link)
    return [v["kind"] or v["verdict"] for v in reversed(found["visits"])]


async def has_open(stack: Stack, link: Link) -> bool:
    at_stripe = [s for s in await stack.open_sessions() if s["client_reference_id"] == link.id]
    assert len(at_stripe) <= 1
    ours = [s for s in (await stack.row(link)).sessions if s.state == "open"]
    assert [s["id"] for s in at_stripe] == [s.id for s in ours]
    return bool(at_stripe)
