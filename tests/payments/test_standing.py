"""Where a session and a link stand, who has access, and what counts as paid."""

from typing import Any

import pytest

from linkgate.payments import (
    Dispute,
    DisputeState,
    Invoice,
    InvoiceState,
    Ledger,
    LinkState,
    Other,
    Payment,
    PaymentState,
    Session,
    SessionState,
    Setup,
    SetupState,
    Standing,
    Subscription,
    SubscriptionState,
    has_access,
    link_state,
    payments_made,
    session_standing,
    summary,
)
from linkgate.payments.objects import Said, concluded
from linkgate.picturing import picture
from linkgate.store.entries import Row

OPEN = Session("cs_1", "https://pay", SessionState.OPEN, 1, 1000, 3000, 4900, "eur", "payment")
FACTS: dict[str, Any] = {"visited": True, "revoked": False, "expired": False, "now": 2000.0}


def session(state: str, **fields: Any) -> Session:
    known = {name: getattr(OPEN, name) for name in OPEN.__dataclass_fields__}
    return Session(**{**known, "state": SessionState(state), **fields})


def payment(state: str, **fields: Any) -> Payment:
    known = {"id": "pi_1", "at": 5, "amount": 4900, "attempt": 1}
    return Payment(**{**known, "state": PaymentState(state), **fields})


def subscription(state: str) -> Subscription:
    return concluded("sub_1", 5, frozenset({Said(state=SubscriptionState(state))}))


def subscribed(state: str) -> Session:
    return session(state, mode="subscription", subscription="sub_1", invoice="in_1")


def invoice(state: str, **fields: Any) -> Invoice:
    known = {"id": "in_1", "at": 5, "subscription": "sub_1", "amount": 4900}
    return Invoice(**{**known, "state": InvoiceState(state), **fields})


def dispute(state: str, **fields: Any) -> Dispute:
    return Dispute(
        id="dp_1", at=5, state=DisputeState(state), **{"payment_intent": "pi_1"} | fields
    )


PAID = session("paid", payment_intent="pi_1")
PAST = subscription("past_due")


