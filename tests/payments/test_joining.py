"""Joining is the same in any order and number, for whatever may ever be known of an object."""

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from linkgate.payments import (
    Dispute,
    DisputeState,
    Invoice,
    InvoiceState,
    Ledger,
    Other,
    Payment,
    PaymentState,
    Session,
    SessionState,
    Setup,
    SetupState,
    Subscription,
    SubscriptionState,
    advance,
    hear,
    load_other,
    read_object,
)
from linkgate.payments.joining import joined
from linkgate.payments.objects import Said, concluded

times = st.integers(1, 4)
maybe = st.sampled_from([None, "x", "y"])
# What never changes, as of a session: nobody ever says another.
once = st.sampled_from([None, "x"])
amounts = st.integers(0, 2)
S = SubscriptionState


def of(kind: type, **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, id=st.just("it"), at=times, account=maybe, **fields)


@st.composite
def payments(draw: st.DrawFn) -> Payment:
    made: Payment = draw(
        of(
            Payment,
            state=st.sampled_from(PaymentState),
            amount=amounts,
            failure=maybe,
            attempt=st.sampled_from([0, 1]),
            processing_at=st.integers(0, 4),
            charge=maybe,
            invoice=maybe,
            refunded=amounts,
            refunded_at=st.integers(0, 4),
            fully_refunded=st.booleans(),
        )
    )
    return made


said = st.builds(
    Said,
    state=st.sampled_from(SubscriptionState),
    created=st.booleans(),
    before=st.none() | st.sampled_from(SubscriptionState),
    prices=st.sampled_from([(), ("price_1",)]),
)
subscriptions = st.builds(
    concluded,
    st.just("it"),
    times,
    st.builds(lambda one: frozenset({one}), said),
    customer=maybe,
    account=maybe,
    livemode=st.booleans(),
)
invoices = of(
    Invoice,
    state=st.sampled_from(InvoiceState),
    amount=amounts,
    failures=amounts,
    subscription=maybe,
    payment_intent=maybe,
)
disputes = of(Dispute, state=st.sampled_from(DisputeState), amount=amounts, charge=maybe)
setups = of(Setup, state=st.sampled_from(SetupState), customer=maybe)
sessions = st.builds(
    Session,
    id=st.just("it"),
    url=st.sampled_from(["", "https://pay"]),
    state=st.sampled_from(SessionState),
    attempt=st.sampled_from([0, 1]),
    created_at=st.just(1),
    expires_at=st.just(2),
    payment_intent=once,
    recovery_url=once,
    livemode=st.booleans(),
)
three = st.one_of(
    *(st.tuples(one, one, one) for one in (payments(), subscriptions, invoices, disputes, setups))
)


@given(three)
@settings(max_examples=200, deadline=None)
def test_joining_doesn_t_mind_order_grouping_or_number(
    others: tuple[Other, Other, Other],
) -> None:
    one, two, three = others
    assert joined(one, two) == joined(two, one)
    assert joined(joined(one, two), three) == joined(one, joined(two, three))
    assert joined(one, one) == one
    both = joined(one, two)
    assert joined(both, one) == joined(both, two) == joined(both, both) == both


@given(sessions, sessions, sessions)
@settings(max_examples=60, deadline=None)
def test_sessions_are_joined_so_too(one: Session, two: Session, three: Session) -> None:
    assert advance(one, two) == advance(two, one)
    assert advance(advance(one, two), three) == advance(one, advance(two, three))
    assert advance(None, one) == advance(one, one) == one


@given(subscriptions, subscriptions)
@settings(max_examples=60, deadline=None)
def test_what_is_newer_counts(one: Subscription, two: Subscription) -> None:
    over = {S.CANCELED, S.INCOMPLETE_EXPIRED}
    assume(one.at != two.at and not {one.state, two.state} & over)
    newer = max(one, two, key=lambda subscription: subscription.at)
    both = joined(one, two)
    assert isinstance(both, Subscription)
    assert (both.state, both.unsure) == (newer.state, newer.unsure)


@given(times, subscriptions)
@settings(max_examples=60, deadline=None)
def test_what_is_over_stays_over(at: int, other: Subscription) -> None:
    assume(other.state is not S.INCOMPLETE_EXPIRED)
    over = concluded("it", at, frozenset({Said(state=S.CANCELED)}))
    assert joined(over, other).state is S.CANCELED


def subscription(at: int, *words: Said) -> Subscription:
    return concluded("sub_1", at, frozenset(words))


