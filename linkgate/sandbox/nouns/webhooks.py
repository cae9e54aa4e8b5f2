"""Webhook endpoints: created with a secret that is shown once, then listed without it."""

from stripe.params import (
    WebhookEndpointCreateParams,
    WebhookEndpointDeleteParams,
    WebhookEndpointListParams,
    WebhookEndpointRetrieveParams,
    WebhookEndpointUpdateParams,
)

from linkgate.sandbox.errors import ApiError, missing_param
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.rules import check_url
from linkgate.sandbox.world import Object, WebhookEndpoint

NOUN = "webhook_endpoint"
# https://docs.stripe.com/webhooks#register-your-endpoint
MOST = 16


def check_endpoint(call: Call) -> None:
    if "url" in call.params:
        check_url(call.params["url"], "url")
    if call.params.get("enabled_events") == []:
        raise missing_param("enabled_events")


def create(call: Call) -> Object:
    world, params = call.world, call.params
    if len(world.every(NOUN)) >= MOST:
        raise ApiError(f"You have reached the maximum of {MOST} test webhook endpoints.")
    webhook = WebhookEndpoint(
        url=params["url"],
        secret=world.new_id("whsec_", 32),
        enabled_events=tuple(params["enabled_events"]),
        api_version=params.get("api_version"),
    )
    endpoint = world.add_webhook_endpoint(
        webhook,
        description=params.get("description"),
        metadata=params.get("metadata") or {},
    )
    return {**endpoint, "secret": webhook.secret}


def retrieve(call: Call) -> Object:
    return fetch(call, NOUN, "webhook_endpoint")


def update(call: Call) -> Object:
    """Change what is given; metadata are merged, and an empty string clears."""
    endpoint, params = fetch(call, NOUN, "webhook_endpoint"), call.params
    for name in ("url", "enabled_events"):
        if name in params:
            endpoint[name] = params[name]
    if "description" in params:
        endpoint["description"] = params["description"] or None
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    if "metadata" in params:
        given = params["metadata"]
        endpoint["metadata"] = {**endpoint["metadata"], **given} if given else {}
    return endpoint


def delete(call: Call) -> Object:
    endpoint = fetch(call, NOUN, "webhook_endpoint")
    del call.world.objects[NOUN][endpoint["id"]]
    return {"id": endpoint["id"], "object": NOUN, "deleted": True}


def list_endpoints(call: Call) -> Object:
    return page(call, "/v1/webhook_endpoints", call.world.every(NOUN))


OPERATIONS = (
    Operation("POST", "/v1/webhook_endpoints", WebhookEndpointCreateParams, create, check_endpoint),
    Operation(
        "GET", "/v1/webhook_endpoints", WebhookEndpointListParams, list_endpoints, check_page
    ),
    Operation("GET", "/v1/webhook_endpoints/{id}", WebhookEndpointRetrieveParams, retrieve),
    Operation(
        "POST", "/v1/webhook_endpoints/{id}", WebhookEndpointUpdateParams, update, check_endpoint
    ),
    Operation("DELETE", "/v1/webhook_endpoints/{id}", WebhookEndpointDeleteParams, delete),
)
