"""All that the sandbox knows: objects, events and counts, in memory, on a clock of its own.

The world does no input or output. It is created by `Sandbox`, kept for the life of the process,
and forgets its oldest objects when a noun holds more than `KEPT`.
"""

import copy
import heapq
import secrets
import string
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import stripe

from linkgate.sandbox.prices import price_object

Object: TypeAlias = dict[str, Any]

KEPT = 50_000
KEPT_EVENTS = 10_000
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where signed events go; `enabled_events` as Stripe has them, `*` for all.

    Events come in `api_version`; None: in the account's at the time.
    """

    url: str
    secret: str
    enabled_events: tuple[str, ...] = ("*",)
    api_version: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """The API request that led to an event; without an id, something done on a hosted page."""

    request_id: str | None = None
    idempotency_key: str | None = None


NO_REQUEST = Cause()


@dataclass(slots=True)
class Cart:
    """What Stripe keeps about a Checkout Session and doesn't show on it."""

    items: list[Object]
    payment_intent_data: Object = field(default_factory=dict)
    subscription_data: Object = field(default_factory=dict)
    setup_intent_data: Object = field(default_factory=dict)
    customer_update: Object = field(default_factory=dict)
    notice: str | None = None
    recovery_token: str | None = None


class World:
    """Objects by noun and id, and the things that happen to them.

    `base_url` is where browsers reach the sandbox, without a slash at its end. `clock` gives Unix
    seconds; `offset` (seconds) is added to it, so that a test can make the sandbox's time pass, or
    be wrong, without touching anyone else's.
    """

    def __init__(
        self, base_url: str, webhooks: Sequence[WebhookEndpoint], clock: Callable[[], float]
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.offset = 0.0
        self.account_id = self.new_id("acct_", 16)
        self.portal_configuration = self.new_id("bpc_")
        # The account's default version: the shape of events, where an endpoint asks for no other.
        self.api_version: str = stripe.api_version
        self.objects: dict[str, dict[str, Object]] = {}
        self.carts: dict[str, Cart] = {}
        self.secrets: dict[str, str] = {}
        # Which invoice a payment intent pays; up to 2025 both and the charge named each other.
        self.invoice_of: dict[str, str] = {}
        self.created: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.announce: Callable[[Object], None] = lambda _: None
        self._clock = clock
        self._expiries: list[tuple[int, str]] = []
        self._event_order: deque[str] = deque()
        for webhook in webhooks:
            self.add_webhook_endpoint(webhook)
        self.add_price("price_demo_once", 4900, "eur", product_name="Linkgate workshop ticket")
        self.add_price(
            "price_demo_monthly", 1900, "eur", recurring="month", product_name="Linkgate Plus"
        )

    # Time

    def wall(self) -> float:
        """The clock without the offset: what the rest of the world's clocks show."""
        return self._clock()

    def now(self) -> int:
        """The sandbox's own time, in Unix seconds."""
        return int(self._clock() + self.offset)

    # Objects

    def new_id(self, prefix: str, length: int = 24) -> str:
        return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))

    def put(self, thing: Object) -> Object:
        """Keep an object under its own `object` and `id`; a noun's oldest go beyond `KEPT`."""
        self.created[thing["object"]] += 1
        noun = self.objects.setdefault(thing["object"], {})
        noun[thing["id"]] = thing
        if len(noun) > KEPT:
            oldest = next(iter(noun))
            del noun[oldest]
            self.carts.pop(oldest, None)
        return thing

    def get(self, noun: str, object_id: str) -> Object | None:
        return self.objects.get(noun, {}).get(object_id)

    def every(self, noun: str) -> list[Object]:
        """All of a noun, the newest first, as Stripe lists them."""
        return list(reversed(self.objects.get(noun, {}).values()))

    def find(self, object_id: str) -> Object | None:
        """Any object by its id alone, for `expand`."""
        for noun in self.objects.values():
            if object_id in noun:
                return noun[object_id]
        return None

    def add_price(
        self,
        price_id: str,
        unit_amount: int,
        currency: str,
        recurring: str | Object | None = None,
        product_name: str = "Sample product",
    ) -> Object:
        """A price and its product; `recurring` is an interval (`"month"`) or Stripe's own hash."""
        product = self.add_product(product_name)
        if isinstance(recurring, str):
            recurring = {"interval": recurring}
        price = price_object(
            price_id,
            now=self.now(),
            currency=currency.lower(),
            product=product["id"],
            unit_amount=unit_amount,
            recurring=recurring,
        )
        product["default_price"] = price_id
        return self.put(price)

    def add_product(self, name: str, **given: Any) -> Object:
        return self.put(
            {
                "id": self.new_id("prod_", 14),
                "object": "product",
                "active": True,
                "created": self.now(),
                "default_price": None,
                "description": given.get("description"),
                "images": given.get("images", []),
                "livemode": False,
                "metadata": given.get("metadata", {}),
                "name": name,
                "updated": self.now(),
                "url": None,
            }
        )

    def add_webhook_endpoint(self, webhook: WebhookEndpoint, **given: Any) -> Object:
        endpoint = {
            "id": self.new_id("we_"),
            "object": "webhook_endpoint",
            "api_version": webhook.api_version,
            "application": None,
            "created": self.now(),
            "description": given.get("description"),
            "enabled_events": list(webhook.enabled_events),
            "livemode": False,
            "metadata": given.get("metadata", {}),
            "status": "enabled",
            "url": webhook.url,
        }
        self.secrets[endpoint["id"]] = webhook.secret
        return self.put(endpoint)

    # Events

    def change(
        self, thing: Object, kind: str, changes: Object, cause: Cause = NO_REQUEST
    ) -> Object:
        """Change an object and tell it, with `previous_attributes` of what is different."""
        previous = {key: copy.deepcopy(thing[key]) for key in changes if thing[key] != changes[key]}
        thing |= changes
        return self.emit(kind, thing, cause, previous)

    def emit(
        self,
        kind: str,
        thing: Object,
        cause: Cause = NO_REQUEST,
        previous: Object | None = None,
    ) -> Object:
        """Record an event about an object as it is now, and hand it to the courier."""
        data = {"object": copy.deepcopy(thing)}
        event: Object = {
            "id": self.new_id("evt_"),
            "object": "event",
            "api_version": self.api_version,
            "created": self.now(),
            "data": data if previous is None else {**data, "previous_attributes": previous},
            "livemode": False,
            "pending_webhooks": len(self.listeners(kind)),
            "request": {"id": cause.request_id, "idempotency_key": cause.idempotency_key},
            "type": kind,
        }
        self.put(event)
        self._event_order.append(event["id"])
        if len(self._event_order) > KEPT_EVENTS:
            self.objects["event"].pop(self._event_order.popleft(), None)
        self.announce(event)
        return event

    def listeners(self, kind: str) -> list[Object]:
        """The enabled webhook endpoints that asked for a kind of event."""
        return [
            endpoint
            for endpoint in self.objects.get("webhook_endpoint", {}).values()
            if endpoint["status"] == "enabled"
            and ("*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"])
        ]

    # Expiry

    def expire_at(self, at: int, session_id: str) -> None:
        """Note when an open session ends; `sweep` acts on it."""
        heapq.heappush(self._expiries, (at, session_id))

    def sweep(self) -> int:
        """Expire every open session whose time is over; gives how many there were."""
        ended = 0
        while self._expiries and self._expiries[0][0] <= self.now():
            _, session_id = heapq.heappop(self._expiries)
            session = self.get("checkout.session", session_id)
            if session is not None and session["status"] == "open":
                self.expire(session)
                ended += 1
        return ended

    def expire(self, session: Object, cause: Cause = NO_REQUEST) -> None:
        """Close an open session for good; offers a recovery page where the creator asked for it."""
        session["status"] = "expired"
        session["url"] = None
        recovery = (session["after_expiration"] or {}).get("recovery")
        if recovery and recovery["enabled"]:
            token = uuid.uuid4().hex
            self.carts[session["id"]].recovery_token = token
            recovery["url"] = f"{self.base_url}/c/recover/{token}"
            # https://docs.stripe.com/payments/checkout/abandoned-carts: 30 days
            recovery["expires_at"] = session["expires_at"] + 30 * 86_400
        self.emit("checkout.session.expired", session, cause)
