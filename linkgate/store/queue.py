"""Queues: work that must not be lost, shared by all processes and done at least once.

An item is in the store before anything is done about it and leaves it when all is done. Whoever
takes one holds it for a while; if that process dies, another takes it again. An item that is put
again while it is being worked on comes back as soon as that work ends, so that an item may stand
for a thing to look at (a link that has something to deliver) as well as for a message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from linkgate.store import keys
from linkgate.store.connect import Connection, Script

#: An item's numbers in the store: generation, tries, until when it is held (ms), body.
_Stored = tuple[int, int, int, str]

_LUA = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function load(id)
    local text = redis.call('HGET', KEYS[2], id)
    if text then return cjson.decode(text) end
end
local function save(id, item) redis.call('HSET', KEYS[2], id, cjson.encode(item)) end
"""

# KEYS of all: due, items.
# ARGV: delay ms, then id, body, id, body, ... Returns how many there are now.
_PUT = Script(
    "put into a queue",
    _LUA
    + """
for index = 2, #ARGV, 2 do
    local id, due = ARGV[index], now + tonumber(ARGV[1])
    -- Counted on from the time, so that whoever still strikes out an item of before, late or once
    -- more, doesn't strike out this one.
    local item = load(id) or {now, 0, 0, ''}
    item[1], item[4] = item[1] + 1, ARGV[index + 1]
    -- Whoever holds it sees that it was put again, and lets it come back at once.
    if item[3] <= now then
        local known = tonumber(redis.call('ZSCORE', KEYS[1], id) or due)
        redis.call('ZADD', KEYS[1], math.min(known, due), id)
        item[3] = 0
    end
    save(id, item)
end
return redis.call('HLEN', KEYS[2])
""",
)

# ARGV: count, lease ms. Returns {id, JSON, id, JSON, ...}.
_TAKE = Script(
    "take from a queue",
    _LUA
    + """
local answer = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
    local item = load(id)
    if item then
        item[3] = now + tonumber(ARGV[2])
        save(id, item)
        redis.call('ZADD', KEYS[1], item[3], id)
        table.insert(answer, id)
        table.insert(answer, cjson.encode(item))
    else
        redis.call('ZREM', KEYS[1], id)
    end
end
return answer
""",
)

# ARGV: id, generation. Returns 1 if it is gone, 0 if it was put again and is due at once.
_DONE = Script(
    "strike out of a queue",
    _LUA
    + """
local item = load(ARGV[1])
if item and item[1] ~= tonumber(ARGV[2]) then
    item[2], item[3] = 0, 0
    save(ARGV[1], item)
    redis.call('ZADD', KEYS[1], now, ARGV[1])
    return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
""",
)

# ARGV: id, generation, delay ms, 1 if this was a try that failed, body ('' keeps it).
_LATER = Script(
    "put off in a queue",
    _LUA
    + """
local item = load(ARGV[1])
if not item then return 0 end
item[3] = 0
if item[1] == tonumber(ARGV[2]) then
    item[2] = item[2] + tonumber(ARGV[4])
    if ARGV[5] ~= '' then item[4] = ARGV[5] end
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
else
    -- Put again meanwhile: what failed may go now, but not in a circle without a pause.
    item[1] = tonumber(item[1])
    item[2] = item[2] + tonumber(ARGV[4])
    redis.call('ZADD', KEYS[1], now + math.min(tonumber(ARGV[3]), 1000), ARGV[1])
end
save(ARGV[1], item)
return 1
""",
)

_ITEM = msgspec.json.Decoder(tuple[int, int, int, str])


@dataclass(frozen=True, slots=True)
class Item:
    """One item, as it was taken. `tries` counts the failed ones before."""

    id: str
    body: str
    tries: int
    generation: int


class Queue:
    """One queue; raises StoreUnavailable when the store doesn't answer."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        self._connection = connection
        self._keys = [keys.queue_due(name), keys.queue_items(name)]

    async def put(self, item_id: str, body: str = "", *, delay_ms: int = 0) -> int:
        """Put an item in, or make a waiting one come sooner; returns how many wait in all."""
        return await self.put_all({item_id: body}, delay_ms=delay_ms)

    async def put_all(self, items: Mapping[str, str], *, delay_ms: int = 0) -> int:
        """Put several items in at once, each id with its body."""
        pairs = [text for pair in items.items() for text in pair]
        return int(await self._connection.script(_PUT, self._keys, [delay_ms, *pairs]))

    async def take(self, count: int, *, lease_ms: int) -> list[Item]:
        """Take items that are due; nobody else gets them while the lease lasts."""
        answer = cast(
            Sequence[Any], await self._connection.script(_TAKE, self._keys, [count, lease_ms])
        )
        taken = []
        for item_id, text in zip(answer[::2], answer[1::2], strict=True):
            generation, tries, _, body = _ITEM.decode(text)
            taken.append(Item(item_id, body, tries, generation))
        return taken

    async def done(self, item: Item) -> bool:
        """Strike an item out; False if it was put again meanwhile, and it is due at once."""
        return bool(await self._connection.script(_DONE, self._keys, [item.id, item.generation]))

    async def later(
        self, item: Item, *, delay_ms: int, failed: bool = True, body: str = ""
    ) -> None:
        """Put an item off; `body` replaces what it holds, unless it was put again meanwhile."""
        await self._connection.script(
            _LATER, self._keys, [item.id, item.generation, delay_ms, int(failed), body]
        )

    async def depth(self) -> int:
        """How many items there are, due or not."""
        async with self._connection.guard() as client:
            return int(await client.zcard(self._keys[0]))

    async def ids(self) -> list[str]:
        """Return the ids of all items, soonest first."""
        async with self._connection.guard() as client:
            return cast(list[str], await client.zrange(self._keys[0], 0, -1))

    async def waiting(self, count: int = 100) -> list[tuple[str, float]]:
        """Return ids and when they are due (Unix seconds), soonest first."""
        async with self._connection.guard() as client:
            found = cast(
                list[tuple[str, float]],
                await client.zrange(self._keys[0], 0, count - 1, withscores=True),
            )
        return [(str(item_id), float(due) / 1000) for item_id, due in found]
