"""The one way to the store: clients, scripts, and the border where Redis's errors end.

Retries. A command that failed with a lost connection is tried once more, at once: the usual causes
are a connection that the server closed while it was idle, and a restart. The first try may have
been carried out before the connection was lost, so whatever must not happen twice is a script that
is idempotent per visit. A timeout is never retried: the command is probably still waiting on a busy
server, and sending it again makes a slow store slower. On a cluster only scripts are retried,
because redis-py's cluster pipelines can't be told to leave timeouts out.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import redis.exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection as TcpConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from linkgate.errors import StoreUnavailable
from linkgate.store.address import Address, parse_address
from linkgate.store.embedded import EmbeddedServer
from linkgate.store.together import Together

Client = Redis | RedisCluster

# Sockets per process (and per node of a cluster). One process fills a server with far fewer; the
# rest of a crowd waits its turn instead of costing the server a connection each.
POOL_SIZE = 50
# Idle seconds after which a connection is tried with a PING before it carries a command.
HEALTH_CHECK_SECONDS = 30

_OUTAGES = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ClusterDownError,
    redis_errors.SlotNotCoveredError,
    redis_errors.TryAgainError,
    redis_errors.ReadOnlyError,
    redis_errors.OutOfMemoryError,
    OSError,
)
# Error codes of replies that redis-py has no class for: the disk is full, too few replicas are in
# sync, a script holds the server. A script's own error carries them behind a dash.
# https://valkey.io/topics/protocol/#simple-errors
_OUTAGE_CODES = ("MISCONF", "NOREPLICAS", "BUSY", "LOADING", "CLUSTERDOWN", "OOM", "READONLY")
_RETRIED_ON_CLUSTER = (redis_errors.ConnectionError, redis_errors.ClusterDownError)
# After these another node may be the one to ask.
_LOST = (*_RETRIED_ON_CLUSTER, redis_errors.TimeoutError, redis_errors.ReadOnlyError)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script under a name for messages. All the keys it is called with share one hash tag."""

    name: str
    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # EVALSHA knows a script by its SHA-1: an address in the server's cache, nothing secret.
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


class Connection:
    """A client and what kind it is: one per process and event loop, shared by all of its tasks."""

    def __init__(
        self, client: Client, *, is_cluster: bool = False, server: EmbeddedServer | None = None
    ) -> None:
        self.client = client
        self.is_cluster = is_cluster
        self._server = server
        self._together = Together(client) if isinstance(client, Redis) else None
        self._refresh: asyncio.Task[None] | None = None
        self._required: Callable[[Client], Awaitable[None]] | None = None

    @classmethod
    async def open(cls, url: str, *, timeout: float = 2.0) -> Self:  # noqa: ASYNC109 - of the sockets
        """Make ready for `url`; `timeout` is in seconds, for connecting, waiting and each reply.

        The embedded server is started here. Any other store is not contacted: one that is down
        when linkgate starts is an outage to be waited out, not a reason to turn people away.

        Raises ConfigError for a URL or an embedded folder that can't be used, StoreUnavailable for
        an embedded server that doesn't start.
        """
        address = parse_address(url)
        if address.kind == "cluster":
            return cls(_cluster(address, timeout), is_cluster=True)
        if address.kind != "embedded":
            return cls(Redis.from_pool(_pool(address, timeout)))
        assert address.path is not None
        server = EmbeddedServer(address.path)
        await server.start()
        return cls(Redis.from_pool(_embedded_pool(server, timeout)), server=server)

    def require(self, check: Callable[[Client], Awaitable[None]]) -> None:
        """Let nothing be carried out before `check` has passed once; it raises StoreUnavailable."""
        self._required = check

    async def script(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes] = ()
    ) -> Any:
        """Run the script, by its hash where the server has it, and return its reply.

        Raises StoreUnavailable for an outage, redis.exceptions.ResponseError for a script's own
        mistake.
        """
        tail = (len(keys), *keys, *args)
        async with self.guard(script.name):
            try:
                return await self._evaluate(script, tail)
            except _RETRIED_ON_CLUSTER:
                if not self.is_cluster:
                    raise
                return await self._evaluate(script, tail)

    async def _evaluate(self, script: Script, tail: tuple[str | int | bytes, ...]) -> Any:
        if self._together is not None:
            return await self._together.evaluate(script.sha, script.source, tail)
        try:
            return await self.client.execute_command("EVALSHA", script.sha, *tail)
        except redis_errors.NoScriptError:
            # A restart, a failover or SCRIPT FLUSH; EVAL also puts it back into the cache.
            return await self.client.execute_command("EVAL", script.source, *tail)

    @asynccontextmanager
    async def guard(self, what: str = "a command") -> AsyncIterator[Client]:
        """Lend the client for raw commands and pipelines; outages leave it as StoreUnavailable."""
        try:
            if self._required is not None:
                await self._required(self.client)
                self._required = None
            yield self.client
        except redis_errors.MovedError as error:
            raise StoreUnavailable(
                "the store is a cluster; write redis+cluster://host:port in store.url"
            ) from error
        except Exception as error:
            if not is_outage(error):
                raise
            if isinstance(self.client, RedisCluster) and isinstance(error, _LOST):
                self._refresh_topology(self.client)
            raise StoreUnavailable(f"the store could not carry out {what}: {error}") from error

    async def ping(self) -> float:
        """The seconds that one round trip takes; on a cluster, to all of its primaries."""
        started = time.perf_counter()
        async with self.guard() as client:
            await client.ping()
        return time.perf_counter() - started

    async def close(self) -> None:
        """Give back every socket, and stop the embedded server if nobody else uses it."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.wait([self._refresh])
        try:
            await self.client.aclose()
        finally:
            if self._server is not None:
                await self._server.close()

    def _refresh_topology(self, client: RedisCluster) -> None:
        # redis-py's cluster pipelines never look for the node that took over from a lost one.
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(_learn_topology(client))


def is_outage(error: BaseException) -> bool:
    """Whether the store is away or can't take writes now, rather than asked for something wrong."""
    if isinstance(error, _OUTAGES):
        return True
    message = str(error)
    if isinstance(error, redis_errors.ResponseError):
        code = message.partition(" ")[0]
        return code in _OUTAGE_CODES or any(f"-{code} " in message for code in _OUTAGE_CODES)
    if isinstance(error, redis_errors.RedisClusterException):
        # redis-py uses one class for "no node answers" and for "these keys are in two slots"; only
        # the first has a cause, or comes from reading an incomplete topology.
        return error.__cause__ is not None or message.startswith(("All slots", "startup_nodes"))
    return False


