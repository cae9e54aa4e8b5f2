"""One link's life with several processes, two devices and Stripe, in one event loop.

The store is a real server, Stripe the sandbox's own API without its sockets, and all of linkgate
between them is the production code. Time is virtual (see `virtual`), for the store's scripts too;
every call to the store or to Stripe may take a while, be lost, or be the last that its process
makes.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, cast

import stripe
from redis import Redis
from redis.client import Pipeline

from linkgate.attributing import Attribution
from linkgate.bookkeeping import Bookkeeper
from linkgate.config.outbound import EndpointTable
from linkgate.delivering import Rest
from linkgate.destinations import Means, registry
from linkgate.destinations.base import Unreachable
from linkgate.egress import Egress, Reply
from linkgate.minting import Mint
from linkgate.outbox import Outbox
from linkgate.reconciling import Reconciler
from linkgate.reminding import Reminders
from linkgate.sandbox.api import Api
from linkgate.sandbox.courier import signature
from linkgate.sandbox.faults import Fault, FaultBook
from linkgate.sandbox.idempotency import Ledger
from linkgate.sandbox.limits import Limits
from linkgate.sandbox.versions import event_for
from linkgate.sandbox.world import Object, WebhookEndpoint, World
from linkgate.store import Store
from linkgate.store.budget import Budget
from linkgate.store.connect import Client, Connection, Script
from linkgate.store.outbox import OutboxStore
from linkgate.store.parked import ParkedStore
from linkgate.store.queue import Queue
from linkgate.stripe_api import StripeAPI
from linkgate.telling import Announcer, Teller
from linkgate.tokens import Keyring, LinkTokens
from linkgate.watching import Watch
from linkgate.webhooks import Reader, Webhooks
from linkgate.working import Worker
from tests.bars.virtual import VirtualLoop
from tests.outbound.receiving import endpoint
from tests.stack import SIGNING_KEY, STRIPE_KEY, WEBHOOK_SECRET

BASE = "http://stripe.test"
URL = "http://127.0.0.1:8080"
#: When every trial begins, in Unix seconds.
BEGIN = 1_800_000_000
KEYS = Keyring([SIGNING_KEY])
TOKENS = LinkTokens(KEYS)
#: `shop` is delivered to; nobody ever works on `kept`, which so keeps every line in its order.
ENDPOINTS: tuple[EndpointTable, ...] = tuple(
    endpoint(name, "http://127.0.0.1:9/hooks") for name in ("shop", "kept")
)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Weather:
    """What the network does to calls, by chance; all is well with `calm`."""

    chance: random.Random
    #: How often a call to Stripe, and to the operator's system, goes wrong.
    stripe: float = 0.0
    receiver: float = 0.0
    #: How often a call takes a while, and how often it takes so long that its lease runs out.
    slow: float = 0.0
    frozen: float = 0.0

    def calm(self) -> None:
        self.stripe = self.receiver = self.slow = self.frozen = 0.0

    async def delay(self) -> None:
        if self.chance.random() < self.frozen:
            await asyncio.sleep(self.chance.uniform(10, 40))
        if self.chance.random() < self.slow:
            await asyncio.sleep(self.chance.choice((0.0, 0.001, 0.02, 0.3)))


@dataclass
class Life:
    """A process's: how many calls it makes yet, and whether the last is carried out."""

    weather: Weather
    left: int | None = None
    after: bool = False
    dead: bool = False

    #: At which call it died.
    died_at: str = ""

    async def before(self, what: str) -> None:
        await self.weather.delay()
        if self.dead:
            raise Killed
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.died_at = f"{'after' if self.after else 'before'} {what}"
            if self.left <= 0 and not self.after:
                self.dead = True
                raise Killed

    async def behind(self) -> None:
        if self.left is not None and self.left <= 0:
            self.dead = True
        if self.dead:
            raise Killed
        await self.weather.delay()
        if self.dead:
            raise Killed


_TIMED: dict[str, Script] = {}


