"""What a person does on the hosted pay page, and what a bank says days later.

Each function moves one session, tells the events that Stripe would, and raises ApiError when the
session is not in the state for it. Order of events: Stripe promises none; the intent's comes first
here, as it mostly does.
"""

import copy
from typing import Any

from linkgate.sandbox.charging import (
    DECLINED,
    fail,
    fail_invoice,
    intent_of,
    pay_invoice,
    process,
    succeed,
)
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.nouns.customers import add_customer
from linkgate.sandbox.nouns.invoices import add_invoice
from linkgate.sandbox.nouns.payments import add_payment_intent, add_setup_intent
from linkgate.sandbox.nouns.promotions import (
    apply_discount,
    count_redemption,
    typed_discount,
)
from linkgate.sandbox.nouns.sessions import open_session
from linkgate.sandbox.nouns.subscriptions import add_subscription
from linkgate.sandbox.saving import save
from linkgate.sandbox.world import Cart, Object, World


def pay(world: World, session: Object, email: str | None = None) -> None:
    """Complete an open session with the money there at once (or none due)."""
    _needs(session, "open")
    cart = world.carts[session["id"]]
    _complete(world, session, email)
    if session["mode"] == "setup":
        _set_up(world, session, cart)
    elif session["mode"] == "subscription":
        _subscribe(world, session, cart, paid=True)
    elif session["amount_total"]:
        succeed(world, _intent(world, session, cart))
    session["payment_status"] = "paid" if session["amount_total"] else "no_payment_required"
    world.emit("checkout.session.completed", session)


def pay_later(world: World, session: Object, email: str | None = None) -> None:
    """Complete an open session by a method whose money comes days later, such as a debit."""
    _needs(session, "open")
    if not session["amount_total"]:
        raise ApiError("Nothing is due on this Checkout Session, so nothing can be paid later.")
    cart = world.carts[session["id"]]
    _complete(world, session, email)
    if session["mode"] == "subscription":
        _subscribe(world, session, cart, paid=False)
    else:
        process(world, _intent(world, session, cart))
    world.emit("checkout.session.completed", session)


def decline(world: World, session: Object) -> None:
    """A payment that fails at once: the session stays open, its page says so."""
    _needs(session, "open")
    cart = world.carts[session["id"]]
    cart.notice = "Your card was declined. Nothing was charged; you can try again."
    if session["mode"] == "setup":
        intent = world.find(session["setup_intent"] or "") or add_setup_intent(world, session, cart)
        session["setup_intent"] = intent["id"]
        intent["last_setup_error"] = dict(DECLINED)
        world.emit("setup_intent.setup_failed", intent)
        return
    fail(world, _intent(world, session, cart))


def settle(world: World, session: Object) -> None:
    """The money of a session that was to be paid later has come."""
    _needs_pending(world, session)
    session["payment_status"] = "paid"
    if session["subscription"]:
        pay_invoice(world, world.objects["invoice"][session["invoice"]])
    else:
        succeed(world, world.objects["payment_intent"][session["payment_intent"]])
    world.emit("checkout.session.async_payment_succeeded", session)


def fail_async(world: World, session: Object) -> None:
    """The money of a session that was to be paid later will not come."""
    _needs_pending(world, session)
    if session["subscription"]:
        subscription = world.objects["subscription"][session["subscription"]]
        fail_invoice(world, world.objects["invoice"][session["invoice"]])
        world.change(subscription, "customer.subscription.updated", {"status": "past_due"})
    else:
        fail(world, world.objects["payment_intent"][session["payment_intent"]])
    world.emit("checkout.session.async_payment_failed", session)


def expire(world: World, session: Object) -> None:
    """End an open session before its time."""
    _needs(session, "open")
    world.expire(session)


