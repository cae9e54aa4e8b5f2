"""What is read of Stripe's JSON, in each version's shape, and what is refused."""

import copy
from typing import Any

import pytest

from linkgate.payments import (
    EVENTS,
    Dispute,
    Event,
    Invoice,
    Known,
    Payment,
    Session,
    Setup,
    Subscription,
    read_event,
    read_object,
    refs_of,
)
from tests.payments.lives import LIVES, Life, paid, set_up, subscribed, tried_and_left
from tests.payments.stripe_objects import LINK, NEW, OLD, OLDEST, OURS, VERSIONS, Object, Stripe

KINDS: dict[str, type[Known]] = {
    "checkout.session": Session,
    "payment_intent": Payment,
    "charge": Payment,
    "invoice": Invoice,
    "subscription": Subscription,
    "dispute": Dispute,
    "setup_intent": Setup,
}


def told(life: Life, version: str) -> list[Object]:
    stripe = Stripe(version)
    life(stripe)
    return stripe.events


def events_of(life: Life, version: str) -> list[Event]:
    return [event for data in told(life, version) if (event := read_event(data))]


def of_type(kind: str, life: Life, version: str = NEW) -> Object:
    return next(copy.deepcopy(data) for data in told(life, version) if data["type"] == kind)


def test_the_lives_tell_every_event_that_counts() -> None:
    seen = {data["type"] for life in LIVES for data in told(life, NEW)}
    assert seen == set(EVENTS)
    assert len(EVENTS) == 16


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_every_event_finds_its_link(life: Life, version: str) -> None:
    events = events_of(life, version)
    known = {ref for event in events if event.link for ref in refs_of(event.known)}
    if version == NEW:
        # A subscription's payment names nothing of its invoice since: Stripe has to be asked.
        stripe = Stripe(version)
        life(stripe)
        ties = [o for o in stripe.objects.values() if o["object"] == "invoice_payment"]
        known |= {ref for data in ties for ref in refs_of(read_object(data, 0))}
    for event in events:
        assert event.link in (LINK, None)
        assert event.campaign == ("spring" if event.link else None)
        assert event.link or known & set(event.refs), event
        assert isinstance(event.known[0], KINDS[told_object(event)])


def told_object(event: Event) -> str:
    start, _, _ = event.type.rpartition(".")
    return {
        "customer.subscription": "subscription",
        "charge.dispute": "dispute",
    }.get(start, start)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_invoice_names_its_subscription_in_every_version(version: str) -> None:
    for event in events_of(subscribed, version):
        if event.type == "invoice.paid":
            [invoice] = event.known
            assert isinstance(invoice, Invoice)
            assert (invoice.subscription, invoice.amount, invoice.state) == ("sub_1", 4900, "paid")
            assert invoice.reason == "subscription_create"
            assert invoice.payment_intent == (None if version == NEW else "pi_101")
            assert event.refs[:2] == ("in_1", "sub_1")
            return
    raise AssertionError("no invoice.paid")


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ({"parent": {"subscription_details": {"metadata": OURS}}}, True),
        ({"subscription_details": {"metadata": OURS}}, True),
        ({"lines": {"data": [{"metadata": {}}, {"metadata": OURS}]}}, True),
        ({"metadata": OURS}, True),
        ({"parent": None, "subscription_details": None, "lines": None, "metadata": None}, False),
    ],
)
def test_an_invoice_s_metadata_is_found_where_versions_put_it(place: Object, found: bool) -> None:
    event = of_type("invoice.paid", subscribed)
    event["data"]["object"] |= {"parent": {}, "lines": {"data": []}, "metadata": {}} | place
    read = read_event(event)
    assert read
    assert read.link == (LINK if found else None)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_subscription_tells_when_it_ends(version: str) -> None:
    data = told(tried_and_left, version)
    ends = []
    for event in map(read_event, data):
        if event and isinstance(event.known[0], Subscription):
            ends.append(event.known[0].ends_at)
    start = next(e["created"] for e in data if e["type"] == "customer.subscription.created")
    # Canceled for the end of the period, whose end stands on the items since 2025.
    assert ends[-2:] == [start + 2_592_000, data[-1]["created"]]
    assert set(ends[:-2]) == {None}


