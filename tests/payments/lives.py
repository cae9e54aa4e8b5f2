"""What happens at Stripe with a link, and how it ends: the sequences of the property tests."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.payments.stripe_objects import OURS, Object, Stripe


@dataclass(frozen=True)
class End:
    """How a life ends, told by hand: not by the code under test."""

    #: By session.
    standings: dict[str, str]
    link: str
    access: bool
    made: int = 1
    #: How many times money came.
    succeeded: int = 1
    #: How many times it didn't, at least and at most: declines near each other are one.
    failed: tuple[int, int] = (0, 0)


Life = Callable[[Stripe], End]


def _buy(stripe: Stripe) -> Object:
    session = stripe.open_session()
    stripe.wait(60)
    charge = stripe.succeed(stripe.intent(metadata=dict(OURS)))
    stripe.complete(session, "paid", payment_intent="pi_1")
    return charge


def paid(stripe: Stripe) -> End:
    _buy(stripe)
    return End({"cs_1": "paid"}, "paid", access=True)


def paid_later(stripe: Stripe) -> End:
    session = stripe.open_session()
    intent = stripe.intent(metadata=dict(OURS), status="processing")
    stripe.complete(session, "unpaid", payment_intent="pi_1")
    stripe.wait(3 * 86_400)
    stripe.succeed(intent)
    session["payment_status"] = "paid"
    stripe.tell("checkout.session.async_payment_succeeded", session)
    return End({"cs_1": "paid"}, "paid", access=True)


def on_its_way(stripe: Stripe) -> End:
    """Declined by card, then paid by a debit that has not come yet."""
    session = stripe.open_session()
    stripe.wait()
    intent = stripe.intent(metadata=dict(OURS))
    stripe.decline(intent)
    stripe.wait(30)
    intent |= {"status": "processing", "last_payment_error": None}
    stripe.complete(session, "unpaid", payment_intent="pi_1")
    return End({"cs_1": "pending"}, "pending", access=False, succeeded=0, failed=(0, 1))


def never_came(stripe: Stripe) -> End:
    session = stripe.open_session()
    intent = stripe.intent(metadata=dict(OURS), status="processing")
    stripe.complete(session, "unpaid", payment_intent="pi_1")
    stripe.wait(3 * 86_400)
    stripe.decline(intent)
    stripe.wait(1)
    stripe.tell("checkout.session.async_payment_failed", session)
    end = End({"cs_1": "failed"}, "failed", access=False, made=0, succeeded=0)
    return End(**{**vars(end), "failed": (1, 1)})


def declined_then_paid(stripe: Stripe) -> End:
    session = stripe.open_session()
    stripe.wait()
    intent = stripe.intent(metadata=dict(OURS))
    stripe.decline(intent)
    stripe.wait(200)
    stripe.decline(intent)
    stripe.wait()
    stripe.succeed(intent)
    stripe.complete(session, "paid", payment_intent="pi_1")
    return End({"cs_1": "paid"}, "paid", access=True, failed=(0, 2))


def expired(stripe: Stripe) -> End:
    session = stripe.open_session()
    stripe.wait(1800)
    stripe.expire(session)
    return End({"cs_1": "expired"}, "visited", access=False, made=0, succeeded=0)


def recovered(stripe: Stripe) -> End:
    """Expired, and paid in the copy that Stripe's recovery page made."""
    stripe.expire(stripe.open_session())
    stripe.wait(86_400)
    again = stripe.open_session(n=2)
    again["recovered_from"] = "cs_1"
    stripe.succeed(stripe.intent(metadata=dict(OURS)))
    stripe.complete(again, "paid", payment_intent="pi_1")
    return End({"cs_1": "expired", "cs_2": "paid"}, "paid", access=True)


