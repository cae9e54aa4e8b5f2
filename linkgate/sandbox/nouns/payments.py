"""What a completed Checkout Session leaves behind: intents, subscriptions, invoices."""

from stripe.params import (
    InvoiceRetrieveParams,
    PaymentIntentRetrieveParams,
    SetupIntentRetrieveParams,
    SubscriptionRetrieveParams,
)

from linkgate.sandbox.operations import Call, Operation, fetch
from linkgate.sandbox.world import Cart, Object, World

# Average lengths are enough here; nobody is billed.
SECONDS = {"day": 86_400, "week": 604_800, "month": 2_592_000, "year": 31_536_000}


def add_payment_intent(world: World, session: Object, cart: Cart) -> Object:
    """A payment intent for the session's amount; not yet paid."""
    intent_id = world.new_id("pi_")
    given = cart.payment_intent_data
    return world.put(
        {
            "id": intent_id,
            "object": "payment_intent",
            "amount": session["amount_total"],
            "amount_capturable": 0,
            "amount_received": 0,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": given.get("capture_method", "automatic_async"),
            "client_secret": f"{intent_id}_secret_{world.new_id('', 25)}",
            "confirmation_method": "automatic",
            "created": world.now(),
            "currency": session["currency"],
            "customer": session["customer"],
            "description": given.get("description"),
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": given.get("metadata") or {},
            "next_action": None,
            "payment_method": None,
            "payment_method_types": session["payment_method_types"],
            "processing": None,
            "receipt_email": given.get("receipt_email"),
            "setup_future_usage": given.get("setup_future_usage"),
            "statement_descriptor": given.get("statement_descriptor"),
            "status": "requires_payment_method",
            "transfer_group": given.get("transfer_group"),
        }
    )


def add_setup_intent(world: World, session: Object, cart: Cart) -> Object:
    """A setup intent; not yet confirmed."""
    intent_id = world.new_id("seti_")
    given = cart.setup_intent_data
    return world.put(
        {
            "id": intent_id,
            "object": "setup_intent",
            "client_secret": f"{intent_id}_secret_{world.new_id('', 40)}",
            "created": world.now(),
            "customer": session["customer"],
            "description": given.get("description"),
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "metadata": given.get("metadata") or {},
            "next_action": None,
            "payment_method": None,
            "payment_method_types": session["payment_method_types"],
            "status": "requires_payment_method",
            "usage": "off_session",
        }
    )


def add_subscription(world: World, session: Object, cart: Cart) -> Object:
    """A running subscription on the cart's recurring prices; in trial where one was asked for."""
    now, given = world.now(), cart.subscription_data
    subscription_id = world.new_id("sub_")
    trial_end = given.get("trial_end")
    if "trial_period_days" in given:
        trial_end = now + given["trial_period_days"] * 86_400
    items = [
        _subscription_item(world, subscription_id, item, now, trial_end)
        for item in cart.items
        if item["price"]["recurring"]
    ]
    return world.put(
        {
            "id": subscription_id,
            "object": "subscription",
            "automatic_tax": {"enabled": False, "liability": None, "disabled_reason": None},
            "billing_cycle_anchor": trial_end or now,
            "billing_mode": given.get("billing_mode") or {"type": "flexible"},
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "cancellation_details": {"comment": None, "feedback": None, "reason": None},
            "collection_method": "charge_automatically",
            "created": now,
            "currency": session["currency"],
            "customer": session["customer"],
            "default_payment_method": world.new_id("pm_"),
            "description": given.get("description"),
            "discounts": [],
            "ended_at": None,
            "items": {
                "object": "list",
                "data": items,
                "has_more": False,
                "url": f"/v1/subscription_items?subscription={subscription_id}",
            },
            "latest_invoice": None,
            "livemode": False,
            "metadata": given.get("metadata") or {},
            "pause_collection": None,
            "pending_setup_intent": None,
            "schedule": None,
            "start_date": now,
            "status": "trialing" if trial_end else "active",
            "test_clock": None,
            "trial_end": trial_end,
            "trial_start": now if trial_end else None,
        }
    )


def _subscription_item(
    world: World, subscription_id: str, item: Object, now: int, trial_end: int | None
) -> Object:
    recurring = item["price"]["recurring"]
    length = SECONDS[recurring["interval"]] * recurring["interval_count"]
    return {
        "id": world.new_id("si_", 14),
        "object": "subscription_item",
        "created": now,
        "current_period_end": trial_end or now + length,
        "current_period_start": now,
        "discounts": [],
        "metadata": item["metadata"],
        "price": item["price"],
        "quantity": item["quantity"],
        "subscription": subscription_id,
        "tax_rates": [],
    }


def add_invoice(world: World, session: Object, subscription: Object) -> Object:
    """A subscription's first invoice, open; since 2025 it names the subscription under `parent`."""
    return world.put(
        {
            "id": world.new_id("in_"),
            "object": "invoice",
            "amount_due": session["amount_total"],
            "amount_paid": 0,
            "amount_remaining": session["amount_total"],
            "attempt_count": 1,
            "attempted": True,
            "billing_reason": "subscription_create",
            "collection_method": "charge_automatically",
            "created": world.now(),
            "currency": session["currency"],
            "customer": session["customer"],
            "customer_email": (session["customer_details"] or {}).get("email"),
            "hosted_invoice_url": None,
            "livemode": False,
            "metadata": {},
            "number": None,
            "parent": {
                "quote_details": None,
                "subscription_details": {
                    "metadata": subscription["metadata"],
                    "subscription": subscription["id"],
                },
                "type": "subscription_details",
            },
            "status": "open",
            "status_transitions": dict.fromkeys(
                ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
            ),
            "total": session["amount_total"],
        }
    )


def retrieve_payment_intent(call: Call) -> Object:
    return fetch(call, "payment_intent", "intent")


def retrieve_setup_intent(call: Call) -> Object:
    return fetch(call, "setup_intent", "intent")


def retrieve_subscription(call: Call) -> Object:
    return fetch(call, "subscription", "id")


def retrieve_invoice(call: Call) -> Object:
    return fetch(call, "invoice", "invoice")


OPERATIONS = (
    Operation(
        "GET", "/v1/payment_intents/{id}", PaymentIntentRetrieveParams, retrieve_payment_intent
    ),
    Operation("GET", "/v1/setup_intents/{id}", SetupIntentRetrieveParams, retrieve_setup_intent),
    Operation("GET", "/v1/subscriptions/{id}", SubscriptionRetrieveParams, retrieve_subscription),
    Operation("GET", "/v1/invoices/{id}", InvoiceRetrieveParams, retrieve_invoice),
)
