"""How many sessions people without a link of theirs get from a network, and whether they have one.

Networks are keyed hashes, and what is known of one goes within a minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from linkgate.store import keys
from linkgate.store.connect import Connection, Script

WINDOW_SECONDS = 60


# KEYS: admitted. ARGV: link, most, window ms. Returns 0 if the link may go on, else in how many ms.
# A link counts once: the busy page asks again for somebody who was let in, and a call whose answer
# was lost is repeated.
_ADMIT = Script(
    "admit",
    """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local window, most = tonumber(ARGV[3]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
-- From the future: another server's clock, before a failover.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local count = redis.call('ZCARD', KEYS[1])
if count >= most then
    -- There is room when this one is a minute ago.
    local at = redis.call('ZRANGE', KEYS[1], count - most, count - most, 'WITHSCORES')[2]
    return math.max(tonumber(at) + window - now, 1)
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], window)
return 0
""",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a link stands that a browser brings back: whether anything is kept of it, and whether
    it is paid or complete, as often as its campaign allows.
    """

    known: bool
    over: bool


class Admission:
    """The unsigned ways' part of the store; raises StoreUnavailable when it doesn't answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def admit(self, network: str, link_id: str, most: int) -> float:
        """Count a link that wants a session among those from its network in the last minute.

        Returns 0.0, or, where there were `most` already, in how many seconds there is room; then
        it isn't counted. `network` is a keyed hash.
        """
        args: list[str | int] = [link_id, most, int(WINDOW_SECONDS * 1000)]
        return int(await self._connection.script(_ADMIT, [keys.admitted(network)], args)) / 1000

    async def standing(self, link_id: str, payments: int | None) -> Standing:
        """Return how a link stands that can be paid so often; None is without end."""
        async with self._connection.guard() as client:
            fields = ["campaign", "done", "done_count"]
            found = cast(Sequence[str | None], await client.hmget(keys.link(link_id), fields))
        campaign, done, count = found
        # Money that is on its way for days is nothing to begin afresh beside.
        final = done in {"paid", "complete"}
        return Standing(campaign is not None, final and int(count or 1) >= (payments or 1 << 31))
