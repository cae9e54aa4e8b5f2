"""Invoices of subscriptions, and which payment paid them.

Since 2025 an invoice names its subscription under `parent`, and its payments are objects of their
own (https://docs.stripe.com/changelog/basil/2025-03-31/add-support-for-multiple-partial-payments-on-invoices).
"""

from typing import Any

from stripe.params import (
    InvoiceListParams,
    InvoicePaymentListParams,
    InvoicePaymentRetrieveParams,
    InvoiceRetrieveParams,
)

from linkgate.sandbox.errors import missing_param
from linkgate.sandbox.nouns.subscriptions import period
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.world import Object, World


def add_invoice(world: World, subscription: Object, amount: int, reason: str) -> Object:
    """An open invoice over `amount` for the subscription's present period.

    The subscription's metadata are copied as they are now; later changes don't reach them.
    """
    invoice_id = world.new_id("in_")
    customer = world.get("customer", subscription["customer"] or "")
    start, end = period(subscription)
    subscription["latest_invoice"] = invoice_id
    return world.put(
        {
            "id": invoice_id,
            "object": "invoice",
            "amount_due": amount,
            "amount_paid": 0,
            "amount_remaining": amount,
            "attempt_count": 0,
            "attempted": False,
            "billing_reason": reason,
            "collection_method": "charge_automatically",
            "created": world.now(),
            "currency": subscription["currency"],
            "customer": subscription["customer"],
            "customer_email": customer["email"] if customer else None,
            "hosted_invoice_url": None,
            "lines": {
                "object": "list",
                "data": [
                    _line(world, invoice_id, subscription, item)
                    for item in subscription["items"]["data"]
                ],
                "has_more": False,
                "url": f"/v1/invoices/{invoice_id}/lines",
            },
            "livemode": False,
            "metadata": {},
            "next_payment_attempt": None,
            "number": None,
            "parent": {
                "quote_details": None,
                "subscription_details": {
                    "metadata": dict(subscription["metadata"]),
                    "subscription": subscription["id"],
                },
                "type": "subscription_details",
            },
            "period_end": end,
            "period_start": start,
            "status": "open",
            "status_transitions": {
                "finalized_at": world.now(),
                "marked_uncollectible_at": None,
                "paid_at": None,
                "voided_at": None,
            },
            "subtotal": amount,
            "total": amount,
        }
    )


def _line(world: World, invoice_id: str, subscription: Object, item: Object) -> Object:
    price = item["price"]
    trial = subscription["status"] == "trialing"
    return {
        "id": world.new_id("il_"),
        "object": "line_item",
        "amount": 0 if trial else (price["unit_amount"] or 0) * item["quantity"],
        "currency": price["currency"],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": dict(subscription["metadata"]),
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"end": item["current_period_end"], "start": item["current_period_start"]},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
    }


def add_invoice_payment(world: World, invoice: Object, intent: Object) -> Object:
    """Say that a payment intent is there to pay an invoice; open until it has."""
    world.invoice_of[intent["id"]] = invoice["id"]
    return world.put(
        {
            "id": world.new_id("inpay_"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": world.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def payments_of(world: World, invoice: Object) -> list[Object]:
    return [each for each in world.every("invoice_payment") if each["invoice"] == invoice["id"]]


def subscription_of(invoice: Object) -> str:
    return str(invoice["parent"]["subscription_details"]["subscription"])


def retrieve(call: Call) -> Object:
    return fetch(call, "invoice", "invoice")


def list_invoices(call: Call) -> Object:
    params = call.params
    wanted = {
        key: params[key] for key in ("customer", "status", "collection_method") if key in params
    }
    return page(
        call,
        "/v1/invoices",
        [
            each
            for each in call.world.every("invoice")
            if all(each[key] == value for key, value in wanted.items())
            and params.get("subscription") in (None, subscription_of(each))
        ],
    )


def check_payments(call: Call) -> None:
    check_page(call)
    payment: dict[str, Any] = call.params.get("payment", {})
    if payment and payment["type"] not in payment:
        raise missing_param(f"payment[{payment['type']}]")


def list_invoice_payments(call: Call) -> Object:
    params = call.params
    intent = params.get("payment", {}).get("payment_intent")
    return page(
        call,
        "/v1/invoice_payments",
        [
            each
            for each in call.world.every("invoice_payment")
            if params.get("invoice") in (None, each["invoice"])
            and params.get("status") in (None, each["status"])
            and ("payment" not in params or each["payment"]["payment_intent"] == intent)
        ],
    )


def retrieve_invoice_payment(call: Call) -> Object:
    return fetch(call, "invoice_payment", "invoice_payment")


OPERATIONS = (
    Operation("GET", "/v1/invoices", InvoiceListParams, list_invoices, check_page),
    Operation("GET", "/v1/invoices/{id}", InvoiceRetrieveParams, retrieve),
    Operation(
        "GET",
        "/v1/invoice_payments",
        InvoicePaymentListParams,
        list_invoice_payments,
        check_payments,
    ),
    Operation(
        "GET", "/v1/invoice_payments/{id}", InvoicePaymentRetrieveParams, retrieve_invoice_payment
    ),
)
