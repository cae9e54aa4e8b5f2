"""Deliveries as the operator sees them: what waits, what is parked, and sending it again."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import Field

from linkgate.config.outbound import Outbound
from linkgate.errors import Conflict, Invalid, NotFound, Problem
from linkgate.store import Store
from linkgate.store.outbox import SAFETY_SECONDS, Line, OutboxStore, Waiting
from linkgate.store.parked import Parked, ParkedStore, delivery_id

T = TypeVar("T")

PAGE_MAX = 100
#: What one call sends again, so that it ends in time for whoever waits for the answer.
RESEND_MAX = 10_000
_BATCH = 500
# Links that were only announced are passed over; so many of them at most for one page.
_LOOKS = 20


class State(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one endpoint."""

    id: str
    message: Annotated[str, Field(description="The webhook-id, the same for every endpoint")]
    type: str
    link: str
    endpoint: str
    state: State
    at: Annotated[datetime, Field(description="When it happened")]
    queued_at: Annotated[datetime, Field(description="Since when it has waited")]
    parked_at: datetime | None
    reason: Annotated[str, Field(description="Why it was not taken the last time, if it was tried")]
    behind: Annotated[int, Field(description="How many of the link's messages wait behind it")]


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Deliveries: what is parked, newest first; what waits, soonest first, one for each link."""

    deliveries: list[Delivery]
    next: Annotated[str | None, Field(description="The `cursor` of the next page, if there is one")]


@dataclass(frozen=True, slots=True)
class Resent:
    """What was sent again, and how many of the endpoint's are still parked."""

    resent: int
    left: int


class Deliveries:
    """What an operator may do with deliveries; raises StoreUnavailable.

    Needs no running outbox: the serving processes find what is put back within a second.
    """

    def __init__(self, config: Outbound, store: Store, clock: Callable[[], float]) -> None:
        self._names = [endpoint.name for endpoint in config.endpoints]
        self._outbox = OutboxStore(store.connection)
        self._parked = ParkedStore(store.connection)
        self._clock = clock

    async def page(
        self,
        state: State,
        *,
        endpoint: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_MAX,
    ) -> DeliveryPage:
        """Return one page; raises Invalid for a cursor or limit that is none."""
        if not 1 <= limit <= PAGE_MAX:
            raise Invalid([Problem("limit", f"must be 1 to {PAGE_MAX}")])
        if state is State.PARKED:
            before = _read_cursor(cursor, float) if cursor else None
            parked, more = await self._parked.list(endpoint, limit, before=before)
            return DeliveryPage([_of_parked(each) for each in parked], _cursor(more))
        if endpoint is not None:
            self._check(endpoint)
        return await self._waiting(endpoint, cursor, limit)

    async def resend(self, name: str) -> Delivery:
        """Send a parked delivery again, under its old message id.

        Raises NotFound if there is none, Conflict if its endpoint is no longer configured.
        """
        parked = await self._parked.find(name)
        if parked is None:
            raise NotFound("there is no parked delivery with this id")
        self._check(parked.endpoint)
        [line] = await self._send_again(parked.endpoint, [parked])
        return _delivery(parked.endpoint, parked.link, line, State.WAITING)

    async def resend_all(self, endpoint: str, *, most: int = RESEND_MAX) -> Resent:
        """Send what is parked of an endpoint again, oldest first, up to so many.

        Raises Conflict if the endpoint is not configured.
        """
        self._check(endpoint)
        resent = 0
        while resent < most:
            some = min(most - resent, _BATCH)
            parked, _ = await self._parked.list(endpoint, some, oldest_first=True)
            if not parked:
                break
            resent += len(await self._send_again(endpoint, parked))
        return Resent(resent, await self._parked.count(endpoint))

    async def parked_at(self) -> Mapping[str, int]:
        """Return how many deliveries are parked, by endpoint, removed ones included."""
        names = await self._parked.know(())
        counts = {name: await self._parked.count(name) for name in sorted(names | {*self._names})}
        return {name: count for name, count in counts.items() if count}

    def _check(self, endpoint: str) -> None:
        if endpoint not in self._names:
            raise Conflict(
                f"there is no endpoint named {endpoint} in the configuration; "
                f"there are {', '.join(self._names) or 'none'}"
            )

    async def _send_again(self, endpoint: str, parked: Iterable[Parked]) -> list[Line]:
        """Repeatable at any step: announced first, then put back, and no longer parked at last."""
        now = self._clock()
        ordered = sorted(parked, key=lambda each: each.link)  # stable: a link's stay in order
        links = {
            link: [msgspec.structs.replace(each.line, queued=now) for each in its]
            for link, its in groupby(ordered, key=lambda each: each.link)
        }
        await self._outbox.alert(endpoint, links, now, delay_ms=int(SAFETY_SECONDS * 1000))
        for link, lines in links.items():
            await self._outbox.put_back(endpoint, link, lines)
        await self._outbox.alert(endpoint, links, now)
        await self._parked.remove(endpoint, [each.id for each in ordered])
        return [line for lines in links.values() for line in lines]

    async def _waiting(self, endpoint: str | None, cursor: str | None, limit: int) -> DeliveryPage:
        names = [endpoint] if endpoint else sorted(self._names)
        begin, after = "", None
        if cursor:
            begin, due, link = _read_cursor(cursor, tuple[str, float, str])
            after = (due, link)
        found: list[Delivery] = []
        looks = 0
        for name in (name for name in names if name >= begin):
            place = after if name == begin else None
            while True:
                some = await self._outbox.waiting(name, PAGE_MAX, after=place)
                looks += 1
                for each in some:
                    place = (each.due, each.link)
                    if each.line is not None:
                        found.append(_of_waiting(name, each, each.line))
                    if len(found) == limit:
                        return DeliveryPage(found, _cursor((name, *place)))
                if len(some) < PAGE_MAX:
                    break
                if looks >= _LOOKS and place is not None:
                    return DeliveryPage(found, _cursor((name, *place)))
        return DeliveryPage(found, None)


def _of_parked(parked: Parked) -> Delivery:
    return _delivery(
        parked.endpoint,
        parked.link,
        parked.line,
        State.PARKED,
        parked_at=_time(parked.parked_at),
        reason=parked.reason,
    )


def _of_waiting(endpoint: str, waiting: Waiting, line: Line) -> Delivery:
    return _delivery(
        endpoint,
        waiting.link,
        line,
        State.WAITING,
        reason=waiting.reason,
        behind=waiting.behind,
    )


def _delivery(
    endpoint: str,
    link: str,
    line: Line,
    state: State,
    *,
    parked_at: datetime | None = None,
    reason: str = "",
    behind: int = 0,
) -> Delivery:
    return Delivery(
        id=delivery_id(line.id, endpoint),
        message=line.id,
        type=line.type,
        link=link,
        endpoint=endpoint,
        state=state,
        at=_time(line.at),
        queued_at=_time(line.queued),
        parked_at=parked_at,
        reason=reason,
        behind=behind,
    )


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _cursor(place: Any) -> str | None:
    if place is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _read_cursor(text: str, kind: type[T]) -> T:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(data, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Invalid(
            [Problem("cursor", "is none; take it from `next` of the page before")]
        ) from None
