"""How a payment intent and an invoice end, with the events that say so."""

from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.nouns.charges import add_charge
from linkgate.sandbox.nouns.invoices import add_invoice_payment, payments_of
from linkgate.sandbox.nouns.payments import add_intent
from linkgate.sandbox.world import Object, World

DECLINED = {
    "code": "card_declined",
    "decline_code": "generic_decline",
    "message": "Your card was declined.",
    "type": "card_error",
}


def succeed(world: World, intent: Object) -> None:
    """The money is there."""
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "payment_method": intent["payment_method"] or world.new_id("pm_"),
    }
    add_charge(world, intent)
    world.emit("payment_intent.succeeded", intent)


def process(world: World, intent: Object) -> None:
    """The money is on its way, or not."""
    intent["status"] = "processing"
    intent["payment_method"] = world.new_id("pm_")
    world.emit("payment_intent.processing", intent)


def fail(world: World, intent: Object) -> None:
    """The money isn't coming; another try may be made with the same intent."""
    intent |= {"status": "requires_payment_method", "last_payment_error": dict(DECLINED)}
    add_charge(world, intent, DECLINED)
    world.emit("payment_intent.payment_failed", intent)


def intent_of(world: World, invoice: Object) -> Object | None:
    """The payment intent of an invoice, made when first needed; None where nothing is due.

    It has no metadata, as with Stripe: a subscription's payments know it by their invoice alone.
    """
    if not invoice["amount_due"]:
        return None
    for payment in payments_of(world, invoice):
        return world.objects["payment_intent"][payment["payment"]["payment_intent"]]
    intent = add_intent(
        world,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        given={"description": "Subscription creation"},
        kinds=["card"],
    )
    add_invoice_payment(world, invoice, intent)
    return intent


def pay_invoice(world: World, invoice: Object) -> None:
    """Pay an open invoice; raises ApiError for any other."""
    _begin(invoice)
    intent = intent_of(world, invoice)
    if intent is not None:
        succeed(world, intent)
    for payment in payments_of(world, invoice):
        payment |= {"status": "paid", "amount_paid": invoice["amount_due"]}
        payment["status_transitions"]["paid_at"] = world.now()
    invoice |= {
        "status": "paid",
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"]["paid_at"] = world.now()
    world.emit("invoice.paid", invoice)


def fail_invoice(world: World, invoice: Object) -> None:
    """A try at an open invoice that brings no money; raises ApiError for any other."""
    _begin(invoice)
    intent = intent_of(world, invoice)
    if intent is not None:
        fail(world, intent)
    # Stripe tries again by itself; here a control does.
    # https://docs.stripe.com/billing/revenue-recovery/smart-retries
    invoice["next_payment_attempt"] = world.now() + 3 * 86_400
    world.emit("invoice.payment_failed", invoice)


def _begin(invoice: Object) -> None:
    if invoice["status"] != "open":
        raise ApiError(f"Invoice is already {invoice['status']}", code="invoice_not_editable")
    invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
