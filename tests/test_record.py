"""A visit as it is kept, and what late evidence does to it. Pure."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkgate.decision import Action, Decision
from linkgate.detection import Authority, Evidence, Kind, Standing, Verdict, conclude
from linkgate.record import describe, label, reconsider
from linkgate.signals import Press, Signals

DECISION = Decision(Action.MINT, "a person")
PERSON = Evidence("navigation", Standing.HUMAN, "as a browser's window does")
ODD = Evidence("twin", Standing.SUSPECT, "another visit came 0.1 s earlier")
BURST = Evidence("burst-address", Standing.SUSPECT, "it began a burst")
DECOY = Evidence("decoy-link", Standing.AUTOMATED, "a decoy was opened", Kind.SCANNER)
ALLOWED = Evidence("ours", Standing.HUMAN, "our office", None, Authority.OPERATOR)
BLOCKED = Evidence("theirs", Standing.SUSPECT, "their office", None, Authority.OPERATOR)


def kept(*evidence: Evidence, signals: Signals | None = None, **more: Any) -> dict[str, Any]:
    text = describe("v1", signals or Signals(), conclude(evidence), DECISION, 100.0, **more)
    read: dict[str, Any] = json.loads(text)
    return read


def always(_: Verdict) -> bool:
    return True


def never(_: Verdict) -> bool:
    return False


def test_what_is_kept_of_a_visit() -> None:
    signals = Signals(
        method="GET", address="198.51.100.7", user_agent="x" * 900, cookie="secret", referer="r"
    )
    found = kept(PERSON, ODD, ALLOWED, signals=signals)
    assert found == {
        "id": "v1",
        "at": 100.0,
        "verdict": "human",
        "kind": None,
        "reason": "a person",
        "evidence": [
            ["twin", "suspect", ODD.reason],
            ["navigation", "human", PERSON.reason],
            ["ours", "human", "our office", None, 1],
        ],
        "method": "GET",
        "address": "198.51.100.0/24",
        "user_agent": "x" * 200,
    }


def test_a_shadows_opinion_is_kept_beside_the_verdict() -> None:
    shadow = conclude((PERSON, DECOY))
    found = kept(PERSON, shadow=shadow)["shadow"]
    assert (found["verdict"], found["kind"]) == ("automated", "scanner")
    assert ["decoy-link", "automated", DECOY.reason, "scanner"] in found["evidence"]


def test_late_evidence_changes_the_verdict_and_says_so() -> None:
    before = kept(PERSON)
    after = reconsider(before, DECOY, 104.0004, always)
    assert (after["verdict"], after["kind"]) == ("automated", "scanner")
    assert after["changes"] == [
        {"at": 104.0, "from": "human", "to": "scanner", "rule": "decoy-link", "closing": True}
    ]
    untouched = {"id", "at", "reason", "method", "address", "user_agent"}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert before == kept(PERSON)


def test_whether_the_session_goes_is_asked_of_the_new_verdict() -> None:
    asked: list[Verdict] = []

    def only_machines(verdict: Verdict) -> bool:
        asked.append(verdict)
        return verdict.value is Standing.AUTOMATED

    once = reconsider(kept(PERSON), BURST, 102, only_machines)
    assert "closing" not in once["changes"][0]
    twice = reconsider(once, DECOY, 104, only_machines)
    assert [change.get("closing") for change in twice["changes"]] == [None, True]
    assert [verdict.value for verdict in asked] == ["suspect", "automated"]


def test_evidence_that_changes_nothing_is_still_kept() -> None:
    once = reconsider(kept(PERSON, ODD), BURST, 102, always)
    assert [rule for rule, *_ in once["evidence"]] == ["burst-address", "twin", "navigation"]
    assert "changes" not in once
    assert reconsider(once, BURST, 103, always) == once


@pytest.mark.parametrize(
    ("own", "late", "verdict"),
    [
        (ALLOWED, DECOY, "human"),
        (ALLOWED, BURST, "human"),
        (BLOCKED, DECOY, "suspect"),
    ],
)
def test_the_operators_word_stands(own: Evidence, late: Evidence, verdict: str) -> None:
    after = reconsider(kept(PERSON, own), late, 102, always)
    assert after["verdict"] == verdict
    assert "changes" not in after
    assert late.rule in {rule for rule, *_ in after["evidence"]}


@pytest.mark.parametrize(
    ("signals", "own"),
    [
        (Signals(), {}),
        (Signals(method="POST", press=Press()), {"pressed": True}),
        # The busy page, after a press: it goes on for whoever pressed.
        (Signals(method="POST", press=Press(repeat=True)), {"pressed": True}),
        # The busy page that repeats a visit without one, whatever its form says.
        (Signals(method="POST", press=Press(repeat=True, unpressed=True)), {}),
        (
            Signals(
                method="POST",
                press=Press(ran=True, pressed=True, trusted=True, repeat=True, unpressed=True),
            ),
            {},
        ),
        (Signals(known_device=True), {"known_device": True}),
        (Signals(known_device=True, press=Press()), {"known_device": True, "pressed": True}),
    ],
    ids=["page", "press", "busy", "waiting", "waiting-lying", "device", "device-press"],
)
def test_what_is_a_persons_own_is_kept_with_the_visit(
    signals: Signals, own: dict[str, bool]
) -> None:
    found = kept(PERSON, signals=signals)
    assert {name: found[name] for name in ("pressed", "known_device") if name in found} == own


def test_the_busy_pages_repeat_of_a_visit_without_a_press_is_taken_back() -> None:
    waiting = Signals(method="POST", press=Press(repeat=True, unpressed=True))
    after = reconsider(kept(PERSON, signals=waiting), DECOY, 102, always)
    assert (after["kind"], after["changes"][0]["closing"]) == ("scanner", True)


@pytest.mark.parametrize(
    "signals",
    [Signals(method="POST", press=Press()), Signals(known_device=True)],
    ids=["press", "device"],
)
@pytest.mark.parametrize("late", [DECOY, BURST])
def test_what_is_a_persons_own_is_never_taken_back(signals: Signals, late: Evidence) -> None:
    # The device's rule may be switched off: the cookie is good all the same.
    before = kept(PERSON, signals=signals)
    assert reconsider(before, late, 102, always) == before


def test_a_narrower_kind_wins_whenever_it_comes() -> None:
    library = Evidence("agent-tool", Standing.AUTOMATED, "curl", Kind.TOOL)
    after = reconsider(kept(library), DECOY, 102, never)
    assert (after["verdict"], after["kind"]) == ("automated", "scanner")
    assert after["changes"] == [
        {"at": 102, "from": "tool", "to": "scanner", "rule": "decoy-link"},
    ]


def test_what_an_older_version_kept_is_understood() -> None:
    old = {"id": "v1", "at": 1.0, "verdict": "human", "evidence": [["navigation", "human", "x"]]}
    assert reconsider(old, DECOY, 2, never)["kind"] == "scanner"
    assert reconsider({"id": "v1", "at": 1.0}, DECOY, 2, never)["kind"] == "scanner"
    changed = {**old, "changes": [{"at": 1.5, "from": "a", "to": "human", "rule": "r", "new": 1}]}
    assert reconsider(changed, DECOY, 2, never)["changes"][0]["new"] == 1


def test_what_a_newer_version_adds_is_kept() -> None:
    newer = {**kept(PERSON), "later": {"a": 1}}
    newer["evidence"][0] = [*newer["evidence"][0], None, 0, "more"]
    assert reconsider(newer, DECOY, 102, never)["later"] == {"a": 1}


@pytest.mark.parametrize("order", list(itertools.permutations((DECOY, BURST, ODD))))
def test_the_order_of_late_evidence_does_not_matter(order: tuple[Evidence, ...]) -> None:
    after = kept(PERSON)
    for late in order:
        after = json.loads(json.dumps(reconsider(after, late, 102, always)))
    assert (after["verdict"], after["kind"]) == ("automated", "scanner")
    assert after["evidence"] == kept(PERSON, *order)["evidence"]
    # The counters follow the changes from one end to the other.
    assert after["changes"][0]["from"] == "human"
    assert after["changes"][-1]["to"] == "scanner"
    steps = [(change["from"], change["to"]) for change in after["changes"]]
    assert all(one[1] == then[0] for one, then in itertools.pairwise(steps))


evidence = st.builds(
    Evidence,
    st.sampled_from("abcdef"),
    st.sampled_from(Standing),
    st.text(max_size=5),
    st.sampled_from([None, *Kind]),
    st.sampled_from(Authority),
)
late = st.builds(
    Evidence,
    st.sampled_from(["burst-address", "burst-network", "decoy-link", "decoy-address"]),
    st.sampled_from([Standing.SUSPECT, Standing.AUTOMATED]),
    st.text(max_size=5),
    st.sampled_from([None, *Kind]),
)


@given(first=st.lists(evidence, max_size=4), then=st.lists(late, max_size=5))
def test_whatever_comes_late_the_verdict_is_that_of_all_the_evidence(
    first: list[Evidence], then: list[Evidence]
) -> None:
    before = kept(*first)
    after = before
    for one in then:
        again = reconsider(after, one, 102, always)
        assert reconsider(again, one, 103, always) == again
        after = json.loads(json.dumps(again))
    added = {one.rule: one for one in reversed(then)}
    whole = conclude((*first, *added.values()))
    assert after["evidence"] == kept(*first, *added.values())["evidence"]
    # Late evidence lets nobody in who wasn't before.
    assert (after["verdict"], after["kind"]) == (whole.value, whole.kind)
    steps = [label(conclude(first)), *(change["to"] for change in after.get("changes", ()))]
    assert steps[-1] == label(whole)
    assert [change["from"] for change in after.get("changes", ())] == steps[:-1]
    assert len(set(steps)) == len(steps)
