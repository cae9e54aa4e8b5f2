"""Events, for reading what no webhook brought."""

from fnmatch import fnmatchcase

from stripe.params import EventListParams, EventRetrieveParams

from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.world import Object

# https://docs.stripe.com/api/events/list: how far back events can be read
SECONDS_KEPT = 30 * 86_400


def retrieve(call: Call) -> Object:
    return fetch(call, "event", "id")


def check_types(call: Call) -> None:
    check_page(call)
    if "type" in call.params and "types" in call.params:
        raise ApiError("You may only specify one of these parameters: type, types.", param="type")
    if len(call.params.get("types", [])) > 20:
        raise ApiError("You may only pass up to 20 types.", param="types")


def list_events(call: Call) -> Object:
    params, since = call.params, call.world.now() - SECONDS_KEPT
    kinds = params.get("types") or ([params["type"]] if "type" in params else ["*"])
    delivered = params.get("delivery_success")
    return page(
        call,
        "/v1/events",
        [
            event
            for event in call.world.every("event")
            if event["created"] >= since
            and any(fnmatchcase(event["type"], kind) for kind in kinds)
            and (delivered is None or (event["pending_webhooks"] == 0) == delivered)
        ],
    )


OPERATIONS = (
    Operation("GET", "/v1/events", EventListParams, list_events, check_types),
    Operation("GET", "/v1/events/{id}", EventRetrieveParams, retrieve),
)