def twice(stripe: Stripe) -> End:
    """Where two payments are allowed; the first one was given back."""
    charge = _buy(stripe)
    stripe.wait(86_400)
    stripe.refund(charge, 4900)
    stripe.wait(86_400)
    again = stripe.open_session(n=2)
    again["metadata"]["linkgate_attempt"] = "2"
    stripe.wait(60)
    stripe.succeed(stripe.intent(2, metadata=dict(again["metadata"])))
    stripe.complete(again, "paid", payment_intent="pi_2")
    standings = {"cs_1": "refunded", "cs_2": "paid"}
    return End(standings, "partially_refunded", access=True, made=2, succeeded=2)


def refunded_in_part(stripe: Stripe) -> End:
    charge = _buy(stripe)
    stripe.wait()
    stripe.refund(charge, 900)
    return End({"cs_1": "partially_refunded"}, "partially_refunded", access=True)


def refunded(stripe: Stripe) -> End:
    """In two parts within one second, long after."""
    charge = _buy(stripe)
    stripe.wait(86_400)
    stripe.refund(charge, 900)
    stripe.refund(charge, 4000)
    return End({"cs_1": "refunded"}, "refunded", access=False)


def disputed(stripe: Stripe) -> End:
    charge = _buy(stripe)
    stripe.wait(86_400)
    stripe.dispute(charge)
    return End({"cs_1": "disputed"}, "disputed", access=True)


def dispute_won(stripe: Stripe) -> End:
    charge = _buy(stripe)
    stripe.wait(86_400)
    dispute = stripe.dispute(charge)
    stripe.wait(86_400)
    stripe.close_dispute(dispute, "won")
    return End({"cs_1": "paid"}, "paid", access=True)


def dispute_lost(stripe: Stripe) -> End:
    charge = _buy(stripe)
    stripe.wait(86_400)
    stripe.close_dispute(stripe.dispute(charge), "lost")
    return End({"cs_1": "disputed"}, "disputed", access=False)


def inquiry_closed(stripe: Stripe) -> End:
    charge = _buy(stripe)
    stripe.wait(86_400)
    dispute = stripe.dispute(charge)
    stripe.close_dispute(dispute, "warning_closed")
    return End({"cs_1": "paid"}, "paid", access=True)


def free(stripe: Stripe) -> End:
    """A discount of all of it."""
    session = stripe.open_session()
    stripe.wait()
    session["amount_total"] = 0
    stripe.complete(session, "no_payment_required")
    return End({"cs_1": "complete"}, "complete", access=True, succeeded=0)


def set_up(stripe: Stripe) -> End:
    session = stripe.open_session("setup")
    stripe.wait()
    made = {"customer": "cus_1", "metadata": dict(OURS), "status": "succeeded"}
    intent = stripe.put("setup_intent", "seti_1", **made)
    stripe.tell("setup_intent.succeeded", intent)
    stripe.complete(session, "no_payment_required", setup_intent="seti_1")
    return End({"cs_1": "complete"}, "complete", access=True, succeeded=0)


def _subscribe(stripe: Stripe) -> Object:
    """A first payment at once, all of it within one second, as it mostly is."""
    session = stripe.open_session("subscription")
    stripe.wait(60)
    subscription = stripe.subscription("incomplete")
    stripe.pay_invoice(stripe.invoice(1, "subscription_create"))
    stripe.update(subscription, status="active")
    stripe.complete(session, "paid", subscription="sub_1", invoice="in_1", customer="cus_1")
    return subscription


def subscribed(stripe: Stripe) -> End:
    _subscribe(stripe)
    return End({"cs_1": "active"}, "active", access=True)


def renewed(stripe: Stripe) -> End:
    _subscribe(stripe)
    for n in (2, 3):
        stripe.wait(2_592_000)
        stripe.pay_invoice(stripe.invoice(n, "subscription_cycle"))
    return End({"cs_1": "active"}, "active", access=True, succeeded=3)


