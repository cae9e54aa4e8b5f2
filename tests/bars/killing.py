"""Real processes that are killed at any moment: gateways, their workers, and the store's server.

Stripe's stand-in and the operator's receiver run in the test's own process, which nobody kills.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

from linkgate.payments import EVENTS
from linkgate.sandbox import Sandbox, WebhookEndpoint
from linkgate.sandbox.deeds import Deed, perform
from linkgate.sandbox.errors import ApiError
from linkgate.store import Store, keys
from linkgate.store.outbox import list_key, read_line
from linkgate.tokens import Link
from tests.bars.people import Person, address, browsers, get_in
from tests.bars.serving import TOKENS, environment
from tests.cli.processes import command, free_port, is_alive
from tests.cli.processes import environment as bare_environment
from tests.outbound.receiving import Receiver, receiving, secret
from tests.stack import STRIPE_KEY, WEBHOOK_SECRET, serving

#: Stripe tries for three days; the stand-in for as long as the test takes.
RETRIES = (0.3,) * 1000
QUEUES = ("inbox", "watch", "outbox:shop")


@dataclass
class Gateway:
    """One `linkgate serve`, started again whenever it has been killed."""

    folder: Path
    env: dict[str, str]
    process: "Popen[str] | None" = None

    def start(self) -> None:
        with (self.folder / "stderr").open("a") as errors:
            self.process = Popen(
                command("serve"),
                cwd=self.folder,
                env=bare_environment(**self.env),
                stdin=-3,
                stdout=errors,
                stderr=errors,
                text=True,
            )

    def keep(self) -> None:
        """Start it if it doesn't run: at first its port may still be its orphans'."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def pids(self) -> Iterator[int]:
        """Its own process's id, and its workers'."""
        if self.process is not None and self.process.poll() is None:
            yield self.process.pid
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            with contextlib.suppress(OSError):
                yield from map(int, children.read_text().split())


@dataclass
class Town:
    """Everything that runs, and what has become of it."""

    folder: Path
    sandbox: Sandbox
    shop: Receiver
    gateways: list[Gateway]
    urls: list[str]
    links: list[Link]
    killed: Counter[str] = field(default_factory=Counter)
    let_in: int = 0

    @property
    def store_url(self) -> str:
        return f"embedded:{self.folder / 'data'}"

    def store_pid(self) -> int:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self.folder / "data" / "server.lock").read_text().split()[0])
        return 0

    async def live(self, chance: random.Random, until: asyncio.Event) -> None:
        """People open links, again and again, and pay or leave; banks decide."""
        while not until.is_set():
            number = chance.randrange(len(self.links))
            token = TOKENS.issue(self.links[number])
            person = Person(f"/l/{token}", address(chance.randrange(16_000)))
            loop = asyncio.get_running_loop()
            async with browsers() as http:
                visit = asyncio.create_task(get_in(person, http, self.urls, loop.time() + 6))
                # Some have no patience.
                await asyncio.wait([visit], timeout=chance.choice((0.05, 0.3, 7.0, 7.0)))
                visit.cancel()
                await asyncio.gather(visit, return_exceptions=True)
            if person.location:
                self.let_in += 1
                session = person.location.partition("/c/pay/")[2].partition("#")[0]
                self.decide(chance, session)
            await asyncio.sleep(chance.random() * 0.2)

    def decide(self, chance: random.Random, session: str) -> None:
        deeds = chance.choice(
            (["pay"], ["pay-later", "settle"], ["pay-later", "fail-async"], ["decline"], ["expire"])
            + ([],) * 4
        )
        with contextlib.suppress(ApiError):  # somebody else was quicker
            for deed in deeds:
                perform(self.sandbox.world, session, deed, Deed())

    async def kill(self, chance: random.Random) -> None:
        """Kill one process, in the midst of life: when some more people have been let in."""
        enough = self.let_in + chance.randint(2, 8)
        while self.let_in < enough or len(self._serving()) < 2:
            await asyncio.sleep(0.02)
        await asyncio.sleep(chance.random() * 0.5)
        mains = [gateway.process.pid for gateway in self.gateways if gateway.process]
        pids = [pid for gateway in self.gateways for pid in gateway.pids()]
        store = self.store_pid()
        kinds = {
            "gateway": [pid for pid in pids if pid in mains],
            "worker": [pid for pid in pids if pid not in mains],
            "store": [store] if is_alive(store) else [],
        }
        kind = chance.choice([kind for kind, some in kinds.items() if some])
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(kinds[kind]), signal.SIGKILL)
            self.killed[kind] += 1

    def _serving(self) -> list[int]:
        # The first gateway's own process only looks after its workers.
        found = [list(gateway.pids()) for gateway in self.gateways]
        return found[0][1:] + found[1]

    async def tend(self) -> None:
        """Start again what was killed, as a supervisor does."""
        while True:
            for gateway in self.gateways:
                await asyncio.to_thread(gateway.keep)
            await asyncio.sleep(0.2)

    def stop(self) -> None:
        for gateway in self.gateways:
            if gateway.process is not None and gateway.process.poll() is None:
                gateway.process.terminate()
        for gateway in self.gateways:
            if gateway.process is not None:
                with contextlib.suppress(Exception):
                    gateway.process.wait(20)
                gateway.process.kill()
                gateway.process.wait()


