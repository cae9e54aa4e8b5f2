"""What waits to be delivered: a list for each link and endpoint, in the link's slot.

A line is appended in the same step as the change that it tells of, so that neither is ever there
without the other, and taken away when its receiver has answered. A queue for each endpoint holds
the links that have something to deliver.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from linkgate.store import keys
from linkgate.store.connect import Connection, Script
from linkgate.store.queue import Item, Queue

#: Of one link and endpoint. Whoever opens his own link over and over while a receiver is away must
#: neither fill the store nor push out what was paid.
MAX_LINES = 10_000
MAX_VISITS = 1_000
#: How far back a repeated message is looked for: a change that is made again comes at once.
_LOOK_BACK = 100
#: A list is kept for so long after its last line. Far longer than anything is retried, because
#: nothing is retried while linkgate itself is down.
KEEP_SECONDS = 30 * 86_400
#: A change that was announced is looked for when so much has passed, if nobody said that it was
#: made; and a last time after LAST_LOOK_SECONDS, made or not. So a process may die between any two
#: steps of a change that takes no longer than that: a mint takes a minute at most.
SAFETY_SECONDS = 60.0
LAST_LOOK_SECONDS = 90.0
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()

_KEEP = f"""
local function keep_outbox(key, till)
    local now = tonumber(redis.call('TIME')[1])
    local least = now + {KEEP_SECONDS}
    redis.call('EXPIREAT', key, string.format('%d', math.max(tonumber(till or 0), least)))
end
"""

#: For scripts that change a link: `append(key, line, till)` adds one of `Outbox.lines` to its list
#: and returns 1, or 0 if its message is there already or there is no more room. `till` (Unix
#: seconds) may be nil; the list is kept for KEEP_SECONDS in any case.
APPEND = (
    _KEEP
    + f"""
