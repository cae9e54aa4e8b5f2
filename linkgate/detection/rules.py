"""The shape of a rule, and a set of rules with its bounded memory.

There are two sorts. A header rule sees only `Shape`, the headers that repeat from visit to visit,
so that its findings can be kept and looked up when a scanner sends the same headers again. A visit
rule sees the whole `Scene`, the history and the time included, and runs on every visit.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from linkgate.detection.agents import UserAgent, read_agent
from linkgate.detection.history import History, Limits
from linkgate.detection.networks import Networks
from linkgate.detection.verdict import Authority, Evidence, Kind, Standing, Verdict, conclude
from linkgate.signals import Signals

# A shape holds some 4 kB at its hostile worst (clamped headers), so that this is 32 MB at most.
SHAPES_KEPT = 8192


class Shape(NamedTuple):
    """The part of `Signals` that header rules may look at; it is the key under which their findings
    are kept, so that a rule can't depend on anything that is not part of the key.
    """

    method: str = "GET"
    user_agent: str = ""
    accept: str = ""
    accept_language: str = ""
    accept_encoding: str = ""
    sec_fetch_site: str = ""
    sec_fetch_mode: str = ""
    sec_fetch_dest: str = ""
    sec_fetch_user: str = ""
    sec_purpose: str = ""
    purpose: str = ""
    x_purpose: str = ""
    x_moz: str = ""
    sec_ch_ua: str = ""
    sec_ch_ua_mobile: str = ""
    sec_ch_ua_platform: str = ""
    x_requested_with: str = ""
    secure: bool = False
    local: bool = False
    """The host is this machine, which browsers treat as a secure context without https."""

    @property
    def secure_context(self) -> bool:
        """Whether a browser sends Sec-Fetch-* here (Fetch Metadata, 3: potentially trustworthy)."""
        return self.secure or self.local


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found; the rule set puts the rule's name to it."""

    points_to: Standing
    reason: str
    kind: Kind | None = None


class Scene(NamedTuple):
    """Everything that a visit rule may look at. `now` is in seconds since the epoch."""

    signals: Signals
    agent: UserAgent
    history: History
    now: float
    limits: Limits
    networks: Networks


HeaderExamination = Callable[[Shape, UserAgent], Finding | None]
VisitExamination = Callable[[Scene], Finding | None]


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """A rule about the headers alone."""

    name: str
    examine: HeaderExamination
    authority: Authority = Authority.RULE


@dataclass(frozen=True, slots=True)
class VisitRule:
    """A rule about the visit as a whole: address, decoy, press, history, time."""

    name: str
    examine: VisitExamination
    authority: Authority = Authority.RULE


Rule = HeaderRule | VisitRule

_LOOPBACK = re.compile(r"127(?:\.\d{1,3}){3}")
_header_fields = attrgetter(*Shape._fields[:-1])


@lru_cache(maxsize=1024)
def is_local(host: str) -> bool:
    """Whether a Host header names this machine (W3C Secure Contexts, 3.1)."""
    name = host.lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name in {"localhost", "::1"} or name.endswith(".localhost"):
        return True
    return _LOOPBACK.fullmatch(name) is not None


class Ruleset:
    """Rules that judge together, with their thresholds and the networks that they know.

    All of them run on every visit, and their order doesn't matter. Raises ValueError when two rules
    have one name: their evidence could not be told apart.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        limits: Limits | None = None,
        networks: Networks | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.limits = limits or Limits()
        self.networks = networks or Networks()
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are named {name!r}; give one of them another name")
        self._header_rules = tuple(rule for rule in self.rules if isinstance(rule, HeaderRule))
        self._visit_rules = tuple(rule for rule in self.rules if isinstance(rule, VisitRule))
        self._read_shape = lru_cache(maxsize=SHAPES_KEPT)(self._examine_shape)

    def judge(self, signals: Signals, history: History, now: float) -> Verdict:
        """Run every rule on the visit and conclude from all of their evidence."""
        verdict = self._read_shape((*_header_fields(signals), is_local(signals.host)))
        agent = read_agent(signals.user_agent)
        scene = Scene(signals, agent, history, now, self.limits, self.networks)
        more = [
            _evidence(rule, finding)
            for rule in self._visit_rules
            if (finding := rule.examine(scene)) is not None
        ]
        return conclude((*verdict.evidence, *more)) if more else verdict

    def _examine_shape(self, fields: tuple[object, ...]) -> Verdict:
        shape = Shape._make(fields)
        agent = read_agent(shape.user_agent)
        return conclude(
            _evidence(rule, finding)
            for rule in self._header_rules
            if (finding := rule.examine(shape, agent)) is not None
        )


def _evidence(rule: Rule, finding: Finding) -> Evidence:
    return Evidence(rule.name, finding.points_to, finding.reason, finding.kind, rule.authority)
