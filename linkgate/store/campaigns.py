"""Campaigns in the store, and the cache that keeps the hot path from asking for them."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from linkgate.campaigns import Campaign
from linkgate.errors import Conflict, NotFound, StoreUnavailable
from linkgate.store import keys
from linkgate.store.connect import Connection, Script

#: How old a cached campaign may be, in seconds: a change takes this long to reach every process.
FRESH_SECONDS = 2.0
#: While the store is away, a campaign seen before is used for this long, so that people get in.
STALE_SECONDS = 3600.0
#: Only what there is is cached, so that only an operator can fill it; the bound is for safety.
MAX_CACHED = 10_000
#: Campaigns that are read in one go where all are looked through: other work gets its turn between.
_AT_ONCE = 500

# KEYS: campaign, trouble. ARGV: revision expected (0 for none), JSON. 1, or 0 on a conflict.
# A change may well have mended what was wrong: the destination's last refusal is forgotten.
_PUT = Script(
    "put campaign",
    """
local known = redis.call('GET', KEYS[1])
-- The very same again: the answer to the first call was lost.
if known == ARGV[2] then return 1 end
local revision = known and cjson.decode(known).revision or 0
if revision ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[2])
return 1
""",
)


class _Glance(msgspec.Struct):
    public: bool = False


_GLANCE = msgspec.json.Decoder(_Glance)


@dataclass(frozen=True, slots=True)
class _Cached:
    campaign: Campaign
    at: float


class Campaigns:
    """The campaigns' part of the store; raises StoreUnavailable when it doesn't answer."""

    def __init__(
        self, connection: Connection, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._monotonic = monotonic
        self._cache: dict[str, _Cached] = {}
        self._loading: dict[str, asyncio.Task[Campaign | None]] = {}
        self._public: tuple[tuple[Campaign, ...], float] = (), -math.inf
        self._loading_public: asyncio.Task[tuple[Campaign, ...]] | None = None

    def peek(self, slug: str) -> Campaign | None:
        """Return the campaign if a fresh copy is at hand; never waits."""
        cached = self._cached(slug, FRESH_SECONDS)
        return cached.campaign if cached else None

    async def get(self, slug: str) -> Campaign | None:
        """Return a campaign, at most FRESH_SECONDS old, or older if the store is away."""
        if fresh := self._cached(slug, FRESH_SECONDS):
            return fresh.campaign
        task = self._loading.get(slug)
        if task is None:
            task = self._loading[slug] = asyncio.create_task(self._load(slug))
            task.add_done_callback(lambda _: self._loading.pop(slug, None))
        try:
            # One visitor who leaves must not cancel the load that the others wait for.
            return await asyncio.shield(task)
        except StoreUnavailable:
            if stale := self._cached(slug, STALE_SECONDS):
                return stale.campaign
            raise

    async def public(self) -> tuple[Campaign, ...]:
        """Return the campaigns that are open to the public, oldest first.

        At most FRESH_SECONDS old, or older if the store is away.
        """
        known, at = self._public
        age = self._monotonic() - at
        if age < FRESH_SECONDS:
            return known
        if self._loading_public is None:
            self._loading_public = asyncio.create_task(self._load_public())
            self._loading_public.add_done_callback(self._loaded_public)
        try:
            return await asyncio.shield(self._loading_public)
        except StoreUnavailable:
            if age < STALE_SECONDS:
                return known
            raise

    def _loaded_public(self, _: asyncio.Task[tuple[Campaign, ...]]) -> None:
        self._loading_public = None

    def _cached(self, slug: str, seconds: float) -> _Cached | None:
        cached = self._cache.get(slug)
        return cached if cached and self._monotonic() - cached.at < seconds else None

    async def read(self, slug: str) -> Campaign:
        """Return a campaign as the store has it now; raises NotFound."""
        campaign = await self._load(slug)
        if campaign is None:
            raise NotFound(f"there is no campaign {slug!r}")
        return campaign

    async def put(self, campaign: Campaign, *, replaces: Campaign | None) -> None:
        """Keep a campaign; raises Conflict if it exists or is not what `replaces` says any more."""
        done = await self._connection.script(
            _PUT,
            [keys.campaign(campaign.slug), keys.trouble(campaign.slug)],
            [replaces.revision if replaces else 0, _dump(campaign)],
        )
        if not done and replaces is None:
            raise Conflict(f"there is a campaign {campaign.slug!r} already")
        if not done:
            raise Conflict(f"campaign {campaign.slug!r} was changed by someone else; read it again")
        self._cache.pop(campaign.slug, None)
        self._public = self._public[0], self._public[1] - FRESH_SECONDS
        async with self._connection.guard() as client:
            await client.zadd(
                keys.CAMPAIGNS, {campaign.slug: campaign.created_at.timestamp()}, nx=True
            )

    async def list(self) -> list[Campaign]:
        """Return all campaigns, newest first."""
        async with self._connection.guard() as client:
            slugs = cast(list[str], await client.zrevrange(keys.CAMPAIGNS, 0, -1))
            pipeline = client.pipeline(transaction=False)
            for slug in slugs:
                pipeline.get(keys.campaign(slug))
            texts = await pipeline.execute() if slugs else []
        return [_load(text) for text in texts if text]

    async def counts(self, slug: str) -> dict[str, int]:
        """Return what was counted for a campaign so far.

        A process that died may have left a visit uncounted whose verdict changed later: no count is
        below zero.
        """
        async with self._connection.guard() as client:
            counted = cast(dict[str, str], await client.hgetall(keys.counters(slug)))
        return {field: max(int(number), 0) for field, number in sorted(counted.items())}

    async def report_trouble(self, slug: str, at: str, message: str) -> None:
        """Keep the last reason why the destination refused the campaign, for the operator."""
        async with self._connection.guard() as client:
            text = json.dumps({"at": at, "message": message})
            await client.set(keys.trouble(slug), text, ex=7 * 86_400)

    async def trouble(self, slug: str) -> dict[str, Any] | None:
        """Return why the destination last refused the campaign; None if not since its change."""
        async with self._connection.guard() as client:
            text = await client.get(keys.trouble(slug))
        return json.loads(text) if text else None

    async def _load(self, slug: str) -> Campaign | None:
        async with self._connection.guard() as client:
            text = await client.get(keys.campaign(slug))
        campaign = _load(text) if text else None
        if campaign is None:
            # Anybody may ask for any slug: that must not push out those that people need.
            self._cache.pop(slug, None)
            return None
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[slug] = _Cached(campaign, self._monotonic())
        return campaign

    async def _texts(self, names: Sequence[str]) -> Sequence[str | None]:
        async with self._connection.guard() as client:
            if not self._connection.is_cluster:  # whose slots can't be asked in one command
                return cast(Sequence[str | None], await client.mget(names))
            pipeline = client.pipeline(transaction=False)
            for name in names:
                pipeline.get(name)
            return cast(Sequence[str | None], await pipeline.execute())

    async def _load_public(self) -> tuple[Campaign, ...]:
        async with self._connection.guard() as client:
            slugs = cast(list[str], await client.zrange(keys.CAMPAIGNS, 0, -1))
        found: list[Campaign] = []
        for start in range(0, len(slugs), _AT_ONCE):
            texts = await self._texts([keys.campaign(s) for s in slugs[start : start + _AT_ONCE]])
            # To read a whole campaign takes ten times as long as this glance at it.
            found += [_load(text) for text in texts if text and _GLANCE.decode(text).public]
        self._public = tuple(found), self._monotonic()
        return tuple(found)


def _dump(campaign: Campaign) -> str:
    # A field that is left at nothing is left out: an older version beside this one needn't know it.
    return campaign.model_dump_json(exclude_none=True)


def _load(text: str | bytes) -> Campaign:
    # What a newer version added is passed over; only what people write is held to the fields.
    return Campaign.model_validate_json(text, extra="ignore")
