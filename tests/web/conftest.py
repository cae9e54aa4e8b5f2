"""The whole application, by its production constructor, on a real store."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from litestar import Litestar

from linkgate.config import Config, parse
from linkgate.gateway import Gateway
from linkgate.store.apikeys import Scope
from linkgate.web.app import create
from tests.store import servers

#: 2040-01-01T00:00:00Z. In the future, because the store drops by its own clock what has expired.
NOW = 2_208_988_800.0
DAY = 86_400

CAMPAIGN = {
    "slug": "spring",
    "name": "Spring sale",
    "destination": {
        "kind": "checkout",
        "mode": "payment",
        "line_items": [{"price": "price_123", "quantity": 1}],
        "success_url": "https://shop.example.com/thanks",
    },
}


@dataclass
class Clock:
    """A clock that stands where it is put."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Api:
    """A client of the API, which carries an administrator's key unless told otherwise."""

    client: httpx.AsyncClient
    gateway: Gateway
    clock: Clock
    keys: dict[Scope, str] = field(default_factory=dict, repr=False)

    async def key(self, *scopes: Scope) -> str:
        """A new key's text."""
        _, text = await self.gateway.store.keys.create("test", scopes, self.clock())
        return text

    async def send(
        self, method: str, path: str, *, scope: Scope | None = Scope.ADMIN, **how: Any
    ) -> httpx.Response:
        """Send a request below /api/v1 with a key of one scope, or with none."""
        headers = dict(how.pop("headers", {}))
        if scope:
            if scope not in self.keys:
                self.keys[scope] = await self.key(scope)
            headers["authorization"] = f"Bearer {self.keys[scope]}"
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **how)

    async def get(self, path: str, **how: Any) -> httpx.Response:
        """GET, as an administrator."""
        return await self.send("GET", path, **how)

    async def post(self, path: str, body: Any = None, **how: Any) -> httpx.Response:
        """POST a JSON body, as an administrator."""
        return await self.send("POST", path, **({} if body is None else {"json": body}), **how)

    async def patch(self, path: str, body: Any, **how: Any) -> httpx.Response:
        """PATCH with a JSON body, as an administrator."""
        return await self.send("PATCH", path, json=body, **how)

    async def campaign(self, **changes: Any) -> dict[str, Any]:
        """A campaign, made through the API."""
        answer = await self.post("/campaigns", {**CAMPAIGN, **changes})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def link(self, **changes: Any) -> dict[str, Any]:
        """A link, made through the API."""
        body = {"campaign": "spring", "recipient": "r-1001", **changes}
        answer = await self.post("/links", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def scan(self, url: str) -> httpx.Response:
        """Open a link as a machine does that says so."""
        path = url.removeprefix(self.gateway.config.server.public_url)
        return await self.client.get(path, headers={"user-agent": "python-requests/2.32"})


def fields(answer: httpx.Response) -> dict[str, str]:
    """What a 422 says of each field."""
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["message"] for error in problem(answer)["errors"]}


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem in an answer, which has to be one by RFC 9457."""
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["title"]
    assert found["detail"]
    return found


@pytest.fixture(scope="session")
def web_store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server for the tests of the web, shared by the session."""
    with servers.valkey(tmp_path_factory.mktemp("web-store")) as url:
        yield url


@pytest.fixture
def config(web_store_url: str) -> Config:
    """A configuration with that store, and with a Stripe that is nowhere."""
    return parse(
        {
            "server": {"public_url": "https://go.example.com"},
            "signing": {"keys": ["kD4wq8Zr1TnXv6LmB0sYhG3uJp9EcAf5"]},
            "store": {"url": web_store_url},
            "stripe": {
                "api_key": "sk_test_51NothingThatStripeKnows",
                "api_base": "http://127.0.0.1:9",
            },
        }
    )


@pytest.fixture
def clock() -> Clock:
    """The application's clock."""
    return Clock()


@pytest.fixture
async def app(config: Config, clock: Clock) -> AsyncIterator[Litestar]:
    """The application, started, on an empty store."""
    made = create(config, clock)
    async with started(made):
        await made.state.gateway.store.connection.client.flushall()
        yield made


@asynccontextmanager
async def started(app: Litestar) -> AsyncIterator[None]:
    """Run an application's lifespan in a task of its own, as it has to end where it began."""
    up, down = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            up.set()
            await down.wait()

    life = asyncio.create_task(live())
    coming = asyncio.create_task(up.wait())
    await asyncio.wait({life, coming}, return_when=asyncio.FIRST_COMPLETED)
    coming.cancel()
    if life.done():
        life.result()
    try:
        yield
    finally:
        down.set()
        await life


@pytest.fixture
async def api(app: Litestar, clock: Clock) -> AsyncIterator[Api]:
    """A client of the application's API."""
    asgi: Any = app
    transport = httpx.ASGITransport(app=asgi)
    base = "https://go.example.com"
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        yield Api(client, app.state.gateway, clock)
