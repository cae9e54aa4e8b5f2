"""Scripts that travel together: nobody is left behind, and nobody pays for another."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis.exceptions as redis_errors

from linkgate.store.together import FLIGHTS, Together


class Pipeline:
    """Collects calls; answers when its client lets it."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._calls: list[tuple[Any, ...]] = []

    def execute_command(self, *args: Any) -> None:
        self._calls.append(args)

    async def execute(self, raise_on_error: bool) -> list[Any]:
        self._client.sent.append(len(self._calls))
        await self._client.gate.wait()
        return [self._client.answer(*call) for call in self._calls]


class Client:
    """A store whose answers a test holds back."""

    def __init__(self, answer: Callable[..., Any] = lambda *call: call[-1]) -> None:
        self.answer = answer
        self.gate = asyncio.Event()
        self.sent: list[int] = []

    def pipeline(self, transaction: bool) -> Pipeline:
        return Pipeline(self)


def together(client: Client) -> Together:
    return Together(client)  # type: ignore[arg-type]


async def test_calls_of_one_moment_share_a_flight() -> None:
    client = Client()
    client.gate.set()
    made = together(client)
    answers = await asyncio.gather(*(made.evaluate("sha", "source", (n,)) for n in range(50)))
    assert answers == list(range(50))
    assert client.sent == [50]


async def test_a_call_made_as_the_last_flights_end_is_carried() -> None:
    client = Client()
    made = together(client)

    async def caller(again: bool) -> None:
        await made.evaluate("sha", "source", (1,))
        if again:
            await made.evaluate("sha", "source", (2,))

    callers = []
    for number in range(FLIGHTS):
        callers.append(asyncio.create_task(caller(number == 0)))
        await asyncio.sleep(0)  # so that each has a flight of its own
        await asyncio.sleep(0)
    assert client.sent == [1] * FLIGHTS
    client.gate.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*callers)


async def test_an_error_is_its_callers_own() -> None:
    def answer(*call: Any) -> Any:
        return redis_errors.ResponseError("wrong") if call[-1] == 3 else call[-1]

    client = Client(answer)
    client.gate.set()
    made = together(client)
    answers = await asyncio.gather(
        *(made.evaluate("sha", "source", (n,)) for n in range(5)), return_exceptions=True
    )
    assert [a for a in answers if not isinstance(a, Exception)] == [0, 1, 2, 4]
    assert isinstance(answers[3], redis_errors.ResponseError)


async def test_an_unknown_script_is_sent_in_full() -> None:
    def answer(command: str, name: str, *tail: Any) -> Any:
        return redis_errors.NoScriptError("NOSCRIPT") if command == "EVALSHA" else (name, *tail)

    client = Client(answer)
    client.gate.set()
    assert await together(client).evaluate("sha", "source", (1,)) == ("source", 1)


async def test_a_caller_who_leaves_takes_nobody_along() -> None:
    client = Client()
    made = together(client)
    leaving = asyncio.create_task(made.evaluate("sha", "source", (1,)))
    staying = asyncio.create_task(made.evaluate("sha", "source", (2,)))
    await asyncio.sleep(0.01)
    leaving.cancel()
    client.gate.set()
    assert await staying == 2
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_lost_connection_is_told_to_each() -> None:
    class Lost(Client):
        def pipeline(self, transaction: bool) -> Pipeline:
            raise redis_errors.ConnectionError("lost")

    made = together(Lost())
    answers = await asyncio.gather(
        *(made.evaluate("sha", "source", (n,)) for n in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [redis_errors.ConnectionError] * 3
    assert len({id(answer) for answer in answers}) == 3
