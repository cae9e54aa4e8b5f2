"""Several gateways on one store: one session for a link, whichever process a click reaches."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from linkgate.store.connect import Connection
from linkgate.tokens import Link
from tests.cli.processes import Running
from tests.cli.processes import running as process
from tests.stack import (
    SIGNING_KEY,
    STRIPE_KEY,
    WEBHOOK_SECRET,
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


async def clicks(
    stack: Stack, hosts: Sequence[str], link: Link, count: int
) -> set[tuple[int, str]]:
    path = stack.path(link)
    answers = await asyncio.gather(*(stack.get(hosts[n % len(hosts)] + path) for n in range(count)))
    return {(answer.status, answer.location) for answer in answers}


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
    terms = {"timeout_seconds": 1, "person_deadline_seconds": 2}
    hasty = {f"LINKGATE_STRIPE__{name.upper()}": str(value) for name, value in terms.items()}
    async with running(valkey_url, Clock(), **terms) as stack:
        await stack.campaign()
        async with gateways(stack, valkey_url, tmp_path, 1, **hasty) as [doomed]:
            link = stack.link()
            await stack.fault(mode="hang", seconds=0.6, executed=True)
            visit = asyncio.create_task(stack.get(address(doomed) + stack.path(link)))
            async with asyncio.timeout(10):
                while not await stack.sessions():
                    await asyncio.sleep(0.02)
            doomed.process.send_signal(signal.SIGKILL)
            with contextlib.suppress(Exception):
                await visit
            # The dead process's lease has to run out first; people see the busy page till then.
            async with asyncio.timeout(30):
                while (answer := await stack.get(stack.path(link))).status != 303:
                    assert answer.status == 503
            [session] = await stack.sessions()
            assert answer.location == session["url"]
