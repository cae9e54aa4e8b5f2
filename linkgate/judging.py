"""A visit before its judges: what is remembered around it goes in with it, a verdict comes out.

Here the pure rules of `detection` meet the store's memory.
"""

import logging
from dataclasses import dataclass
from functools import lru_cache

from linkgate import anonymous
from linkgate.addresses import neighbourhood
from linkgate.bench import Bench
from linkgate.detection import (
    NOTHING_KNOWN,
    History,
    Standing,
    Verdict,
    hindsight,
    prefetching,
)
from linkgate.errors import StoreUnavailable
from linkgate.reconsidering import Reconsidering
from linkgate.record import label
from linkgate.signals import Signals
from linkgate.store import Store
from linkgate.store.memory import UNKNOWN, Source
from linkgate.tokens import Keyring, Link

log = logging.getLogger(__name__)

#: Sources whose names are kept: hashing one takes several microseconds.
_SOURCES_KEPT = 8192


@dataclass(frozen=True, slots=True)
class Judged:
    """A visit's verdict; `shadow` is what the shadow rules say, where that differs."""

    verdict: Verdict
    shadow: Verdict | None


class Judge:
    """Judges visits with what the store remembers."""

    def __init__(
        self, store: Store, keyring: Keyring, reconsidering: Reconsidering, bench: Bench
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._reconsidering = reconsidering
        self._bench = bench
        self._keep_seconds = bench.remembered_seconds
        self._decoy_seconds = bench.decoy_seconds
        self._asked = frozenset(rule.name for rule in bench.rules.rules)
        self._source = lru_cache(_SOURCES_KEPT)(self._name_source)

    async def judge(
        self, visit: str, signals: Signals, link: Link, now: float, *, fresh: bool = False
    ) -> Judged:
        """Judge the visit with id `visit`; never fails for want of a store.

        What the visit tells about earlier ones is written down before this returns. `fresh` says
        that the link was made for this very visit.
        """
        rules = self._bench.rules
        verdict = rules.judge(signals, NOTHING_KNOWN, now)
        history = NOTHING_KNOWN
        # A machine that says what it is needs no memory, and costs the store nothing. A prefetch of
        # a decoy is a person's browser at work on all of a page's links: nobody is marked for it.
        silent = verdict.value is Standing.AUTOMATED and not signals.decoy
        if not silent and not prefetching(signals):
            history = await self._remember(visit, signals, link, now, fresh=fresh)
            if history != NOTHING_KNOWN:
                verdict = rules.judge(signals, history, now)
        return Judged(verdict, self._other_opinion(signals, history, now, verdict, link.campaign))

    async def _remember(
        self, visit: str, signals: Signals, link: Link, now: float, *, fresh: bool
    ) -> History:
        history = NOTHING_KNOWN
        way = anonymous.way_of(link)
        try:
            history = await self._store.memory.sight(
                visit=visit,
                link=link.id,
                source=self._source(signals.address) if signals.address_known else UNKNOWN,
                browser=_looks(signals),
                keep_seconds=self._keep_seconds,
                decoy_seconds=self._decoy_seconds,
                leave=not signals.decoy and (signals.press is None or signals.press.unpressed),
                decoy=signals.decoy,
                way=way.id if way else "",
                fresh=fresh,
            )
            found = hindsight(signals, history, self._bench.rules.limits)
            # A rule that the operator has switched off takes nothing back either.
            doubts = [doubt for doubt in found if doubt.evidence.rule in self._asked]
            if doubts:
                await self._reconsidering.note(visit, doubts, now)
        except StoreUnavailable as error:
            log.warning(
                "a visit of campaign %s is judged without %s: %s",
                link.campaign,
                "memory" if history == NOTHING_KNOWN else "second thoughts",
                error,
            )
        return history

    def _other_opinion(
        self, signals: Signals, history: History, now: float, verdict: Verdict, campaign: str
    ) -> Verdict | None:
        if self._bench.shadow is None:
            return None
        other = self._bench.shadow.judge(signals, history, now)
        self._store.recorder.count(campaign, f"shadow.{label(verdict)}.{label(other)}")
        return other if label(other) != label(verdict) else None

    def _name_source(self, address: str) -> Source:
        network = self._keyring.pseudonym(neighbourhood(address))
        return Source(network, self._keyring.pseudonym(address))


def _looks(signals: Signals) -> str:
    # Everybody with the same Chrome on the same system has the same user agent: their languages and
    # the rest tell at least some of them apart.
    return "\n".join(
        (
            signals.user_agent,
            signals.accept,
            signals.accept_language,
            signals.accept_encoding,
            signals.sec_ch_ua,
            signals.sec_ch_ua_platform,
        )
    )
