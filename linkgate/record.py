"""A visit as it is kept: its JSON, and what late evidence does to it.

Append-only: a dashboard reads what an older version wrote months ago. What is added gets a name of
its own, or a place at the end of its list.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from linkgate.addresses import truncate
from linkgate.decision import Decision
from linkgate.detection import Authority, Evidence, Kind, Standing, Verdict, conclude
from linkgate.signals import Signals


def label(verdict: Verdict) -> str:
    """Return what a verdict is counted as: its kind if it has one, else its value."""
    return verdict.kind or verdict.value


def describe(
    name: str,
    signals: Signals,
    verdict: Verdict,
    decision: Decision,
    now: float,
    *,
    shadow: Verdict | None = None,
) -> str:
    """Return a visit as the JSON that is kept.

    `shadow` is what the shadow rules would have said, where that differs.
    """
    kept: dict[str, object] = {
        "id": name,
        "at": round(now, 3),
        "verdict": verdict.value,
        "kind": verdict.kind,
        "reason": decision.reason,
        "evidence": [_kept(evidence) for evidence in verdict.evidence],
        "method": signals.method,
        "address": truncate(signals.address),
        "user_agent": signals.user_agent[:200],
    }
    if signals.known_device:
        kept["known_device"] = True
    if signals.press is not None and not signals.press.unpressed:
        kept["pressed"] = True
    if shadow is not None:
        kept["shadow"] = {
            "verdict": shadow.value,
            "kind": shadow.kind,
            "evidence": [_kept(evidence) for evidence in shadow.evidence],
        }
    return msgspec.json.encode(kept).decode()


def reconsider(
    kept: Mapping[str, Any], late: Evidence, at: float, closes: Callable[[Verdict], bool]
) -> dict[str, Any]:
    """Return a kept visit with late evidence added, and its verdict concluded anew.

    A change is written down under `changes`, with whether `closes` says that the visit's session
    goes. Evidence that is there already adds nothing, so that repeating this is safe. A press and
    a known device are a person's own: nothing that machines did around them changes what they are.
    """
    before = [_evidence(item) for item in kept.get("evidence", ())]
    rules = {evidence.rule for evidence in before}
    if kept.get("pressed") or kept.get("known_device") or late.rule in rules:
        return dict(kept)
    after = conclude((*before, late))
    changed = {**kept, "evidence": [_kept(evidence) for evidence in after.evidence]}
    old = kept.get("kind") or kept.get("verdict", "")
    if label(after) != old and after.value is not Standing.HUMAN:
        changed["verdict"], changed["kind"] = after.value, after.kind
        change = {"at": round(at, 3), "from": old, "to": label(after), "rule": late.rule}
        if closes(after):
            change["closing"] = True
        changed["changes"] = [*kept.get("changes", ()), change]
    return changed


def _kept(evidence: Evidence) -> tuple[object, ...]:
    told = (evidence.rule, evidence.points_to, evidence.reason)
    if evidence.authority is not Authority.RULE:
        return (*told, evidence.kind, int(evidence.authority))
    return (*told, evidence.kind) if evidence.kind else told


def _evidence(item: Any) -> Evidence:
    rule, points_to, reason, kind, authority = (*item, None, None)[:5]
    return Evidence(
        rule,
        Standing(points_to),
        reason,
        Kind(kind) if kind else None,
        Authority(authority or Authority.RULE),
    )
