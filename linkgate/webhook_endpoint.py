"""Stripe's webhook endpoint for this linkgate: how it stands, and how it is made right.

Stripe shows an endpoint's signing secret in the one answer that creates it, and has no call that
rolls it.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import aiohttp
import stripe

from linkgate.config import Config
from linkgate.config.checks import is_loopback
from linkgate.errors import LinkgateError
from linkgate.payments import EVENTS
from linkgate.stripe_api import API_VERSION

T = TypeVar("T")

#: Stands for every event. https://docs.stripe.com/api/webhook_endpoints/create
ALL = "*"
_PAGE = 100


class Refused(LinkgateError):
    """Stripe said no, or nothing: `status` is 0 without an answer."""

    def __init__(self, status: int, words: str, headers: Mapping[str, str]) -> None:
        super().__init__(words)
        self.status = status
        self.headers = headers


@asynccontextmanager
async def client_of(config: Config) -> AsyncIterator[stripe.StripeClient]:
    """Lend a client for an operator's command, with the key and the version of the gateway."""
    http = stripe.AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=config.stripe.timeout_seconds))
    try:
        yield stripe.StripeClient(
            config.stripe.api_key.get_secret_value(),
            stripe_version=config.stripe.api_version or API_VERSION,
            base_addresses={"api": config.stripe.api_base},
            http_client=http,
            # A call that is sent again carries the same idempotency key: no second endpoint.
            max_network_retries=1,
        )
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]


async def ask(call: Awaitable[T]) -> T:
    """Return the answer; raises Refused, whose words never hold the key (Stripe masks it)."""
    try:
        return await call
    except stripe.APIConnectionError as error:
        # Stripe's own words ask to write to its support; the cause says what is in the way.
        raise Refused(0, str(error.__cause__ or "no answer"), {}) from error
    except stripe.StripeError as error:
        words = error.user_message or error.code or type(error).__name__
        raise Refused(error.http_status or 0, words, error.headers or {}) from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Refused(0, str(error) or type(error).__name__, {}) from error


def address(config: Config) -> str:
    """Return where Stripe is to send its events."""
    return f"{config.server.public_url}/webhooks/stripe"


def is_for_trial(config: Config) -> bool:
    """Say whether Stripe is a stand-in on this machine, which can send events to this machine."""
    return is_loopback(urlsplit(config.stripe.api_base).hostname or "")


def unreachable(config: Config, url: str) -> str | None:
    """Say why Stripe can't send events to `url`, and what to do instead; None if it may try.

    https://docs.stripe.com/webhooks#register-webhook: public, and in live mode https alone.
    """
    instead = (
        f"for a trial, run `stripe listen --forward-to {url}`, and put the secret that it prints "
        "into stripe.webhook_secrets"
    )
    host = urlsplit(url).hostname or ""
    if is_loopback(host) and not is_for_trial(config):
        return f"Stripe can't reach {url}, which only this machine can; {instead}"
    if config.stripe.is_live and not url.startswith("https:"):
        return f"Stripe sends live events to public https addresses alone, and not to {url}"
    return None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One webhook endpoint, as Stripe has it."""

    id: str
    url: str
    enabled: bool
    events: tuple[str, ...]
    api_version: str | None

    @property
    def superfluous(self) -> tuple[str, ...]:
        """The events that it sends and linkgate does not need; it ignores them."""
        return tuple(event for event in self.events if event not in EVENTS)

    @property
    def is_right(self) -> bool:
        """Whether it sends exactly what linkgate needs."""
        return self.enabled and set(self.events) == set(EVENTS)


def missing(endpoints: Sequence[Endpoint]) -> tuple[str, ...]:
    """Return the needed events that none of the enabled endpoints sends."""
    heard = {event for endpoint in endpoints if endpoint.enabled for event in endpoint.events}
    return () if ALL in heard else tuple(event for event in EVENTS if event not in heard)


async def registered(client: stripe.StripeClient, url: str) -> list[Endpoint]:
    """Return the account's endpoints with this URL, those that are enabled first."""
    found: list[Endpoint] = []
    params: dict[str, Any] = {"limit": _PAGE}
    while True:
        page = await ask(client.v1.webhook_endpoints.list_async(cast(Any, params)))
        found += map(_read, page.data)
        if not page.has_more or not page.data:
            break
        params["starting_after"] = page.data[-1].id
    ours = [endpoint for endpoint in found if endpoint.url.rstrip("/") == url.rstrip("/")]
    return sorted(ours, key=lambda endpoint: not endpoint.enabled)


class Done(StrEnum):
    """What `install` did."""

    CREATED = "created"
    UPDATED = "updated"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Installed:
    """What came of it. `secret` is there if the endpoint was created, and never again.

    `before` is the endpoint as it was, if there was one; `others` have the same URL.
    """

    done: Done
    endpoint: Endpoint
    secret: str | None = None
    before: Endpoint | None = None
    others: tuple[Endpoint, ...] = ()


async def install(client: stripe.StripeClient, url: str) -> Installed:
    """Make the endpoint at `url` send exactly the events needed; raises Refused."""
    endpoints = await registered(client, url)
    service = client.v1.webhook_endpoints
    events = cast(Any, list(EVENTS))
    if not endpoints:
        made = await ask(
            service.create_async(
                {
                    "url": url,
                    "enabled_events": events,
                    "api_version": cast(Any, API_VERSION),
                    "description": "linkgate",
                }
            )
        )
        return Installed(Done.CREATED, _read(made), made.secret)
    before, *others = endpoints
    if before.is_right:
        return Installed(Done.NOTHING, before, None, before, tuple(others))
    # The version of an endpoint can't be changed; linkgate reads those of the years before too.
    changed = await ask(
        service.update_async(before.id, {"enabled_events": events, "disabled": False})
    )
    return Installed(Done.UPDATED, _read(changed), None, before, tuple(others))


def _read(endpoint: stripe.WebhookEndpoint) -> Endpoint:
    return Endpoint(
        id=endpoint.id,
        url=endpoint.url,
        enabled=endpoint.status == "enabled",
        events=tuple(endpoint.enabled_events),
        # Absent where an account's own version counts.
        api_version=endpoint.to_dict().get("api_version"),
    )
