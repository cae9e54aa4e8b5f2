"""Controls for tests and staging, under /sandbox and under the API's own key.

They are no part of Stripe's API: they order faults, move the clock, act for the person at the pay
page and for the bank behind it, lose, repeat and hold webhooks, and show what has happened.
"""

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from litestar import MediaType, Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath
from pydantic import ValidationError

from linkgate.sandbox.api import Api
from linkgate.sandbox.courier import Courier
from linkgate.sandbox.deeds import ACTIONS, Deed, perform
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.faults import FaultBook, as_json
from linkgate.sandbox.idempotency import Ledger
from linkgate.sandbox.limits import Limits
from linkgate.sandbox.orders import account_handlers, fault_handlers, webhook_handlers
from linkgate.sandbox.pages import Pages
from linkgate.sandbox.world import Object, World

SHOWN = (
    "id",
    "status",
    "payment_status",
    "mode",
    "created",
    "expires_at",
    "amount_total",
    "currency",
    "client_reference_id",
    "customer",
    "metadata",
    "payment_intent",
    "recovered_from",
    "subscription",
    "url",
)
PLACES = ("sessions", "subscriptions")


class Controls:
    """The handlers under /sandbox."""

    def __init__(
        self,
        world: World,
        api: Api,
        book: FaultBook,
        ledger: Ledger,
        limits: Limits,
        courier: Courier,
        pages: Pages,
    ) -> None:
        self._world = world
        self._api = api
        self._book = book
        self._ledger = ledger
        self._limits = limits
        self._courier = courier
        self._pages = pages

    def handlers(self) -> list[Router]:
        @get("/", media_type=MediaType.HTML, sync_to_thread=False)
        def overview() -> Response[str]:
            return self._pages.overview(self._state())

        @get("/state", sync_to_thread=False)
        def state() -> Object:
            return self._state()

        # Async, so that it runs on the event loop, where the courier's tasks live.
        @post(
            [
                "/sessions/{object_id:str}/{action:str}",
                "/subscriptions/{object_id:str}/{action:str}",
            ],
            status_code=200,
        )
        async def act(
            object_id: FromPath[str], action: FromPath[str], request: Request[Any, Any, Any]
        ) -> Object:
            if action not in ACTIONS:
                raise ApiError(f"Nothing is called {action!r} here; try {', '.join(ACTIONS)}.")
            return perform(self._world, object_id, action, _deed(await request.body()))

        return [
            Router(
                "/sandbox",
                guards=[self._guard],
                route_handlers=[
                    overview,
                    state,
                    act,
                    *fault_handlers(self._book),
                    *account_handlers(self._world, self._limits),
                    *webhook_handlers(self._world, self._courier),
                ],
            )
        ]

    def _guard(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        self._api.authorise({name.lower(): value for name, value in connection.headers.items()})

    def _state(self) -> Object:
        world = self._world
        world.sweep()
        sessions = world.every("checkout.session")
        statuses = Counter(session["status"] for session in sessions)
        return {
            "now": world.now(),
            "offset": world.offset,
            "api_version": world.api_version,
            "counts": {
                "created": world.created["checkout.session"],
                **{status: statuses[status] for status in ("open", "complete", "expired")},
                "paid": sum(session["payment_status"] == "paid" for session in sessions),
            },
            "requests": dict(world.requests),
            "limits": self._limits.as_json(),
            "idempotency_keys": self._ledger.keys(),
            "sessions": [{key: session[key] for key in SHOWN} for session in sessions],
            "subscriptions": dict(Counter(each["status"] for each in world.every("subscription"))),
            "events": dict(Counter(event["type"] for event in world.every("event"))),
            "deliveries": [asdict(delivery) for delivery in self._courier.log],
            "faults": [as_json(fault) for fault in self._book.open()],
            "webhooks": self._courier.book.as_json(),
        }


def _deed(body: bytes) -> Deed:
    try:
        return Deed.model_validate(json.loads(body or b"{}"))
    except (ValueError, ValidationError) as error:
        raise ApiError(f"The body isn't what a control takes: {error}") from error
