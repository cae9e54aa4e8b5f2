"""The limit on creations, the clock, and the Date that every answer carries."""

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import stripe

from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.limits import Limits
from tests.sandbox.conftest import KEY, Clock, Live

CREATE = "POST /v1/checkout/sessions"


class Ticks:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def admitted(limits: Limits, many: int, endpoint: str = CREATE) -> int:
    found = 0
    for _ in range(many):
        try:
            limits.enter(endpoint)
        except ApiError:
            continue
        found += 1
    return found


def test_the_second_slides() -> None:
    ticks = Ticks()
    limits = Limits(ticks)
    limits.set(25)
    assert admitted(limits, 10) == 10
    ticks.at = 0.875
    assert admitted(limits, 20) == 15
    ticks.at = 1.0
    # The ten of the beginning are over; what was refused took no place.
    assert admitted(limits, 20) == 10
    ticks.at = 1.8
    assert admitted(limits, 1) == 0
    ticks.at = 1.875
    assert admitted(limits, 20) == 15
    told = limits.as_json()
    assert told["refused"] == {CREATE: 5 + 10 + 1 + 5}
    assert told["busiest_second"] == {CREATE: 41}


def test_endpoints_are_counted_apart_and_without_a_limit_too() -> None:
    limits = Limits(Ticks())
    assert admitted(limits, 30) == 30
    assert admitted(limits, 2, "POST /v1/refunds") == 2
    assert limits.as_json()["busiest_second"] == {CREATE: 30, "POST /v1/refunds": 2}
    assert limits.as_json()["refused"] == {}


async def test_creations_above_the_limit_are_refused_as_stripe_does(live: Live) -> None:
    _, told = await live.control("limits", {"creations_per_second": 0})
    assert told == {"creations_per_second": 0, "refused": {}, "busiest_second": {}}
    with pytest.raises(stripe.RateLimitError) as caught:
        await live.session()
    headers: Any = caught.value.headers
    assert headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert "Retry-After" not in headers
    # What creates nothing is not meant.
    await live.sessions.list_async()
    state = (await live.control("state", method="GET"))[1]["limits"]
    assert state["refused"] == state["busiest_second"] == {CREATE: 1}
    await live.control("limits", {"creations_per_second": None})
    assert (await live.session()).status == "open"


async def test_a_key_refused_by_the_limit_is_not_used_up(live: Live) -> None:
    options: Any = {"idempotency_key": "k"}
    await live.control("limits", {"creations_per_second": 0})
    with pytest.raises(stripe.RateLimitError):
        await live.client.v1.customers.create_async({}, options)
    await live.control("limits", {"creations_per_second": 1})
    assert (await live.client.v1.customers.create_async({}, options)).id


async def test_the_clock_is_set_and_moved(live: Live, clock: Clock) -> None:
    await live.control("clock", {"offset": 100})
    _, told = await live.control("clock", {"by": 3600})
    assert told["offset"] == 3700
    assert told["now"] == int(clock()) + 3700


@pytest.mark.parametrize("path", ["/v1/checkout/sessions", "/v1/nothing", "/", "/sandbox/state"])
async def test_every_answer_has_one_date_by_the_sandboxs_clock(
    live: Live, clock: Clock, path: str
) -> None:
    await live.control("clock", {"offset": -7200})
    headers = {"Authorization": f"Bearer {KEY}"}
    async with live.http.get(live.url + path, headers=headers) as answer:
        (date,) = answer.headers.getall("Date")
    assert parsedate_to_datetime(date).timestamp() == int(clock()) - 7200


async def test_answers_on_one_connection_keep_their_date(live: Live) -> None:
    host, port = live.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):
        writer.write(b"GET /v1/account HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.lower().count(b"\r\ndate:") == 1
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
