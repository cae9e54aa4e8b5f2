"""Several gateways on one store: one session for a link, whichever process a click reaches."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linkgate.store.connect import Connection
from linkgate.tokens import Link
from tests.cli.processes import Running
from tests.cli.processes import running as process
from tests.stack import (
    SIGNING_KEY,
    STRIPE_KEY,
    SUSPECT,
    WEBHOOK_SECRET,
    Answer,
    Clock,
    Stack,
    free_port,
    running,
)


@contextlib.asynccontextmanager
async def gateways(
    stack: Stack, store: str, folder: Path, count: int, **env: str
) -> AsyncIterator[list[Running]]:
    """Start `count` processes of `linkgate serve` beside the stack's own gateway."""
    with contextlib.ExitStack() as started:
        processes = []
        for number in range(count):
            port = free_port()
            place = folder / str(number)
            place.mkdir()
            processes.append(
                await asyncio.to_thread(
                    started.enter_context,
                    process(
                        place,
                        "serve",
                        LINKGATE_SERVER__PUBLIC_URL=f"http://127.0.0.1:{port}",
                        LINKGATE_SERVER__PORT=str(port),
                        LINKGATE_SIGNING__KEYS=SIGNING_KEY,
                        LINKGATE_STORE__URL=store,
                        LINKGATE_STRIPE__API_KEY=STRIPE_KEY,
                        LINKGATE_STRIPE__API_BASE=stack.sandbox_url,
                        LINKGATE_STRIPE__WEBHOOK_SECRETS=WEBHOOK_SECRET,
                        **env,
                    ),
                )
            )
        yield processes


def address(running: Running) -> str:
    words = running.first_line.split()
    return next(word for word in words if word.startswith("http")).rstrip("/.;,")


def at(host: str, page: Answer) -> Answer:
    """The same page with its form sent to another process."""
    return replace(page, text=page.text.replace(page.action, host + page.action))


#: The other processes' clocks are the real one: a person reads for a little more than the least.
READING = 0.7


async def clicks(
    stack: Stack, hosts: Sequence[str], link: Link, count: int
) -> set[tuple[int, str]]:
    """Open a link so many times at once, all over the hosts, and press wherever a button comes:
    whoever opens a link within a second of another is asked to.
    """
    path = stack.path(link)

    async def click(host: str) -> tuple[int, str]:
        answer = await stack.get(host + path)
        if 'name="challenge"' in answer.text:
            await asyncio.sleep(READING)
            answer = await stack.press(at(host, answer), read_seconds=0)
        return answer.status, answer.location

    return set(await asyncio.gather(*(click(hosts[n % len(hosts)]) for n in range(count))))


@pytest.mark.parametrize("kind", ["valkey", "cluster"])
async def test_two_hundred_clicks_over_four_processes_make_one_session(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = request.getfixturevalue(f"{kind}_url")
    connection = await Connection.open(store)
    await connection.client.flushall()
    await connection.close()
    async with running(store, Clock()) as stack:
        await stack.campaign()
        async with gateways(stack, store, tmp_path, 3) as processes:
            hosts = [stack.url, *map(address, processes)]
            link = stack.link()
            found = await clicks(stack, hosts, link, 200)
            [session] = await stack.sessions()
            assert found == {(303, session["url"])}
            assert len((await stack.control("GET", "state"))["idempotency_keys"]) == 1
            # Paid through one process's webhook, known to all.
            await stack.control("POST", f"sessions/{session['id']}/pay")
            async with asyncio.timeout(10):
                while (await stack.row(link)).fields.get("done") != "paid":
                    await asyncio.sleep(0.05)
            assert await clicks(stack, hosts, link, 8) == {(200, "")}


async def test_a_gateway_killed_while_minting_leaves_the_link_to_another(
    valkey_url: str, tmp_path: Path
) -> None:
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    terms: dict[str, Any] = {"timeout_seconds": 1, "person_deadline_seconds": 2}
    hasty = {f"LINKGATE_STRIPE__{name.upper()}": str(value) for name, value in terms.items()}
    async with running(valkey_url, Clock(), **terms) as stack:
        await stack.campaign()
        async with gateways(stack, valkey_url, tmp_path, 1, **hasty) as [doomed]:
            link = stack.link()
            # Whoever comes just after another presses; the page is there before anything fails.
            page = await stack.get(stack.path(link), SUSPECT)
            await stack.fault(mode="hang", seconds=0.6, executed=True)
            await asyncio.sleep(READING)
            at_doomed = at(address(doomed), page)
            visit = asyncio.create_task(stack.press(at_doomed, read_seconds=0))
            async with asyncio.timeout(10):
                while not await stack.sessions():
                    await asyncio.sleep(0.02)
            doomed.process.send_signal(signal.SIGKILL)
            with contextlib.suppress(Exception):
                await visit
            # The dead process's lease has to run out first; people see the busy page till then.
            async with asyncio.timeout(30):
                while (answer := await stack.press(page, read_seconds=0)).status != 303:
                    assert answer.status == 503
            [session] = await stack.sessions()
            assert answer.location == session["url"]
