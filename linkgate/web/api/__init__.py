"""The HTTP API at /api/v1: campaigns, links, keys, counters."""

from litestar import Router
from litestar.datastructures import CacheControlHeader

from linkgate.web.api import campaigns, deliveries, keys, lingering, links, stats
from linkgate.web.api.auth import authorize

api = Router(
    path="/api/v1",
    route_handlers=[
        *campaigns.handlers,
        *links.handlers,
        *keys.handlers,
        *stats.handlers,
        *deliveries.handlers,
    ],
    guards=[authorize],
    middleware=[lingering.linger],
    # Answers hold tokens, keys and what people did: nothing for a cache on the way.
    cache_control=CacheControlHeader(no_store=True),
)
