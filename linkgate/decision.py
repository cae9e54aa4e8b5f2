"""The gate's table: what a verdict, a policy and a confirmation amount to.

| visit | adaptive | confirm | direct |
|---|---|---|---|
| prefetch, prerender | refuse | refuse | refuse |
| HEAD, automated | interstitial | interstitial | interstitial |
| confirmation, not automated | mint | mint | mint |
| trusted device, not automated | mint | mint | mint |
| suspect | interstitial | interstitial | mint |
| human | mint | interstitial | mint |
"""

from dataclasses import dataclass
from enum import StrEnum

from linkgate.campaigns import Policy, Status
from linkgate.challenge import Challenge, Origin, Refusal
from linkgate.detection import Kind, Standing, Verdict


class Action(StrEnum):
    """What the gate does with a visit."""

    MINT = "mint"
    INTERSTITIAL = "interstitial"
    REFUSE = "refuse"
    #: Only the store knows: it turns a visit to a link with nothing left to pay into this.
    ALREADY_DONE = "already done"


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and the reason for it, in words for the operator."""

    action: Action
    reason: str


def decide(
    *,
    policy: Policy,
    status: Status,
    verdict: Verdict,
    prefetching: bool,
    trusted_device: bool,
    confirmation: Challenge | Refusal | None,
) -> Decision:
    """Return what to do with one visit; pure, and the same for every way in.

    `confirmation` is None for anything but a POST. `prefetching` is about the request's own
    declaration, whatever else the verdict found.
    """
    if prefetching:
        return _PREFETCHED
    if status is not Status.ACTIVE:
        return Decision(Action.REFUSE, f"the campaign is {status}")
    if verdict.value is Standing.AUTOMATED:
        return _AUTOMATED[verdict.kind or Kind.TOOL]
    if isinstance(confirmation, Challenge):
        # The busy page repeats a visit that nobody pressed for: it is worth what that one was.
        if confirmation.origin is not Origin.WAITING:
            return Decision(Action.MINT, "confirmed by a press")
    elif confirmation is not None:
        return Decision(Action.INTERSTITIAL, f"the press carried no good challenge: {confirmation}")
    if trusted_device:
        return Decision(Action.MINT, "a device that confirmed before")
    return _UNPROVEN[policy, verdict.value]


def lets_through(policy: Policy, verdict: Verdict) -> bool:
    """Return whether a visit mints by its verdict alone, without a press or a known device."""
    decision = _UNPROVEN.get((policy, verdict.value))
    return decision is not None and decision.action is Action.MINT


# Made once: most visits end in one of these.
_ASKED = Decision(Action.INTERSTITIAL, "the campaign asks everyone to confirm")
_DIRECT = Decision(Action.MINT, "the campaign lets through whatever is not automated")
_UNPROVEN = {
    (Policy.ADAPTIVE, Standing.HUMAN): Decision(Action.MINT, "a person"),
    (Policy.ADAPTIVE, Standing.SUSPECT): Decision(
        Action.INTERSTITIAL, "not certain to be a person"
    ),
    (Policy.CONFIRM, Standing.HUMAN): _ASKED,
    (Policy.CONFIRM, Standing.SUSPECT): _ASKED,
    (Policy.DIRECT, Standing.HUMAN): _DIRECT,
    (Policy.DIRECT, Standing.SUSPECT): _DIRECT,
}
_PREFETCHED = Decision(Action.REFUSE, "prefetched: the browser asks again when a person goes there")
_AUTOMATED = {kind: Decision(Action.INTERSTITIAL, f"automated ({kind})") for kind in Kind}