async def _learn_topology(client: RedisCluster) -> None:
    with suppress(redis_errors.RedisError, redis_errors.RedisClusterException, OSError):
        await client.nodes_manager.initialize()
        for node in client.get_nodes():
            await node.disconnect_free_connections()


class _BoundedCluster(RedisCluster):
    """RedisCluster raises when a node's connections are all in use; this one waits its turn."""

    def __init__(self, *, timeout: float, **kwargs: Any) -> None:
        # Pipelines don't pass through execute_command: half of the connections are left to them.
        super().__init__(max_connections=2 * POOL_SIZE, **kwargs)
        self._turns = asyncio.Semaphore(POOL_SIZE)
        self._turn_timeout = timeout

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        async with asyncio.timeout(self._turn_timeout):
            await self._turns.acquire()
        try:
            return await super().execute_command(*args, **kwargs)
        finally:
            self._turns.release()


class _EmbeddedConnection(UnixDomainSocketConnection):
    """A connection that brings the embedded server back to life when nobody listens any more.

    Done where the socket is opened, so that single commands, pipelines and scripts are all covered
    by the one retry.
    """

    def __init__(self, *, server: EmbeddedServer, **kwargs: Any) -> None:
        self._server = server
        super().__init__(path=str(server.socket), **kwargs)

    async def _connect(self) -> None:
        try:
            await self._open()
        except (OSError, redis_errors.ConnectionError) as error:
            if isinstance(error, TimeoutError):
                raise
            await self.disconnect(nowait=True)
            # What it raises, redis-py turns into its ConnectionError, and the guard turns back.
            await self._server.revive()
            self.path = str(self._server.socket)
            await self._open()

    async def _open(self) -> None:
        await super()._connect()  # type: ignore[no-untyped-call]
        # Tells a server that another process has just started and that still loads its data.
        await self.send_command("PING", check_health=False)
        await self.read_response()


def _common(timeout: float) -> dict[str, Any]:
    return {
        "decode_responses": True,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": HEALTH_CHECK_SECONDS,
        # RESP2 has the same reply shapes on every server from Redis 6.2 on and in every redis-py.
        "protocol": 2,
    }


def _pooled(timeout: float, connection_class: type[Any], **kwargs: Any) -> BlockingConnectionPool:
    retry = Retry(NoBackoff(), 1, supported_errors=(redis_errors.ConnectionError,))
    return BlockingConnectionPool(
        max_connections=POOL_SIZE,
        timeout=timeout,
        connection_class=connection_class,
        retry=retry,
        **_common(timeout),
        **kwargs,
    )


def _embedded_pool(server: EmbeddedServer, timeout: float) -> BlockingConnectionPool:
    return _pooled(timeout, _EmbeddedConnection, server=server)


def _pool(address: Address, timeout: float) -> BlockingConnectionPool:
    login = {"db": address.db, "username": address.username, "password": address.password}
    if address.path is not None:
        return _pooled(timeout, UnixDomainSocketConnection, path=str(address.path), **login)
    [(host, port)] = address.nodes
    kind = SSLConnection if address.tls else TcpConnection
    return _pooled(timeout, kind, host=host, port=port, **login, **dict(address.tls_options))


def _cluster(address: Address, timeout: float) -> RedisCluster:
    tls = {"ssl": True, **dict(address.tls_options)} if address.tls else {}
    return _BoundedCluster(
        timeout=timeout,
        startup_nodes=[ClusterNode(host, port) for host, port in address.nodes],
        username=address.username,
        password=address.password,
        retry=Retry(NoBackoff(), 0),
        **_common(timeout),
        **tls,
    )