def _timed(script: Script) -> Script:
    """Return the script with a clock that is its last argument, in microseconds."""
    found = _TIMED.get(script.sha)
    if found is None:
        clock = (
            "local trial = table.remove(ARGV)\n"
            "local trial_time = {string.sub(trial, 1, -7), string.sub(trial, -6)}\n"
        )
        source = clock + script.source.replace("redis.call('TIME')", "trial_time")
        found = _TIMED[script.sha] = Script(script.name, source)
    return found


class Blocking:
    """A client whose calls can be awaited, and are over before anything else runs.

    Virtual time has no room for waiting for a socket; and so the same seed gives the same course.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._client, name)

        async def call(*args: Any, **more: Any) -> Any:
            return called(*args, **more)

        return call

    def pipeline(self, **more: Any) -> "BlockingPipeline":
        return BlockingPipeline(self._client.pipeline(**more))


class BlockingPipeline:
    """Collects commands as they are called; only `execute` is awaited."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    async def execute(self, *args: Any, **more: Any) -> Any:
        return self._pipeline.execute(*args, **more)


class MortalConnection(Connection):
    """One process's way to the store; it ends with the process."""

    def __init__(self, client: Redis, life: Life, loop: VirtualLoop) -> None:
        super().__init__(cast(Client, Blocking(client)))
        self._life = life
        self._loop = loop

    async def script(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes] = ()
    ) -> Any:
        # The time is read when it is sent: a call that took a while on the way has a later one.
        timed, args = _timed(script), list(args)
        async with self.guard(script.name):
            tail = (len(keys), *keys, *args, self._now())
            return await self._evaluate(timed, tail)

    def _now(self) -> int:
        return int((BEGIN + self._loop.time()) * 1_000_000)

    @asynccontextmanager
    async def guard(self, what: str = "a command") -> AsyncIterator[Client]:
        await self._life.before(what)
        async with super().guard(what) as client:
            yield client
        await self._life.behind()


class Wire(stripe.HTTPClient):
    """The way to the sandbox's API for stripe-python, without sockets."""

    name = "trial"

    def __init__(self, stand_in: "StandIn", life: Life) -> None:
        super().__init__()
        self._stand_in = stand_in
        self._life = life

    async def request_async(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        await self._life.before(f"{method} {url.removeprefix(BASE).partition('?')[0]}"[:32])
        # What is on its way arrives, whoever has given up waiting for it meanwhile.
        call = asyncio.ensure_future(self._stand_in.call(method, url, headers, post_data))
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
        answer = await asyncio.shield(call)
        await self._life.behind()
        return answer

    async def close_async(self) -> None:
        return


class StandIn:
    """Stripe: the sandbox's world and its API."""

    def __init__(self, weather: Weather, loop: VirtualLoop) -> None:
        self.weather = weather
        self._loop = loop
        hooks = WebhookEndpoint(f"{URL}/webhooks/stripe", WEBHOOK_SECRET)
        self.world = World(BASE, [hooks], self.clock)
        self.keys = Ledger()
        self.faults = FaultBook()
        self.api = Api(self.world, STRIPE_KEY, self.faults, self.keys, Limits())
        #: Events on their way to linkgate.
        self.mail: list[Object] = []
        self.world.announce = self.mail.append

    def clock(self) -> float:
        return BEGIN + self._loop.time()

    def signed(self, event: Object) -> tuple[bytes, str]:
        body = json.dumps(event_for(self.world, event, None), default=str).encode()
        return body, signature(body, WEBHOOK_SECRET, int(self.clock()))

    async def call(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        chance = self.weather.chance
        lost = False
        if chance.random() < self.weather.stripe:
            how = chance.choice(("lost", "unanswered", "late", "500", "500 executed", "429", "503"))
            if how == "lost":
                raise stripe.APIConnectionError("the request was lost")
            if how == "late":
                await asyncio.sleep(chance.uniform(1, 8))
            lost = how == "unanswered"
            if how[:3].isdigit():
                self.faults.clear()
                executed = "executed" in how
                self.faults.add(Fault("*", status=int(how[:3]), executed=executed))
        answer = await self._call(method, url, headers, post_data)
        if lost:
            raise stripe.APIConnectionError("the answer was lost")
        return answer

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        path, _, query = url.removeprefix(f"{BASE}/v1").partition("?")
        scope = {
            "type": "http",
            "method": method.upper(),
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), str(v).encode()) for k, v in headers.items()],
        }
        sent = (post_data or "").encode() if isinstance(post_data, str) else post_data or b""
        body, status, told = b"", 0, {"date": formatdate(self.world.now(), usegmt=True)}

        async def receive() -> Any:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal body, status
            if message["type"] == "http.response.start":
                status = message["status"]
                told.update((k.decode(), v.decode()) for k, v in message["headers"])
            else:
                body += message["body"]

        await self.api(cast(Any, scope), receive, send)
        return body, status, told


