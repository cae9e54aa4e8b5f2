"""What could not be delivered: parked, where the operator sees it and sends it again.

All of it is in one slot: by time, by time for each endpoint, and the messages themselves.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from linkgate.store.connect import Connection, Script
from linkgate.store.outbox import Line

log = logging.getLogger(__name__)

#: Some 1 kB each. Beyond it, and when it is this old, the oldest is let go.
MAX_PARKED = 100_000
KEEP_SECONDS = 90 * 86_400

_ALL = "lg:{parked}:all"  # Hash: id of a delivery -> its JSON.
_AT = "lg:{parked}:at"  # Sorted set: ids of deliveries by when they were parked (ms, each its own).
_ENDPOINTS = "lg:{parked}:endpoints"  # Set: names of all endpoints that there ever were.

# KEYS: at, the endpoint's at, all. ARGV: id, JSON, most, keep ms. Returns how many were let go.
_PARK = Script(
    "park",
    """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    -- No two at the same time, so that a time is a place to go on from.
    local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
    local at = string.format('%d', math.max(now, tonumber(last or 0) + 1))
    redis.call('ZADD', KEYS[1], at, ARGV[1])
    redis.call('ZADD', KEYS[2], at, ARGV[1])
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
local lost = 0
local before = now - tonumber(ARGV[4])
while lost < 100 do
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    if not oldest[1] or (redis.call('ZCARD', KEYS[1]) <= tonumber(ARGV[3])
            and tonumber(oldest[2]) >= before) then break end
    redis.call('ZREM', KEYS[1], oldest[1])
    redis.call('ZREM', KEYS[1] .. ':' .. string.match(oldest[1], '[^.]*$'), oldest[1])
    redis.call('HDEL', KEYS[3], oldest[1])
    lost = lost + 1
end
return lost
""",
)

# KEYS: at, the endpoint's at, all. ARGV: ids. Returns how many there were.
_REMOVE = Script(
    "remove from what is parked",
    """
for index = 1, #ARGV do
    redis.call('ZREM', KEYS[1], ARGV[index])
    redis.call('ZREM', KEYS[2], ARGV[index])
end
local gone = 0
for index = 1, #ARGV do gone = gone + redis.call('HDEL', KEYS[3], ARGV[index]) end
return gone
""",
)


class Parked(msgspec.Struct, frozen=True):
    """One delivery that was given up; `parked_at` in Unix seconds, `reason` in words."""

    link: str
    endpoint: str
    line: Line
    parked_at: float
    reason: str

    @property
    def id(self) -> str:
        """The delivery's id."""
        return delivery_id(self.line.id, self.endpoint)


def delivery_id(message: str, endpoint: str) -> str:
    """Return the id of a message's delivery to an endpoint; neither holds a full stop."""
    return f"{message}.{endpoint}"


class ParkedStore:
    """What is parked; raises StoreUnavailable when the store doesn't answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, parked: Parked) -> None:
        """Park a delivery; repeating it changes nothing. What is too much is let go, and logged."""
        text = msgspec.json.encode(parked).decode()
        lost = await self._connection.script(
            _PARK,
            _keys(parked.endpoint),
            [parked.id, text, MAX_PARKED, KEEP_SECONDS * 1000],
        )
        if lost:
            log.error("%d parked deliveries are too many or too old, and are let go", lost)

    async def find(self, name: str) -> Parked | None:
        """Return the parked delivery with this id."""
        async with self._connection.guard() as client:
            text = cast(str | None, await client.hget(_ALL, name))
        return _read(text)

    async def list(
        self,
        endpoint: str | None,
        count: int,
        *,
        before: float | None = None,
        oldest_first: bool = False,
    ) -> tuple[list[Parked], float | None]:
        """Return parked deliveries, newest first, and the place to go on from, if there is more.

        `before` is such a place; `oldest_first` begins at the other end, and takes none.
        """
        name = _at(endpoint)
        async with self._connection.guard() as client:
            if oldest_first:
                found = await client.zrange(name, 0, count - 1, withscores=True)
            else:
                latest = "+inf" if before is None else f"({before:.0f}"
                found = await client.zrevrangebyscore(
                    name, latest, "-inf", start=0, num=count, withscores=True
                )
            places = cast(list[tuple[str, float]], found)
            ids = [place[0] for place in places]
            texts = cast(list[str | None], await client.hmget(_ALL, ids) if ids else [])
        more = places[-1][1] if len(places) == count else None
        return [parked for text in texts if (parked := _read(text))], more

    async def remove(self, endpoint: str, ids: Sequence[str]) -> int:
        """Take deliveries away; returns how many were there."""
        if not ids:
            return 0
        return int(await self._connection.script(_REMOVE, _keys(endpoint), list(ids)))

    async def count(self, endpoint: str | None = None) -> int:
        """How many are parked, of one endpoint or of all."""
        async with self._connection.guard() as client:
            return int(await client.zcard(_at(endpoint)))

    async def know(self, names: Iterable[str]) -> set[str]:
        """Note that there are endpoints of these names; returns all that there ever were."""
        async with self._connection.guard() as client:
            if new := list(names):
                await client.sadd(_ENDPOINTS, *new)
            return set(cast(set[str], await client.smembers(_ENDPOINTS)))


def _at(endpoint: str | None) -> str:
    return _AT if endpoint is None else f"{_AT}:{endpoint}"


def _keys(endpoint: str) -> tuple[str, str, str]:
    return _AT, _at(endpoint), _ALL


def _read(text: str | None) -> Parked | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Parked)
    except msgspec.MsgspecError:
        log.error("a parked delivery can't be read")
        return None
