"""Disputes: a person's bank takes the money of a charge back, and decides who was right.

Only a control opens or closes one; the API reads them.
Source: https://docs.stripe.com/disputes/how-disputes-work.
"""

from stripe.params import DisputeListParams, DisputeRetrieveParams

from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.world import Object, World

DAYS_TO_ANSWER = 7
#: How a dispute may end; an inquiry (`warning_...`) moved no money, and just closes.
ENDS = {
    "won": ("needs_response", "under_review"),
    "lost": ("needs_response", "under_review"),
    "warning_closed": ("warning_needs_response", "warning_under_review"),
}


def open_dispute(world: World, charge: Object, *, inquiry: bool = False) -> Object:
    """Dispute what is left of a charge; raises ApiError if it is disputed already."""
    if charge["disputed"]:
        raise ApiError(f"Charge {charge['id']} is disputed already.", code="charge_disputed")
    if charge["status"] != "succeeded":
        raise ApiError(f"Charge {charge['id']} has moved no money that could be disputed.")
    charge["disputed"] = True
    dispute = world.put(
        {
            "id": world.new_id("du_"),
            "object": "dispute",
            "amount": charge["amount"] - charge["amount_refunded"],
            "balance_transactions": [],
            "charge": charge["id"],
            "created": world.now(),
            "currency": charge["currency"],
            "evidence": {},
            "evidence_details": {
                "due_by": world.now() + DAYS_TO_ANSWER * 86_400,
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
            "is_charge_refundable": inquiry,
            "livemode": False,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "reason": "general" if inquiry else "fraudulent",
            "status": "warning_needs_response" if inquiry else "needs_response",
        }
    )
    world.emit("charge.dispute.created", dispute)
    return dispute


def close_dispute(world: World, dispute: Object, status: str) -> None:
    """End a dispute as one of `ENDS`; raises ApiError for one that can't end so."""
    if dispute["status"] not in ENDS[status]:
        raise ApiError(
            f"This dispute has a status of `{dispute['status']}`; it can't become `{status}`."
        )
    dispute |= {"status": status, "is_charge_refundable": status != "lost"}
    world.emit("charge.dispute.closed", dispute)


def retrieve(call: Call) -> Object:
    return fetch(call, "dispute", "dispute")


def list_disputes(call: Call) -> Object:
    wanted = {key: call.params[key] for key in ("charge", "payment_intent") if key in call.params}
    return page(
        call,
        "/v1/disputes",
        [
            each
            for each in call.world.every("dispute")
            if all(each[key] == value for key, value in wanted.items())
        ],
    )


OPERATIONS = (
    Operation("GET", "/v1/disputes", DisputeListParams, list_disputes, check_page),
    Operation("GET", "/v1/disputes/{id}", DisputeRetrieveParams, retrieve),
)
