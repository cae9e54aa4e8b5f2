"""Webhooks that come in."""

from litestar import Request, Response, post
from litestar.datastructures import State

from linkgate.gateway import Gateway

#: Stripe's events are some kilobytes; the largest have been seen at a few hundred.
MAX_EVENT_BYTES = 1_048_576


@post("/webhooks/stripe", status_code=200, request_max_body_size=MAX_EVENT_BYTES)
async def stripe_event(request: Request[None, None, State]) -> Response[dict[str, str]]:
    """Take in one of Stripe's events; 400 if its signature isn't good, 503 if it can't be kept."""
    gateway: Gateway = request.app.state.gateway
    taken = await gateway.webhooks.take(
        await request.body(), request.headers.get("stripe-signature", ""), gateway.clock()
    )
    return Response({"status": taken})
