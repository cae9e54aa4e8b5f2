"""API keys: random, shown once, kept as a hash.

A key is ``lg_<id>_<secret>``. The secret has 256 random bits, so a plain SHA-256 of it is as good
as a slow password hash: there is nothing to guess.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from linkgate.store import keys
from linkgate.store.connect import Connection

_SHAPE = re.compile(r"lg_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a key may do. `admin` may do everything."""

    LINKS_WRITE = "links:write"
    STATS_READ = "stats:read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret; `created_at` in Unix seconds."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: int

    def may(self, scope: Scope) -> bool:
        """Say whether the key carries `scope`."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class ApiKeys:
    """The API keys' part of the store; raises StoreUnavailable when it doesn't answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, name: str, scopes: Iterable[Scope], now: float) -> tuple[ApiKey, str]:
        """Make a key; returns it and its text, which can't be shown again."""
        alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
        name_of_key = "".join(secrets.choice(alphabet) for _ in range(12))
        secret = secrets.token_urlsafe(32)
        key = ApiKey(name_of_key, name, frozenset(scopes), int(now))
        async with self._connection.guard() as client:
            await client.hset(
                keys.api_key(key.id),
                mapping={
                    "name": name,
                    "scopes": " ".join(sorted(key.scopes)),
                    "created_at": key.created_at,
                    "hash": _hash(secret),
                },
            )
            await client.zadd(keys.API_KEYS, {key.id: now})
        return key, f"lg_{key.id}_{secret}"

    async def find(self, text: str) -> ApiKey | None:
        """Return the key with this text, or None."""
        match = _SHAPE.fullmatch(text)
        if not match:
            return None
        async with self._connection.guard() as client:
            row = cast(dict[str, str], await client.hgetall(keys.api_key(match[1])))
        # Compared even where there is no such key: the time taken must not tell which ids exist.
        expected = row.get("hash", "0" * 64)
        if not hmac.compare_digest(expected, _hash(match[2])) or not row:
            return None
        return _key(match[1], row)

    async def list(self) -> list[ApiKey]:
        """Return all keys, oldest first."""
        async with self._connection.guard() as client:
            ids = cast(list[str], await client.zrange(keys.API_KEYS, 0, -1))
            rows = [cast(dict[str, str], await client.hgetall(keys.api_key(i))) for i in ids]
        return [_key(key_id, row) for key_id, row in zip(ids, rows, strict=True) if row]

    async def revoke(self, key_id: str) -> bool:
        """Delete a key; False if there was none with this id."""
        async with self._connection.guard() as client:
            gone = await client.delete(keys.api_key(key_id))
            await client.zrem(keys.API_KEYS, key_id)
        return bool(gone)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(key_id: str, row: dict[str, str]) -> ApiKey:
    scopes = frozenset(map(Scope, row["scopes"].split()))
    return ApiKey(key_id, row["name"], scopes, int(row["created_at"]))