@contextlib.asynccontextmanager
async def town(folder: Path, links: list[Link]) -> AsyncIterator[Town]:
    """Start a gateway with two workers and one alone, on an embedded store in `folder`."""
    ports = [free_port(), free_port()]
    sandbox_port = free_port()
    sandbox_url = f"http://127.0.0.1:{sandbox_port}"
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    # Stripe has one endpoint for each: whichever process takes an event, all know of it.
    hooks = [WebhookEndpoint(f"{url}/webhooks/stripe", WEBHOOK_SECRET) for url in urls[:1]]
    sandbox = Sandbox(sandbox_url, STRIPE_KEY, hooks, retries=RETRIES)
    async with receiving() as shop, serving(sandbox.app(), sandbox_port):
        endpoints = [
            # Nobody is there, and so every line stays where it is, in its order.
            {"name": "kept", "url": "http://127.0.0.1:9/", "secrets": [secret()]},
            {"name": "shop", "url": shop.url, "secrets": [secret()]},
        ]
        gateways = []
        for number, port in enumerate(ports):
            place = folder / f"gateway{number}"
            place.mkdir()
            (place / "endpoints").write_text(
                json.dumps([{**one, "allow_private_network": True} for one in endpoints])
            )
            (place / "endpoints").chmod(0o600)
            env = environment(
                f"embedded:{folder / 'data'}",
                sandbox_url,
                port,
                LINKGATE_SERVER__WORKERS=str(2 - number),
                LINKGATE_STRIPE__TIMEOUT_SECONDS="1",
                LINKGATE_STRIPE__PERSON_DEADLINE_SECONDS="2.5",
                LINKGATE_OUTBOUND__ENDPOINTS_FILE=str(place / "endpoints"),
                LINKGATE_SERVER__PUBLIC_URL=urls[0],
            )
            gateways.append(Gateway(place, env))
        made = Town(folder, sandbox, shop, gateways, urls, links)
        tending = asyncio.create_task(made.tend())
        try:
            yield made
        finally:
            tending.cancel()
            await asyncio.gather(tending, return_exceptions=True)
            await asyncio.to_thread(made.stop)


async def hurry(store: Store, names: tuple[str, ...] = QUEUES) -> None:
    """Let the leases of the dead run out, and what was put off come up, now and not in a minute.

    Only while those who live have nothing in hand.
    """
    async with store.connection.guard() as client:
        for name in names:
            for item in await client.zrange(keys.queue_due(name), 0, -1):
                await client.zadd(keys.queue_due(name), {item: 0})


async def waiting(store: Store, links: list[Link]) -> int:
    """Return how many events and messages wait."""
    async with store.connection.guard() as client:
        count = int(await client.zcard(keys.queue_due("inbox")))
        for link in links:
            count += int(await client.llen(list_key(link.id, "shop")))
    return count


@dataclass
class Found:
    """What is wrong in the end; nothing, if all is well."""

    wrong: list[str] = field(default_factory=list)
    events: int = 0
    sessions: int = 0
    messages: int = 0
    paid: int = 0


async def compare(made: Town, store: Store) -> Found:
    """Hold what linkgate knows and has told against all that Stripe has."""
    found = Found()
    world = made.sandbox.world
    for event in world.every("event"):
        link = (event["data"]["object"].get("metadata") or {}).get("linkgate_link")
        if link and event["type"] in EVENTS:
            found.events += 1
            if not await store.ledgers.knows(link, event["id"]):
                found.wrong.append(f"{event['type']} {event['id']} is not known at {link}")
    by_link: dict[str, list[Any]] = {link.id: [] for link in made.links}
    for session in world.every("checkout.session"):
        by_link[session["metadata"]["linkgate_link"]].append(session)
    for link in made.links:
        await _compare_link(made, store, link, by_link[link.id], found)
    return found


async def _compare_link(
    made: Town, store: Store, link: Link, sessions: list[Any], found: Found
) -> None:
    row = await store.links.read(link.id)
    known = {session.id: session.state.value for session in row.sessions} if row else {}
    found.sessions += len(sessions)
    for session in sessions:
        if session["id"] not in known:
            found.wrong.append(f"{session['id']} ({session['status']}) is not known at {link.id}")
    paid = [session for session in sessions if session["payment_status"] == "paid"]
    found.paid += len(paid)
    if len(paid) > 1:
        found.wrong.append(f"{link.id} was paid {len(paid)} times")
    if {s["id"] for s in paid} != {id_ for id_, state in known.items() if state == "paid"}:
        found.wrong.append(f"{link.id}: paid are {paid}, and known is {known}")
    if len([session for session in sessions if session["status"] == "open"]) > (not paid):
        found.wrong.append(f"{link.id} has open sessions besides")
    async with store.connection.guard() as client:
        texts = await client.lrange(list_key(link.id, "kept"), 0, -1)
    lines = [line for line in map(read_line, texts) if line]
    found.messages += len(lines)
    arrived = dict.fromkeys(
        got.id for got in made.shop.taken if got.data["data"]["link"]["id"] == link.id
    )
    if list(arrived) != [line.id for line in lines]:
        told = [(line.id, line.type) for line in lines]
        found.wrong.append(f"{link.id}: written were {told}, and came {list(arrived)}")
    succeeded = sum(line.type == "payment.succeeded" for line in lines)
    if succeeded != len(paid):
        found.wrong.append(f"{link.id}: {succeeded} payments were told of {len(paid)}")
