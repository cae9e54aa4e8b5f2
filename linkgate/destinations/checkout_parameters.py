"""The parameters of a Checkout Session: the campaign's, the link's, and what the laws need."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from linkgate import anonymous
from linkgate.destinations.checkout_rules import automatic_tax, collects_tax_ids
from linkgate.references import CANCELLED
from linkgate.tokens import Link

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign
    from linkgate.destinations.checkout_settings import CheckoutDestination

#: Stripe wants expires_at at least 30 minutes ahead on ITS clock; ours may be behind it.
CLOCK_MARGIN_SECONDS = 120

MAX_METADATA = 50

#: Metadata goes onto the object that later events speak of, or they could not be attributed.
DATA_OF_MODE = {
    "payment": "payment_intent_data",
    "subscription": "subscription_data",
    "setup": "setup_intent_data",
}


def parameters(
    campaign: "Campaign",
    link: Link,
    private: Mapping[str, Any],
    *,
    attempt: int,
    attempt_at: float,
    back: str,
) -> dict[str, Any]:
    """Return the parameters of POST /v1/checkout/sessions; the same for the same attempt.

    The campaign's own `params` come first; what linkgate's laws need is laid over them. `back` is
    the address of linkgate's own page for this link, where the campaign has none of its own.
    """
    wanted = cast("CheckoutDestination", campaign.destination)
    own = {
        "linkgate_link": link.id,
        "linkgate_campaign": link.campaign,
        "linkgate_recipient": link.recipient,
        "linkgate_attempt": str(attempt),
    }
    of_link = private.get("metadata")
    params: dict[str, Any] = {
        **wanted.params,
        "mode": wanted.mode,
        "success_url": wanted.success_url or back,
        "cancel_url": wanted.cancel_url or back + CANCELLED,
        "client_reference_id": link.id,
        "expires_at": math.ceil(attempt_at) + campaign.session_minutes * 60 + CLOCK_MARGIN_SECONDS,
        "metadata": _metadata(own, of_link, wanted.params.get("metadata")),
    }
    data = DATA_OF_MODE[wanted.mode]
    given = wanted.params.get(data) or {}
    params[data] = {**given, "metadata": _metadata(own, of_link, given.get("metadata"))}
    if wanted.line_items:
        items = [item.parameters() for item in wanted.line_items]
        params["line_items"] = anonymous.line_items(campaign, link, items)
    _add_conveniences(params, wanted, data)
    if link.customer:
        params["customer"] = link.customer
        params.pop("customer_email", None)
        params.pop("customer_creation", None)
        _let_update(params, wanted)
    else:
        # Stripe refuses it without a customer; a link without one must not be shut out by it.
        params.pop("customer_update", None)
        if private.get("email"):
            params["customer_email"] = private["email"]
    return params


def _add_conveniences(params: dict[str, Any], wanted: "CheckoutDestination", data: str) -> None:
    if wanted.currency:
        params["currency"] = wanted.currency
    if wanted.allow_promotion_codes is not None:
        params["allow_promotion_codes"] = wanted.allow_promotion_codes
    if wanted.automatic_tax is not None:
        params["automatic_tax"] = {"enabled": wanted.automatic_tax}
    if wanted.locale:
        params["locale"] = wanted.locale
    if wanted.customer_update:
        params["customer_update"] = dict(wanted.customer_update)
    if wanted.trial_days:
        params[data] = {**params[data], "trial_period_days": wanted.trial_days}
    if wanted.recovery:
        recovery: dict[str, Any] = {"enabled": True}
        if wanted.allow_promotion_codes:
            recovery["allow_promotion_codes"] = True
        params["after_expiration"] = {"recovery": recovery}


def _let_update(params: dict[str, Any], wanted: "CheckoutDestination") -> None:
    # Stripe refuses a known customer without a valid address where it works out the tax or collects
    # tax ids, and any known customer in the second case, unless it may save what they enter:
    # https://docs.stripe.com/tax/checkout and https://docs.stripe.com/tax/checkout/tax-ids
    update = dict(params.get("customer_update") or {})
    if collects_tax_ids(wanted):
        update.setdefault("name", "auto")
        update.setdefault("address", "auto")
    if automatic_tax(wanted) and update.get("shipping") != "auto":
        update.setdefault("address", "auto")
    if update:
        params["customer_update"] = update


def _metadata(*sources: Mapping[str, Any] | None) -> dict[str, str]:
    """Merge, the first source strongest, as far as Stripe's 50 keys go.

    https://docs.stripe.com/api/metadata: one key too many would turn everyone away.
    """
    merged: dict[str, str] = {}
    for source in sources:
        for name, value in (source or {}).items():
            if len(merged) < MAX_METADATA:
                merged.setdefault(str(name), str(value))
    return merged
