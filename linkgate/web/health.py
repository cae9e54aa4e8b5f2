"""Whether this process lives, and whether it can serve."""

from litestar import Request, Response, get
from litestar.datastructures import State

from linkgate.gateway import Gateway

_NO_STORE = {"cache-control": "no-store"}


@get("/health/live", include_in_schema=False)
async def live() -> Response[dict[str, str]]:
    """Answer as long as the event loop turns."""
    return Response({"status": "alive"}, headers=_NO_STORE)


@get("/health/ready", include_in_schema=False)
async def ready(request: Request[None, None, State]) -> Response[dict[str, str]]:
    """Answer 200 if the store answers; StoreUnavailable becomes 503."""
    gateway: Gateway = request.app.state.gateway
    await gateway.store.connection.ping()
    return Response({"status": "ready"}, headers=_NO_STORE)


handlers = (live, ready)