local function append(key, line, till)
    local name = string.match(line, '^[^\\t]*\\t')
    for _, known in ipairs(redis.call('LRANGE', key, -{_LOOK_BACK}, -1)) do
        if string.sub(known, 1, #name) == name then return 0 end
    end
    local visit = string.sub(line, #name + 1, #name + 13) == 'link.visited\\t'
    if redis.call('LLEN', key) >= (visit and {MAX_VISITS} or {MAX_LINES}) then return 0 end
    redis.call('RPUSH', key, line)
    keep_outbox(key, till)
    return 1
end
"""
)

# KEYS: lists. ARGV: a line for each. Returns how many were added.
_ADD = Script(
    "add to an outbox",
    APPEND
    + """
local added = 0
for index, key in ipairs(KEYS) do added = added + append(key, ARGV[index]) end
return added
""",
)

# KEYS: list. ARGV: the line that was delivered or parked. Returns the next one, or ''.
# Only ever that line: another process may have been here, or an operator.
_POP = Script(
    "take from an outbox",
    """
if redis.call('LINDEX', KEYS[1], 0) == ARGV[1] then redis.call('LPOP', KEYS[1]) end
return redis.call('LINDEX', KEYS[1], 0) or ''
""",
)

# KEYS: list. ARGV: lines. One that is there already is replaced: whoever is about to take the old
# one away finds that it has changed.
_PUT_BACK = Script(
    "put back into an outbox",
    _KEEP
    + """
for _, line in ipairs(ARGV) do
    local name = string.match(line, '^[^\\t]*\\t')
    for _, known in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
        if string.sub(known, 1, #name) == name then redis.call('LREM', KEYS[1], 1, known) end
    end
    redis.call('RPUSH', KEYS[1], line)
end
keep_outbox(KEYS[1])
return #ARGV
""",
)


class Line(msgspec.Struct, frozen=True):
    """One message as it waits for one endpoint. `at` is when it happened, `queued` since when it
    has waited, both in Unix seconds.
    """

    id: str
    type: str
    at: float
    queued: float
    data: msgspec.Raw

    @property
    def text(self) -> str:
        """The line as it stands in the list; its id and type come first, for the scripts."""
        rest = msgspec.json.encode({"at": self.at, "queued": self.queued, "data": self.data})
        return f"{self.id}\t{self.type}\t{rest.decode()}"

    @property
    def body(self) -> bytes:
        """What is sent; the same bytes each time."""
        # A time that no calendar has must not hold up what is behind it for ever.
        at = datetime.fromtimestamp(min(max(self.at, 0), _LATEST), UTC)
        timestamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return msgspec.json.encode({"type": self.type, "timestamp": timestamp, "data": self.data})


class _Rest(msgspec.Struct, frozen=True):
    at: float
    queued: float
    data: msgspec.Raw


class Note(msgspec.Struct, frozen=True):
    """What an endpoint's queue keeps with a link: until when to look for more, in Unix seconds, and
    why the last try failed.
    """

    until: float = 0.0
    reason: str = ""

    @property
    def text(self) -> str:
        """The note as the queue keeps it."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A link that waits: the line at the head of its list and how many are behind it. `due` is the
    queue's own number for the next try, in milliseconds.
    """

    link: str
    due: float
    line: Line | None
    behind: int
    reason: str


def read_line(text: str) -> Line | None:
    """Return a list's line, or None if it is none."""
    parts = text.split("\t", 2)
    try:
        rest = msgspec.json.decode(parts[2], type=_Rest)
        return Line(parts[0], parts[1], rest.at, rest.queued, rest.data)
    except (LookupError, msgspec.MsgspecError):
        return None


def read_note(text: str) -> Note:
    """Return an item's note; an empty one if it can't be read."""
    try:
        return msgspec.json.decode(text, type=Note)
    except msgspec.MsgspecError:
        return Note()


def list_key(link_id: str, endpoint: str) -> str:
    """List, oldest first: what waits to be delivered to an endpoint."""
    return f"lg:{{{link_id}}}:outbox:{endpoint}"


class OutboxStore:
    """The outbox's part of the store; raises StoreUnavailable when it doesn't answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def queue(self, endpoint: str) -> Queue:
        """Return an endpoint's queue, whose items are links."""
        return Queue(self._connection, f"outbox:{endpoint}")

    async def alert(
        self, endpoint: str, links: Iterable[str], now: float, *, delay_ms: int = 0
    ) -> None:
        """Have links looked at after the delay, and once more after LAST_LOOK_SECONDS."""
        note = Note(now + LAST_LOOK_SECONDS).text
        await self.queue(endpoint).put_all(dict.fromkeys(links, note), delay_ms=delay_ms)

    async def add(self, lines: Sequence[tuple[str, str]]) -> int:
        """Append lines (key and line) of one link; for what has no script of its own."""
        if not lines:
            return 0
        texts = [line for _, line in lines]
        return int(await self._connection.script(_ADD, [key for key, _ in lines], texts))

    async def head(self, endpoint: str, link: str) -> str:
        """Return the line that is to be delivered next; '' if there is none."""
        async with self._connection.guard() as client:
            return str(await client.lindex(list_key(link, endpoint), 0) or "")

    async def pop(self, endpoint: str, link: str, line: str) -> str:
        """Take the line away if it is still at the head; returns the one that is there now."""
        return str(await self._connection.script(_POP, [list_key(link, endpoint)], [line]))

    async def put_back(self, endpoint: str, link: str, lines: Iterable[Line]) -> None:
        """Put lines at the list's end, in place of those with the same ids."""
        texts = [line.text for line in lines]
        await self._connection.script(_PUT_BACK, [list_key(link, endpoint)], texts)

    async def waiting(
        self, endpoint: str, count: int, *, after: tuple[float, str] | None = None
    ) -> list[Waiting]:
        """Return links of an endpoint's queue, soonest first, from behind a place (due, link) on.

        Some may have nothing to deliver: they were only announced, or are done.
        """
        found = await self._due(endpoint, count, after)
        async with self._connection.guard() as client:
            pipeline = client.pipeline(transaction=False)
            for link, _ in found:
                pipeline.lindex(list_key(link, endpoint), 0)
                pipeline.llen(list_key(link, endpoint))
                pipeline.hget(keys.queue_items(f"outbox:{endpoint}"), link)
            answers: list[Any] = await pipeline.execute() if found else []
        told = zip(found, answers[::3], answers[1::3], answers[2::3], strict=True)
        return [
            Waiting(link, due, read_line(line or ""), max(int(length) - 1, 0), _reason(item))
            for (link, due), line, length, item in told
        ]

    async def _due(
        self, endpoint: str, count: int, after: tuple[float, str] | None
    ) -> list[tuple[str, float]]:
        name = keys.queue_due(f"outbox:{endpoint}")
        found: list[tuple[str, float]] = []
        skipped = 0
        async with self._connection.guard() as client:
            while len(found) < count:
                some = cast(
                    list[tuple[str, float]],
                    await client.zrangebyscore(
                        name,
                        after[0] if after else "-inf",
                        "+inf",
                        start=skipped,
                        num=count,
                        withscores=True,
                    ),
                )
                # Of one score, members come in the order of their bytes.
                found += [(i, due) for i, due in some if after is None or (due, i) > after]
                if len(some) < count:
                    break
                skipped += len(some)
        return found[:count]


def _reason(item: str | None) -> str:
    try:
        parts = msgspec.json.decode(item or "", type=tuple[int, int, int, str])
    except msgspec.MsgspecError:
        return ""
    return read_note(parts[3]).reason


def note_of(item: Item) -> Note:
    """Return the note of an item that was taken from a queue."""
    return read_note(item.body)