@pytest.mark.parametrize("version", [OLDEST, OLD])
def test_a_payment_intent_names_its_charge_in_every_version(version: str) -> None:
    read = read_event(of_type("payment_intent.succeeded", paid, version))
    assert read
    assert read.refs == ("pi_1", "ch_pi_1_0")
    payment = read.known[0]
    assert isinstance(payment, Payment)
    assert (payment.charge, payment.attempt, payment.amount) == ("ch_pi_1_0", 1, 4900)


def test_what_is_spelt_out_is_read_too() -> None:
    stripe = Stripe(NEW)
    session = stripe.open_session()
    intent = stripe.intent(metadata=dict(OURS))
    charge = stripe.succeed(intent)
    stripe.complete(session, "paid", payment_intent="pi_1")
    stripe.refund(charge, 900)
    shown = {**session, "payment_intent": {**intent, "latest_charge": charge}}
    known = read_object(shown, stripe.now)
    assert [type(one) for one in known] == [Session, Payment, Payment]
    assert known[0].payment_intent == "pi_1"  # type: ignore[union-attr]
    assert known[2].refunded == 900  # type: ignore[union-attr]


def test_a_pending_session_with_its_payment_spelt_out_tells_a_failure() -> None:
    stripe = Stripe(NEW)
    session = stripe.open_session()
    intent = stripe.intent(metadata=dict(OURS), status="processing")
    stripe.complete(session, "unpaid", payment_intent="pi_1")
    for status, error, state in (
        ("processing", None, "pending"),
        ("requires_payment_method", {"code": "x"}, "failed"),
        ("canceled", None, "failed"),
    ):
        intent |= {"status": status, "last_payment_error": error}
        assert read_object({**session, "payment_intent": intent}, 9)[0].state == state


def test_account_and_mode_are_kept() -> None:
    event = of_type("customer.subscription.created", subscribed)
    event |= {"account": "acct_1", "livemode": True}
    event["data"]["object"]["livemode"] = True
    read = read_event(event)
    assert read
    assert (read.account, read.livemode) == ("acct_1", True)
    assert (read.known[0].account, read.known[0].livemode) == ("acct_1", True)
    [again] = read_object(event["data"]["object"], 9, account="acct_1")
    assert (again.account, again.livemode) == ("acct_1", True)


def test_a_recovered_session_names_the_one_that_it_continues() -> None:
    stripe = Stripe(NEW)
    session = stripe.open_session()
    session |= {"recovered_from": "cs_0", "metadata": {}}
    stripe.expire(session)
    read = read_event(stripe.events[0])
    assert read
    assert read.session
    assert (read.link, read.refs) == (None, ("cs_1", "cs_0"))
    assert read.session.recovery_url == "https://again/1"
    assert read.session.recovery_until == stripe.now + 2_592_000


def test_a_charge_without_a_payment_intent_is_nobody_s() -> None:
    stripe = Stripe(NEW)
    charge = stripe.charge(stripe.intent())
    charge |= {"payment_intent": None}
    stripe.refund(charge, 1)
    read = read_event(stripe.events[0])
    assert read
    assert (read.known, read.link, read.refs) == ((), None, (charge["id"],))


def test_letting_go_of_what_was_only_held_is_no_refund() -> None:
    stripe = Stripe(NEW)
    charge = stripe.charge(stripe.intent(metadata=dict(OURS)))
    charge |= {"captured": False, "amount_captured": 0}
    assert read_object(charge, 9) == ()
    stripe.refund(charge, 4900)
    [payment] = read_object(charge, 9)
    assert isinstance(payment, Payment)
    assert (payment.state, payment.refunded) == ("canceled", 0)


@pytest.mark.parametrize(
    ("kind", "life", "field"),
    [
        ("customer.subscription.created", subscribed, "status"),
        ("invoice.paid", subscribed, "status"),
    ],
)
def test_a_state_that_stripe_thinks_of_later_changes_nothing(
    kind: str, life: Life, field: str
) -> None:
    event = of_type(kind, life)
    event["data"]["object"][field] = "resting"
    read = read_event(event)
    assert read
    assert (read.known, read.link) == ((), LINK)