@pytest.mark.parametrize(
    ("known", "others", "standing", "access", "made"),
    [
        # A session alone.
        (OPEN, [], "open", False, 0),
        (session("expired"), [], "expired", False, 0),
        (session("pending"), [], "pending", False, 1),
        (session("failed"), [], "failed", False, 0),
        (session("complete"), [], "complete", True, 1),
        (session("paid"), [], "paid", True, 1),
        # Its payment tells what its own event didn't yet.
        (OPEN, [payment("succeeded")], "paid", True, 1),
        (OPEN, [payment("processing")], "pending", False, 1),
        (OPEN, [payment("failed")], "open", False, 0),
        (session("expired"), [payment("succeeded")], "paid", True, 1),
        (session("pending", payment_intent="pi_1"), [payment("succeeded")], "paid", True, 1),
        # An older version kept no payment intent: the attempt says whose it is.
        (session("paid"), [payment("succeeded")], "paid", True, 1),
        # A decline from before the slower method was chosen; one that came after it.
        (session("pending", payment_intent="pi_1"), [payment("failed")], "pending", False, 1),
        (
            session("pending", payment_intent="pi_1"),
            [payment("failed", processing_at=4)],
            "failed",
            False,
            0,
        ),
        (
            session("pending", payment_intent="pi_1"),
            [payment("canceled", processing_at=5)],
            "failed",
            False,
            0,
        ),
        # What was given back.
        (PAID, [payment("succeeded", refunded=900)], "partially_refunded", True, 1),
        (PAID, [payment("succeeded", refunded=4900)], "refunded", False, 1),
        (
            PAID,
            [payment("succeeded", amount=5000, refunded=4900, fully_refunded=True)],
            "refunded",
            False,
            1,
        ),
        # Disputes, by payment intent or by charge.
        (PAID, [payment("succeeded"), dispute("open")], "disputed", True, 1),
        (PAID, [dispute("open")], "disputed", True, 1),
        (PAID, [payment("succeeded"), dispute("lost")], "disputed", False, 1),
        (PAID, [payment("succeeded"), dispute("won")], "paid", True, 1),
        (PAID, [payment("succeeded"), dispute("closed")], "paid", True, 1),
        (
            PAID,
            [
                payment("succeeded", charge="ch_1"),
                dispute("lost", payment_intent=None, charge="ch_1"),
            ],
            "disputed",
            False,
            1,
        ),
        (PAID, [payment("succeeded", refunded=9), dispute("open")], "disputed", True, 1),
        # A dispute that names neither is nobody's here.
        (PAID, [payment("succeeded"), dispute("lost", payment_intent=None)], "paid", True, 1),
        # Subscriptions: Stripe's word.
        (subscribed("paid"), [], "paid", True, 1),
        (subscribed("complete"), [], "complete", True, 1),
        (subscribed("complete"), [subscription("trialing")], "trialing", True, 1),
        (subscribed("paid"), [subscription("active")], "active", True, 1),
        (subscribed("paid"), [PAST, invoice("paid")], "past_due", True, 1),
        (subscribed("paid"), [PAST], "past_due", True, 1),
        (subscribed("paid"), [subscription("unpaid")], "unpaid", False, 1),
        (subscribed("paid"), [subscription("paused")], "paused", False, 1),
        (subscribed("paid"), [subscription("canceled")], "canceled", False, 1),
        (subscribed("paid"), [subscription("incomplete")], "paid", True, 1),
        (subscribed("open"), [subscription("incomplete")], "open", False, 0),
        (subscribed("open"), [subscription("active")], "active", True, 1),
        (subscribed("pending"), [subscription("active")], "active", True, 1),
        (subscribed("pending"), [subscription("incomplete_expired")], "failed", False, 0),
        # A first debit that came back, and one that was made good later.
        (subscribed("failed"), [PAST, invoice("open")], "past_due", False, 1),
        (subscribed("pending"), [PAST, invoice("open")], "past_due", False, 1),
        (subscribed("pending"), [PAST, invoice("paid")], "past_due", True, 1),
        (subscribed("failed"), [subscription("active"), invoice("paid")], "active", True, 1),
        # Its refunds don't end it; nor does a dispute.
        (
            subscribed("paid"),
            [
                subscription("active"),
                invoice("paid", payment_intent="pi_7"),
                payment("succeeded", id="pi_7", attempt=0, refunded=4900),
            ],
            "refunded",
            True,
            1,
        ),
        (
            subscribed("paid"),
            [
                subscription("active"),
                invoice("paid"),
                invoice("paid", id="in_2"),
                payment("succeeded", attempt=0, refunded=4900, invoice="in_2"),
            ],
            "partially_refunded",
            True,
            1,
        ),
        # All that was paid; the next period's was declined.
        (
            subscribed("paid"),
            [
                PAST,
                invoice("paid", payment_intent="pi_1"),
                payment("succeeded", attempt=0, refunded=4900),
                invoice("open", id="in_2", payment_intent="pi_2"),
                payment("failed", id="pi_2", attempt=0),
            ],
            "refunded",
            True,
            1,
        ),
        (
            subscribed("paid"),
            [subscription("active"), invoice("paid", payment_intent="pi_1"), dispute("lost")],
            "disputed",
            True,
            1,
        ),
        # Mode setup.
        (
            session("open", mode="setup"),
            [Setup(id="seti_1", at=5, state=SetupState.SUCCEEDED, attempt=1)],
            "complete",
            True,
            1,
        ),
        (
            session("open", mode="setup"),
            [Setup(id="seti_1", at=5, state=SetupState.CANCELED, attempt=1)],
            "open",
            False,
            0,
        ),
    ],
)
def test_where_a_session_stands(
    known: Session, others: list[Other], standing: str, access: bool, made: int
) -> None:
    ledger = Ledger.of([known], others)
    assert session_standing(ledger, known) == standing
    assert has_access(ledger) is access
    assert payments_made(ledger) == made


