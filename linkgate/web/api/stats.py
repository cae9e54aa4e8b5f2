"""The API's counters."""

import logging
from dataclasses import dataclass
from typing import Annotated

from litestar import Request, get
from litestar.datastructures import State
from litestar.params import FromQuery
from pydantic import Field

from linkgate.errors import Invalid, Problem, StoreUnavailable
from linkgate.gateway import Gateway
from linkgate.store.apikeys import Scope
from linkgate.web.api.auth import needs
from linkgate.web.api.documents import Json, errors

log = logging.getLogger(__name__)

ApiRequest = Request[None, None, State]


@dataclass(frozen=True, slots=True)
class Stats:
    """What was counted for a campaign."""

    campaign: str
    counters: Annotated[
        dict[str, int],
        Field(
            description="visits.*, decisions.*, sessions.*, minting.*, and amount.* in minor units"
        ),
    ]


@get(
    "/stats",
    return_dto=Json[Stats],
    security=needs(Scope.STATS_READ),
    responses=errors(404, 422),
    summary="Read a campaign's counters",
)
async def read_stats(request: ApiRequest, campaign: FromQuery[str | None] = None) -> Stats:
    """Return what was counted for a campaign since it was created."""
    gateway: Gateway = request.app.state.gateway
    if not campaign:
        raise Invalid([Problem("campaign", "is required: add ?campaign= and a campaign's slug")])
    known = await gateway.store.campaigns.read(campaign)
    try:
        await gateway.store.recorder.flush()
    except StoreUnavailable:
        log.warning("counters are shown without what is still buffered")
    return Stats(known.slug, await gateway.store.campaigns.counts(known.slug))


handlers = (read_stats,)
