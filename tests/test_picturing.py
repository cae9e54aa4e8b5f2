"""The picture of a link: what was kept of its visits, whoever kept it."""

import json
from typing import Any

import pytest

from linkgate.decision import Action, Decision
from linkgate.detection import Authority, Evidence, Kind, Standing, conclude
from linkgate.payments import Ledger, Session, SessionState, purchases
from linkgate.picturing import NOTHING, PicturedVisit, deciding, picture, pictured
from linkgate.record import describe
from linkgate.signals import Signals
from linkgate.store.entries import Row

MINT = Decision(Action.MINT, "a person")
FOUND = (
    Evidence("decoy", Standing.AUTOMATED, "it opened the decoy", Kind.SCANNER, Authority.LAW),
    Evidence("own:ours", Standing.HUMAN, "our own probe", None, Authority.OPERATOR),
    Evidence("agent-tool", Standing.AUTOMATED, "it says curl", Kind.TOOL),
    Evidence("navigation", Standing.HUMAN, "it came as browsers do"),
)


def shown(**kept: Any) -> PicturedVisit:
    """A visit's picture from what was kept of it."""
    row = Row({}, (), ({"id": "v1", "at": 1.0, **kept},), {})
    [visit] = picture("lnk_1", None, None, row, 2.0).visits
    return visit


def kept(*evidence: Evidence, shadow: tuple[Evidence, ...] | None = None) -> dict[str, Any]:
    tried = None if shadow is None else conclude(shadow)
    text = describe("v1", Signals(), conclude(evidence), MINT, 1.0, shadow=tried)
    data: dict[str, Any] = json.loads(text)
    return data


def test_every_finding_is_shown_as_it_was_made() -> None:
    visit = shown(**kept(*FOUND, shadow=FOUND[1:]))
    assert visit.evidence == tuple(map(pictured, conclude(FOUND).evidence))
    told = {one.rule: (one.points_to, one.kind, one.authority) for one in visit.evidence}
    assert told == {
        "decoy": ("automated", "scanner", "law"),
        "own:ours": ("human", None, "operator"),
        "agent-tool": ("automated", "tool", "rule"),
        "navigation": ("human", None, "rule"),
    }
    assert visit.shadow
    assert visit.shadow.evidence == tuple(map(pictured, conclude(FOUND[1:]).evidence))


def test_only_the_highest_authority_there_is_decides() -> None:
    every = tuple(map(pictured, FOUND))
    assert [one.rule for one in deciding(every)] == ["decoy"]
    assert [one.rule for one in deciding(every[1:])] == ["own:ours"]
    assert [one.rule for one in deciding(every[2:])] == ["agent-tool", "navigation"]
    assert deciding(()) == ()


def test_what_belongs_together_is_looked_up_once_for_all_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the picture of a link with thousands of them would hold everybody up."""
    built: list[Ledger] = []
    index = purchases._Index

    def counted(ledger: Ledger) -> Any:
        built.append(ledger)
        return index(ledger)

    monkeypatch.setattr(purchases, "_Index", counted)
    sessions = tuple(
        Session(f"cs_{n}", "", SessionState.EXPIRED, n, n, n + 1800) for n in range(50)
    )
    shown = picture("lnk_1", None, None, Row({}, sessions, (), {}), 9.0)
    assert [one.state for one in shown.sessions] == ["expired"] * 50
    assert len(built) <= 2


def test_what_other_versions_kept_is_understood() -> None:
    visit = shown(
        evidence=[
            ["first", "human", "x"],
            ["second", "automated", "x", "tool"],
            ["third", "automated", "x", None, None],
            ["fourth", "automated", "x", None, 2, "more"],
            ["fifth", "automated", "x", "newer", 7],
        ]
    )
    told = [(one.rule, one.kind, one.authority) for one in visit.evidence]
    assert told == [
        ("first", None, "rule"),
        ("second", "tool", "rule"),
        ("third", None, "rule"),
        ("fourth", None, "law"),
        ("fifth", "newer", "law"),
    ]
    assert shown().evidence == ()
    assert picture("lnk_1", None, None, NOTHING, 2.0).visits == ()
