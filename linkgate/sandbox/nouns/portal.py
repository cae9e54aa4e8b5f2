"""Billing portal sessions: a page for one customer, that lives minutes.

Source: https://docs.stripe.com/api/customer_portal/sessions/create and
https://docs.stripe.com/customer-management/portal-deep-links.
"""

import copy
import secrets
from typing import Any

from stripe.params.billing_portal import SessionCreateParams

from linkgate.sandbox.errors import ApiError, missing_param, no_such
from linkgate.sandbox.nouns.subscriptions import OVER
from linkgate.sandbox.operations import Call, Operation
from linkgate.sandbox.rules import check_url
from linkgate.sandbox.world import Object

NOUN = "billing_portal.session"
# A flow names what it is about in a hash of its own name; two have nothing to say.
WITH_HASH = (
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
)
LIMITS = (("flow_data[after_completion][hosted_confirmation][custom_message]", 500),)


def check_portal(call: Call) -> None:
    """Refuse what the parameters alone show to be wrong."""
    params = call.params
    if "customer" not in params and "customer_account" not in params:
        raise missing_param("customer")
    if "customer" in params and "customer_account" in params:
        raise ApiError(
            "You may only specify one of these parameters: customer, customer_account.",
            param="customer",
        )
    if "return_url" in params:
        check_url(params["return_url"], "return_url")
    if "flow_data" in params:
        _check_flow(params["flow_data"])


def _check_flow(flow: dict[str, Any]) -> None:
    kind = flow["type"]
    for name in WITH_HASH:
        if name in flow and name != kind:
            raise ApiError(
                f"`flow_data[{name}]` can only be used when `flow_data[type]` is `{name}`.",
                param=f"flow_data[{name}]",
            )
    if kind in WITH_HASH and kind not in flow:
        raise missing_param(f"flow_data[{kind}]")
    confirm = flow.get("subscription_update_confirm", {})
    for name in ("items", "discounts"):
        path = f"flow_data[subscription_update_confirm][{name}]"
        if len(confirm.get(name, [])) > 1:
            raise ApiError(f"You may only specify one of these: {name}.", param=path)
    if confirm and not confirm["items"]:
        raise missing_param("flow_data[subscription_update_confirm][items]")
    _check_completion(flow.get("after_completion"))


def _check_completion(after: dict[str, Any] | None) -> None:
    if after is None:
        return
    path = "flow_data[after_completion]"
    for name in ("redirect", "hosted_confirmation"):
        if name in after and after["type"] != name:
            raise ApiError(
                f"`{path}[{name}]` can only be used when `{path}[type]` is `{name}`.",
                param=f"{path}[{name}]",
            )
    if after["type"] == "redirect":
        if "redirect" not in after:
            raise missing_param(f"{path}[redirect]")
        check_url(after["redirect"]["return_url"], f"{path}[redirect][return_url]")


def create(call: Call) -> Object:
    world, params = call.world, call.params
    customer = params.get("customer")
    if customer is None:
        raise no_such("customer_account", params["customer_account"], "customer_account")
    if world.get("customer", customer) is None:
        raise no_such("customer", customer, "customer")
    if params.get("configuration", world.portal_configuration) != world.portal_configuration:
        raise no_such("configuration", params["configuration"], "configuration")
    flow = params.get("flow_data")
    if flow:
        _check_subscription(call, flow, customer)
    token = secrets.token_urlsafe(32)
    return world.put(
        {
            "id": world.new_id("bps_"),
            "object": NOUN,
            "after_expiration": params.get("after_expiration"),
            "configuration": world.portal_configuration,
            "created": world.now(),
            "customer": customer,
            "customer_account": None,
            "flow": _flow(flow),
            "livemode": False,
            "locale": params.get("locale"),
            "on_behalf_of": params.get("on_behalf_of"),
            "return_url": params.get("return_url"),
            "url": f"{world.base_url}/p/session/test_{token}",
        }
    )


def _check_subscription(call: Call, flow: dict[str, Any], customer: str) -> None:
    wanted = flow.get(flow["type"])
    if wanted is None:
        return
    path = f"flow_data[{flow['type']}]"
    subscription = call.world.get("subscription", wanted["subscription"])
    # Somebody else's is as good as none.
    if subscription is None or subscription["customer"] != customer:
        raise no_such("subscription", wanted["subscription"], f"{path}[subscription]")
    if subscription["status"] in OVER:
        raise ApiError(
            f"The subscription {subscription['id']} has a status of `{subscription['status']}` "
            "and can't be changed any more.",
            param=f"{path}[subscription]",
        )
    if flow["type"] == "subscription_cancel" and subscription["cancel_at"]:
        raise ApiError(
            f"The subscription {subscription['id']} is already set to be canceled.",
            param=f"{path}[subscription]",
        )
    held = {item["id"] for item in subscription["items"]["data"]}
    for place, item in enumerate(wanted.get("items", [])):
        if item["id"] not in held:
            raise no_such("subscription_item", item["id"], f"{path}[items][{place}][id]")
        if "price" in item and call.world.get("price", item["price"]) is None:
            raise no_such("price", item["price"], f"{path}[items][{place}][price]")


def _flow(given: dict[str, Any] | None) -> Object | None:
    if given is None:
        return None
    after = given.get("after_completion") or {"type": "portal_homepage"}
    return {
        "type": given["type"],
        "after_completion": {
            "hosted_confirmation": None,
            "redirect": None,
            **copy.deepcopy(after),
        },
        **{name: copy.deepcopy(given.get(name)) for name in WITH_HASH},
    }


OPERATIONS = (
    Operation(
        "POST", "/v1/billing_portal/sessions", SessionCreateParams, create, check_portal, LIMITS
    ),
)