def recover(world: World, token: str) -> Object | None:
    """A fresh copy of an expired session, for its recovery page; None for an unknown token."""
    for session_id, cart in world.carts.items():
        if cart.recovery_token != token:
            continue
        old = world.objects["checkout.session"][session_id]
        if old["after_expiration"]["recovery"]["expires_at"] <= world.now():
            return None
        copied = Cart(
            copy.deepcopy(cart.items),
            cart.payment_intent_data,
            cart.subscription_data,
            cart.setup_intent_data,
            cart.customer_update,
        )
        params: dict[str, Any] = {key: value for key, value in old.items() if value is not None}
        codes = old["after_expiration"]["recovery"]["allow_promotion_codes"]
        params |= {
            "recovered_from": session_id,
            "expires_at": None,
            "allow_promotion_codes": codes or None,
        }
        for item in copied.items:
            item |= {"amount_discount": 0, "amount_total": item["amount_subtotal"]}
        customer = world.get("customer", old["customer"] or "")
        return open_session(world, params, copied, customer)
    return None


def promote(world: World, session: Object, text: str) -> None:
    """Type a promotion code on the page of a session that allows it; raises ApiError otherwise."""
    _needs(session, "open")
    if not session["allow_promotion_codes"]:
        raise ApiError("This Checkout Session takes no promotion codes.")
    cart = world.carts[session["id"]]
    customer = world.get("customer", session["customer"] or "")
    try:
        apply_discount(world, session, cart, typed_discount(world, text, customer))
    except ApiError as error:
        cart.notice = error.message
        raise
    cart.notice = None


def awaits_money(world: World, session: Object) -> bool:
    """Whether `settle` and `fail_async` can still decide about a session."""
    if session["status"] != "complete" or session["payment_status"] != "unpaid":
        return False
    if session["subscription"]:
        return bool(world.objects["subscription"][session["subscription"]]["status"] == "active")
    intent = world.get("payment_intent", session["payment_intent"] or "")
    return intent is not None and intent["status"] == "processing"


def _needs(session: Object, status: str) -> None:
    if session["status"] != status:
        raise ApiError(
            f"This Checkout Session has a status of `{session['status']}`; this needs `{status}`."
        )


def _needs_pending(world: World, session: Object) -> None:
    if not awaits_money(world, session):
        raise ApiError(
            "This Checkout Session isn't waiting for an asynchronous payment: pay it later first."
        )


def _complete(world: World, session: Object, email: str | None) -> None:
    session["status"] = "complete"
    session["url"] = None
    world.carts[session["id"]].notice = None
    details = session["customer_details"] or dict.fromkeys(
        ("address", "business_name", "individual_name", "name", "phone")
    )
    details["email"] = details.get("email") or email or "person@example.com"
    session["customer_details"] = {**details, "tax_exempt": "none", "tax_ids": []}
    if session["customer"] is None and session["customer_creation"] == "always":
        session["customer"] = add_customer(world, {"email": details["email"]})["id"]
    count_redemption(world, session)
    save(world, session, world.carts[session["id"]].customer_update)


def _set_up(world: World, session: Object, cart: Cart) -> None:
    intent = world.find(session["setup_intent"] or "") or add_setup_intent(world, session, cart)
    session["setup_intent"] = intent["id"]
    intent |= {
        "status": "succeeded",
        "payment_method": world.new_id("pm_"),
        "last_setup_error": None,
        "customer": session["customer"],
    }
    world.emit("setup_intent.succeeded", intent)


def _subscribe(world: World, session: Object, cart: Cart, *, paid: bool) -> None:
    subscription = add_subscription(world, session, cart)
    invoice = add_invoice(world, subscription, session["amount_total"], "subscription_create")
    session["subscription"] = subscription["id"]
    session["invoice"] = invoice["id"]
    world.emit("customer.subscription.created", subscription)
    if paid:
        pay_invoice(world, invoice)
        return
    intent = intent_of(world, invoice)
    if intent is not None:
        process(world, intent)


def _intent(world: World, session: Object, cart: Cart) -> Object:
    found = world.get("payment_intent", session["payment_intent"] or "")
    intent = found or add_payment_intent(world, session, cart)
    intent["customer"] = session["customer"]
    if session["mode"] == "payment":
        session["payment_intent"] = intent["id"]
    return intent
