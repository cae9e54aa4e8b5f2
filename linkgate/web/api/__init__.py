"""The HTTP API at /api/v1: campaigns, links, keys, counters."""

from litestar import Router

api = Router(path="/api/v1", route_handlers=[])
