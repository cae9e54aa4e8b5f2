"""The account that the API key belongs to."""

from stripe.params import AccountRetrieveCurrentParams

from linkgate.sandbox.operations import Call, Operation
from linkgate.sandbox.world import Object


def retrieve(call: Call) -> Object:
    return {
        "id": call.world.account_id,
        "object": "account",
        "business_profile": {"name": "Linkgate sandbox", "url": None},
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "DE",
        "default_currency": "eur",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Linkgate sandbox", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


OPERATIONS = (Operation("GET", "/v1/account", AccountRetrieveCurrentParams, retrieve),)
