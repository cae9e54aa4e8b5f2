"""Recording without waiting: machines' visits and all counters, written in batches.

Counters are summed first and a campaign's are added in one call; the visits of a hundred links are
another call: a campaign under a scanner storm costs the store a handful of calls a second.
Nothing here ever fails a visit: when the store is away the buffer waits, and when it is full, the
newest visits' details are let go and counted as let go.
"""

import asyncio
import itertools
import logging
import secrets
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from linkgate.errors import StoreUnavailable
from linkgate.store import keys, scripts
from linkgate.store.connect import Connection, Script
from linkgate.store.entries import Visit, visit_line
from linkgate.tokens import Link

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
#: Visits' details held while the store is away: some 700 bytes each, 2.6 kB at the very worst, so
#: about 35 MB, and never more than 130.
MAX_BUFFERED = 50_000
#: Some 30 kB a call, and well below a millisecond of the store's time.
LINKS_A_CALL = 100


@dataclass(slots=True)
class _Batch:
    number: int
    counters: dict[str, Counter[str]] = field(default_factory=dict)
    visits: dict[str, deque[Visit]] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    size: int = 0
    #: What of the batch the store has confirmed; a retry leaves it out.
    written: set[str] = field(default_factory=set)


class Recorder:
    """Buffers what need not be read back, and writes it every FLUSH_SECONDS."""

    def __init__(self, connection: Connection, *, visits_kept: int, retention_s: int) -> None:
        self._connection = connection
        self._visits_kept = visits_kept
        self._retention_s = retention_s
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._filling = _Batch(next(self._numbers))
        self._writing: _Batch | None = None
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.let_go = 0

    @property
    def depth(self) -> int:
        """How many visits wait to be written."""
        return self._filling.size + (self._writing.size if self._writing else 0)

    def count(self, campaign: str, counter: str, amount: int = 1) -> None:
        """Add to one of a campaign's counters."""
        counters = self._filling.counters.get(campaign)
        if counters is None:
            counters = self._filling.counters[campaign] = Counter()
        counters[counter] += amount

    def visit(self, link: Link, name: str, visit: Visit) -> None:
        """Keep the details of a visit to the link with id `name`."""
        batch = self._filling
        if batch.size >= MAX_BUFFERED:
            self.let_go += 1
            return
        visits = batch.visits.get(name)
        if visits is None:
            visits = batch.visits[name] = deque(maxlen=self._visits_kept)
            batch.links[name] = link
        if len(visits) < self._visits_kept:  # a full one lets its oldest go
            batch.size += 1
        visits.append(visit)

    def start(self) -> None:
        """Begin to flush in the background."""
        self._task = asyncio.create_task(self._run(), name="linkgate-recorder")

    async def stop(self) -> None:
        """Stop, after a last flush; what the store does not take now is lost, and logged."""
        if self._task:
            self._task.cancel()
        try:
            await self.flush()
        except StoreUnavailable:
            log.error("the store is away: %d buffered visits are lost", self.depth)

    async def flush(self) -> None:
        """Write the buffer; raises StoreUnavailable and keeps it if the store doesn't answer."""
        async with self._flushing:
            if self._writing:
                await self._write(self._writing)
            if not self._filling.counters and not self._filling.visits:
                return
            self._writing, self._filling = self._filling, _Batch(next(self._numbers))
            await self._write(self._writing)

    async def _run(self) -> None:
        away = False
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except StoreUnavailable as error:
                if not away:
                    log.warning("recording waits for the store: %s", error)
                away = True
            else:
                away = False

    async def _write(self, batch: _Batch) -> None:
        for campaign, counters in batch.counters.items():
            if campaign not in batch.written:
                pairs = [part for pair in counters.items() for part in pair]
                await self._call(
                    scripts.COUNT,
                    [keys.counters(campaign), keys.counted(campaign, self._process)],
                    [batch.number, *pairs],
                )
                batch.written.add(campaign)
        names = list(batch.visits)
        size = 1 if self._connection.is_cluster else LINKS_A_CALL
        for start in range(0, len(names), size):
            await self._write_visits(batch, names[start : start + size])
        self._writing = None

    async def _call(self, script: Script, names: list[str], args: list[str | int]) -> bool:
        try:
            await self._connection.script(script, names, args)
        except StoreUnavailable:
            raise
        except Exception:
            # A foreign value under one of our keys: it must not cost what stands beside it.
            log.exception("a batch's part can't be recorded")
            return False
        return True

    async def _write_visits(self, batch: _Batch, names: Sequence[str]) -> None:
        touched: list[str] = []
        rows: list[tuple[object, ...]] = []
        for name in names:
            link, visits = batch.links[name], batch.visits[name]
            touched += (keys.link(name), keys.buffered(name))
            until = link.expires_at + self._retention_s
            known = (until, link.campaign, link.recipient, link.expires_at, link.customer or "")
            rows.append((*known, [visit_line(visit) for visit in visits]))
        text = msgspec.json.encode(rows).decode()
        done = await self._call(scripts.RECORD, touched, [self._visits_kept, text])
        if not done and len(names) > 1:
            # One link's foreign value must not cost its neighbours; what went through is known by
            # its visits' ids.
            for name in names:
                await self._write_visits(batch, [name])
            return
        for name in names:
            batch.size -= len(batch.visits.pop(name))
