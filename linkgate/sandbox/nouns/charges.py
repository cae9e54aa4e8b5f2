"""Charges: the money of one try at a payment; and refunds, which take some of it back."""

from typing import Any

from stripe.params import (
    ChargeListParams,
    ChargeRetrieveParams,
    RefundCreateParams,
    RefundListParams,
    RefundRetrieveParams,
)

from linkgate.sandbox.errors import ApiError, missing_param, no_such
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.world import NO_REQUEST, Cause, Object, World


def add_charge(world: World, intent: Object, failure: Object | None = None) -> Object:
    """The charge of a payment intent: succeeded, or failed for what `failure` says."""
    charge_id = world.new_id("ch_")
    intent["latest_charge"] = charge_id
    return world.put(
        {
            "id": charge_id,
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": 0 if failure else intent["amount"],
            "amount_refunded": 0,
            "balance_transaction": None if failure else world.new_id("txn_"),
            "captured": not failure,
            "created": world.now(),
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_code": failure["code"] if failure else None,
            "failure_message": failure["message"] if failure else None,
            "livemode": False,
            # Stripe copies the intent's metadata once, when the charge is made.
            "metadata": dict(intent["metadata"]),
            "outcome": {
                "network_status": "declined_by_network" if failure else "approved_by_network",
                "reason": failure["decline_code"] if failure else None,
                "type": "issuer_declined" if failure else "authorized",
            },
            "paid": not failure,
            "payment_intent": intent["id"],
            "payment_method": intent["payment_method"],
            "receipt_email": intent["receipt_email"],
            "refunded": False,
            "status": "failed" if failure else "succeeded",
            "transfer_group": intent["transfer_group"],
        }
    )


def refund(
    world: World,
    charge: Object,
    amount: int | None = None,
    cause: Cause = NO_REQUEST,
    **given: Any,
) -> Object:
    """Give back `amount` of a charge, or all that is left; raises ApiError for more than that."""
    left = charge["amount_captured"] - charge["amount_refunded"]
    if charge["disputed"] and not _refundable(world, charge):
        raise ApiError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    if not left:
        raise ApiError(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    amount = left if amount is None else amount
    if amount > left:
        raise ApiError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            param="amount",
        )
    made = world.put(
        {
            "id": world.new_id("re_"),
            "object": "refund",
            "amount": amount,
            "balance_transaction": world.new_id("txn_"),
            "charge": charge["id"],
            "created": world.now(),
            "currency": charge["currency"],
            "destination_details": {"card": {"type": "refund"}, "type": "card"},
            "metadata": given.get("metadata") or {},
            "payment_intent": charge["payment_intent"],
            "reason": given.get("reason"),
            "receipt_number": None,
            "status": "succeeded",
        }
    )
    world.emit("refund.created", made, cause)
    given_back = charge["amount_refunded"] + amount
    changes = {
        "amount_refunded": given_back,
        "refunded": given_back == charge["amount_captured"],
    }
    world.change(charge, "charge.refunded", changes, cause)
    return made


def _refundable(world: World, charge: Object) -> bool:
    """Whether no dispute holds the money."""
    disputes = [each for each in world.every("dispute") if each["charge"] == charge["id"]]
    return all(each["is_charge_refundable"] for each in disputes)


def fail_refund(world: World, made: Object) -> None:
    """A refund that the bank sends back: the charge is as if it had never been made."""
    if made["status"] != "succeeded":
        raise ApiError(f"This refund has a status of `{made['status']}`; it can't fail any more.")
    made |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
    charge = world.objects["charge"][made["charge"]]
    charge["amount_refunded"] -= made["amount"]
    charge["refunded"] = False
    world.emit("refund.failed", made)


def check_refund(call: Call) -> None:
    params = call.params
    if "charge" not in params and "payment_intent" not in params:
        raise missing_param("charge")
    if params.get("amount", 1) < 1:
        raise ApiError(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount",
        )


def create_refund(call: Call) -> Object:
    world, params = call.world, call.params
    charge_id, param = params.get("charge"), "charge"
    if charge_id is None:
        intent = world.get("payment_intent", params["payment_intent"])
        if intent is None:
            raise no_such("payment_intent", params["payment_intent"], "payment_intent")
        charge_id, param = intent["latest_charge"], "payment_intent"
    charge = world.get("charge", charge_id or "")
    if charge is None and param == "charge":
        raise no_such("charge", charge_id or "", param)
    if charge is None or charge["status"] != "succeeded":
        raise ApiError(
            "This PaymentIntent does not have a successful charge to refund.", param=param
        )
    return refund(
        world,
        charge,
        params.get("amount"),
        call.cause,
        metadata=params.get("metadata"),
        reason=params.get("reason"),
    )


def retrieve_charge(call: Call) -> Object:
    return fetch(call, "charge", "charge")


def list_charges(call: Call) -> Object:
    return _listed(call, "charge", "/v1/charges", ("customer", "payment_intent"))


def retrieve_refund(call: Call) -> Object:
    return fetch(call, "refund", "refund")


def list_refunds(call: Call) -> Object:
    return _listed(call, "refund", "/v1/refunds", ("charge", "payment_intent"))


def _listed(call: Call, noun: str, url: str, filters: tuple[str, ...]) -> Object:
    wanted = {key: call.params[key] for key in filters if key in call.params}
    return page(
        call,
        url,
        [
            each
            for each in call.world.every(noun)
            if all(each[key] == value for key, value in wanted.items())
        ],
    )


OPERATIONS = (
    Operation("GET", "/v1/charges", ChargeListParams, list_charges, check_page),
    Operation("GET", "/v1/charges/{id}", ChargeRetrieveParams, retrieve_charge),
    Operation("POST", "/v1/refunds", RefundCreateParams, create_refund, check_refund),
    Operation("GET", "/v1/refunds", RefundListParams, list_refunds, check_page),
    Operation("GET", "/v1/refunds/{id}", RefundRetrieveParams, retrieve_refund),
)
