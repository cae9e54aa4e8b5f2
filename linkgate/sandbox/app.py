"""The sandbox put together: world, API, pages, controls and courier in one application."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from litestar import Litestar, Response, asgi
from litestar.types import Receive, Scope, Send

from linkgate.sandbox.api import Api, OnRequest
from linkgate.sandbox.control import Controls
from linkgate.sandbox.courier import RETRY_SECONDS, Courier
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.faults import FaultBook
from linkgate.sandbox.idempotency import Ledger
from linkgate.sandbox.limits import Limits
from linkgate.sandbox.pages import Pages
from linkgate.sandbox.wire import SandboxApp
from linkgate.sandbox.world import WebhookEndpoint, World

SWEEP_SECONDS = 1.0


class Sandbox:
    """A stand-in for Stripe.

    `base_url` is where browsers reach it; `api_key` (`sk_test_...`) opens the API and the
    controls; `webhooks` get signed events; `clock` gives Unix seconds; `retries` are the pauses in
    seconds between attempts to deliver an event; `on_request` is told of each API request, with its
    parameters as they were sent. Raises ValueError for a key of the wrong kind,
    so that nobody takes the sandbox's word with a live key in it.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        webhooks: Sequence[WebhookEndpoint] = (),
        clock: Callable[[], float] = time.time,
        retries: Sequence[float] = RETRY_SECONDS,
        on_request: OnRequest | None = None,
    ) -> None:
        if not api_key.startswith("sk_test_"):
            raise ValueError("api_key: the sandbox takes only a key that starts with sk_test_")
        self.world = World(base_url, webhooks, clock)
        self.faults = FaultBook()
        self.ledger = Ledger()
        self.courier = Courier(self.world, retries)
        self.world.announce = self.courier.announce
        self.limits = Limits()
        self._api = Api(self.world, api_key, self.faults, self.ledger, self.limits, on_request)

    def app(self) -> Litestar:
        """The ASGI application; webhooks are delivered while its lifespan lasts."""
        api, pages = self._api, Pages(self.world, self.courier.book, self.faults)
        controls = Controls(
            self.world, api, self.faults, self.ledger, self.limits, self.courier, pages
        )

        @asgi("/v1", is_mount=True, copy_scope=False)
        async def v1(scope: Scope, receive: Receive, send: Send) -> None:
            await api(scope, receive, send)

        app = SandboxApp(
            route_handlers=[
                v1,
                *pages.handlers(),
                *controls.handlers(),
            ],
            lifespan=[self._running],
            exception_handlers={ApiError: self._refused},
            openapi_config=None,
            # Whoever runs the sandbox sets up logging; in the demo that is linkgate itself.
            logging_config=None,
        )
        app.now = self.world.now
        return app

    @asynccontextmanager
    async def _running(self, _: Litestar) -> AsyncIterator[None]:
        await self.courier.start()
        sweeper = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await sweeper
            await self.courier.stop()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.world.sweep()

    def _refused(self, _: object, error: ApiError) -> Response[object]:
        body = error.body(self.world.new_id("req_", 14))
        # A browser that opens a control is asked for the key: it goes in as the user name.
        headers = {"WWW-Authenticate": 'Basic realm="sandbox"'} if error.status == 401 else {}
        return Response(body, status_code=error.status, headers=headers)
