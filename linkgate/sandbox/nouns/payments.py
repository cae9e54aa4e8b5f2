"""Payment intents and setup intents: one try, or several, at a payment or a payment method."""

from typing import Any

from stripe.params import (
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    SetupIntentRetrieveParams,
)

from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.world import Cart, Object, World


def add_payment_intent(world: World, session: Object, cart: Cart) -> Object:
    """A payment intent for the session's amount; not yet paid."""
    return add_intent(
        world,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        given=cart.payment_intent_data,
        kinds=session["payment_method_types"],
    )


def add_intent(
    world: World,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    given: dict[str, Any],
    kinds: list[str],
) -> Object:
    """A payment intent, not yet paid; `given` as `payment_intent_data` has it."""
    intent_id = world.new_id("pi_")
    return world.put(
        {
            "id": intent_id,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_received": 0,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": given.get("capture_method", "automatic_async"),
            "client_secret": f"{intent_id}_secret_{world.new_id('', 25)}",
            "confirmation_method": "automatic",
            "created": world.now(),
            "currency": currency,
            "customer": customer,
            "description": given.get("description"),
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": given.get("metadata") or {},
            "next_action": None,
            "payment_method": None,
            "payment_method_types": kinds,
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


def retrieve_payment_intent(call: Call) -> Object:
    return fetch(call, "payment_intent", "intent")


def list_payment_intents(call: Call) -> Object:
    customer = call.params.get("customer")
    intents = call.world.every("payment_intent")
    return page(
        call,
        "/v1/payment_intents",
        [each for each in intents if customer is None or each["customer"] == customer],
    )


def retrieve_setup_intent(call: Call) -> Object:
    return fetch(call, "setup_intent", "intent")


OPERATIONS = (
    Operation(
        "GET", "/v1/payment_intents/{id}", PaymentIntentRetrieveParams, retrieve_payment_intent
    ),
    Operation(
        "GET", "/v1/payment_intents", PaymentIntentListParams, list_payment_intents, check_page
    ),
    Operation("GET", "/v1/setup_intents/{id}", SetupIntentRetrieveParams, retrieve_setup_intent),
)
