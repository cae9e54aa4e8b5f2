"""Everything that a control can do to a Checkout Session and to what came of it, by name."""

from collections.abc import Callable, Mapping
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from linkgate.sandbox import lives, settle
from linkgate.sandbox.errors import ApiError, no_such
from linkgate.sandbox.nouns.charges import fail_refund, refund
from linkgate.sandbox.nouns.disputes import close_dispute, open_dispute
from linkgate.sandbox.world import Object, World


class Deed(BaseModel):
    """What a deed may be told: `amount` is a refund's, in the currency's smallest unit."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(ge=1)] | None = None
    at_period_end: bool = False
    inquiry: bool = False
    email: str | None = None


Action: TypeAlias = Callable[[World, Object, Deed], Object]


def _of_session(step: Callable[[World, Object], None]) -> Action:
    def act(world: World, session: Object, _: Deed) -> Object:
        step(world, session)
        return session

    return act


def _of_payer(step: Callable[[World, Object, str | None], None]) -> Action:
    def act(world: World, session: Object, deed: Deed) -> Object:
        step(world, session, deed.email)
        return session

    return act


def _of_subscription(step: Callable[[World, Object], None]) -> Action:
    def act(world: World, thing: Object, _: Deed) -> Object:
        subscription = subscription_of(world, thing)
        step(world, subscription)
        return subscription

    return act


def _recover(world: World, session: Object, _: Deed) -> Object:
    token = world.carts[session["id"]].recovery_token
    found = settle.recover(world, token) if token else None
    if found is None:
        raise ApiError("This Checkout Session has no recovery page, or not any more.")
    return found


def _refund(world: World, thing: Object, deed: Deed) -> Object:
    return refund(world, charge_of(world, thing), deed.amount)


def _fail_refund(world: World, thing: Object, _: Deed) -> Object:
    charge = charge_of(world, thing)
    for made in world.every("refund"):
        if made["charge"] == charge["id"] and made["status"] == "succeeded":
            fail_refund(world, made)
            return made
    raise ApiError("Nothing of this payment has been refunded.")


def _dispute(world: World, thing: Object, deed: Deed) -> Object:
    return open_dispute(world, charge_of(world, thing), inquiry=deed.inquiry)


def _close(status: str) -> Action:
    def act(world: World, thing: Object, _: Deed) -> Object:
        charge = charge_of(world, thing)
        for dispute in world.every("dispute"):
            if dispute["charge"] == charge["id"]:
                close_dispute(world, dispute, status)
                return dispute
        raise ApiError("This payment isn't disputed.")

    return act


def _cancel(world: World, thing: Object, deed: Deed) -> Object:
    subscription = subscription_of(world, thing)
    lives.leave(world, subscription, at_period_end=deed.at_period_end)
    return subscription


#: What a control may do with a session; what answers is the object that it was done to.
ON_SESSIONS: Mapping[str, Action] = {
    "pay": _of_payer(settle.pay),
    "pay-later": _of_payer(settle.pay_later),
    "fail": _of_session(settle.decline),
    "decline": _of_session(settle.decline),
    "settle": _of_session(settle.settle),
    "fail-async": _of_session(settle.fail_async),
    "expire": _of_session(settle.expire),
    "recover": _recover,
}
#: What it may do with a session's payment or subscription, or with a subscription.
ON_WHAT_CAME: Mapping[str, Action] = {
    "refund": _refund,
    "fail-refund": _fail_refund,
    "dispute": _dispute,
    "win-dispute": _close("won"),
    "lose-dispute": _close("lost"),
    "close-inquiry": _close("warning_closed"),
    "cancel": _cancel,
    "keep": _of_subscription(lives.stay),
    "announce-trial-end": _of_subscription(lives.announce_end_of_trial),
    "end-trial": _of_subscription(lives.renew),
    "renew": _of_subscription(lives.renew),
    "fail-renewal": _of_subscription(lives.fail_renewal),
    "fail-again": _of_subscription(lives.fail_again),
    "unpaid": _of_subscription(lives.give_up),
    "catch-up": _of_subscription(lives.catch_up),
}
ACTIONS: Mapping[str, Action] = {**ON_SESSIONS, **ON_WHAT_CAME}


def thing_of(world: World, object_id: str) -> Object:
    """The session or subscription of an id, or the newest session for `last`."""
    world.sweep()
    if object_id == "last":
        for session in world.every("checkout.session"):
            return session
    if object_id.startswith("sub_"):
        found = world.get("subscription", object_id)
    else:
        found = world.get("checkout.session", object_id)
    if found is None:
        raise no_such("checkout.session", object_id, "session", status=404)
    return found


def perform(world: World, object_id: str, action: str, deed: Deed) -> Object:
    """Do something to a session or a subscription; raises ApiError when it can't be done."""
    thing = thing_of(world, object_id)
    if action in ON_SESSIONS and thing["object"] != "checkout.session":
        raise ApiError("This can be done to a Checkout Session only.")
    return ACTIONS[action](world, thing, deed)


def subscription_of(world: World, thing: Object) -> Object:
    """The subscription that a session began, or the thing itself."""
    if thing["object"] == "subscription":
        return thing
    subscription = world.get("subscription", thing["subscription"] or "")
    if subscription is None:
        raise ApiError("This Checkout Session has begun no subscription.")
    return subscription


def charge_of(world: World, thing: Object) -> Object:
    """The newest charge that brought the money of a session or a subscription."""
    intent_id = thing.get("payment_intent")
    for charge in world.every("charge"):
        if charge["status"] != "succeeded":
            continue
        if intent_id is not None and charge["payment_intent"] == intent_id:
            return charge
        if intent_id is None and _is_for(world, charge, thing):
            return charge
    raise ApiError("No money has come of this yet.")


def _is_for(world: World, charge: Object, thing: Object) -> bool:
    invoice = world.get("invoice", world.invoice_of.get(charge["payment_intent"], ""))
    subscription = thing["id"] if thing["object"] == "subscription" else thing["subscription"]
    if invoice is None or subscription is None:
        return False
    return bool(invoice["parent"]["subscription_details"]["subscription"] == subscription)
