"""Reminders in the store: one for each link, in turns, and to nobody who wants none.

A link's hash says whether it was reminded of: `reminded_at` (Unix ms), `reminder` (what came of it;
see `Said`) and `reminded_to`, under which keyed names its recipient can be suppressed later.
"""

import secrets
from collections.abc import Sequence
from enum import StrEnum

from linkgate.store import keys
from linkgate.store.connect import Connection, Script

#: A way out has to work for 30 days after the mail (16 CFR 316.5(a)(3)), whatever becomes of the
#: link meanwhile; twice that, for mail that is read late.
WAY_OUT_SECONDS = 60 * 86_400
#: Whoever comes this much later than its turn takes a new one: after a pause, all of them would
#: come at once.
TURN_KEPT_MS = 60_000

# KEYS: link. ARGV: owner, names, seconds to keep it. Returns 1 if the owner may send.
_CLAIM = Script(
    "claim a reminder",
    """
local clock = redis.call('TIME')
local known = redis.call('HMGET', KEYS[1], 'done', 'revoked_at', 'reminded_at', 'reminder')
local mine = 'sending ' .. ARGV[1]
-- The same again: the answer to the first call was lost.
if known[3] then return known[4] == mine and 1 or 0 end
if known[1] or known[2] or redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'reminded_at', clock[1] .. string.format('%03d',
    math.floor(tonumber(clock[2]) / 1000)), 'reminder', mine, 'reminded_to', ARGV[2])
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[3]) then
    redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return 1
""",
)

# KEYS: link. ARGV: owner, what came of it ('' gives the claim back).
# Returns 1 if it was the owner's.
_SETTLE = Script(
    "settle a reminder",
    """
if redis.call('HGET', KEYS[1], 'reminder') ~= 'sending ' .. ARGV[1] then return 0 end
if ARGV[2] == '' then
    redis.call('HDEL', KEYS[1], 'reminded_at', 'reminder', 'reminded_to')
else
    redis.call('HSET', KEYS[1], 'reminder', ARGV[2])
end
return 1
""",
)

# KEYS: turn. ARGV: ms between two, the turn given before (Unix ms; 0 for none), ms that it is kept
# Returns {ms to wait, the turn given}.
_TURN = Script(
    "take a turn to remind",
    """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local given = tonumber(ARGV[2])
if given > 0 and now >= given and now - given < tonumber(ARGV[3]) then return {0, given} end
-- Never further ahead than a day: a time beyond that was set by another server's clock.
local turn = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
if turn - now > 86400000 then turn = now end
local after = turn + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX',
    string.format('%.0f', after - now + 1000))
return {turn - now, turn}
""",
)


class Said(StrEnum):
    """What came of a reminder; a reason may stand behind it, after a colon. Never an address."""

    #: The mail server has taken it over.
    SENT = "sent"
    #: Nobody knows: the connection or the process ended before the server's last word.
    UNCLEAR = "unclear"
    #: The mail server refused it for good.
    REFUSED = "refused"
    #: It was tried for a day.
    FAILED = "failed"


class ReminderStore:
    """The reminders' part of the store; raises StoreUnavailable when it doesn't answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def claim(self, link_id: str, names: Sequence[str]) -> str | None:
        """Take the link's one reminder, if it is not paid, complete or revoked in this moment.

        Returns the claim, or None. `names` are the keyed names of its recipient.
        """
        owner = secrets.token_hex(8)
        arguments: list[str | int] = [owner, " ".join(names), WAY_OUT_SECONDS]
        claimed = await self._connection.script(_CLAIM, [keys.link(link_id)], arguments)
        return owner if claimed else None

    async def settle(self, link_id: str, claim: str, said: Said, reason: str = "") -> bool:
        """Note what came of a claimed reminder; False if the claim isn't this one any more."""
        text = f"{said}: {reason}" if reason else str(said)
        return await self._settle(link_id, claim, text)

    async def release(self, link_id: str, claim: str) -> bool:
        """Give a claim back: nothing was sent."""
        return await self._settle(link_id, claim, "")

    async def _settle(self, link_id: str, claim: str, text: str) -> bool:
        return bool(await self._connection.script(_SETTLE, [keys.link(link_id)], [claim, text]))

    async def turn(self, interval_ms: int, given: int = 0) -> tuple[int, int]:
        """Return in how many milliseconds it is a reminder's turn, and the turn, to be given again
        when it comes back for it.
        """
        waits, turn = await self._connection.script(
            _TURN, [keys.REMINDER_TURN], [interval_ms, given, TURN_KEPT_MS]
        )
        return int(waits), int(turn)

    async def suppress(self, names: Sequence[str], now: float, until: int) -> None:
        """Remember that nobody of these keyed names wants reminders, until a time in Unix s."""
        async with self._connection.guard() as client:
            pipeline = client.pipeline(transaction=False)
            for name in names:
                pipeline.set(keys.suppressed(name), int(now * 1000), exat=until)
            await pipeline.execute()

    async def suppressed(self, names: Sequence[str]) -> bool:
        """Say whether anybody of these keyed names wants no reminders."""
        async with self._connection.guard() as client:
            pipeline = client.pipeline(transaction=False)
            for name in names:
                pipeline.exists(keys.suppressed(name))
            return any(await pipeline.execute())

    async def reminded_to(self, link_id: str) -> tuple[str, ...]:
        """Return the keyed names of whom a link's reminder went to; none if none went."""
        async with self._connection.guard() as client:
            names = await client.hget(keys.link(link_id), "reminded_to")
        return tuple(str(names).split()) if names else ()