@dataclass
class Shop:
    """The operator's system, and what came to it."""

    weather: Weather
    came: list[tuple[str, bytes]] = field(default_factory=list)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], **more: Any) -> Reply:
        chance = self.weather.chance
        await self.weather.delay()
        if chance.random() < self.weather.receiver:
            raise Unreachable("it does not answer")
        self.came.append((headers["webhook-id"], body))
        if chance.random() < self.weather.receiver:
            raise Unreachable("its answer was lost")
        await self.weather.delay()
        return Reply(204, b"", {})


class _NoReminders:
    async def consider(self, link_id: str, campaign: str) -> bool:
        return False


class Process:
    """One linkgate process: the parts that money depends on, put together as the gateway does."""

    def __init__(self, client: Redis, stand_in: StandIn, shop: Shop, loop: VirtualLoop) -> None:
        self.life = Life(stand_in.weather)
        connection = MortalConnection(client, self.life, loop)
        self.clock = lambda: BEGIN + loop.time()
        self.store = Store(connection)
        # As fast as Stripe's stand-in takes them: turns are another bar.
        turns = Budget(connection, "sessions", 1e6)

        async def again(who: str, seconds: float) -> bool:
            return (await turns.enter(who, seconds)).go

        self.stripe = StripeAPI(STRIPE_KEY, base=BASE, timeout_s=4.0, again=again)
        self.stripe._client = stripe.StripeClient(
            STRIPE_KEY,
            stripe_version=stripe.api_version,
            base_addresses={"api": BASE},
            http_client=Wire(stand_in, self.life),
            max_network_retries=0,
        )
        egress = cast(Egress, shop)
        means = Means(self.stripe, egress, KEYS, URL, wait_seconds=10.0)
        self.outbox = Outbox(
            ENDPOINTS, OutboxStore(connection), ParkedStore(connection), egress, self.clock
        )
        for courier in self.outbox.couriers.values():
            courier.rest = Rest(loop.time)
        teller = Teller(TOKENS, URL)
        watched = Queue(connection, "watch")
        self.books = Bookkeeper(
            self.store, self.outbox, teller, cast(Reminders, _NoReminders()), watched, self.clock
        )
        self.mint = Mint(
            self.store,
            registry(means),
            self.books,
            turns,
            watched,
            Announcer(self.outbox, teller),
            wait_seconds=10.0,
        )
        self.watch = Watch(self.store, watched, self.books, self.stripe, self.mint, self.clock)
        self.inbox = Queue(connection, "inbox")
        attribution = Attribution(self.books, self.stripe)
        self.reader = Worker(self.inbox, Reader(self.books, attribution).read, lease_seconds=30)
        self.watcher = Worker(watched, self.watch.handle, side_by_side=4, lease_seconds=60)
        self.webhooks = Webhooks(
            self.inbox,
            [WEBHOOK_SECRET],
            livemode=False,
            find=self.books.find,
            nudge=self.reader.nudge,
        )
        self.reconciler = Reconciler(
            self.store,
            self.books,
            attribution,
            self.stripe,
            self.watch,
            self.clock,
            livemode=False,
        )

    @property
    def workers(self) -> tuple[Worker, ...]:
        return (self.reader, self.watcher, self.outbox.couriers["shop"].worker)
