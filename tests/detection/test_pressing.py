"""The rules about a confirmation, each alone, and what they amount to together."""

from collections.abc import Callable

import pytest

from linkgate.challenge import Challenge, Origin, read_press
from linkgate.detection import (
    RULES,
    Finding,
    History,
    Kind,
    Limits,
    Ruleset,
    Scene,
    Standing,
    pressing,
)
from linkgate.signals import Press, Signals
from tests.detection.scenes import scene

# A person's press; every case says how it differs from this.
REAL = Press(dwell=3.2, ran=True, pressed=True, trusted=True, visible=2.3)
# The same without JavaScript.
PLAIN = Press(dwell=3.2)


def but(press: Press, **changes: object) -> Press:
    return Press(**{name: getattr(press, name) for name in Press.__struct_fields__} | changes)


Rule = Callable[[Scene], Finding | None]
# rule -> (presses it must find something in, presses it must not)
TABLE: dict[str, tuple[Rule, list[Press], list[Press]]] = {
    "press-second-control": (
        pressing.second_control,
        [
            but(PLAIN, second=True),
            but(REAL, second=True),
            but(REAL, second=True, dwell=None),
        ],
        [PLAIN, REAL],
    ),
    "press-scripted": (
        pressing.scripted,
        [
            but(REAL, pressed=False, trusted=False),
            but(REAL, pressed=False),
            but(REAL, trusted=False),
            but(REAL, trusted=False, dwell=None),
            Press(ran=True),
        ],
        [REAL, PLAIN, Press(), but(REAL, driven=True), but(REAL, visible=0.0)],
    ),
    "press-driven": (
        pressing.driven,
        [but(REAL, driven=True), but(REAL, driven=True, pressed=False, dwell=None)],
        [REAL, PLAIN, but(REAL, trusted=False)],
    ),
    "press-unseen": (
        pressing.unseen,
        [but(REAL, visible=0.0), but(REAL, visible=0.0, trusted=False, dwell=None)],
        # A form that a script submits says nothing of the page's visibility.
        [REAL, but(REAL, visible=0.001), PLAIN, Press(ran=True)],
    ),
    "press-too-fast": (
        pressing.too_fast,
        [
            but(REAL, visible=0.001),
            but(REAL, visible=0.499),
            but(REAL, visible=0.1, pressed=False, trusted=False),
            # The script's word goes no further than the challenge's signed time.
            but(REAL, dwell=0.05, visible=3.0),
            # A challenge dated ahead: only the script knows.
            but(REAL, dwell=None, visible=0.05),
        ],
        [
            REAL,
            but(REAL, visible=0.5),
            but(REAL, dwell=0.5),
            but(REAL, dwell=None),
            but(REAL, visible=0.0),
            PLAIN,
            but(PLAIN, dwell=0.1),
        ],
    ),
    "press-unread": (
        pressing.unread,
        [but(PLAIN, dwell=0.0), but(PLAIN, dwell=0.999)],
        [
            PLAIN,
            but(PLAIN, dwell=1.0),
            # No good challenge, or one from a clock that is ahead.
            but(PLAIN, dwell=None),
            # The script counts for itself.
            but(REAL, dwell=0.6, visible=0.6),
        ],
    ),
    "press-real": (
        pressing.real,
        [REAL, but(REAL, visible=0.5, dwell=0.5)],
        [
            PLAIN,
            but(REAL, pressed=False),
            but(REAL, trusted=False),
            but(REAL, driven=True),
            but(REAL, second=True),
            but(REAL, visible=0.49),
            but(REAL, visible=0.0),
            but(REAL, dwell=None),
            # In sight for longer than it has existed: somebody else wrote that.
            but(REAL, dwell=0.1),
            but(REAL, dwell=0.49),
        ],
    ),
}


def flat(side: int) -> list[tuple[str, Press]]:
    return [(name, press) for name, sides in TABLE.items() for press in sides[1:][side]]


def of(press: Press | None) -> Scene:
    return scene(Signals(method="POST" if press else "GET", press=press))


@pytest.mark.parametrize(("name", "press"), flat(0))
def test_must_catch(name: str, press: Press) -> None:
    finding = TABLE[name][0](of(press))
    assert finding is not None
    assert finding.reason
    if name == "press-real":
        assert (finding.points_to, finding.kind) == (Standing.HUMAN, None)
    else:
        assert (finding.points_to, finding.kind) == (Standing.AUTOMATED, Kind.SCANNER)


