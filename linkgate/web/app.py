"""The application: wiring only."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import (
    ControllerRouterHandler,
    LifeSpanReceive,
    LifeSpanScope,
    LifeSpanSend,
    Receive,
    Scope,
    Send,
)

import linkgate
from linkgate import config as configuration
from linkgate.config import Config
from linkgate.errors import LinkgateError
from linkgate.gateway import Clock, Gateway
from linkgate.logs import set_up
from linkgate.web import errors, health, hooks, links, public, returns, static, unsubscribing
from linkgate.web.api import api
from linkgate.web.api.documents import COMPONENTS

#: What people come to, which is answered before the framework: see `plain`.
_PEOPLES = (
    (links.is_link, links.visit),
    (public.is_way, public.visit),
    (returns.is_return, returns.visit),
    (unsubscribing.is_unsubscribe, unsubscribing.visit),
)


class Application(Litestar):
    """Litestar, with what people come to before its router."""

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        """Answer one request, or the server's start and end."""
        for matches, answer in _PEOPLES:
            if matches(scope):
                await answer(
                    self.state.gateway, cast(Scope, scope), cast(Receive, receive), cast(Send, send)
                )
                return
        await super().__call__(scope, receive, send)


def create(config: Config, clock: Clock | None = None) -> Application:
    """Return the application for `config`; the store and the clients open when it starts."""

    @asynccontextmanager
    async def gateway(app: Litestar) -> AsyncIterator[None]:
        app.state.gateway = await (Gateway.open(config, clock) if clock else Gateway.open(config))
        try:
            yield
        finally:
            await app.state.gateway.close()

    handlers: list[ControllerRouterHandler] = [
        hooks.stripe_event,
        api,
        *health.handlers,
        *static.handlers(config),
    ]
    return Application(
        handlers,
        lifespan=[gateway],
        exception_handlers={
            LinkgateError: errors.answer_linkgate_error,
            HTTPException: errors.answer_http_error,
            Exception: errors.answer_bug,
        },
        openapi_config=OpenAPIConfig(
            title="linkgate",
            version=linkgate.__version__,
            path="/api",
            components=[COMPONENTS],
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        ),
        request_max_body_size=config.server.max_body_bytes,
        logging_config=None,
    )


def create_from_environment() -> Application:
    """Return the application for the configuration that the environment names: one worker's."""
    path = os.environ.get("LINKGATE_CONFIG")
    config = configuration.load(Path(path) if path else None, os.environ)
    set_up(config.log)
    return create(config)
