"""What `linkgate classify` prints: one visit in full, many as a table with counts, or JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.progress import track

from linkgate.campaigns import Policy
from linkgate.cli import printing
from linkgate.cli.verdicts import findings, named
from linkgate.decision import Action, Decision
from linkgate.picturing import PicturedEvidence, deciding, pictured

if TYPE_CHECKING:
    from linkgate.classifying import Classified
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
    judged: "Iterable[Classified]", number: int, skipped: "Skipped", rules: str, *, as_json: bool
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


def _watched(judged: "Iterable[Classified]", number: int) -> "Iterator[Classified]":
    console = Console(stderr=True)
    quiet = not console.is_terminal or number < 1000
    yield from track(
        judged, "judging", total=number, console=console, disable=quiet, transient=True
    )


def _who(one: "Classified") -> str:
    return named(one.verdict.value, one.verdict.kind) if one.verdict else UNDECIDED


def _evidence(one: "Classified") -> tuple[PicturedEvidence, ...]:
    return tuple(map(pictured, one.verdict.evidence)) if one.verdict else ()


def _in_full(one: "Classified", rules: str) -> None:
    printing.line(_who(one))
    printing.line()
    if one.verdict is None:
        printing.line(_TOO_LITTLE)
    elif evidence := _evidence(one):
        printing.table(("rule", "points to", "reason"), findings(evidence))
    else:
        printing.line("No rule found anything: nothing shows a person's browser either.")
    printing.line()
    for sentence in _decided(one):
        printing.line(sentence)
    for note in (*_notes(one), *_remarks(one, rules)):
        printing.note(note)


def _decided(one: "Classified") -> Iterator[str]:
    """What each policy makes of it; policies that agree share a sentence."""
    alike: dict[Decision, list[Policy]] = {}
    for policy, decision in one.decisions.items():
        alike.setdefault(decision, []).append(policy)
    for decision, policies in alike.items():
        yield f"{_and(policies)}: {_done(decision, one)}."


def _done(decision: Decision, one: "Classified") -> str:
    if decision.action is Action.MINT and one.described.method == "POST":
        return "a session, if the press was a person's: presses can't be described here"
    return f"{_DOES.get(decision.action, decision.action)}; {decision.reason}"


def _and(policies: list[Policy]) -> str:
    *first, last = [str(policy) for policy in policies]
    return f"{', '.join(first)} and {last}" if first else last


def _notes(one: "Classified") -> tuple[str, ...]:
    pressed = one.described.method == "POST"
    return (*one.described.notes, _PRESSED) if pressed else one.described.notes


def _remarks(one: "Classified", rules: str) -> Iterator[str]:
    if one.described.known is not None:
        yield _PARTIAL
    yield f"{_ALONE} Rules: {rules}."


def _table(visits: "Iterator[Classified]", number: int) -> None:
    counts: Counter[str] = Counter()
    rows: list[tuple[object, ...]] = []
    partial = False
    for place, one in enumerate(visits, 1):
        counts[_who(one)] += 1
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


def _row(place: int, one: "Classified") -> tuple[object, ...]:
    agent = one.described.header("user-agent")
    short = f"{agent[:77]}..." if len(agent) > 80 else agent
    verdict = one.verdict.value if one.verdict else None
    decisive = [found.rule for found in deciding(_evidence(one)) if found.points_to == verdict]
    return place, one.described.method, one.address, _who(one), ", ".join(decisive), short


def _as_json(visits: "Iterator[Classified]", skipped: "Skipped", rules: str) -> None:
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


def _as_data(one: "Classified") -> dict[str, Any]:
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
        "evidence": msgspec.to_builtins(_evidence(one)),
        "decisions": {
            policy: {"action": decision.action, "reason": decision.reason}
            for policy, decision in one.decisions.items()
        },
        "notes": list(_notes(one)),
    }