@pytest.mark.parametrize(
    ("others", "state", "access", "made"),
    [
        ([payment("succeeded")], "paid", True, 1),
        ([payment("processing")], "pending", False, 1),
        ([payment("failed")], "visited", False, 0),
        ([subscription("trialing")], "trialing", True, 1),
        ([subscription("incomplete")], "visited", False, 0),
        ([subscription("active"), invoice("paid")], "active", True, 1),
        ([Setup(id="seti_1", at=5, state=SetupState.SUCCEEDED)], "complete", True, 1),
        # A subscription's payment, of which not even the subscription is known.
        ([payment("succeeded", attempt=0)], "visited", False, 0),
        ([payment("succeeded", attempt=0, refunded=900)], "partially_refunded", False, 0),
        ([payment("succeeded", attempt=0, refunded=4900)], "refunded", False, 0),
        ([payment("succeeded", attempt=0), dispute("open")], "disputed", False, 0),
        ([dispute("open")], "disputed", False, 0),
    ],
)
def test_what_is_paid_counts_before_its_session_is_known(
    others: list[Other], state: str, access: bool, made: int
) -> None:
    ledger = Ledger.of([], others)
    assert link_state(ledger, **FACTS) == state
    assert has_access(ledger) is access
    assert payments_made(ledger) == made


def test_one_payment_belongs_to_one_session() -> None:
    first = session("expired")
    copied = session("paid", id="cs_2", payment_intent="pi_1", recovered_from="cs_1")
    ledger = Ledger.of([first, copied], [payment("succeeded")])
    assert session_standing(ledger, first) is Standing.EXPIRED
    assert session_standing(ledger, copied) is Standing.PAID
    assert payments_made(ledger) == 1
    # Two that don't say which is theirs: the later one's.
    unsaid = session("open", id="cs_3", created_at=2000)
    ledger = Ledger.of([first, unsaid], [payment("succeeded")])
    assert session_standing(ledger, first) is Standing.EXPIRED
    assert session_standing(ledger, unsaid) is Standing.PAID


def test_a_payment_belongs_to_the_session_that_is_done() -> None:
    # Kept by an older version, without its payment intent, and since copied by Stripe.
    done, copied = session("paid"), session("expired", id="cs_2", created_at=2000)
    ledger = Ledger.of([done, copied], [payment("succeeded")])
    assert session_standing(ledger, copied) is Standing.EXPIRED
    assert payments_made(ledger) == 1


def test_two_payments_are_two() -> None:
    second = session("paid", id="cs_2", attempt=2, payment_intent="pi_2")
    ledger = Ledger.of([PAID, second], [payment("succeeded"), payment("succeeded", id="pi_2")])
    assert payments_made(ledger) == 2
    third = payment("succeeded", id="pi_3", attempt=3)
    assert payments_made(Ledger.of(ledger.sessions.values(), [*ledger.payments, third])) == 3


@pytest.mark.parametrize(
    ("ledger", "facts", "expected"),
    [
        (Ledger.of([PAID], [payment("succeeded", refunded=4900)]), {}, "refunded"),
        (
            Ledger.of(
                [PAID, session("paid", id="cs_2", attempt=2)],
                [payment("succeeded", refunded=4900)],
            ),
            {},
            "partially_refunded",
        ),
        (
            Ledger.of([PAID, session("open", id="cs_2", attempt=2)], [dispute("open")]),
            {},
            "disputed",
        ),
        (
            Ledger.of(
                [subscribed("paid"), session("pending", id="cs_2")], [subscription("canceled")]
            ),
            {},
            "pending",
        ),
        (
            Ledger.of([subscribed("paid"), session("open", id="cs_2")], [subscription("canceled")]),
            {"revoked": True, "expired": True},
            "canceled",
        ),
        (Ledger.of([PAID]), {"revoked": True, "expired": True}, "paid"),
        (Ledger.of([OPEN]), {"revoked": True, "expired": True}, "revoked"),
        (Ledger.of([OPEN]), {"now": 3000.0}, "visited"),
        (Ledger(), {"visited": False}, "issued"),
    ],
)
def test_a_link_is_called_by_the_strongest(
    ledger: Ledger, facts: dict[str, Any], expected: str
) -> None:
    assert link_state(ledger, **{**FACTS, **facts}) == expected