@pytest.mark.parametrize(("name", "press"), flat(1))
def test_must_pass(name: str, press: Press) -> None:
    assert TABLE[name][0](of(press)) is None


@pytest.mark.parametrize("name", TABLE)
def test_nothing_is_said_of_what_is_no_press(name: str) -> None:
    assert TABLE[name][0](of(None)) is None


@pytest.mark.parametrize(("name", "press"), flat(0))
def test_nothing_is_said_of_what_the_busy_page_sends(name: str, press: Press) -> None:
    assert TABLE[name][0](of(but(press, repeat=True))) is None


@pytest.mark.parametrize(
    ("rule", "press", "limits"),
    [
        (pressing.too_fast, but(REAL, visible=2.0), Limits(press_seconds=3.0)),
        (pressing.unread, but(PLAIN, dwell=2.0), Limits(dwell_seconds=3.0)),
    ],
)
def test_the_thresholds_are_the_operators(rule: Rule, press: Press, limits: Limits) -> None:
    signals = Signals(method="POST", press=press)
    assert rule(scene(signals)) is None
    caught = rule(scene(signals, limits=limits))
    assert caught is not None
    assert "3 are the least" in caught.reason


@pytest.mark.parametrize(
    ("rule", "press"),
    [
        (pressing.too_fast, but(REAL, visible=0.0)),
        (pressing.unread, but(PLAIN, dwell=0.0)),
    ],
)
def test_a_threshold_of_nothing_catches_nothing(rule: Rule, press: Press) -> None:
    limits = Limits(press_seconds=0.0, dwell_seconds=0.0)
    assert rule(scene(Signals(press=press), limits=limits)) is None


def test_every_rule_is_registered_under_its_name() -> None:
    registered = {rule.name: rule.examine for rule in RULES.rules if rule.name in TABLE}
    assert registered == {name: sides[0] for name, sides in TABLE.items()}


# These rules alone: what else speaks against a browser changes with the years.
ALONE = Ruleset(rule for rule in RULES.rules if rule.name in TABLE)


def judged(press: Press) -> tuple[Standing, set[str]]:
    verdict = ALONE.judge(Signals(method="POST", press=press), History(), 0.0)
    return verdict.value, {found.rule for found in verdict.evidence}


@pytest.mark.parametrize(
    ("press", "standing", "found"),
    [
        (REAL, Standing.HUMAN, {"press-real"}),
        (PLAIN, Standing.SUSPECT, set()),
        (but(REAL, trusted=False), Standing.AUTOMATED, {"press-scripted"}),
        (Press(dwell=0.1, ran=True), Standing.AUTOMATED, {"press-scripted"}),
        (
            Press(dwell=0.1, ran=True, driven=True, second=True, visible=0.08),
            Standing.AUTOMATED,
            {"press-second-control", "press-scripted", "press-driven", "press-too-fast"},
        ),
        (but(REAL, visible=0.0), Standing.AUTOMATED, {"press-unseen"}),
        (but(REAL, dwell=0.05), Standing.AUTOMATED, {"press-too-fast"}),
        (but(REAL, dwell=None), Standing.SUSPECT, set()),
        (but(REAL, dwell=None, visible=0.05), Standing.AUTOMATED, {"press-too-fast"}),
        (Press(dwell=0.01), Standing.AUTOMATED, {"press-unread"}),
        (Press(dwell=0.01, repeat=True), Standing.SUSPECT, set()),
    ],
)
def test_what_a_press_amounts_to(press: Press, standing: Standing, found: set[str]) -> None:
    assert judged(press) == (standing, found)


@pytest.mark.parametrize(
    ("dwell", "standing", "found"),
    [
        (3.1, Standing.HUMAN, {"press-real"}),
        (0.05, Standing.AUTOMATED, {"press-too-fast"}),
        # Another gateway, whose clock is ahead, dated the challenge: nobody is hasty for that.
        (-0.05, Standing.SUSPECT, set()),
    ],
)
def test_a_scripts_word_is_held_against_the_challenge(
    dwell: float, standing: Standing, found: set[str]
) -> None:
    shown = Challenge("lnk_1", 1000.0, Origin.INTERSTITIAL)
    press = read_press(shown, "ran pressed trusted seen=3000", False, 1000.0 + dwell)
    assert judged(press) == (standing, found)
