"""Recorded visits are the specification: people pass, machines are caught, for these reasons."""

from collections import Counter

import pytest

from linkgate.campaigns import Policy
from linkgate.decision import Action
from linkgate.detection import RULES, Standing, VisitRule
from tests.detection.corpus import CASES, KEYS, MACHINES, PEOPLE, Case, decided, judged, visit

__all__ = ["CASES", "visit"]

THE_PEOPLE = [case for case in CASES if case["file"] in PEOPLE]
THE_MACHINES = [case for case in CASES if case["file"] in MACHINES]
BY_HAND = {"dwell": 3.0, "gesture": "ran pressed trusted seen=2000"}


def title(case: Case) -> str:
    return f"{case['verdict']}: {case['who']}"


@pytest.mark.parametrize("case", CASES, ids=title)
def test_verdict_and_reasons(case: Case) -> None:
    verdict = judged(case)
    found = sorted(evidence.rule for evidence in verdict.evidence)
    assert verdict.value == case["verdict"], found
    assert not set(case.get("misses", ())) & set(found)
    if verdict.value is Standing.AUTOMATED:
        assert verdict.kind is not None
        assert verdict.kind == case.get("kind", verdict.kind), found
        assert set(case["rules"]) <= set(found)
    else:
        assert verdict.kind is None
        assert found == sorted(case["rules"])


@pytest.mark.parametrize("case", [case for case in CASES if "decision" in case], ids=title)
def test_what_the_gate_does(case: Case) -> None:
    got = {policy: decided(case, Policy(policy)).action.value for policy in case["decision"]}
    assert got == case["decision"]


@pytest.mark.parametrize("case", THE_PEOPLE, ids=title)
@pytest.mark.parametrize("policy", list(Policy))
def test_law_every_person_gets_in_with_a_press_by_hand(case: Case, policy: Policy) -> None:
    # Before it, they may have to press; they are never turned away.
    assert decided(case, policy).action in {Action.MINT, Action.INTERSTITIAL}
    pressed = {**case, "press": BY_HAND}
    assert judged(pressed).value is not Standing.AUTOMATED, judged(pressed).evidence
    assert decided(pressed, policy).action is Action.MINT


@pytest.mark.parametrize("case", THE_PEOPLE, ids=title)
def test_law_every_person_gets_in_without_script(case: Case) -> None:
    pressed = {**case, "press": {"dwell": 3.0}}
    if case.get("history", {}).get("link_decoy", 1e9) <= RULES.limits.decoy_seconds:
        # In the minute after the link's own decoy, only a press by hand is believed (ADR 0012).
        assert decided(pressed, Policy.ADAPTIVE).action is Action.INTERSTITIAL
        later = {name: value for name, value in case["history"].items() if name != "link_decoy"}
        pressed["history"] = later
    assert judged(pressed).value is not Standing.AUTOMATED, judged(pressed).evidence
    assert decided(pressed, Policy.ADAPTIVE).action is Action.MINT


@pytest.mark.parametrize("case", THE_MACHINES, ids=title)
def test_no_machine_gets_a_session_in_adaptive(case: Case) -> None:
    let_through = decided(case, Policy.ADAPTIVE).action is Action.MINT
    assert let_through is ("gap" in case)


def test_corpus_is_large_and_names_each_visit_once() -> None:
    names = [case["who"] for case in CASES]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert len(names) >= 300
    assert {key for case in CASES for key in case} <= KEYS


def test_every_rule_finds_something_in_the_corpus() -> None:
    named = {rule for case in CASES for rule in case["rules"]}
    assert named == {rule.name for rule in RULES.rules}


def test_every_visit_rule_has_a_visit_just_outside_of_it() -> None:
    outside = {rule for case in CASES for rule in case.get("misses", ())}
    assert {rule.name for rule in RULES.rules if isinstance(rule, VisitRule)} <= outside
