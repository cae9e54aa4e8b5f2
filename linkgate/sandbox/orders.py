"""Controls that say how the sandbox is to behave: faults, limits, time, versions, webhooks."""

import re
from typing import Annotated, Any

from litestar import Request, delete, get, post
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel, ConfigDict, Field, field_validator

from linkgate.sandbox.courier import Courier
from linkgate.sandbox.errors import no_such
from linkgate.sandbox.faults import Fault, FaultBook, Mode, as_json
from linkgate.sandbox.handling import Fate, Handling
from linkgate.sandbox.limits import Limits
from linkgate.sandbox.world import Object, World

#: More copies of one event than anyone needs at once.
MOST_COPIES = 1_000


class Order(BaseModel):
    """A control's body: nothing in it is passed over."""

    model_config = ConfigDict(extra="forbid")


class FaultOrder(Order):
    """The body of POST /sandbox/faults; see `Fault` for what the fields mean."""

    match: Annotated[str, Field(min_length=1, max_length=200)]
    mode: Mode = "status"
    status: Annotated[int, Field(ge=400, le=599)] = 500
    times: Annotated[int, Field(ge=1)] | None = 1
    skip: Annotated[int, Field(ge=0)] = 0
    seconds: Annotated[float, Field(ge=0, le=600)] = 30.0
    retry_after: Annotated[float, Field(ge=0)] | None = None
    executed: bool = False


class ClockOrder(Order):
    """The body of POST /sandbox/clock: seconds added to the sandbox's clock.

    `offset` counts from the true time, `by` from where the sandbox's clock stands.
    """

    offset: Annotated[float, Field(ge=-1e9, le=1e9)] | None = None
    by: Annotated[float, Field(ge=-1e9, le=1e9)] = 0.0


class LimitOrder(Order):
    """The body of POST /sandbox/limits; null lifts the limit. Counting begins anew."""

    creations_per_second: Annotated[int, Field(ge=0)] | None


class VersionOrder(Order):
    """The body of POST /sandbox/api-version: the account's default version of the API."""

    version: str

    @field_validator("version")
    @classmethod
    def _dated(cls, version: str) -> str:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.[a-z_]+)?", version):
            raise ValueError("must be a version of Stripe's API, like 2022-11-15")
        return version


class HandlingOrder(Order):
    """The body of POST /sandbox/webhooks/{fate}; see `Handling` for what the fields mean."""

    events: Annotated[int, Field(ge=1)] | None = 1
    kind: Annotated[str, Field(min_length=1, max_length=100)] = "*"
    copies: Annotated[int, Field(ge=1, le=MOST_COPIES)] = 2
    seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0


def fault_handlers(book: FaultBook) -> list[Any]:
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


def account_handlers(world: World, limits: Limits) -> list[Any]:
    @post("/clock", status_code=200, sync_to_thread=False)
    def set_clock(data: JSONBody[ClockOrder]) -> Object:
        start = world.offset if data.offset is None else data.offset
        world.offset = start + data.by
        return {"now": world.now(), "offset": world.offset, "expired": world.sweep()}

    @post("/limits", status_code=200, sync_to_thread=False)
    def limit(data: JSONBody[LimitOrder]) -> Object:
        limits.set(data.creations_per_second)
        return limits.as_json()

    @post("/api-version", status_code=200, sync_to_thread=False)
    def set_version(data: JSONBody[VersionOrder]) -> Object:
        world.api_version = data.version
        return {"version": world.api_version}

    return [set_clock, limit, set_version]


def webhook_handlers(world: World, courier: Courier) -> list[Any]:
    # Async, so that they run on the event loop, where the courier's tasks live.
    @post("/webhooks/hold", status_code=200)
    async def hold() -> Object:
        courier.hold()
        return {"held": True}

    @post("/webhooks/release", status_code=200)
    async def release(request: Request[Any, Any, Any]) -> Object:
        backwards = request.query_params.get("order") == "backwards"
        return {"held": False, "sent": courier.release(backwards=backwards)}

    @post("/webhooks/{fate:str}", status_code=201)
    async def handle(fate: FromPath[Fate], data: JSONBody[HandlingOrder]) -> Object:
        courier.book.add(Handling(fate, **data.model_dump()))
        return {"webhooks": courier.book.as_json()}

    @delete("/webhooks")
    async def clear() -> None:
        courier.book.clear()

    @post("/events/{event_id:str}/resend", status_code=200)
    async def resend(event_id: FromPath[str], request: Request[Any, Any, Any]) -> Object:
        event = world.get("event", event_id)
        if event is None and event_id == "last":
            event = next(iter(world.every("event")), None)
        if event is None:
            raise no_such("event", event_id, "id", status=404)
        wished = request.query_params.get("copies", "1")
        copies = min(int(wished), MOST_COPIES) if re.fullmatch("[1-9][0-9]{0,5}", wished) else 1
        courier.again(event, copies)
        return {"resent": event["id"], "copies": copies}

    return [hold, release, handle, clear, resend]
