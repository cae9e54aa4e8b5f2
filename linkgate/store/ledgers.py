"""The ledgers of links: what is known of each one's money, and by what else a link is found.

What is heard is worked out here from what is known, and written in one step with everything that
follows from it for the link. If something else was heard meanwhile, it is worked out anew.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from linkgate.payments import (
    Known,
    Ledger,
    SessionState,
    dispensable,
    dump_other,
    hear,
    load_other,
    summary,
)
from linkgate.store import keys, scripts
from linkgate.store.connect import Connection, Script
from linkgate.store.links import dump_session, load_session

#: For longer than what died in the middle of an event waits to be done again.
COUNTED_SECONDS = 26 * 3600

#: How many expired sessions that led to nothing a link keeps. Whoever holds a link makes as many as
#: they like, and all of them are read with whatever is heard of it.
MOST_EXPIRED = 100

#: An event that is left for later costs some hundred bytes.
MOST_LEFT = 10_000

# KEYS: mark. ARGV: time (Unix s).
_RECONCILED = Script(
    "move on the mark",
    """
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[1])
end
return 1
""",
)

# KEYS: counters, mark. ARGV: how long the mark stays (s), then field, amount, field, amount, ...
_COUNT = Script(
    "count a change",
    """
if not redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[1]) then return 0 end
for index = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[index], ARGV[index + 1]) end
return 1
""",
)

# KEYS: link. ARGV: session id. Keeps "id:when", in Unix seconds; the last few are enough, because
# what is closed is heard of at once.
_CLOSING = Script(
    "close a session",
    """
local kept = {ARGV[1] .. ':' .. redis.call('TIME')[1]}
for known in string.gmatch(redis.call('HGET', KEYS[1], 'closing') or '', '%S+') do
    if string.match(known, '^[^:]*') ~= ARGV[1] and #kept < 20 then table.insert(kept, known) end
end
redis.call('HSET', KEYS[1], 'closing', table.concat(kept, ' '))
return 1
""",
)

#: What is left to be done about a change is kept in fields of the link that begin so.
_LEFT_TO_DO = "todo:"


@dataclass(frozen=True, slots=True)
class Written:
    """What is written with a change: an outbox's keys and lines, and what is left to be done."""

    lines: Sequence[tuple[str, str]]
    todo: str


