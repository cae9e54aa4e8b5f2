"""How verdicts and evidence are put into words, of visits that were made and of described ones."""

from collections.abc import Sequence

from linkgate.detection import Kind
from linkgate.picturing import PicturedEvidence, deciding

OUTRANKED = "[outranked]"


def named(value: str, kind: str | None) -> str:
    """A verdict in words: "automated (scanner)"."""
    return f"{value} ({kind})" if kind else value


def labelled(label: str) -> str:
    """The same from what a verdict is counted as: its kind, if it has one."""
    return named("automated", label) if label in list(Kind) else label


def findings(evidence: Sequence[PicturedEvidence]) -> list[tuple[str, str, str]]:
    """Each finding's rule, what it points to, and its reason, marked if it was outranked."""
    decide = deciding(evidence)
    return [
        (
            one.rule,
            named(one.points_to, one.kind),
            one.reason if one in decide else f"{one.reason} {OUTRANKED}",
        )
        for one in evidence
    ]
