"""The gateway: every part, built from its own section of the configuration and put together.

This is the only place where parts are wired; what they do is in their own modules.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from linkgate.addresses import TrustedProxies
from linkgate.bench import Bench
from linkgate.config import Config
from linkgate.destinations import Means, registry
from linkgate.detection import warm
from linkgate.egress import Egress
from linkgate.issuing import Desk
from linkgate.judging import Judge
from linkgate.minting import Mint
from linkgate.pages import Pages
from linkgate.pages.brand import Brand
from linkgate.reconsidering import Reconsidering
from linkgate.returning import Returning
from linkgate.store import DAY, Store
from linkgate.stripe_api import API_VERSION, StripeAPI
from linkgate.tokens import Keyring, LinkTokens
from linkgate.visits import Gate, Terms
from linkgate.webhooks import Webhooks

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Gateway:
    """What one process serves with; belongs to one event loop."""

    config: Config
    clock: Clock
    store: Store
    tokens: LinkTokens
    pages: Pages
    proxies: TrustedProxies
    gate: Gate
    returning: Returning
    desk: Desk
    webhooks: Webhooks
    mint: Mint
    reconsidering: Reconsidering
    stripe: StripeAPI
    egress: Egress

    @classmethod
    async def open(cls, config: Config, clock: Clock = time.time) -> Self:
        """Build every part; raises ConfigError or StoreUnavailable."""
        store = await Store.open(
            config.store.url,
            visits_kept=config.store.visits_per_link,
            retention_days=config.store.retention_days,
            longest_days=config.links.max_days,
        )
        keyring = Keyring([key.get_secret_value() for key in config.signing.keys])
        tokens = LinkTokens(keyring)
        stripe = StripeAPI(
            config.stripe.api_key.get_secret_value(),
            base=config.stripe.api_base,
            timeout_s=config.stripe.timeout_seconds,
            version=config.stripe.api_version or API_VERSION,
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
        mint = Mint(store, registry(means), _Free(), _Unwatched(), wait_seconds=wait)
        pages = Pages(_brand(config), form_origins=_form_origins(config))
        terms = Terms(
            public_url=config.server.public_url,
            challenge_age=config.links.challenge_minutes * 60,
            device_age=config.links.device_days * DAY,
            scan_seconds=config.detection.scan_minutes * 60,
        )
        reconsidering = Reconsidering(store, mint, clock)
        gate = Gate(
            keyring=keyring,
            store=store,
            mint=mint,
            judge=Judge(store, keyring, reconsidering, Bench.of(config.detection)),
            pages=pages,
            terms=terms,
            clock=clock,
        )
        secrets = [secret.get_secret_value() for secret in config.stripe.webhook_secrets]
        # The lists of user agents are compiled now, not while the first odd one waits.
        warm()
        store.recorder.start()
        reconsidering.start()
        return cls(
            config=config,
            clock=clock,
            store=store,
            tokens=tokens,
            pages=pages,
            proxies=TrustedProxies([str(range_) for range_ in config.server.trusted_proxies]),
            gate=gate,
            returning=Returning(keyring=keyring, store=store, pages=pages, clock=clock),
            desk=Desk(store, tokens, config.server.public_url, config.links, mint.close_open),
            webhooks=Webhooks(store, secrets),
            mint=mint,
            reconsidering=reconsidering,
            stripe=stripe,
            egress=egress,
        )

    async def close(self) -> None:
        """Finish the mints under way, write what is buffered, close every connection."""
        await self.reconsidering.stop()
        await self.mint.drain()
        await self.stripe.close()
        await self.egress.close()
        await self.store.close()


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


class _Free:
    async def take(self, link_id: str, patience: float):
        return _Go()


class _Go:
    go, wait = True, 0.0


class _Unwatched:
    async def attempt(self, link_id: str) -> None: ...
