"""The API's own keys."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from litestar import Request, delete, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from pydantic import Field, StringConstraints

from linkgate.errors import NotFound
from linkgate.gateway import Gateway
from linkgate.store.apikeys import ApiKey, Scope
from linkgate.validation import Model, validated
from linkgate.web.api.auth import needs
from linkgate.web.api.body import JsonObject
from linkgate.web.api.documents import BODY, Json, errors

ApiRequest = Request[None, None, State]


class NewKey(Model):
    """The body of a key's creation."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)] = Field(
        description="What it is for, so that you know it again"
    )
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=10)]


@dataclass(frozen=True, slots=True)
class ShownKey:
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """An API key, with its text."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    key: Annotated[str, Field(description="Shown this once: only a hash of it is kept")]


@dataclass(frozen=True, slots=True)
class KeyList:
    """All API keys, oldest first."""

    keys: list[ShownKey]


@post(
    "/keys",
    dto=Json[NewKey],
    return_dto=Json[CreatedKey],
    security=needs(Scope.ADMIN),
    responses=errors(*BODY),
    summary="Create an API key",
)
async def create_key(request: ApiRequest, data: JSONBody[JsonObject | None] = None) -> CreatedKey:
    """Make an API key; the answer is the only place where it is shown."""
    gateway: Gateway = request.app.state.gateway
    new = validated(NewKey, data or {})
    key, text = await gateway.store.keys.create(new.name, new.scopes, gateway.clock())
    shown = _shown(key)
    return CreatedKey(shown.id, shown.name, shown.scopes, shown.created_at, text)


@get(
    "/keys",
    return_dto=Json[KeyList],
    security=needs(Scope.ADMIN),
    responses=errors(),
    summary="List the API keys",
)
async def list_keys(request: ApiRequest) -> KeyList:
    """Return all API keys without their secrets, oldest first."""
    gateway: Gateway = request.app.state.gateway
    return KeyList([_shown(key) for key in await gateway.store.keys.list()])


@delete(
    "/keys/{key_id:str}",
    security=needs(Scope.ADMIN),
    responses=errors(404),
    summary="Revoke an API key",
)
async def revoke_key(request: ApiRequest, key_id: FromPath[str]) -> None:
    """Delete an API key; whoever holds it is turned away from now on."""
    gateway: Gateway = request.app.state.gateway
    if not await gateway.store.keys.revoke(key_id):
        raise NotFound("there is no API key with this id")


def _shown(key: ApiKey) -> ShownKey:
    created = datetime.fromtimestamp(key.created_at, UTC)
    return ShownKey(key.id, key.name, sorted(key.scopes), created)


handlers = (create_key, list_keys, revoke_key)
