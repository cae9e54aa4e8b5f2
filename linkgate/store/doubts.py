"""Doubts: late evidence about visits that are recorded already, kept until all of it is worked in.

A doubt is written down before anything is done about it, and struck out when everything is done;
every step in between can be repeated without doing anything twice. So whatever crashes, another
process goes on where it stopped.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from linkgate.campaigns import Policy
from linkgate.decision import Action, lets_through
from linkgate.detection import Authority, Evidence, Kind, Standing, Verdict
from linkgate.record import reconsider
from linkgate.store import keys
from linkgate.store.connect import Connection, Script
from linkgate.store.links import NOT_AGAIN

log = logging.getLogger(__name__)

#: Some 400 bytes each. More than this wait only when nothing works them off.
MAX_WAITING = 50_000
#: A process that took a doubt and died leaves it to the others after this time, in ms.
LEASE_MS = 30_000
_COUNTED_SECONDS = 6 * 3600

_CLOCK = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
"""

# KEYS: due, all. ARGV: most, delay ms, then id, JSON, id, JSON, ... Returns how many were taken.
_PUT = Script(
    "put doubts",
    _CLOCK
    + """
local taken = 0
for index = 3, #ARGV, 2 do
    if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[1]) then break end
    if redis.call('HSETNX', KEYS[2], ARGV[index], ARGV[index + 1]) == 1 then
        redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[index])
    end
    taken = taken + 1
end
return taken
""",
)

# KEYS: due, all. ARGV: how many, lease ms. Returns {JSON, JSON, ...}
_TAKE = Script(
    "take doubts",
    _CLOCK
    + """
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
    local text = redis.call('HGET', KEYS[2], id)
    if text then
        taken[#taken + 1] = text
        redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), id)
    else
        redis.call('ZREM', KEYS[1], id)
    end
end
return taken
""",
)

# KEYS: due, all. ARGV: id, JSON ('' strikes it out), delay ms
_PUT_BACK = Script(
    "put doubt back",
    _CLOCK
    + """
if ARGV[2] == '' then
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])
elseif redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
end
return 1
""",
)

# KEYS: visits. ARGV: line, new line. Returns 0 if the line has changed meanwhile.
_REWRITE = Script(
    "rewrite visit",
    """
for index, line in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    if line == ARGV[1] then
        redis.call('LSET', KEYS[1], index - 1, ARGV[2])
        return 1
    end
end
return 0
""",
)

# KEYS: link, visits. ARGV: session id, revision that no campaign has
# Returns 1 if every visit that was sent to the session has been taken back. The session is then not
# used again: whoever comes next closes it before another is minted.
_DISOWN = Script(
    "disown session",
    """
for _, line in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    local decision, outcome, body = string.match(line, '^([^\\t]*)\\t([^\\t]*)\\t(.*)$')
    if decision == 'mint' and not string.find(body, '"closing":true', 1, true) then
        if outcome == 'minted ' .. ARGV[1] or outcome == 'reused ' .. ARGV[1] then return 0 end
    end
end
if redis.call('HGET', KEYS[1], 'current') == ARGV[1] then
    redis.call('HSET', KEYS[1], 'current_revision', ARGV[2])
end
return 1
""",
)

# KEYS: counters, then one `recounted` for each change. ARGV: seconds kept, from, to, from, to, ...
_RECOUNT = Script(
    "recount",
    """
for index = 2, #KEYS do
    if redis.call('SET', KEYS[index], '1', 'NX', 'EX', ARGV[1]) then
        redis.call('HINCRBY', KEYS[1], 'visits.' .. ARGV[2 * index - 2], -1)
        redis.call('HINCRBY', KEYS[1], 'visits.' .. ARGV[2 * index - 1], 1)
        redis.call('HINCRBY', KEYS[1], 'verdicts.changed', 1)
    end
end
return 1
""",
)


class Doubtful(msgspec.Struct, frozen=True):
    """One earlier visit that is in doubt."""

    link: str
    visit: str
    rule: str
    points_to: str
    reason: str
    kind: str | None = None

    @property
    def evidence(self) -> Evidence:
        """The late evidence."""
        return Evidence(
            self.rule,
            Standing(self.points_to),
            self.reason,
            Kind(self.kind) if self.kind else None,
            Authority.RULE,
        )