def test_what_was_given_back_shows_in_a_link_s_picture() -> None:
    known = Ledger.of([PAID], [payment("succeeded", refunded=4900)])
    row = Row({}, (PAID,), (), {}, known)
    assert picture("lnk_1", None, None, row, 2000.0).state is LinkState.REFUNDED


def test_every_standing_is_a_state_of_a_link() -> None:
    assert {one.value for one in Standing} <= {one.value for one in LinkState}


@pytest.mark.parametrize(
    ("known", "others", "made"),
    [
        (subscribed("paid"), [subscription("canceled")], 0),
        (subscribed("complete"), [subscription("canceled")], 0),
        (subscribed("paid"), [subscription("past_due")], 1),
        # Its money may still come, or was all given back, or was taken back.
        (subscribed("pending"), [subscription("canceled")], 1),
        (
            subscribed("paid"),
            [
                subscription("canceled"),
                invoice("paid", payment_intent="pi_7"),
                payment("succeeded", id="pi_7", attempt=0, refunded=4900),
            ],
            1,
        ),
        (
            subscribed("paid"),
            [subscription("canceled"), invoice("paid", payment_intent="pi_1"), dispute("lost")],
            1,
        ),
        (subscribed("failed"), [subscription("canceled"), invoice("open")], 0),
    ],
)
def test_what_has_ended_does_not_count_where_it_may_be_had_again(
    known: Session, others: list[Other], made: int
) -> None:
    ledger = Ledger.of([known], others)
    assert payments_made(ledger, renewable=True) == made
    found = summary(ledger)
    assert found.count - found.ended == made


@pytest.mark.parametrize(
    ("known", "others", "done", "standing", "alive"),
    [
        (PAID, [], "paid", None, False),
        (subscribed("paid"), [subscription("active")], "paid", None, False),
        (subscribed("paid"), [PAST], "paid", "past_due", False),
        (subscribed("paid"), [subscription("unpaid")], "paid", "unpaid", False),
        (subscribed("complete"), [subscription("paused")], "complete", "paused", False),
        (subscribed("failed"), [PAST, invoice("open")], "failed", "past_due", True),
        (
            subscribed("failed"),
            [subscription("active"), invoice("paid")],
            "failed",
            "active",
            True,
        ),
        (subscribed("failed"), [subscription("canceled")], None, None, False),
        (PAID, [payment("succeeded", refunded=4900)], "paid", "refunded", False),
        (PAID, [payment("succeeded", refunded=9)], "paid", None, False),
    ],
)
def test_what_visits_have_to_know(
    known: Session, others: list[Other], done: str | None, standing: str | None, alive: bool
) -> None:
    found = summary(Ledger.of([known], others))
    assert (found.done, found.standing, found.unpaid_yet_alive) == (done, standing, alive)


def test_the_payer_is_who_is_done_or_else_who_came_last() -> None:
    tried = session("failed", id="cs_1", customer="cus_1", created_at=9)
    later = session("expired", id="cs_2", customer="cus_2", created_at=10)
    assert summary(Ledger.of([later, tried])).payer == "cus_2"
    paid = session("paid", id="cs_3", customer="cus_3", created_at=1)
    assert summary(Ledger.of([later, paid, tried])).payer == "cus_3"
