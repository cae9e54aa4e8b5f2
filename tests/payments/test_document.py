"""docs/payments.md names everything that counts."""

from pathlib import Path

from linkgate.payments import EVENTS, SessionState, Standing, SubscriptionState

TEXT = (Path(__file__).parents[2] / "docs/payments.md").read_text()
KINDS = (
    "session.expired",
    "payment.succeeded",
    "payment.failed",
    "payment.refunded",
    "payment.disputed",
    "subscription.started",
    "subscription.ended",
    "access.granted",
    "access.revoked",
)


def test_every_event_is_explained() -> None:
    assert [kind for kind in EVENTS if f"| `{kind}` |" not in TEXT] == []


def test_every_standing_and_change_is_explained() -> None:
    assert [name for name in (*Standing, *KINDS) if f"`{name}`" not in TEXT] == []


def test_the_ranks_of_sessions_are_as_they_are() -> None:
    order = sorted(SessionState, key=_rank)
    assert " < ".join(order) in TEXT


def test_every_state_of_a_subscription_is_said_to_give_access_or_not() -> None:
    access = TEXT.split("### Access")[1].split("### ")[0]
    unsaid = set(SubscriptionState) - {SubscriptionState.INCOMPLETE}
    assert [state for state in unsaid if state not in access] == []


def _rank(state: SessionState) -> int:
    from linkgate.payments.sessions import _RANK

    return _RANK[state]
