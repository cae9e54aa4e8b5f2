"""The API's deliveries: outbound webhooks that wait or are parked."""

from typing import Annotated

from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import Field, StringConstraints

from linkgate import deliveries
from linkgate.deliveries import PAGE_MAX, Deliveries, Delivery, DeliveryPage, Resent
from linkgate.errors import Invalid, Problem
from linkgate.gateway import Gateway
from linkgate.store.apikeys import Scope
from linkgate.validation import Model, validated
from linkgate.web.api.auth import needs
from linkgate.web.api.body import JsonObject
from linkgate.web.api.documents import BODY, Json, errors

ApiRequest = Request[None, None, State]


class ResendOrder(Model):
    """The body of a resend of all that is parked."""

    endpoint: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        description="The endpoint's name in the configuration"
    )


# What is out of bounds is refused below, by the field's name and with 422, as everywhere else; the
# framework's own bounds would answer 400.
_STATES = sorted(kind.value for kind in deliveries.State)
_STATE = QueryParameter(
    name="state",
    description="parked: given up, newest first; waiting: next to be sent, soonest first",
    schema_extra={"enum": _STATES},
)
_ENDPOINT = QueryParameter(description="Of this endpoint alone, by its name in the configuration")
_CURSOR = QueryParameter(description="The `next` of the page before")
_LIMIT = QueryParameter(
    description="How many at most", schema_extra={"minimum": 1, "maximum": PAGE_MAX}
)


@get(
    "/deliveries",
    return_dto=Json[DeliveryPage],
    security=needs(Scope.STATS_READ),
    responses=errors(409, 422),
    summary="List deliveries of webhooks",
)
async def list_deliveries(
    request: ApiRequest,
    # Not `state`: that is the framework's own name for something else.
    wanted: Annotated[str, _STATE] = "parked",
    endpoint: Annotated[str | None, _ENDPOINT] = None,
    cursor: Annotated[str | None, _CURSOR] = None,
    limit: Annotated[int, _LIMIT] = PAGE_MAX,
) -> DeliveryPage:
    """Return deliveries that are parked, or that wait; of all endpoints or of one."""
    if wanted not in _STATES:
        raise Invalid([Problem("state", f"must be {' or '.join(_STATES)}")])
    return await _deliveries(request).page(
        deliveries.State(wanted), endpoint=endpoint, cursor=cursor, limit=limit
    )


@post(
    "/deliveries/{delivery_id:str}/resend",
    status_code=200,
    return_dto=Json[Delivery],
    security=needs(Scope.ADMIN),
    responses=errors(404, 409),
    summary="Send a parked delivery again",
)
async def resend_delivery(request: ApiRequest, delivery_id: FromPath[str]) -> Delivery:
    """Put a parked delivery back; its message keeps its id."""
    return await _deliveries(request).resend(delivery_id)


@post(
    "/deliveries/resend",
    status_code=200,
    dto=Json[ResendOrder],
    return_dto=Json[Resent],
    security=needs(Scope.ADMIN),
    responses=errors(409, *BODY),
    summary="Send an endpoint's parked deliveries again",
)
async def resend_deliveries(
    request: ApiRequest, data: JSONBody[JsonObject | None] = None
) -> Resent:
    """Put what is parked of an endpoint back, oldest first; `left` tells whether to repeat it."""
    order = validated(ResendOrder, data or {})
    return await _deliveries(request).resend_all(order.endpoint)


def _deliveries(request: ApiRequest) -> Deliveries:
    gateway: Gateway = request.app.state.gateway
    return Deliveries(gateway.config.outbound, gateway.store, gateway.clock)


handlers = (list_deliveries, resend_delivery, resend_deliveries)
