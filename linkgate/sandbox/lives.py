"""What becomes of a subscription: trials end, periods end, cards stop working, people leave.

At Stripe time brings this about; here a control does, so that a test need not wait a month. Each
function raises ApiError when the subscription is not in the state for it.
Source: https://docs.stripe.com/billing/subscriptions/overview#subscription-lifecycle.
"""

import copy

from linkgate.sandbox.charging import fail_invoice, pay_invoice
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.nouns.invoices import add_invoice
from linkgate.sandbox.nouns.subscriptions import OVER, cancel, length_of, period
from linkgate.sandbox.world import Object, World

UPDATED = "customer.subscription.updated"
RENEWABLE = ("trialing", "active", "past_due")


def announce_end_of_trial(world: World, subscription: Object) -> None:
    """Stripe says so three days before a trial ends."""
    _needs(subscription, "trialing")
    world.emit("customer.subscription.trial_will_end", subscription)


def renew(world: World, subscription: Object) -> None:
    """End the period, or the trial, and pay for the next; one that was to end then, ends."""
    _renew(world, subscription, paid=True)


def fail_renewal(world: World, subscription: Object) -> None:
    """End the period, or the trial, and get no money for the next."""
    _renew(world, subscription, paid=False)


def fail_again(world: World, subscription: Object) -> None:
    """Another try at the open invoice, in vain."""
    _needs(subscription, "past_due", "unpaid")
    fail_invoice(world, _latest(world, subscription))


def give_up(world: World, subscription: Object) -> None:
    """All tries have failed, and the account leaves such subscriptions unpaid."""
    _needs(subscription, "past_due")
    world.change(subscription, UPDATED, {"status": "unpaid"})


def catch_up(world: World, subscription: Object) -> None:
    """The open invoice is paid after all."""
    _needs(subscription, "past_due", "unpaid")
    pay_invoice(world, _latest(world, subscription))
    world.change(subscription, UPDATED, {"status": "active"})


def leave(world: World, subscription: Object, *, at_period_end: bool = False) -> None:
    """Cancel, now or when what is paid for is over."""
    if not at_period_end:
        cancel(world, subscription)
        return
    _needs(subscription, *RENEWABLE)
    changes = {
        "cancel_at": period(subscription)[1],
        "cancel_at_period_end": True,
        "canceled_at": world.now(),
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": "cancellation_requested",
        },
    }
    world.change(subscription, UPDATED, changes)


def stay(world: World, subscription: Object) -> None:
    """Take back a cancellation at the period's end."""
    if subscription["status"] in OVER or not subscription["cancel_at"]:
        raise ApiError("This subscription isn't set to be canceled.")
    changes = {
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
    }
    world.change(subscription, UPDATED, changes)


def _renew(world: World, subscription: Object, *, paid: bool) -> None:
    _needs(subscription, *RENEWABLE)
    if subscription["cancel_at_period_end"]:
        cancel(world, subscription)
        return
    before = {key: copy.deepcopy(subscription[key]) for key in ("items", "latest_invoice")}
    before["status"] = subscription["status"]
    if subscription["status"] == "trialing":
        before["trial_end"] = subscription["trial_end"]
        subscription["trial_end"] = world.now()
        _advance(subscription, world.now())
    else:
        _advance(subscription, period(subscription)[1])
    subscription["status"] = "active" if paid else "past_due"
    amount = sum(
        (item["price"]["unit_amount"] or 0) * item["quantity"]
        for item in subscription["items"]["data"]
    )
    invoice = add_invoice(world, subscription, amount, "subscription_cycle")
    if paid:
        pay_invoice(world, invoice)
    else:
        fail_invoice(world, invoice)
    previous = {key: value for key, value in before.items() if subscription[key] != value}
    world.emit(UPDATED, subscription, previous=previous)


def _advance(subscription: Object, start: int) -> None:
    for item in subscription["items"]["data"]:
        item["current_period_start"] = start
        item["current_period_end"] = start + length_of(item)


def _latest(world: World, subscription: Object) -> Object:
    return world.objects["invoice"][subscription["latest_invoice"]]


def _needs(subscription: Object, *statuses: str) -> None:
    if subscription["status"] not in statuses:
        raise ApiError(
            f"This subscription has a status of `{subscription['status']}`; this needs "
            f"{' or '.join(f'`{status}`' for status in statuses)}."
        )
