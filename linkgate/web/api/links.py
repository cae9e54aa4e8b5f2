"""The API's links."""

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody

from linkgate.gateway import Gateway
from linkgate.issuing import Issued, NewLink
from linkgate.picturing import Picture
from linkgate.store.apikeys import Scope
from linkgate.web.api.auth import needs
from linkgate.web.api.body import JsonObject
from linkgate.web.api.documents import BODY, Json, errors

ApiRequest = Request[None, None, State]


@post(
    "/links",
    dto=Json[NewLink],
    return_dto=Json[Issued],
    security=needs(Scope.LINKS_WRITE),
    responses=errors(409, *BODY),
    summary="Create a link",
)
async def create_link(
    request: ApiRequest, data: JSONBody[JsonObject | None] = None
) -> Response[Issued]:
    """Sign one recipient's link into a campaign; only private attributes are stored."""
    gateway: Gateway = request.app.state.gateway
    issued = await gateway.desk.issue(data or {}, gateway.clock())
    # By its token: by its id it is not known before somebody visits it.
    location = f"{gateway.config.server.public_url}/api/v1/links/{issued.token}"
    return Response(issued, headers={"location": location})


@get(
    "/links/{name:str}",
    return_dto=Json[Picture],
    security=needs(Scope.STATS_READ, Scope.LINKS_WRITE),
    responses=errors(404),
    summary="Read a link",
)
async def read_link(request: ApiRequest, name: FromPath[str]) -> Picture:
    """Return a link with its visits and sessions, by its id or by any of its tokens.

    A link that nobody has visited is stored nowhere, so only its token is known.
    """
    gateway: Gateway = request.app.state.gateway
    return await gateway.desk.picture(name, gateway.clock())


@post(
    "/links/{name:str}/revoke",
    status_code=200,
    return_dto=Json[Picture],
    security=needs(Scope.LINKS_WRITE),
    responses=errors(404),
    summary="Revoke a link",
)
async def revoke_link(request: ApiRequest, name: FromPath[str]) -> Picture:
    """Make a link lead nowhere, for good, by its id or by any of its tokens."""
    gateway: Gateway = request.app.state.gateway
    return await gateway.desk.revoke(name, gateway.clock())


handlers = (create_link, read_link, revoke_link)
