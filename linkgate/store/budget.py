"""A budget of calls that all processes share: so many a second, and people in turn above it.

Whoever may go is given a moment on the pacing line, one interval after the one before, so that no
second ever holds more than the rate: not even after a quiet hour, because Stripe counts any second,
and one that follows a pause would hold the saved calls besides its own. Whoever would have to wait
longer than they are patient gets a place in the line, and is told when to come again.

- A place is the time of the first coming. It stays the same however often someone asks, and goes
  before everyone who came later.
- Whoever isn't back in time holds up nobody: the line goes on without them. The place is theirs for
  an hour more, and whenever they come, it is before newcomers.
- Nobody knows who will come back. So whoever has long to wait is asked to look in half-way, and
  goes at once if the line is idle, because those before them have stayed away. A newcomer passes
  the line only if it has been idle for a second.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from linkgate.store import keys
from linkgate.store.connect import Connection, Script

#: Beyond it, a caller is no longer someone who waits, and a moment given is another clock's.
LONGEST_PATIENCE_SECONDS = 60.0
#: Until when someone who was told to come counts among those who come: the busy page comes up to
#: two seconds late on purpose, and a request takes time.
GRACE_SECONDS = 5.0
#: Whoever has longer to wait than this is asked to look in half-way. In a crowd of whom half never
#: return, the line is through in two thirds of the time (tests/benchmarks/turns.py).
LOOK_IN_SECONDS = 30.0
#: The busy page's own limit.
LONGEST_WAIT_SECONDS = 3600.0
#: How long a place is kept after its time; and after it was used, since going on may fail.
PLACE_SECONDS = 3600
USED_SECONDS = 60
#: A caller that a busy process woke up later than this asks again: what it sent now would stand
#: beside the next ones' calls. Of 20 a second, 1.2 s hold 24: less than the 25 that Stripe allows.
LATE_SECONDS = 0.2

_MICRO = 1_000_000

# KEYS: pace, line, back, the link's place
# ARGV: 1 link, 2 interval, 3 patience, 4 now ('' is the store's clock), 5 grace, 6 look in,
#       7 longest patience, 8 longest wait (all us), 9 place kept, 10 used place kept (s)
# Returns {1, us until it may go} or {0, us until it shall ask again, us until it is its turn}.
_TURN = Script(
    "take a turn",
    """
local clock = redis.call('TIME')
local now = tonumber(ARGV[4]) or tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local interval, patience, second = tonumber(ARGV[2]), tonumber(ARGV[3]), 1000000
local function whole(number) return string.format('%.0f', number) end

-- A handful at a time: thousands may have stayed away at once.
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf',
        whole(now - tonumber(ARGV[5])), 'LIMIT', 0, 200)) do
    redis.call('ZREM', KEYS[2], gone)
    redis.call('ZREM', KEYS[3], gone)
end

local free = tonumber(redis.call('GET', KEYS[1])) or 0
-- Further ahead than anyone was ever let in: another server's clock, before a failover. It must
-- lock nobody out; nor must a place that is in the future, behind everyone who comes.
if free > now + tonumber(ARGV[7]) + interval then free = 0 end
local place = tonumber(redis.call('GET', KEYS[4]))
local came = place
if not place or place > now + second then
    local last = redis.call('ZREVRANGEBYSCORE', KEYS[2], whole(now + second), whole(now),
        'WITHSCORES', 'LIMIT', 0, 1)
    -- No two places are the same, or those who come at once would not be behind each other.
    came = last[2] and tonumber(last[2]) + 1 or now
end
local ahead = redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. whole(came))

local at = math.max(free, now)
local wait, idle = at - now + ahead * interval, now - free
if wait <= patience or idle >= second or (place and idle >= 0) then
    redis.call('SET', KEYS[1], whole(at + interval), 'PX',
        whole(math.ceil((at + interval - now) / 1000) + 60000))
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
    local left = redis.call('TTL', KEYS[4])
    -- Once, or a link that keeps asking would be first for ever.
    if left < 0 or left > tonumber(ARGV[10]) then
        redis.call('SET', KEYS[4], whole(came), 'EX', ARGV[10])
    end
    return {1, at - now, 0}
end

-- Early by as much as it is patient: whoever comes a little late then costs the line no moment.
local back = math.max(wait - patience, second)
if back > tonumber(ARGV[6]) then back = math.max(back / 2, tonumber(ARGV[6])) end
back = math.ceil(math.min(back, tonumber(ARGV[8])))
local keep = math.ceil(back / second) + tonumber(ARGV[9])
redis.call('ZADD', KEYS[2], whole(came), ARGV[1])
redis.call('ZADD', KEYS[3], whole(now + back), ARGV[1])
redis.call('SET', KEYS[4], whole(came), 'EX', keep)
-- Longer than anyone in them is told to wait.
for index = 2, 3 do redis.call('EXPIRE', KEYS[index], ARGV[9] + math.ceil(ARGV[8] / second)) end
return {0, back, wait}
""",
)


@dataclass(frozen=True, slots=True)
class Turn:
    """What someone is told; times in seconds.

    With `go`, they may call once `wait` has passed; else they shall ask again after `wait`, and
    their turn is in about `left`.
    """

    go: bool
    wait: float
    left: float = 0.0


class Budget:
    """One budget, by its name; raises StoreUnavailable when the store doesn't answer."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        per_second: float,
        *,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Allow `per_second` calls, more than 0.

        `clock` (Unix us) replaces the store's in a trial; two processes' clocks would differ.
        """
        self._connection = connection
        self._name = name
        self._interval = math.ceil(_MICRO / per_second)
        self._clock = clock

    async def turn(self, link_id: str, patience_seconds: float) -> Turn:
        """Ask whether a link's person may go within so many seconds (60 at most)."""
        patience = min(max(patience_seconds, 0.0), LONGEST_PATIENCE_SECONDS)
        now = self._clock() if self._clock else ""
        go, wait, left = await self._connection.script(
            _TURN,
            [*keys.budget(self._name), keys.budget_place(self._name, link_id)],
            [
                link_id,
                self._interval,
                int(patience * _MICRO),
                now,
                *_whole(GRACE_SECONDS, LOOK_IN_SECONDS),
                *_whole(LONGEST_PATIENCE_SECONDS, LONGEST_WAIT_SECONDS),
                PLACE_SECONDS,
                USED_SECONDS,
            ],
        )
        return Turn(bool(go), int(wait) / _MICRO, int(left) / _MICRO)

    async def enter(self, link_id: str, patience_seconds: float) -> Turn:
        """Ask, and wait for the moment: with `go`, the caller calls now; else as `turn` says."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        turn = await self.turn(link_id, patience_seconds)
        if not turn.go:
            return turn
        left = patience_seconds - (loop.time() - asked)
        return await self.keep(link_id, asked + turn.wait, left)

    async def keep(self, link_id: str, at: float, patience_seconds: float) -> Turn:
        """Wait for a moment that was given, `at` by the event loop's clock; answers as `enter`.

        Whoever had too much to do until then asks for another, once and no more: a process that is
        always late must let people in all the same.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(max(at - began, 0.0))
        if loop.time() - at > LATE_SECONDS:
            turn = await self.turn(link_id, patience_seconds - (loop.time() - began))
            if not turn.go:
                return turn
            await asyncio.sleep(turn.wait)
        return Turn(True, 0.0)

    async def waiting(self) -> int:
        """Return how many people wait for their turn and are expected back."""
        async with self._connection.guard() as client:
            return int(await client.zcard(keys.budget(self._name)[1]))


def _whole(*seconds: float) -> list[int]:
    return [int(value * _MICRO) for value in seconds]
