"""Stripe and the operator's system, without sockets, for trials in virtual time."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, cast

import stripe

from linkgate.destinations.base import Unreachable
from linkgate.egress import Reply
from linkgate.sandbox.api import Api
from linkgate.sandbox.courier import signature
from linkgate.sandbox.faults import Fault, FaultBook
from linkgate.sandbox.idempotency import Ledger
from linkgate.sandbox.limits import Limits
from linkgate.sandbox.versions import event_for
from linkgate.sandbox.world import Object, WebhookEndpoint, World
from tests.bars.mortal import BEGIN, Life, Weather
from tests.bars.virtual import VirtualLoop
from tests.stack import STRIPE_KEY, WEBHOOK_SECRET

BASE = "http://stripe.test"
URL = "http://127.0.0.1:8080"
#: What linkgate waits for one answer.
TIMEOUT_SECONDS = 4.0
_ID = re.compile(r"/(cs|pi)_\w+")


class Wire(stripe.HTTPClient):
    """The way to the sandbox's API for stripe-python, without sockets."""

    name = "trial"

    def __init__(self, stand_in: "StandIn", life: Life) -> None:
        super().__init__()
        self._stand_in = stand_in
        self._life = life

    async def request_async(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        what = f"{method} {url.removeprefix(f'{BASE}/v1').partition('?')[0]}"
        what = _ID.sub("", what)
        await self._life.before(what)
        # What is on its way arrives, whoever has given up waiting for it meanwhile.
        call = asyncio.ensure_future(self._stand_in.call(method, url, headers, post_data))
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
        answer = await asyncio.shield(call)
        await self._life.behind(what)
        return answer

    async def close_async(self) -> None:
        return


class StandIn:
    """Stripe: the sandbox's world and its API."""

    def __init__(self, weather: Weather, loop: VirtualLoop) -> None:
        self.weather = weather
        self._loop = loop
        hooks = WebhookEndpoint(f"{URL}/webhooks/stripe", WEBHOOK_SECRET)
        self.world = World(BASE, [hooks], self.clock)
        self.keys = Ledger()
        self.faults = FaultBook()
        self.api = Api(self.world, STRIPE_KEY, self.faults, self.keys, Limits())
        #: Sessions that were made when whoever asked for them had long given up.
        self.late: set[str] = set()
        #: Events on their way to linkgate.
        self.mail: list[Object] = []
        self.world.announce = self.mail.append

    def clock(self) -> float:
        return BEGIN + self._loop.time()

    def signed(self, event: Object) -> tuple[bytes, str]:
        body = json.dumps(event_for(self.world, event, None), default=str).encode()
        return body, signature(body, WEBHOOK_SECRET, int(self.clock()))

    async def call(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        chance = self.weather.chance
        lost, began = False, self._loop.time()
        if chance.random() < self.weather.stripe:
            how = chance.choice(("lost", "unanswered", "late", "500", "500 executed", "429", "503"))
            if how == "lost":
                raise stripe.APIConnectionError("the request was lost")
            if how == "late":
                await asyncio.sleep(chance.uniform(1, 8))
            lost = how == "unanswered"
            if how[:3].isdigit():
                self.faults.clear()
                executed = "executed" in how
                self.faults.add(Fault("*", status=int(how[:3]), executed=executed))
        answer = await self._call(method, url, headers, post_data)
        if self._loop.time() - began > TIMEOUT_SECONDS:
            self.late.add(str(json.loads(answer[0]).get("id")))
        if lost:
            raise stripe.APIConnectionError("the answer was lost")
        return answer

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        path, _, query = url.removeprefix(f"{BASE}/v1").partition("?")
        scope = {
            "type": "http",
            "method": method.upper(),
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), str(v).encode()) for k, v in headers.items()],
        }
        sent = (post_data or "").encode() if isinstance(post_data, str) else post_data or b""
        body, status, told = b"", 0, {"date": formatdate(self.world.now(), usegmt=True)}

        async def receive() -> Any:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal body, status
            if message["type"] == "http.response.start":
                status = message["status"]
                told.update((k.decode(), v.decode()) for k, v in message["headers"])
            else:
                body += message["body"]

        await self.api(cast(Any, scope), receive, send)
        return body, status, told


@dataclass
class Shop:
    """The operator's system, and what came to it."""

    weather: Weather
    came: list[tuple[str, bytes]] = field(default_factory=list)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], **more: Any) -> Reply:
        chance = self.weather.chance
        await self.weather.delay()
        if chance.random() < self.weather.receiver:
            raise Unreachable("it does not answer")
        self.came.append((headers["webhook-id"], body))
        if chance.random() < self.weather.receiver:
            raise Unreachable("its answer was lost")
        await self.weather.delay()
        return Reply(204, b"", {})
