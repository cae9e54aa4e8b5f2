"""Judges a described visit, by the rules whose input the description holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import msgspec

from linkgate.addresses import TrustedProxies
from linkgate.campaigns import Policy, Status
from linkgate.challenge import Challenge, Origin
from linkgate.classifying.described import Described
from linkgate.decision import Decision, decide
from linkgate.detection import (
    NOTHING_KNOWN,
    Evidence,
    Finding,
    HeaderRule,
    Rule,
    Ruleset,
    Scene,
    Shape,
    Verdict,
    VisitRule,
    conclude,
    prefetching,
    read_agent,
)
from linkgate.detection.rules import is_local
from linkgate.signals import HEADER_FIELDS, Signals, gather

_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a description doesn't tell of a visit. `now` and `sent_at` are in seconds since the
    epoch; `address` and `now` stand where the description has none.
    """

    now: float
    secure: bool = True
    address: str = ""
    sent_at: float | None = None
    scan_seconds: float = 600.0
    decoy: bool = False


@dataclass(frozen=True, slots=True)
class Classified:
    """A described visit and what it was judged to be. `verdict` is None if the description holds
    too little to tell: nothing in it speaks against a person, and a person would show more.
    """

    described: Described
    address: str
    at: float
    verdict: Verdict | None
    decisions: Mapping[Policy, Decision]


def judge_described(described: Described, around: Circumstances, rules: Ruleset) -> Classified:
    """Judge a described visit as the gate would judge it, with nothing remembered before it.

    A POST is taken for the press of a page's button, with its challenge in order.
    """
    signals = _signals(described, around)
    at = around.now if described.at is None else described.at
    if described.known is None:
        verdict: Verdict | None = rules.judge(signals, NOTHING_KNOWN, at)
    else:
        unknown = frozenset(
            field for name, field in HEADER_FIELDS.items() if name not in described.known
        )
        verdict = _judge_partly(signals, at, rules, unknown)
    decisions = _decisions(verdict, signals, at) if verdict else {}
    return Classified(described, signals.address, at, verdict, decisions)


def _signals(described: Described, around: Circumstances) -> Signals:
    secure = around.secure if described.secure is None else described.secure
    headers = [(name.lower().encode(), value.encode()) for name, value in _sendable(described)]
    signals = gather(
        described.method,
        headers,
        described.address or around.address,
        "https" if secure else "http",
        TrustedProxies(),
        decoy=around.decoy,
    )
    return msgspec.structs.replace(
        signals, sent_at=around.sent_at, scan_seconds=around.scan_seconds
    )


def _sendable(described: Described) -> Iterable[tuple[str, str]]:
    # A lone surrogate, as JSON can hold, is no character that was ever sent.
    for name, value in described.headers:
        yield _encodable(name), _encodable(value)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _decisions(verdict: Verdict, signals: Signals, at: float) -> dict[Policy, Decision]:
    pressed = Challenge("", at, Origin.INTERSTITIAL) if signals.method == "POST" else None
    return {
        policy: decide(
            policy=policy,
            status=Status.ACTIVE,
            verdict=verdict,
            prefetching=prefetching(signals),
            trusted_device=False,
            confirmation=pressed,
        )
        for policy in Policy
    }


class _Watched:
    """Stands before a rule's input, and notes which parts of it the rule looks at."""

    __slots__ = ("_asked", "_inner", "_name")

    def __init__(self, inner: object, asked: set[str], name: str = "") -> None:
        self._inner = inner
        self._asked = asked
        self._name = name

    def __getattr__(self, name: str) -> Any:
        self._asked.add(self._name or name)
        return getattr(self._inner, name)


def _judge_partly(
    signals: Signals, at: float, rules: Ruleset, unknown: frozenset[str]
) -> Verdict | None:
    """Judge by the rules that looked at nothing unknown: what wasn't logged wasn't left out."""
    fields = {name: getattr(signals, name) for name in Shape._fields if name != "local"}
    shape = Shape(**fields, local=is_local(signals.host))
    evidence = [*_by_headers(rules, shape, unknown)]
    for rule in rules.rules:
        if isinstance(rule, VisitRule):
            asked: set[str] = set()
            agent = _Watched(read_agent(signals.user_agent), asked, "user_agent")
            scene = Scene(
                cast(Signals, _Watched(signals, asked)),
                cast(Any, agent),
                NOTHING_KNOWN,
                at,
                rules.limits,
                rules.networks,
            )
            finding = rule.examine(scene)
            if finding is not None and not asked & unknown:
                evidence.append(_evidence(rule, finding))
    return conclude(evidence) if evidence else None


@lru_cache(maxsize=_KEPT)
def _by_headers(rules: Ruleset, shape: Shape, unknown: frozenset[str]) -> tuple[Evidence, ...]:
    found = []
    for rule in rules.rules:
        if isinstance(rule, HeaderRule):
            asked: set[str] = set()
            agent = _Watched(read_agent(shape.user_agent), asked, "user_agent")
            finding = rule.examine(cast(Shape, _Watched(shape, asked)), cast(Any, agent))
            if finding is not None and not asked & unknown:
                found.append(_evidence(rule, finding))
    return tuple(found)


def _evidence(rule: Rule, finding: Finding) -> Evidence:
    return Evidence(rule.name, finding.points_to, finding.reason, finding.kind, rule.authority)
