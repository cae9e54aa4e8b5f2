"""What `linkgate classify` prints: one visit in full, many as a table with counts, or JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from linkgate.campaigns import Policy
from linkgate.cli import printing
from linkgate.decision import Action, Decision
from linkgate.detection import Verdict

if TYPE_CHECKING:
    from linkgate.classifying import Judged
    from linkgate.cli.reading import Skipped

#: Of a table; more are counted, and --json has them all.
ROWS = 200
UNDECIDED = "undecided"

_PARTIAL = (
    "A log's line tells the method, the address, the user agent and the referer: only the rules "
    "that look at nothing else were asked."
)
_ALONE = "What came before a visit (twins, bursts, decoys) is not part of a description."
_TOO_LITTLE = (
    "Nothing in it speaks for or against a person: the gate decides by the headers that it does "
    "not tell."
)
_PRESSED = (
    "A POST is taken for the button's press, with its challenge in order and no gesture told."
)
_DOES = {
    Action.MINT: "a session",
    Action.INTERSTITIAL: "the page with the button",
    Action.REFUSE: "refused, so that the browser asks again",
}


def show(
    judged: "Iterable[Judged]", number: int, skipped: "Skipped", rules: str, *, as_json: bool
) -> None:
    """Print `number` judged visits, as they come."""
    visits = _watched(judged, number)
    if as_json:
        _as_json(visits, skipped, rules)
    elif number == 1:
        _in_full(next(visits), rules)
    else:
        _table(visits, number)
    if skipped.lines and not as_json:
        what = "1 line was" if skipped.lines == 1 else f"{skipped.lines} lines were"
        printing.note(f"{what} not read; the first: {skipped.first}.")


def _watched(judged: "Iterable[Judged]", number: int) -> "Iterator[Judged]":
    console = Console(stderr=True)
    quiet = not console.is_terminal or number < 1000
    yield from track(
        judged, "judging", total=number, console=console, disable=quiet, transient=True
    )


def named(verdict: Verdict | None) -> str:
    """A verdict in words: "automated (scanner)"."""
    if verdict is None:
        return UNDECIDED
    return f"{verdict.value} ({verdict.kind})" if verdict.kind else str(verdict.value)


def _in_full(one: "Judged", rules: str) -> None:
    described, verdict = one.described, one.verdict
    printing.line(named(verdict))
    printing.line()
    if verdict is None:
        printing.line(_TOO_LITTLE)
    elif verdict.evidence:
        highest = max(evidence.authority for evidence in verdict.evidence)
        rows = [
            (
                evidence.rule,
                f"{evidence.points_to} ({evidence.kind})" if evidence.kind else evidence.points_to,
                evidence.reason + ("" if evidence.authority is highest else " [outranked]"),
            )
            for evidence in verdict.evidence
        ]
        printing.table(("rule", "points to", "reason"), rows)
    else:
        printing.line("No rule found anything: nothing shows a person's browser either.")
    printing.line()
    for sentence in _decided(one):
        printing.line(sentence)
    for note in (*described.notes, *_remarks(one, rules)):
        printing.note(note)


def _decided(one: "Judged") -> Iterator[str]:
    """What each policy makes of it; policies that agree share a sentence."""
    alike: dict[Decision, list[Policy]] = {}
    for policy, decision in one.decisions.items():
        alike.setdefault(decision, []).append(policy)
    for decision, policies in alike.items():
        yield f"{_and(policies)}: {_DOES.get(decision.action, decision.action)}; {decision.reason}."


def _and(policies: list[Policy]) -> str:
    *first, last = [str(policy) for policy in policies]
    return f"{', '.join(first)} and {last}" if first else last


def _remarks(one: "Judged", rules: str) -> Iterator[str]:
    if one.described.known is not None:
        yield _PARTIAL
    if one.described.method == "POST":
        yield _PRESSED
    yield f"{_ALONE} Rules: {rules}."


def _table(visits: "Iterator[Judged]", number: int) -> None:
    counts: Counter[str] = Counter()
    rows: list[tuple[object, ...]] = []
    partial = False
    for place, one in enumerate(visits, 1):
        counts[named(one.verdict)] += 1
        partial = partial or one.described.known is not None
        if place <= ROWS:
            rows.append(_row(place, one))
    printing.table(("", "method", "address", "verdict", "rules", "user agent"), rows)
    printing.line()
    if number > ROWS:
        printing.line(f"The first {ROWS} of {number}; --json prints all of them.")
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    printing.line(f"{number} visits: {told}.")
    if partial:
        printing.line(_PARTIAL)
    if counts[UNDECIDED]:
        printing.line("Undecided: nothing in the line speaks for or against a person.")


def _row(place: int, one: "Judged") -> tuple[object, ...]:
    agent = one.described.header("user-agent")
    short = f"{agent[:77]}..." if len(agent) > 80 else agent
    evidence = one.verdict.evidence if one.verdict else ()
    decisive = [e.rule for e in evidence if one.verdict and e.points_to is one.verdict.value]
    return place, one.described.method, one.address, named(one.verdict), ", ".join(decisive), short


def _as_json(visits: "Iterator[Judged]", skipped: "Skipped", rules: str) -> None:
    told = [_as_data(one) for one in visits]
    counts = Counter(visit["verdict"] or UNDECIDED for visit in told)
    printing.as_json(
        {
            "rules": rules,
            "visits": told,
            "counts": {name: counts[name] for name in ("human", "suspect", "automated", UNDECIDED)},
            "skipped": {"lines": skipped.lines, "first": skipped.first or None},
        }
    )


def _as_data(one: "Judged") -> dict[str, Any]:
    verdict, described = one.verdict, one.described
    return {
        "method": described.method,
        "url": described.url or None,
        "address": one.address or None,
        "user_agent": described.header("user-agent") or None,
        "at": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="milliseconds"),
        "complete": described.known is None,
        "verdict": verdict.value if verdict else None,
        "kind": verdict.kind if verdict else None,
        "evidence": [
            {
                "rule": evidence.rule,
                "points_to": evidence.points_to,
                "kind": evidence.kind,
                "reason": evidence.reason,
                "authority": evidence.authority.name.lower(),
            }
            for evidence in (verdict.evidence if verdict else ())
        ],
        "decisions": {
            policy: {"action": decision.action, "reason": decision.reason}
            for policy, decision in one.decisions.items()
        },
        "notes": list(described.notes),
    }