def test_other_types_are_passed_over_whatever_is_in_them() -> None:
    for kind in ("customer.created", "v1.billing.meter.no_meter_found", None, 7):
        assert read_event({"type": kind}) is None


def odd(kind: str, life: Life, *path: str, value: Any) -> Object:
    event = of_type(kind, life)
    at = event
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return event


INSIDE = ("data", "object")
DONE = "checkout.session.completed"


@pytest.mark.parametrize(
    "event",
    [
        [],
        None,
        {"type": DONE},
        {"type": DONE, "data": {"object": []}},
        # Thin: only where to look.
        {"type": DONE, "object": "v2.core.event", "related_object": {"id": "cs_1"}},
        odd(DONE, paid, "object", value="v2.core.event"),
        odd(DONE, paid, "id", value=7),
        odd(DONE, paid, "created", value="now"),
        odd(DONE, paid, "livemode", value="yes"),
        odd(DONE, paid, "account", value=["acct"]),
        odd(DONE, paid, *INSIDE, "object", value="payment_intent"),
        odd(DONE, paid, *INSIDE, "object", value=["x"]),
        odd("payment_intent.succeeded", paid, "type", value="charge.refunded"),
        odd(DONE, paid, *INSIDE, "metadata", value="text"),
        odd(DONE, paid, *INSIDE, "metadata", value={**OURS, "linkgate_link": "{x}"}),
        odd(DONE, paid, *INSIDE, "metadata", value={**OURS, "linkgate_link": 7}),
        odd(DONE, paid, *INSIDE, "metadata", value={**OURS, "linkgate_campaign": "../x"}),
        odd(DONE, paid, *INSIDE, "metadata", value={**OURS, "linkgate_attempt": "x"}),
        odd(DONE, paid, *INSIDE, "amount_total", value=1.5),
        odd(DONE, paid, *INSIDE, "amount_total", value=2**53),
        odd(DONE, paid, *INSIDE, "payment_intent", value=7),
        odd(DONE, paid, *INSIDE, "payment_intent", value={"object": "payment_intent"}),
        odd(DONE, paid, *INSIDE, "payment_intent", value={"id": "x", "object": "toaster"}),
        odd(DONE, paid, *INSIDE, "after_expiration", value="soon"),
        odd("payment_intent.succeeded", paid, *INSIDE, "amount_received", value=-1),
        odd("payment_intent.succeeded", paid, *INSIDE, "status", value=None),
        odd("payment_intent.succeeded", paid, *INSIDE, "charges", value={"data": "x"}),
        odd("invoice.paid", subscribed, *INSIDE, "parent", value="x"),
        odd("invoice.paid", subscribed, *INSIDE, "payments", value={"data": [1]}),
        odd("invoice.paid", subscribed, *INSIDE, "amount_paid", value="1"),
        odd("customer.subscription.created", subscribed, *INSIDE, "status", value=7),
        odd("customer.subscription.created", subscribed, *INSIDE, "items", value=[1]),
        odd("customer.subscription.updated", subscribed, "data", "previous_attributes", value=[]),
        odd("setup_intent.succeeded", set_up, *INSIDE, "id", value=None),
        odd("setup_intent.succeeded", set_up, *INSIDE, "customer", value="\ud800"),
    ],
)
def test_what_is_no_event_of_stripe_s_is_refused(event: Any) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        read_event(event)


@pytest.mark.parametrize("thing", [None, 7, {}, {"object": "customer"}, {"object": ["x"]}])
def test_what_is_no_object_of_payments_is_refused(thing: Any) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        read_object(thing, 9)


def test_someone_else_s_metadata_is_their_own_business() -> None:
    theirs = {"linkgate_attempt": "x", "order": "7"}
    read = read_event(odd(DONE, paid, *INSIDE, "metadata", value=theirs))
    assert read
    assert (read.link, read.campaign) == (None, None)
