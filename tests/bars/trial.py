"""One linkgate process as a trial has it: production code between a real store and the sandbox."""

from typing import cast

import stripe
from redis import Redis

from linkgate.attributing import Attribution
from linkgate.bookkeeping import Bookkeeper
from linkgate.config.outbound import EndpointTable
from linkgate.delivering import Rest
from linkgate.destinations import Means, registry
from linkgate.egress import Egress
from linkgate.minting import Mint
from linkgate.outbox import Outbox
from linkgate.reconciling import Reconciler
from linkgate.reminding import Reminders
from linkgate.store import Store
from linkgate.store.budget import Budget
from linkgate.store.outbox import OutboxStore
from linkgate.store.parked import ParkedStore
from linkgate.store.queue import Queue
from linkgate.stripe_api import API_VERSION, StripeAPI
from linkgate.telling import Announcer, Teller
from linkgate.tokens import Keyring, LinkTokens
from linkgate.watching import Watch
from linkgate.webhooks import Reader, Webhooks
from linkgate.working import Worker
from tests.bars.mortal import BEGIN, Life, MortalConnection
from tests.bars.stand_in import BASE, TIMEOUT_SECONDS, URL, Shop, StandIn, Wire
from tests.bars.virtual import VirtualLoop
from tests.outbound.receiving import endpoint
from tests.stack import SIGNING_KEY, STRIPE_KEY, WEBHOOK_SECRET

KEYS = Keyring([SIGNING_KEY])
TOKENS = LinkTokens(KEYS)
#: `shop` is delivered to; nobody ever works on `kept`, which so keeps every line in its order.
ENDPOINTS: tuple[EndpointTable, ...] = tuple(
    endpoint(name, "http://127.0.0.1:9/hooks") for name in ("shop", "kept")
)


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

        self.stripe = StripeAPI(STRIPE_KEY, base=BASE, timeout_s=TIMEOUT_SECONDS, again=again)
        self.stripe._client = stripe.StripeClient(
            STRIPE_KEY,
            stripe_version=API_VERSION,
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
