"""Controls for tests and staging, under /sandbox and under the API's own key.

They are no part of Stripe's API: they order faults, move the clock, act for the person at the pay
page, hold and repeat webhooks, and show what has happened.
"""

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any, Literal

from litestar import MediaType, Request, Response, Router, delete, get, post
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel, ConfigDict, Field

from linkgate.sandbox import settle
from linkgate.sandbox.api import Api
from linkgate.sandbox.courier import Courier
from linkgate.sandbox.errors import no_such
from linkgate.sandbox.faults import Fault, FaultBook, Mode, as_json
from linkgate.sandbox.idempotency import Ledger
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
    "url",
)


class FaultOrder(BaseModel):
    """The body of POST /sandbox/faults; see `Fault` for what the fields mean."""

    model_config = ConfigDict(extra="forbid")

    match: Annotated[str, Field(min_length=1, max_length=200)]
    mode: Mode = "status"
    status: Annotated[int, Field(ge=400, le=599)] = 500
    times: Annotated[int, Field(ge=1)] | None = 1
    skip: Annotated[int, Field(ge=0)] = 0
    seconds: Annotated[float, Field(ge=0, le=600)] = 30.0
    retry_after: Annotated[float, Field(ge=0)] | None = None
    executed: bool = False


class ClockOrder(BaseModel):
    """The body of POST /sandbox/clock: seconds added to the sandbox's clock, not accumulated."""

    model_config = ConfigDict(extra="forbid")

    offset: Annotated[float, Field(ge=-1e9, le=1e9)]


class Controls:
    """The handlers under /sandbox."""

    def __init__(
        self,
        world: World,
        api: Api,
        book: FaultBook,
        ledger: Ledger,
        courier: Courier,
        pages: Pages,
    ) -> None:
        self._world = world
        self._api = api
        self._book = book
        self._ledger = ledger
        self._courier = courier
        self._pages = pages

    def handlers(self) -> list[Router]:
        @get("/", media_type=MediaType.HTML, sync_to_thread=False)
        def overview() -> Response[str]:
            return self._pages.overview(self._state())

        @get("/state", sync_to_thread=False)
        def state() -> Object:
            return self._state()

        return [
            Router(
                "/sandbox",
                guards=[self._guard],
                route_handlers=[
                    overview,
                    state,
                    *self._fault_handlers(),
                    *self._time_and_webhook_handlers(),
                    *self._session_handlers(),
                ],
            )
        ]

    def _guard(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        self._api.authorise({name.lower(): value for name, value in connection.headers.items()})

    def _fault_handlers(self) -> list[Any]:
        book = self._book

        @get("/faults", sync_to_thread=False)
        def list_faults() -> Object:
            return {"faults": [as_json(fault) for fault in book.open()]}

        @post("/faults", sync_to_thread=False)
        def order(data: JSONBody[FaultOrder]) -> Object:
            fault = Fault(**data.model_dump())
            book.add(fault)
            return as_json(fault)

        @delete("/faults", sync_to_thread=False)
        def clear() -> None:
            book.clear()

        return [list_faults, order, clear]

    def _time_and_webhook_handlers(self) -> list[Any]:
        world, courier = self._world, self._courier

        @post("/clock", status_code=200, sync_to_thread=False)
        def set_clock(data: JSONBody[ClockOrder]) -> Object:
            world.offset = data.offset
            return {"now": world.now(), "offset": world.offset, "expired": world.sweep()}

        @post("/webhooks/hold", status_code=200)
        async def hold() -> Object:
            courier.hold()
            return {"held": True}

        @post("/webhooks/release", status_code=200)
        async def release(request: Request[Any, Any, Any]) -> Object:
            backwards = request.query_params.get("order") == "backwards"
            return {"held": False, "sent": courier.release(backwards=backwards)}

        @post("/events/{event_id:str}/resend", status_code=200)
        async def resend(event_id: FromPath[str]) -> Object:
            event = world.get("event", event_id)
            if event is None:
                raise no_such("event", event_id, "id", status=404)
            courier.announce(event)
            return {"resent": event_id}

        return [set_clock, hold, release, resend]

    def _session_handlers(self) -> list[Any]:
        world = self._world

        @post("/sessions/{session_id:str}/{action:str}", status_code=200)
        async def act(
            session_id: FromPath[str],
            action: FromPath[Literal["pay", "pay-later", "fail", "settle", "fail-async", "expire"]],
        ) -> Object:
            world.sweep()
            session = world.get("checkout.session", session_id)
            if session is None:
                raise no_such("checkout.session", session_id, "session", status=404)
            ACTIONS[action](world, session)
            return session

        return [act]

    def _state(self) -> Object:
        world = self._world
        world.sweep()
        sessions = world.every("checkout.session")
        statuses = Counter(session["status"] for session in sessions)
        return {
            "now": world.now(),
            "offset": world.offset,
            "counts": {
                "created": world.created["checkout.session"],
                **{status: statuses[status] for status in ("open", "complete", "expired")},
                "paid": sum(session["payment_status"] == "paid" for session in sessions),
            },
            "requests": dict(world.requests),
            "idempotency_keys": self._ledger.keys(),
            "sessions": [{key: session[key] for key in SHOWN} for session in sessions],
            "events": dict(Counter(event["type"] for event in world.every("event"))),
            "deliveries": [asdict(delivery) for delivery in self._courier.log],
            "faults": [as_json(fault) for fault in self._book.open()],
        }


ACTIONS: dict[str, Any] = {
    "pay": settle.pay,
    "pay-later": settle.pay_later,
    "fail": settle.decline,
    "settle": settle.settle,
    "fail-async": settle.fail_async,
    "expire": settle.expire,
}
