"""Webhook endpoints: created with a secret that is shown once, then listed without it."""

from stripe.params import (
    WebhookEndpointCreateParams,
    WebhookEndpointListParams,
    WebhookEndpointRetrieveParams,
)

from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.rules import check_url
from linkgate.sandbox.world import Object, WebhookEndpoint


def check_endpoint(call: Call) -> None:
    check_url(call.params["url"], "url")


def create(call: Call) -> Object:
    params = call.params
    webhook = WebhookEndpoint(
        url=params["url"],
        secret=call.world.new_id("whsec_", 32),
        enabled_events=tuple(params["enabled_events"]),
    )
    endpoint = call.world.add_webhook_endpoint(
        webhook,
        description=params.get("description"),
        metadata=params.get("metadata") or {},
        api_version=params.get("api_version"),
    )
    return {**endpoint, "secret": webhook.secret}


def retrieve(call: Call) -> Object:
    return fetch(call, "webhook_endpoint", "id")


def list_endpoints(call: Call) -> Object:
    return page(call, "/v1/webhook_endpoints", call.world.every("webhook_endpoint"))


OPERATIONS = (
    Operation("POST", "/v1/webhook_endpoints", WebhookEndpointCreateParams, create, check_endpoint),
    Operation(
        "GET", "/v1/webhook_endpoints", WebhookEndpointListParams, list_endpoints, check_page
    ),
    Operation("GET", "/v1/webhook_endpoints/{id}", WebhookEndpointRetrieveParams, retrieve),
)