def tried_and_left(stripe: Stripe) -> End:
    """From a trial through a declined renewal and back, to the end."""
    session = stripe.open_session("subscription")
    session["amount_total"] = 0
    stripe.wait(60)
    subscription = stripe.subscription("trialing", trial_end=stripe.now + 604_800)
    stripe.pay_invoice(stripe.invoice(1, "subscription_create", amount=0))
    made = {"subscription": "sub_1", "invoice": "in_1", "customer": "cus_1"}
    stripe.complete(session, "no_payment_required", **made)
    stripe.wait(345_600)
    stripe.tell("customer.subscription.trial_will_end", subscription)
    stripe.wait(259_200)
    stripe.update(subscription, status="active")
    stripe.wait(3600)
    second = stripe.invoice(2, "subscription_cycle")
    stripe.fail_invoice(second)
    stripe.update(subscription, status="past_due")
    stripe.wait(86_400)
    stripe.fail_invoice(second)
    stripe.wait(86_400)
    stripe.pay_invoice(second)
    stripe.update(subscription, status="active")
    stripe.wait(86_400)
    stripe.update(subscription, cancel_at_period_end=True)
    stripe.wait(86_400)
    stripe.end(subscription)
    return End({"cs_1": "canceled"}, "canceled", access=False, failed=(0, 2))


def hurried(stripe: Stripe) -> End:
    """Three changes within one second, which tell their own order."""
    _subscribe(stripe)
    subscription = stripe.objects["sub_1"]
    stripe.wait()
    stripe.update(subscription, status="past_due")
    stripe.update(subscription, status="unpaid")
    return End({"cs_1": "unpaid"}, "unpaid", access=False)


def given_up(stripe: Stripe) -> End:
    """A first payment that never came: incomplete, then incomplete_expired."""
    session = stripe.open_session("subscription")
    stripe.wait(60)
    subscription = stripe.subscription("incomplete")
    invoice = stripe.invoice(1, "subscription_create")
    made = {"subscription": "sub_1", "invoice": "in_1", "customer": "cus_1"}
    stripe.complete(session, "unpaid", **made)
    stripe.wait(82_800)
    stripe.fail_invoice(invoice)
    stripe.tell("checkout.session.async_payment_failed", session)
    stripe.wait()
    invoice["status"] = "void"
    stripe.update(subscription, status="incomplete_expired")
    end = End({"cs_1": "failed"}, "failed", access=False, made=0, succeeded=0)
    return End(**{**vars(end), "failed": (1, 1)})


def never_paid(stripe: Stripe) -> End:
    """A debit for the first period that comes back: past_due, and nothing was ever paid."""
    session = stripe.open_session("subscription")
    stripe.wait(60)
    subscription = stripe.subscription("active")
    invoice = stripe.invoice(1, "subscription_create")
    made = {"subscription": "sub_1", "invoice": "in_1", "customer": "cus_1"}
    stripe.complete(session, "unpaid", **made)
    stripe.wait(3 * 86_400)
    stripe.fail_invoice(invoice)
    stripe.update(subscription, status="past_due")
    stripe.tell("checkout.session.async_payment_failed", session)
    end = End({"cs_1": "past_due"}, "past_due", access=False, succeeded=0)
    return End(**{**vars(end), "failed": (1, 1)})


def renewal_refunded(stripe: Stripe) -> End:
    _subscribe(stripe)
    stripe.wait(2_592_000)
    charge = stripe.pay_invoice(stripe.invoice(2, "subscription_cycle"))
    assert charge
    stripe.wait()
    stripe.refund(charge, 4900)
    return End({"cs_1": "partially_refunded"}, "partially_refunded", access=True, succeeded=2)


LIVES: tuple[Life, ...] = (
    paid,
    paid_later,
    on_its_way,
    never_came,
    declined_then_paid,
    expired,
    recovered,
    twice,
    refunded_in_part,
    refunded,
    disputed,
    dispute_won,
    dispute_lost,
    inquiry_closed,
    free,
    set_up,
    subscribed,
    renewed,
    tried_and_left,
    hurried,
    given_up,
    never_paid,
    renewal_refunded,
)