class Doubts(msgspec.Struct, frozen=True):
    """What one visit told about earlier ones; `id` is that visit's, `at` in Unix seconds."""

    id: str
    at: float
    visits: tuple[Doubtful, ...]
    tries: int = 0


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What late evidence did to a visit. `session` is the one that it minted and that has to go."""

    campaign: str
    visit: str
    changes: tuple[tuple[str, str], ...]
    session: str


class DoubtStore:
    """The doubts' part of the store; raises StoreUnavailable when it doesn't answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, doubts: Sequence[Doubts], *, delay_ms: int) -> None:
        """Write doubts down, to be taken after the delay; repeating it adds nothing."""
        pairs = [text for each in doubts for text in (each.id, _dump(each))]
        taken = await self._connection.script(
            _PUT, [keys.DOUBTS_DUE, keys.DOUBTS], [MAX_WAITING, delay_ms, *pairs]
        )
        if taken < len(doubts):
            log.error("%d doubts wait already: late evidence is let go", MAX_WAITING)

    async def take(self, count: int) -> list[Doubts]:
        """Take doubts that are due; no other process gets them while the lease lasts."""
        texts = await self._connection.script(
            _TAKE, [keys.DOUBTS_DUE, keys.DOUBTS], [count, LEASE_MS]
        )
        return [msgspec.json.decode(text, type=Doubts) for text in cast(list[str], texts)]

    async def strike_out(self, doubts: Doubts) -> None:
        """Everything is done."""
        await self._put_back(doubts.id, "", 0)

    async def put_back(self, doubts: Doubts, *, delay_ms: int) -> None:
        """Something is left to be done, later."""
        await self._put_back(doubts.id, _dump(doubts), delay_ms)

    async def _put_back(self, name: str, text: str, delay_ms: int) -> None:
        await self._connection.script(
            _PUT_BACK, [keys.DOUBTS_DUE, keys.DOUBTS], [name, text, delay_ms]
        )

    async def waiting(self) -> int:
        """Return how many doubts wait."""
        async with self._connection.guard() as client:
            return await client.hlen(keys.DOUBTS)

    async def take_back(
        self, doubtful: Doubtful, at: float, policy_of: Callable[[str], Awaitable[Policy]]
    ) -> TakenBack | None:
        """Work late evidence into a recorded visit; None if the visit isn't recorded.

        The visit's session goes if the campaign's policy would not have let it through.
        """
        while True:
            async with self._connection.guard() as client:
                pipeline = client.pipeline(transaction=False)
                pipeline.hget(keys.link(doubtful.link), "campaign")
                pipeline.lrange(keys.visits(doubtful.link), 0, -1)
                campaign, lines = await pipeline.execute()
            found = _find(lines, doubtful.visit)
            if found is None:
                return None
            line, decision, outcome, kept = found
            slug = campaign or ""
            policy = await policy_of(slug) if decision == Action.MINT else None

            def closes(verdict: Verdict, policy: Policy | None = policy) -> bool:
                return policy is not None and not lets_through(policy, verdict)

            after = reconsider(kept, doubtful.evidence, at, closes)
            body = msgspec.json.encode(after).decode()
            if after == kept or await self._rewrite(doubtful.link, line, decision, outcome, body):
                changes = tuple((c["from"], c["to"]) for c in after.get("changes", ()))
                closing = any(c.get("closing") for c in after.get("changes", ()))
                session = outcome.removeprefix("minted ") if outcome.startswith("minted ") else ""
                return TakenBack(slug, doubtful.visit, changes, session if closing else "")

    async def _rewrite(self, link: str, line: str, decision: str, outcome: str, body: str) -> bool:
        new = f"{decision}\t{outcome}\t{body}"
        return bool(await self._connection.script(_REWRITE, [keys.visits(link)], [line, new]))

    async def disown(self, link: str, session: str) -> bool:
        """Let nobody use a session again; False if somebody is there who wasn't taken back."""
        names = [keys.link(link), keys.visits(link)]
        return bool(await self._connection.script(_DISOWN, names, [session, NOT_AGAIN]))

    async def recount(self, taken: TakenBack) -> None:
        """Let the counters follow the changes of a visit's verdict, each change once."""
        if not (taken.changes and taken.campaign):
            return
        slug = taken.campaign
        names = [keys.recounted(slug, taken.visit, n) for n in range(len(taken.changes))]
        await self._connection.script(
            _RECOUNT,
            [keys.counters(slug), *names],
            [_COUNTED_SECONDS, *(part for change in taken.changes for part in change)],
        )


def _dump(doubts: Doubts) -> str:
    return msgspec.json.encode(doubts).decode()


def _find(lines: Sequence[str], visit: str) -> tuple[str, str, str, dict[str, Any]] | None:
    for line in lines:
        if visit in line:
            decision, outcome, body = line.split("\t", 2)
            kept = json.loads(body)
            if kept.get("id") == visit:
                return line, decision, outcome, kept
    return None