#: Says what is written, from the ledger before and after, and the link's fields.
Write = Callable[[Ledger, Ledger, Mapping[str, str]], Written]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of something that was heard of a link."""

    before: Ledger
    after: Ledger
    #: What the link's hash says of the link.
    fields: Mapping[str, str]
    #: What is left to be done, by its name: about this, and what others who died have left.
    todo: Mapping[str, str]
    #: Whether this very event was taken in before.
    again: bool = False


class Ledgers:
    """The ledgers' part of the store. Every method raises StoreUnavailable without it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, name: str) -> Heard:
        """Return what is known of the link with this id, as if nothing had been heard."""
        found = await self._read(name, "")
        return Heard(found.ledger, found.ledger, found.fields, _todo(found.fields))

    async def hear(
        self,
        name: str,
        known: Iterable[Known],
        write: Write,
        *,
        event: str = "",
        keep_until: int,
        fields: Mapping[str, str] | None = None,
    ) -> Heard:
        """Take `known` into the ledger of the link with this id, together with what follows.

        An event (its id) is taken in once. `fields` are the link's, where they aren't known yet.
        """
        known = tuple(known)
        while True:
            found = await self._read(name, event)
            after = found.ledger if found.again else hear(found.ledger, known)
            about = {**(fields or {}), **found.fields}
            left = _todo(found.fields)
            if after == found.ledger and (found.again or not event):
                return Heard(found.ledger, after, about, left, found.again)
            written = write(found.ledger, after, about)
            mine = f"{_LEFT_TO_DO}{event or secrets.token_hex(8)}"
            fresh = {**_missing(found.fields, about), mine: written.todo}
            said = await self._write(name, event, found, after, fresh, written.lines, keep_until)
            if said == "applied":
                return Heard(found.ledger, after, about, {**left, mine: written.todo})

    async def finish(self, name: str, todo: Iterable[str]) -> None:
        """Strike out what has been done, by its names."""
        if names := list(todo):
            async with self._connection.guard() as client:
                await client.hdel(keys.link(name), *names)

    async def closing(self, name: str, session: str) -> None:
        """Note that linkgate itself closes a session, before it does."""
        await self._connection.script(_CLOSING, [keys.link(name)], [session])

    async def reconciled(self) -> int | None:
        """Return up to when Stripe's events were gone through, in Unix seconds."""
        async with self._connection.guard() as client:
            text = await client.get(keys.RECONCILED)
        return int(text) if text else None

    async def set_reconciled(self, at: int) -> None:
        """Note up to when Stripe's events were gone through, unless another went further."""
        await self._connection.script(_RECONCILED, [keys.RECONCILED], [at])

    async def leave(self, event: str, account: str | None, at: int) -> int:
        """Remember an event of Stripe's (its id and time, Unix s) that can't be taken in now.

        Returns how many there are; the oldest go when there are too many.
        """
        async with self._connection.guard() as client:
            await client.zadd(keys.LEFT, {f"{event} {account or ''}": at})
            await client.zremrangebyrank(keys.LEFT, 0, -1 - MOST_LEFT)
            return int(await client.zcard(keys.LEFT))

    async def left(self) -> list[tuple[str, str | None]]:
        """Return the events (id, account) that could not be taken in, oldest first."""
        async with self._connection.guard() as client:
            found = cast(list[str], await client.zrange(keys.LEFT, 0, -1))
        return [(id_, account or None) for id_, _, account in (one.partition(" ") for one in found)]

    async def strike_out(self, event: str, account: str | None) -> None:
        """Forget one of them."""
        async with self._connection.guard() as client:
            await client.zrem(keys.LEFT, f"{event} {account or ''}")

    async def has(self, name: str) -> bool:
        """Say whether anything is known of the link with this id."""
        async with self._connection.guard() as client:
            return bool(await client.exists(keys.link(name)))

    async def knows(self, name: str, event: str) -> bool:
        """Say whether an event (its id) was taken in for the link with this id."""
        async with self._connection.guard() as client:
            return bool(await client.sismember(keys.events(name), event))

    async def count(self, campaign: str, what: str, counters: Mapping[str, int]) -> None:
        """Add to a campaign's counters for `what`, however often this is repeated within a day."""
        pairs = [part for pair in counters.items() for part in pair]
        await self._connection.script(
            _COUNT,
            [keys.counters(campaign), keys.recounted(campaign, what, 0)],
            [COUNTED_SECONDS, *pairs],
        )

    async def refer(self, name: str, refs: Iterable[str], seconds: int) -> None:
        """Let a link be found by Stripe's ids, for so many seconds from now."""
        async with self._connection.guard() as client:
            pipeline = client.pipeline(transaction=False)
            for ref in refs:
                pipeline.set(keys.reference(ref), name, ex=seconds)
            await pipeline.execute()

    async def find(self, refs: Sequence[str]) -> str | None:
        """Return the id of the link that the first known one of Stripe's ids belongs to."""
        async with self._connection.guard() as client:
            pipeline = client.pipeline(transaction=False)
            for ref in refs:
                pipeline.get(keys.reference(ref))
            found = cast(list[str | None], await pipeline.execute() if refs else [])
        return next((name for name in found if name), None)

    async def _read(self, name: str, event: str) -> "_Found":
        async with self._connection.guard() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.hgetall(keys.link(name))
            pipeline.hvals(keys.sessions(name))
            pipeline.hvals(keys.ledger(name))
            pipeline.sismember(keys.events(name), event)
            fields, sessions, others, again = await pipeline.execute()
        ledger = Ledger.of(map(load_session, sessions), map(load_other, others))
        return _Found(fields, ledger, bool(event and again))

    async def _write(
        self,
        name: str,
        event: str,
        found: "_Found",
        after: Ledger,
        fresh: Mapping[str, str],
        pairs: Sequence[tuple[str, str]],
        keep_until: int,
    ) -> str:
        before, dropped = found.ledger, set(dispensable(after, MOST_EXPIRED))
        touched = [keys.link(name), keys.sessions(name), keys.ledger(name), keys.events(name)]
        places = {
            key: len(touched) + n for n, key in enumerate(dict.fromkeys(k for k, _ in pairs), 1)
        }
        change = {
            "fields": {**fresh, **_summary(after)},
            "sessions": {
                one.id: dump_session(one)
                for one in after.sessions.values()
                if before.sessions.get(one.id) != one and one.id not in dropped
            },
            "dropped": sorted(dropped & set(before.sessions)),
            "others": {
                one.id: dump_other(one)
                for one in after.others.values()
                if before.others.get(one.id) != one
            },
            "lines": [[places[key], line] for key, line in pairs],
        }
        return str(
            await self._connection.script(
                scripts.APPLY,
                [*touched, *places],
                [event, found.fields.get("heard", "0"), keep_until, json.dumps(change)],
            )
        )


@dataclass(frozen=True, slots=True)
class _Found:
    fields: Mapping[str, str]
    ledger: Ledger
    again: bool


def _todo(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in fields.items() if name.startswith(_LEFT_TO_DO)}


def _missing(known: Mapping[str, str], about: Mapping[str, str]) -> dict[str, str]:
    return {field: value for field, value in about.items() if value and field not in known}


def _summary(ledger: Ledger) -> dict[str, str]:
    """Return what visits have to know of a ledger, as fields of the link."""
    found = summary(ledger)
    return {
        "done": found.done or "",
        "done_count": _number(found.count),
        "ended_count": _number(found.ended),
        "standing": found.standing or "",
        "alive": "1" if found.unpaid_yet_alive else "",
        "coming": _number(found.coming),
        "open": " ".join(
            one.id for one in ledger.sessions.values() if one.state is SessionState.OPEN
        ),
        "payer": found.payer or "",
        "recovery_until": _recovery(ledger),
    }


def _number(count: int) -> str:
    return str(count) if count else ""


def _recovery(ledger: Ledger) -> str:
    until = max((one.recovery_until for one in ledger.sessions.values()), default=0)
    return str(until) if until else ""
