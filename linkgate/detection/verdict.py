"""What judging a visit results in: evidence, and the verdict that follows from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Standing(StrEnum):
    """What a visit is, or what a piece of evidence points to."""

    HUMAN = "human"
    SUSPECT = "suspect"
    AUTOMATED = "automated"


class Kind(StrEnum):
    """What kind of machine. The order is the precedence when evidence names several kinds: the
    narrower name wins, so that a mail scanner that also calls itself a bot is a scanner, and curl
    with a robot's address is a tool.
    """

    SCANNER = "scanner"
    PREVIEW = "preview"
    PREFETCH = "prefetch"
    MONITOR = "monitor"
    TOOL = "tool"
    CRAWLER = "crawler"


class Authority(IntEnum):
    """Whose word a piece of evidence is. The highest that has something to say decides alone."""

    #: linkgate's own rules.
    RULE = 0
    #: What the operator's rules, from the configuration, allow or call automated.
    OPERATOR = 1
    #: What never mints, whatever anyone says: a HEAD probe, a prefetch, a decoy.
    LAW = 2


_PRECEDENCE = {kind: place for place, kind in enumerate(Kind)}
_WEIGHT = {Standing.AUTOMATED: 0, Standing.SUSPECT: 1, Standing.HUMAN: 2}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One rule's finding about a visit. `reason` is for the operator to read. `kind` is set when
    the finding tells what kind of machine it was; a HEAD request alone does not.
    """

    rule: str
    points_to: Standing
    reason: str
    kind: Kind | None = None
    authority: Authority = Authority.RULE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a visit was judged to be, and why. `kind` is set if and only if it is automated."""

    value: Standing
    kind: Kind | None
    evidence: tuple[Evidence, ...]


def narrowest(kinds: Iterable[Kind]) -> Kind:
    """The kind that tells most; a machine of which nothing more is known is a tool."""
    return min(kinds, key=_PRECEDENCE.__getitem__, default=Kind.TOOL)


def conclude(evidence: Iterable[Evidence]) -> Verdict:
    """The verdict that all the evidence amounts to; the order in which it comes doesn't matter.

    0. Only evidence of the highest authority there is counts: the laws', else what the operator's
       own rules allow or call automated, else linkgate's rules'. All of it is kept.
    1. Anything that shows a machine: automated.
    2. Else anything that doesn't fit a person's browser: suspect.
    3. Else something that positively shows a person's browser: human.
    4. Else, with nothing known either way: suspect.
    """
    ordered = tuple(sorted(evidence, key=lambda e: (_WEIGHT[e.points_to], e.rule, e.reason)))
    highest = max((e.authority for e in ordered), default=Authority.RULE)
    found = {e.points_to for e in ordered if e.authority is highest}
    if Standing.AUTOMATED in found:
        kind = narrowest(e.kind for e in ordered if e.kind is not None)
        return Verdict(Standing.AUTOMATED, kind, ordered)
    if Standing.SUSPECT in found or Standing.HUMAN not in found:
        return Verdict(Standing.SUSPECT, None, ordered)
    return Verdict(Standing.HUMAN, None, ordered)
