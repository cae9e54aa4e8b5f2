"""The gateway: every part, built from its own section of the configuration and put together.

This is the only place where parts are wired; what they do is in their own modules.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from linkgate.addresses import TrustedProxies
from linkgate.admitting import Admitting
from linkgate.attributing import Attribution
from linkgate.bench import Bench
from linkgate.bookkeeping import Bookkeeper
from linkgate.config import Config
from linkgate.destinations import Means, registry
from linkgate.detection import warm
from linkgate.egress import Egress
from linkgate.errors import ConfigError, Problem, StoreUnavailable
from linkgate.issuing import Desk
from linkgate.judging import Judge
from linkgate.minting import Mint
from linkgate.outbox import Outbox
from linkgate.pages import Pages
from linkgate.pages.brand import Brand
from linkgate.reconciling import Reconciler
from linkgate.reconsidering import Reconsidering
from linkgate.reminding import Reminders
from linkgate.returning import Returning
from linkgate.store import DAY, Store
from linkgate.store.budget import Budget
from linkgate.store.queue import Queue
from linkgate.stripe_api import API_VERSION, StripeAPI
from linkgate.suppression import Suppression
from linkgate.telling import Announcer, Teller
from linkgate.tokens import Keyring, LinkTokens
from linkgate.unsigned import Unsigned
from linkgate.visits import Gate, Terms
from linkgate.watching import Watch
from linkgate.webhooks import Reader, Webhooks
from linkgate.working import Worker

log = logging.getLogger(__name__)

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Gateway:
    """What one process serves with; belongs to one event loop."""

    config: Config
    clock: Clock
    store: Store
    keyring: Keyring
    tokens: LinkTokens
    pages: Pages
    proxies: TrustedProxies
    gate: Gate
    unsigned: Unsigned
    returning: Returning
    desk: Desk
    suppression: Suppression
    webhooks: Webhooks
    mint: Mint
    books: Bookkeeper
    watch: Watch
    reconciler: Reconciler
    outbox: Outbox
    reminders: Reminders
    reconsidering: Reconsidering
    inbox: Queue
    reader: Worker
    watcher: Worker
    stripe: StripeAPI
    egress: Egress

    @classmethod
    async def open(
        cls, config: Config, clock: Clock = time.time, *, background: bool = True
    ) -> Self:
        """Build every part, and let what goes on in the background begin.

        Raises ConfigError or StoreUnavailable.
        """
        store = await Store.open(
            config.store.url,
            visits_kept=config.store.visits_per_link,
            retention_days=config.store.retention_days,
            longest_days=config.links.max_days,
        )
        await _keep_to_mode(store, config)
        keyring = Keyring([key.get_secret_value() for key in config.signing.keys])
        tokens = LinkTokens(keyring)
        turns = Budget(store.connection, "sessions", config.stripe.creations_per_second)

        async def again(who: str, seconds: float) -> bool:
            return (await turns.enter(who, seconds)).go

        stripe = StripeAPI(
            config.stripe.api_key.get_secret_value(),
            base=config.stripe.api_base,
            timeout_s=config.stripe.timeout_seconds,
            version=config.stripe.api_version or API_VERSION,
            again=again,
        )
        egress = Egress()
        wait = config.stripe.person_deadline_seconds
        means = Means(
            stripe=stripe,
            outside=egress,
            keyring=keyring,
            public_url=config.server.public_url,
            wait_seconds=wait,
            allow_private=config.destinations.allow_private_networks,
        )
        pages = Pages(_brand(config), form_origins=_form_origins(config))
        outbox = Outbox.of(config.outbound, store, egress, clock)
        teller = Teller(tokens, config.server.public_url)
        suppression = Suppression(store, keyring, clock)
        reminders = Reminders.of(
            config.mail,
            _brand(config),
            config.server.public_url,
            store=store,
            keyring=keyring,
            suppression=suppression,
            clock=clock,
        )
        watched = Queue(store.connection, "watch")
        books = Bookkeeper(store, outbox, teller, reminders, watched, clock)
        announcer = Announcer(outbox, teller)
        mint = Mint(store, registry(means), books, turns, watched, announcer, wait_seconds=wait)
        watch = Watch(store, watched, books, stripe, mint, clock)
        reconsidering = Reconsidering(store, mint, clock)
        gate = Gate(
            keyring=keyring,
            store=store,
            mint=mint,
            judge=Judge(store, keyring, reconsidering, Bench.of(config.detection)),
            admitting=Admitting(store.admission, keyring, config.links.public_per_minute),
            pages=pages,
            terms=_terms(config),
            clock=clock,
        )
        attribution = Attribution(books, stripe, frozenset(config.stripe.connected_accounts))
        inbox = Queue(store.connection, "inbox")
        reader = Worker(inbox, Reader(books, attribution).read, lease_seconds=30)
        watcher = Worker(watched, watch.handle, side_by_side=4, lease_seconds=60)
        reconciler = Reconciler(
            store, books, attribution, stripe, watch, clock, livemode=config.stripe.is_live
        )
        secrets = [secret.get_secret_value() for secret in config.stripe.webhook_secrets]
        # The lists of user agents are compiled now, not while the first odd one waits.
        warm()
        gateway = cls(
            config=config,
            clock=clock,
            store=store,
            keyring=keyring,
            tokens=tokens,
            pages=pages,
            proxies=TrustedProxies([str(range_) for range_ in config.server.trusted_proxies]),
            gate=gate,
            unsigned=Unsigned(gate=gate, store=store, tokens=tokens, pages=pages, clock=clock),
            returning=Returning(
                keyring=keyring, store=store, pages=pages, clock=clock, on_waiting=watch.soon
            ),
            suppression=suppression,
            desk=Desk(store, tokens, config.server.public_url, config.links, mint.close_open),
            webhooks=Webhooks(
                inbox,
                secrets,
                livemode=config.stripe.is_live,
                find=books.find,
                nudge=reader.nudge,
            ),
            mint=mint,
            books=books,
            watch=watch,
            reconciler=reconciler,
            outbox=outbox,
            reminders=reminders,
            reconsidering=reconsidering,
            inbox=inbox,
            reader=reader,
            watcher=watcher,
            stripe=stripe,
            egress=egress,
        )
        if background:
            gateway.start()
        return gateway

    def start(self) -> None:
        """Begin with all that goes on in the background."""
        self.store.recorder.start()
        self.reconsidering.start()
        self.reader.start()
        self.watcher.start()
        self.outbox.start()
        self.reminders.start()
        self.reconciler.start(self.config.stripe.reconcile_minutes * 60)

    async def close(self) -> None:
        """Finish the mints under way, write what is buffered, close every connection."""
        await self.reconsidering.stop()
        await self.mint.drain()
        await self.books.settled()
        await self.reconciler.stop()
        await self.reader.stop()
        await self.watcher.stop()
        await self.reminders.stop()
        await self.outbox.close()
        await self.stripe.close()
        await self.egress.close()
        await self.store.close()


async def _keep_to_mode(store: Store, config: Config) -> None:
    """Raise ConfigError if the store holds the other mode's payments."""
    mode = "live" if config.stripe.is_live else "test"
    try:
        known = await store.keep_to(mode)
    except StoreUnavailable:
        log.warning("the store is away: whether it belongs to %s mode is asked first of all", mode)
        store.insist_on(mode)
        return
    if known != mode:
        await store.close()
        raise ConfigError(
            [
                Problem(
                    "stripe.api_key",
                    f"is a {mode} key, and the store at store.url holds what {known} mode did; "
                    "use another store (another folder or database) for each mode",
                )
            ]
        )


def _terms(config: Config) -> Terms:
    return Terms(
        public_url=config.server.public_url,
        challenge_age=config.links.challenge_minutes * 60,
        device_age=config.links.device_days * DAY,
        scan_seconds=config.detection.scan_minutes * 60,
    )


def _brand(config: Config) -> Brand:
    return Brand(
        name=config.brand_name,
        colour=config.brand.colour,
        logo_url="/brand/logo" if config.brand.logo else None,
        contact=config.brand.contact,
    )


def _form_origins(config: Config) -> list[str]:
    # https is allowed anyway; a sandbox's pay page is on plain http.
    parts = urlsplit(config.stripe.api_base)
    return [f"http://{parts.netloc}"] if parts.scheme == "http" else []
