"""Doubts: late evidence about visits that are recorded already, kept until all of it is worked in.

A doubt is written down before anything is done about it, and struck out when everything is done;
every step in between can be repeated without doing anything twice. So whatever crashes, another
process goes on where it stopped.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

import msgspec

from linkgate.campaigns import Policy
from linkgate.decision import Action, lets_through
from linkgate.detection import Authority, Evidence, Kind, Standing, Verdict
from linkgate.record import reconsider
from linkgate.store import doubt_scripts as scripts
from linkgate.store import keys
from linkgate.store.connect import Connection
from linkgate.store.links import NOT_AGAIN

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
    """What late evidence did to a visit. `session` is the one it was sent to, and that has to go if
    nobody else was; `unsettled` says that the visit's mint is still under way.
    """

    campaign: str
    visit: str
    changes: tuple[tuple[str, str], ...]
    session: str
    unsettled: bool = False


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
                if not any(change.get("closing") for change in after.get("changes", ())):
                    return TakenBack(slug, doubtful.visit, changes, "")
                return TakenBack(
                    slug, doubtful.visit, changes, _session(outcome), unsettled=not outcome
                )

    async def _rewrite(self, link: str, line: str, decision: str, outcome: str, body: str) -> bool:
        new = f"{decision}\t{outcome}\t{body}"
        return bool(
            await self._connection.script(scripts.REWRITE, [keys.visits(link)], [line, new])
        )

    async def disown(self, link: str, session: str, *, patient: bool = False) -> Disowned:
        """Let nobody use a session again, unless somebody is there who wasn't taken back.

        `patient` waits for visits under way, too: one may be on its way to this session.
        """
        names = [keys.link(link), keys.visits(link)]
        how = "1" if patient else ""
        return Disowned(
            await self._connection.script(scripts.DISOWN, names, [session, NOT_AGAIN, how])
        )

    async def recount(self, taken: TakenBack) -> None:
        """Let the counters follow the changes of a visit's verdict, each change once."""
        if not (taken.changes and taken.campaign):
            return
        slug = taken.campaign
        names = [keys.recounted(slug, taken.visit, n) for n in range(len(taken.changes))]
        await self._connection.script(
            scripts.RECOUNT,
            [keys.counters(slug), *names],
            [_COUNTED_SECONDS, *(part for change in taken.changes for part in change)],
        )


def _dump(doubts: Doubts) -> str:
    return msgspec.json.encode(doubts).decode()


def _session(outcome: str) -> str:
    how, _, session = outcome.partition(" ")
    return session if how in {"minted", "reused"} else ""


def _find(lines: Sequence[str], visit: str) -> tuple[str, str, str, dict[str, Any]] | None:
    for line in lines:
        if visit in line:
            decision, outcome, body = line.split("\t", 2)
            kept = json.loads(body)
            if kept.get("id") == visit:
                return line, decision, outcome, kept
    return None