@pytest.mark.parametrize(
    ("words", "state", "unsure"),
    [
        # The event that changes a state says what it was: that puts itself in order.
        ([Said(state=S.ACTIVE, before=S.TRIALING), Said(state=S.TRIALING)], S.ACTIVE, False),
        (
            [
                Said(state=S.PAST_DUE, before=S.ACTIVE),
                Said(state=S.UNPAID, before=S.PAST_DUE),
                Said(state=S.ACTIVE),
            ],
            S.UNPAID,
            False,
        ),
        # Its creation comes first, whatever it says.
        ([Said(state=S.INCOMPLETE, created=True), Said(state=S.ACTIVE)], S.ACTIVE, False),
        ([Said(state=S.TRIALING, created=True)], S.TRIALING, False),
        # There and back again: no telling which came last.
        (
            [
                Said(state=S.PAST_DUE, before=S.ACTIVE),
                Said(state=S.ACTIVE, before=S.PAST_DUE),
            ],
            S.PAST_DUE,
            True,
        ),
        ([Said(state=S.ACTIVE), Said(state=S.PAST_DUE)], S.PAST_DUE, True),
        # The same state, and something else that is not the same.
        ([Said(state=S.ACTIVE), Said(state=S.ACTIVE, ends_at=9)], S.ACTIVE, True),
    ],
)
def test_one_second_s_words_are_put_in_order_or_asked_about(
    words: list[Said], state: SubscriptionState, unsure: bool
) -> None:
    ledger = Ledger()
    for word in words:
        ledger = hear(ledger, [subscription(5, word)])
    [known] = ledger.subscriptions
    assert (known.state, known.unsure) == (state, unsure)
    assert ledger.unsure == (("sub_1",) if unsure else ())


def test_asking_later_settles_what_was_unsure() -> None:
    unsure = Ledger.of([], [subscription(5, Said(state=S.ACTIVE), Said(state=S.PAST_DUE))])
    shown = {"id": "sub_1", "object": "subscription", "status": "active"}
    assert hear(unsure, read_object(shown, 5)).unsure == ("sub_1",)
    assert hear(unsure, read_object(shown, 4)).unsure == ("sub_1",)
    settled = hear(unsure, read_object(shown, 6))
    assert (settled.unsure, settled.subscriptions[0].state) == ((), S.ACTIVE)


def test_one_id_is_one_kind_of_thing() -> None:
    ledger = Ledger.of([], [Setup(id="x", at=1, state=SetupState.OPEN)])
    with pytest.raises(TypeError):
        hear(ledger, [Dispute(id="x", at=1, state=DisputeState.OPEN)])


@pytest.mark.parametrize("last", [PaymentState.SUCCEEDED, PaymentState.CANCELED])
@pytest.mark.parametrize("state", [PaymentState.FAILED, PaymentState.PROCESSING])
def test_a_payment_that_is_through_is_through(last: PaymentState, state: PaymentState) -> None:
    # A session that is read as pending tells of its payment what was true a moment ago.
    through = Payment(id="pi_1", at=5, state=last)
    assert joined(through, Payment(id="pi_1", at=9, state=state)).state is last


def test_an_invoice_never_goes_back() -> None:
    paid = Invoice(id="in_1", at=5, state=InvoiceState.PAID)
    failed = Invoice(id="in_1", at=9, state=InvoiceState.OPEN, failures=1)
    after = joined(paid, failed)
    assert isinstance(after, Invoice)
    assert (after.state, after.failures) == (InvoiceState.PAID, 1)


def test_a_lost_dispute_may_be_appealed_and_won() -> None:
    lost = Dispute(id="dp_1", at=5, state=DisputeState.LOST)
    won = Dispute(id="dp_1", at=9, state=DisputeState.WON)
    assert joined(won, lost).state is DisputeState.WON
    early = Dispute(id="dp_1", at=1, state=DisputeState.OPEN)
    assert joined(lost, early).state is DisputeState.LOST


def test_a_refund_that_fails_is_taken_down_again() -> None:
    paid = PaymentState.SUCCEEDED
    gave = Payment(id="pi_1", at=5, state=paid, refunded=900, refunded_at=5)
    failed = Payment(id="pi_1", at=9, state=paid, refunded=0, refunded_at=9)
    after = joined(gave, failed)
    assert isinstance(after, Payment)
    assert after.refunded == 0


def test_a_discount_of_all_of_it_is_an_amount() -> None:
    open_one = Session("cs_1", "https://pay", SessionState.OPEN, 1, 1, 2, amount_total=4900)
    done = Session("cs_1", "", SessionState.COMPLETE, 1, 1, 2, amount_total=0)
    after = advance(open_one, done)
    assert (after.amount_total, after.url) == (0, "https://pay")


def test_what_a_newer_version_added_is_passed_over() -> None:
    kept = b'{"kind":"invoice","id":"in_1","at":1,"state":"paid","shine":[1]}'
    assert load_other(kept) == Invoice(id="in_1", at=1, state=InvoiceState.PAID)
    with pytest.raises(msgspec.MsgspecError):
        load_other(b'{"kind":"toaster","id":"x","at":1}')


def test_what_an_older_version_kept_of_a_session_is_read() -> None:
    kept = b"""{"id":"cs_1","url":"","state":"paid","attempt":1,"created_at":1,"expires_at":2,
        "amount_total":500,"currency":"eur"}"""
    session = msgspec.json.decode(kept, type=Session)
    assert (session.mode, session.payment_intent, session.livemode) == ("", None, False)
