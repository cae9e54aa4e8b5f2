"""Processes that may end at any call, and calls that may take a while.

Time is virtual (see `virtual`), for the store's scripts too.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis
from redis.client import Pipeline

from linkgate.store.connect import Client, Connection, Script
from tests.bars.virtual import VirtualLoop

#: When every trial begins, in Unix seconds.
BEGIN = 1_800_000_000


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Weather:
    """What the network does to calls, by chance; all is well with `calm`."""

    chance: random.Random
    #: How often a call to Stripe, and to the operator's system, goes wrong.
    stripe: float = 0.0
    receiver: float = 0.0
    #: How often a call takes a while, and how often it takes so long that its lease runs out.
    slow: float = 0.0
    frozen: float = 0.0

    def calm(self) -> None:
        self.stripe = self.receiver = self.slow = self.frozen = 0.0

    async def delay(self) -> None:
        if self.chance.random() < self.frozen:
            await asyncio.sleep(self.chance.uniform(10, 40))
        if self.chance.random() < self.slow:
            await asyncio.sleep(self.chance.choice((0.0, 0.001, 0.02, 0.3)))


@dataclass
class Life:
    """A process's: at which kind of call it ends, and whether that call is carried out.

    Or for how long it stands still there, in seconds, before it goes on as if nothing had been.
    """

    weather: Weather
    fate: str = ""
    after: bool = False
    still: float = 0.0
    dead: bool = False
    #: At which call it died.
    died_at: str = ""

    async def before(self, what: str) -> None:
        await self.weather.delay()
        if not self.dead and not self.after:
            await self._meet(what)
        self._go_on()

    async def behind(self, what: str) -> None:
        if not self.dead and self.after:
            await self._meet(what)
        self._go_on()
        await self.weather.delay()
        self._go_on()

    async def _meet(self, what: str) -> None:
        if not self.fate or not what.startswith(self.fate):
            return
        if self.still:
            self.fate, seconds = "", self.still
            await asyncio.sleep(seconds)
        else:
            self.dead = True
            self.died_at = f"{'after' if self.after else 'before'} {what}"

    def _go_on(self) -> None:
        if self.dead:
            raise Killed


_TIMED: dict[str, Script] = {}


def _timed(script: Script) -> Script:
    """Return the script with a clock that is its last argument, in microseconds."""
    found = _TIMED.get(script.sha)
    if found is None:
        clock = (
            "local trial = table.remove(ARGV)\n"
            "local trial_time = {string.sub(trial, 1, -7), string.sub(trial, -6)}\n"
        )
        source = clock + script.source.replace("redis.call('TIME')", "trial_time")
        found = _TIMED[script.sha] = Script(script.name, source)
    return found


class Blocking:
    """A client whose calls can be awaited, and are over before anything else runs.

    Virtual time has no room for waiting for a socket; and so the same seed gives the same course.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._client, name)

        async def call(*args: Any, **more: Any) -> Any:
            return called(*args, **more)

        return call

    def pipeline(self, **more: Any) -> "BlockingPipeline":
        return BlockingPipeline(self._client.pipeline(**more))


class BlockingPipeline:
    """Collects commands as they are called; only `execute` is awaited."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    async def execute(self, *args: Any, **more: Any) -> Any:
        return self._pipeline.execute(*args, **more)


class MortalConnection(Connection):
    """One process's way to the store; it ends with the process."""

    def __init__(self, client: Redis, life: Life, loop: VirtualLoop) -> None:
        super().__init__(cast(Client, Blocking(client)))
        self._life = life
        self._loop = loop

    async def script(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes] = ()
    ) -> Any:
        # The time is read when it is sent: a call that took a while on the way has a later one.
        timed, args = _timed(script), list(args)
        async with self.guard(script.name):
            tail = (len(keys), *keys, *args, self._now())
            return await self._evaluate(timed, tail)

    def _now(self) -> int:
        return int((BEGIN + self._loop.time()) * 1_000_000)

    @asynccontextmanager
    async def guard(self, what: str = "a command") -> AsyncIterator[Client]:
        await self._life.before(what)
        async with super().guard(what) as client:
            yield client
        await self._life.behind(what)
