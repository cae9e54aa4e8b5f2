"""Doubts: late evidence about visits that are recorded already, kept until all of it is worked in.

A doubt is written down before anything is done about it, and struck out when everything is done;
every step in between can be repeated without doing anything twice. So whatever crashes, another
process goes on where it stopped.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

import msgspec

from linkgate.detection import Authority, Evidence, Kind, Standing
from linkgate.store import doubt_scripts as scripts
from linkgate.store import keys
from linkgate.store.connect import Connection
from linkgate.store.entries import NOT_AGAIN

log = logging.getLogger(__name__)

#: Some 400 bytes each. More than this wait only when nothing works them off.
MAX_WAITING = 50_000
#: A process that took a doubt and died leaves it to the others after this time, in ms.
LEASE_MS = 30_000
#: The longest that a doubt is put off.
LONGEST_DELAY_MS = 300_000
#: A doubt that is older is struck out: no session that it could close is open any more.
STALE_SECONDS = 24 * 3600
#: For longer than any doubt waits, by clocks that are two hours apart: or it would count again.
_COUNTED_SECONDS = STALE_SECONDS + 2 * 3600


class Doubtful(msgspec.Struct, frozen=True):
    """One earlier visit that is in doubt."""

    link: str
    visit: str
    rule: str
    points_to: str
    reason: str
    kind: str | None = None
    #: Whether a session goes that the visit was sent to.
    closes: bool = True

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
class Recorded:
    """A visit as it stands in one of its link's lists, whose key is `where`."""

    where: str
    campaign: str
    decision: str
    outcome: str
    kept: Mapping[str, Any]
    line: str


class Disowned(IntEnum):
    """Whether a session is anybody's."""

    #: Somebody was sent to it who wasn't taken back.
    KEPT = 0
    #: Nobody; it has to be closed.
    YES = 1
    #: Nobody uses it again, but a visit may be on its way to it whose outcome isn't written yet.
    NOT_YET = 2


class DoubtStore:
    """The doubts' part of the store; raises StoreUnavailable when it doesn't answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, doubts: Sequence[Doubts], *, delay_ms: int) -> None:
        """Write doubts down, to be taken after the delay; repeating it adds nothing.

        What is too much is let go, and logged.
        """
        pairs = [text for each in doubts for text in (each.id, _dump(each))]
        taken = await self._connection.script(
            scripts.PUT, [keys.DOUBTS_DUE, keys.DOUBTS], [MAX_WAITING, delay_ms, *pairs]
        )
        if taken < len(doubts):
            log.error("%d doubts wait already: late evidence is let go", MAX_WAITING)

    async def take(self, count: int) -> list[Doubts]:
        """Take doubts that are due; no other process gets them while the lease lasts."""
        answer = cast(
            list[str],
            await self._connection.script(
                scripts.TAKE, [keys.DOUBTS_DUE, keys.DOUBTS], [count, LEASE_MS, LONGEST_DELAY_MS]
            ),
        )
        found: list[Doubts] = []
        for name, text in zip(answer[::2], answer[1::2], strict=True):
            try:
                found.append(msgspec.json.decode(text, type=Doubts))
            except msgspec.MsgspecError:
                # Nobody will ever read it, and it must not hold up those behind it.
                log.error("doubt %s can't be read, and is let go", name)
                await self._put_back(name, "", 0)
        return found

    async def strike_out(self, doubts: Doubts) -> None:
        """Everything is done."""
        await self._put_back(doubts.id, "", 0)

    async def put_back(self, doubts: Doubts, *, delay_ms: int) -> None:
        """Something is left to be done, later."""
        await self._put_back(doubts.id, _dump(doubts), delay_ms)

    async def _put_back(self, name: str, text: str, delay_ms: int) -> None:
        await self._connection.script(
            scripts.PUT_BACK, [keys.DOUBTS_DUE, keys.DOUBTS], [name, text, delay_ms]
        )

    async def waiting(self) -> int:
        """Return how many doubts wait."""
        async with self._connection.guard() as client:
            return await client.hlen(keys.DOUBTS)

    async def find(self, link: str, visit: str) -> Recorded | None:
        """Return a visit as it is recorded; None if it isn't."""
        async with self._connection.guard() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.hget(keys.link(link), "campaign")
            for name in _lists(link):
                pipeline.lrange(name, 0, -1)
            campaign, *found = await pipeline.execute()
        for name, lines in zip(_lists(link), found, strict=True):
            for line in lines:
                if visit in line:
                    decision, outcome, body = line.split("\t", 2)
                    kept = json.loads(body)
                    if kept.get("id") == visit:
                        return Recorded(name, campaign or "", decision, outcome, kept, line)
        return None

    async def rewrite(self, recorded: Recorded, after: Mapping[str, Any]) -> bool:
        """Put `after` in a visit's place; False if it has changed since it was found."""
        body = msgspec.json.encode(after).decode()
        new = f"{recorded.decision}\t{recorded.outcome}\t{body}"
        where = [recorded.where]
        return bool(await self._connection.script(scripts.REWRITE, where, [recorded.line, new]))

    async def disown(self, link: str, session: str, *, patient: bool = False) -> Disowned:
        """Let nobody use a session again, unless somebody is there who wasn't taken back.

        `patient` waits for visits under way, too: one may be on its way to this session.
        """
        names = [keys.link(link), keys.visits(link)]
        how = "1" if patient else ""
        return Disowned(
            await self._connection.script(scripts.DISOWN, names, [session, NOT_AGAIN, how])
        )

    async def recount(self, campaign: str, visit: str, changes: Sequence[tuple[str, str]]) -> None:
        """Let the counters follow the changes of a visit's verdict, each change once."""
        if not (changes and campaign):
            return
        names = [keys.recounted(campaign, visit, n) for n in range(len(changes))]
        await self._connection.script(
            scripts.RECOUNT,
            [keys.counters(campaign), *names],
            [_COUNTED_SECONDS, *(part for change in changes for part in change)],
        )

    async def count_once(self, campaign: str, counter: str, what: str) -> None:
        """Add one to a campaign's counter for `what`, however often this is repeated."""
        if campaign:
            names = [keys.counters(campaign), keys.recounted(campaign, what, 0)]
            await self._connection.script(scripts.COUNT_ONCE, names, [_COUNTED_SECONDS, counter])


def _lists(link: str) -> tuple[str, str]:
    return keys.visits(link), keys.buffered(link)


def _dump(doubts: Doubts) -> str:
    return msgspec.json.encode(doubts).decode()
