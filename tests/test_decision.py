"""The decision table, row by row, and the laws that it must keep whatever the policy."""

import itertools

import pytest

from linkgate.campaigns import Policy, Status
from linkgate.challenge import Challenge, Origin, Refusal
from linkgate.decision import Action, decide, lets_through
from linkgate.detection import Kind, Standing, Verdict

HUMAN = Verdict(Standing.HUMAN, None, ())
SUSPECT = Verdict(Standing.SUSPECT, None, ())
AUTOMATED = Verdict(Standing.AUTOMATED, Kind.SCANNER, ())
PRESS = Challenge("lnk_1", 1.0, Origin.INTERSTITIAL)
BUSY = Challenge("lnk_1", 1.0, Origin.BUSY)
WAITING = Challenge("lnk_1", 1.0, Origin.WAITING)
MINT, PAGE, REFUSE = Action.MINT, Action.INTERSTITIAL, Action.REFUSE
VERDICTS = (HUMAN, SUSPECT, AUTOMATED)


def action(policy: Policy, verdict: Verdict, **facts: object) -> Action:
    known = {
        "status": Status.ACTIVE,
        "prefetching": False,
        "trusted_device": False,
        "confirmation": None,
        **facts,
    }
    return decide(policy=policy, verdict=verdict, **known).action  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "facts", "adaptive", "confirm", "direct"),
    [
        (AUTOMATED, {"prefetching": True}, REFUSE, REFUSE, REFUSE),
        (HUMAN, {"prefetching": True}, REFUSE, REFUSE, REFUSE),
        (AUTOMATED, {}, PAGE, PAGE, PAGE),
        (SUSPECT, {}, PAGE, PAGE, MINT),
        (HUMAN, {}, MINT, PAGE, MINT),
        (HUMAN, {"trusted_device": True}, MINT, MINT, MINT),
        (SUSPECT, {"trusted_device": True}, MINT, MINT, MINT),
        (AUTOMATED, {"trusted_device": True}, PAGE, PAGE, PAGE),
        (HUMAN, {"confirmation": PRESS}, MINT, MINT, MINT),
        (SUSPECT, {"confirmation": PRESS}, MINT, MINT, MINT),
        (AUTOMATED, {"confirmation": PRESS}, PAGE, PAGE, PAGE),
        (HUMAN, {"confirmation": BUSY}, MINT, MINT, MINT),
        (SUSPECT, {"confirmation": BUSY}, MINT, MINT, MINT),
        (AUTOMATED, {"confirmation": BUSY}, PAGE, PAGE, PAGE),
        # It repeats a visit without a press, and is worth what that one is now.
        (HUMAN, {"confirmation": WAITING}, MINT, PAGE, MINT),
        (SUSPECT, {"confirmation": WAITING}, PAGE, PAGE, MINT),
        (AUTOMATED, {"confirmation": WAITING}, PAGE, PAGE, PAGE),
        (SUSPECT, {"confirmation": WAITING, "trusted_device": True}, MINT, MINT, MINT),
        *((HUMAN, {"confirmation": refusal}, PAGE, PAGE, PAGE) for refusal in Refusal),
    ],
)
def test_the_table(
    verdict: Verdict, facts: dict[str, object], adaptive: Action, confirm: Action, direct: Action
) -> None:
    assert action(Policy.ADAPTIVE, verdict, **facts) is adaptive
    assert action(Policy.CONFIRM, verdict, **facts) is confirm
    assert action(Policy.DIRECT, verdict, **facts) is direct


EVERYTHING = list(
    itertools.product(
        Policy, VERDICTS, (False, True), (False, True), (None, PRESS, BUSY, WAITING, *Refusal)
    )
)


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: str(verdict.value))
def test_the_busy_pages_repeat_of_a_visit_without_a_press_is_worth_that_visit(
    policy: Policy, verdict: Verdict
) -> None:
    first = action(policy, verdict)
    assert action(policy, verdict, confirmation=WAITING) is first
    assert lets_through(policy, verdict) is (first is MINT)


def test_what_is_automated_or_prefetched_never_mints() -> None:
    for policy, verdict, prefetching, trusted, confirmation in EVERYTHING:
        if prefetching or verdict is AUTOMATED:
            assert MINT is not action(
                policy,
                verdict,
                prefetching=prefetching,
                trusted_device=trusted,
                confirmation=confirmation,
            )


def test_no_verdict_hides_the_button() -> None:
    for policy, verdict, _, trusted, confirmation in EVERYTHING:
        assert REFUSE is not action(
            policy, verdict, trusted_device=trusted, confirmation=confirmation
        )


@pytest.mark.parametrize("status", [Status.PAUSED, Status.ENDED])
def test_a_campaign_that_is_not_active_mints_nothing(status: Status) -> None:
    for policy, verdict, _, trusted, confirmation in EVERYTHING:
        assert REFUSE is action(
            policy, verdict, status=status, trusted_device=trusted, confirmation=confirmation
        )
