"""What the operator's systems are told: each thing once, by a key that stays."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from linkgate.payments import (
    Change,
    Ledger,
    Payment,
    changes,
    hear,
    read_event,
    read_object,
)
from tests.payments.lives import (
    disputed,
    given_up,
    never_came,
    never_paid,
    paid,
    recovered,
    refunded,
    renewed,
    subscribed,
    tried_and_left,
)
from tests.payments.stripe_objects import NEW, OLDEST, OURS, Object, Stripe


def follow(events: Iterable[Object], ledger: Ledger | None = None) -> list[Change]:
    ledger, found = ledger or Ledger(), []
    for data in events:
        event = read_event(data)
        assert event
        before, ledger = ledger, hear(ledger, event.known)
        found += changes(before, ledger)
    return found


def keys(found: Iterable[Change]) -> list[str]:
    return [change.key for change in found]


def lived(life: Any, version: str = NEW) -> Stripe:
    stripe = Stripe(version)
    life(stripe)
    return stripe


def test_a_payment_is_told_once_by_its_payment_intent() -> None:
    events = lived(paid).events
    for order in (events, events[::-1]):
        succeeded, granted = follow(order)
        assert (succeeded.key, succeeded.subject) == ("payment.succeeded:pi_1", "pi_1")
        assert succeeded.data["amount"] == 4900
        assert succeeded.data["currency"] == "eur"
        assert granted.kind == "access.granted"


def test_its_data_says_which_session_it_was() -> None:
    succeeded = follow(lived(paid).events[::-1])[0]
    assert dict(succeeded.data) == {
        "session": "cs_1",
        "payment_intent": "pi_1",
        "amount": 4900,
        "currency": "eur",
        "livemode": False,
    }


def test_a_first_payment_of_a_subscription_is_told_by_its_invoice() -> None:
    for version in (OLDEST, NEW):
        events = lived(subscribed, version).events
        for order in (events, events[::-1]):
            found = follow(order)
            made = [change for change in found if change.kind == "payment.succeeded"]
            assert keys(made) == ["payment.succeeded:in_1"]
            assert made[0].data["subscription"] == "sub_1"


def test_each_renewal_is_a_payment() -> None:
    made = [c for c in follow(lived(renewed).events) if c.kind == "payment.succeeded"]
    assert keys(made) == [f"payment.succeeded:in_{n}" for n in (1, 2, 3)]
    assert [change.data.get("reason") for change in made[1:]] == ["subscription_cycle"] * 2


def test_a_session_without_an_invoice_tells_the_same_money() -> None:
    # As one that an older version kept: whoever hears of the invoice later tells nothing new.
    events = lived(subscribed).events
    session = next(e for e in events if e["type"] == "checkout.session.completed")
    session["data"]["object"]["invoice"] = None
    rest = [event for event in events if event is not session]
    for order in ([session, *rest], [*rest, session]):
        kinds = [change.kind for change in follow(order)]
        assert kinds.count("payment.succeeded") == 1


def test_what_was_paid_before_an_update_is_not_told_again() -> None:
    stripe = lived(paid)
    event = read_event(stripe.events[-1])
    assert event
    assert event.session
    kept = Ledger.of([replace(event.session, payment_intent=None)])
    assert "payment.succeeded" not in [c.kind for c in follow(stripe.events, kept)]


def test_the_events_of_one_failure_are_one() -> None:
    for life in (never_came, never_paid, given_up):
        events = lived(life).events
        for order in (events, events[::-1]):
            kinds = [change.kind for change in follow(order)]
            assert kinds.count("payment.failed") == 1, life.__name__


def test_declines_far_apart_are_two_failures() -> None:
    stripe = Stripe(NEW)
    intent = stripe.intent(metadata=dict(OURS))
    for seconds in (0, 10, 200):
        stripe.wait(seconds)
        stripe.decline(intent)
    found = follow(stripe.events)
    assert [change.kind for change in found] == ["payment.failed"] * 2
    assert found[0].data["failure"] == "generic_decline"
    assert len(set(keys(found))) == 2


def test_a_failure_that_is_read_again_much_later_is_the_same() -> None:
    for version in (OLDEST, NEW):
        stripe = Stripe(version)
        intent = stripe.intent(metadata=dict(OURS))
        stripe.decline(intent)
        event = read_event(stripe.events[-1])
        assert event
        told = hear(Ledger(), event.known)
        assert changes(told, hear(told, read_object(intent, event.created + 7200))) == ()
        stripe.wait(9000)
        stripe.decline(intent)
        again = read_event(stripe.events[-1])
        assert again
        assert keys(changes(told, hear(told, again.known)))


def test_a_failure_that_only_its_session_told_is_the_same_when_its_payment_is_read() -> None:
    stripe = lived(never_came)
    events = [one for one in stripe.events if one["type"].startswith("checkout.")]
    ledger = Ledger()
    for data in events:
        event = read_event(data)
        assert event
        ledger = hear(ledger, event.known)
    read = read_object(stripe.objects["pi_1"], event.created + 7200)
    assert changes(ledger, hear(ledger, read)) == ()


def test_what_stripe_cancels_with_its_session_is_no_failure() -> None:
    stripe = Stripe(NEW)
    intent = stripe.intent(metadata=dict(OURS))
    known = hear(Ledger(), read_object(intent, 5))
    after = hear(known, read_object({**intent, "status": "canceled"}, 9))
    assert changes(known, after) == ()
    known = hear(Ledger(), read_object({**intent, "status": "processing"}, 5))
    after = hear(known, read_object({**intent, "status": "canceled"}, 9))
    assert [change.kind for change in changes(known, after)] == ["payment.failed"]


def test_each_tries_of_a_renewal_is_told() -> None:
    failed = [c for c in follow(lived(tried_and_left).events) if c.kind == "payment.failed"]
    assert keys(failed) == ["payment.failed:in_2:1", "payment.failed:in_2:2"]


def test_a_refund_tells_what_was_given_back_now_and_in_all() -> None:
    found = [c for c in follow(lived(refunded).events) if c.kind == "payment.refunded"]
    told = [(c.data["amount"], c.data["refunded"], c.data["full"]) for c in found]
    assert told == [(900, 900, False), (4000, 4900, True)]
    assert len(set(keys(found))) == 2


def test_a_refund_that_failed_and_is_made_again_is_told_again() -> None:
    def after(at: int, back: int, ledger: Ledger) -> Ledger:
        [gave] = [p for p in ledger.payments if isinstance(p, Payment)]
        charge = {**shown, "amount_refunded": back}
        assert gave.id == charge["payment_intent"]
        return hear(ledger, read_object(charge, at))

    stripe = Stripe(NEW)
    shown = stripe.succeed(stripe.intent(metadata=dict(OURS)))
    first = hear(Ledger(), read_object(shown, 5))
    second = after(6, 900, first)
    third = after(7, 0, second)
    fourth = after(8, 900, third)
    assert changes(second, third) == ()
    assert keys(changes(first, second)) == ["payment.refunded:pi_1:6:900"]
    assert keys(changes(third, fourth)) == ["payment.refunded:pi_1:8:900"]


def test_a_dispute_is_told_when_it_is_opened_and_when_it_is_decided() -> None:
    stripe = lived(disputed)
    stripe.wait()
    stripe.close_dispute(stripe.objects["dp_1"], "lost")
    found = follow(stripe.events)
    assert [c.data["state"] for c in found if c.kind == "payment.disputed"] == ["open", "lost"]
    assert [change.kind for change in found][-1] == "access.revoked"


def test_a_session_that_expires_says_how_it_may_be_recovered() -> None:
    first, *_ = follow(lived(recovered).events)
    assert first.key == "session.expired:cs_1"
    assert first.data["recovery_url"] == "https://again/1"


def test_a_subscription_s_life_is_told() -> None:
    found = follow(lived(tried_and_left).events)
    kinds = [change.kind for change in found if change.kind.startswith(("subscription", "access"))]
    assert kinds == [
        "subscription.started",
        "access.granted",
        "subscription.ended",
        "access.revoked",
    ]
    started = next(change for change in found if change.kind == "subscription.started")
    assert started.data["prices"] == ("price_1",)
    assert started.data["state"] == "trialing"


def test_an_end_that_is_heard_first_is_not_followed_by_a_start() -> None:
    events = lived(tried_and_left).events
    kinds = [change.kind for change in follow(events[::-1])]
    assert "subscription.started" not in kinds
    assert kinds.count("subscription.ended") == 1


def test_access_that_comes_and_goes_is_told_each_time() -> None:
    stripe = lived(subscribed)
    for status in ("unpaid", "active", "unpaid"):
        stripe.wait()
        stripe.update(stripe.objects["sub_1"], status=status)
    found = [c for c in follow(stripe.events) if c.kind.startswith("access")]
    assert [change.kind for change in found] == ["access.granted", "access.revoked"] * 2
    assert len(set(keys(found))) == 4


def test_nothing_new_is_nothing() -> None:
    ledger = Ledger()
    for data in lived(renewed).events:
        event = read_event(data)
        assert event
        ledger = hear(ledger, event.known)
        assert changes(ledger, ledger) == ()
        assert changes(ledger, hear(ledger, event.known)) == ()
