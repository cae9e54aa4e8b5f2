"""Scripts that are called at the same moment travel together.

A round trip's cost is the gateway's, not the store's: taking a connection, writing, waking up to
read. Under load many visits are waiting at once anyway, so their scripts share one pipeline; alone,
a script goes out at once. No result is delayed for the sake of another.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, cast

import redis.exceptions as redis_errors
from redis.asyncio import Redis

#: Scripts in one pipeline; its answers are read before the first caller goes on.
SCRIPTS_A_FLIGHT = 64
#: Pipelines under way at once, so that a slow one does not hold up the rest.
FLIGHTS = 4


@dataclass(slots=True, eq=False)
class _Call:
    sha: str
    source: str
    tail: tuple[str | int | bytes, ...]
    answer: "asyncio.Future[Any]"


class Together:
    """Evaluates scripts on one server; not for a cluster, whose keys live in several places."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: deque[_Call] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._boarding = False

    async def evaluate(self, sha: str, source: str, tail: tuple[str | int | bytes, ...]) -> Any:
        """Run the script with this hash; `tail` is the number of keys, the keys, the arguments.

        Raises what redis-py raises for this script, or for the connection that it shared.
        """
        call = _Call(sha, source, tail, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if not self._boarding and len(self._flights) < FLIGHTS:
            self._boarding = True
            self._flights.add(asyncio.create_task(self._fly()))
        return await call.answer

    async def _fly(self) -> None:
        try:
            await self._carry()
        finally:
            # In the same step that found nobody waiting: whoever calls next must see a free flight.
            self._flights.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _carry(self) -> None:
        self._boarding = False
        while self._waiting:
            some = min(len(self._waiting), SCRIPTS_A_FLIGHT)
            calls = [self._waiting.popleft() for _ in range(some)]
            try:
                await self._send(calls)
            except BaseException as error:
                for call in calls:
                    if not call.answer.done():
                        call.answer.set_exception(_copy(error))
                if not isinstance(error, Exception):
                    raise

    async def _send(self, calls: list[_Call]) -> None:
        unknown = []
        for call, answer in zip(calls, await self._ask("EVALSHA", calls), strict=True):
            if isinstance(answer, redis_errors.NoScriptError):
                unknown.append(call)
            else:
                _settle(call, answer)
        if unknown:
            # A restart, a failover or SCRIPT FLUSH; EVAL also puts them back into the cache.
            for call, answer in zip(unknown, await self._ask("EVAL", unknown), strict=True):
                _settle(call, answer)

    async def _ask(self, command: str, calls: list[_Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            name = call.sha if command == "EVALSHA" else call.source
            pipeline.execute_command(command, name, *call.tail)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers


def _settle(call: _Call, answer: Any) -> None:
    if call.answer.done():  # its visitor has gone
        return
    if isinstance(answer, Exception):
        call.answer.set_exception(answer)
    else:
        call.answer.set_result(answer)


def _copy(error: BaseException) -> Exception:
    # One exception raised in many tasks would grow one traceback; and a cancelled flight must not
    # cancel the visits that it carried.
    if isinstance(error, asyncio.CancelledError):
        return redis_errors.ConnectionError("the call to the store was given up")
    if isinstance(error, redis_errors.RedisError | OSError):
        return type(error)(*error.args)
    return RuntimeError(repr(error))
