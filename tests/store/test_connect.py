import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.exceptions as redis_errors
from fakeredis import FakeAsyncRedis

from linkgate.errors import StoreUnavailable
from linkgate.store.connect import Connection, Script, is_outage
from tests.store import servers

INCREMENT = Script("increment", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
ECHO = Script("echo", "return {ARGV[1], ARGV[2], #KEYS}")
BROKEN = Script("broken", "return redis.call('NOSUCH')")
SET = Script("set", "return redis.call('SET', KEYS[1], ARGV[1])")


@pytest.fixture
def own_url(tmp_path: Path) -> Iterator[str]:
    """A server to spoil."""
    with servers.valkey(tmp_path) as url:
        yield url


@pytest.fixture
async def own(own_url: str) -> AsyncIterator[Connection]:
    opened = await Connection.open(own_url, timeout=0.5)
    yield opened
    await opened.close()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that neither reads nor answers, as on a machine that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def pid_of(connection: Connection) -> int:
    info: dict[str, Any] = await connection.client.info("server")
    return int(info["process_id"])


async def test_it_runs_a_script(connection: Connection) -> None:
    assert await connection.script(INCREMENT, ["{a}:n"], [2]) == 2
    assert await connection.script(INCREMENT, ["{a}:n"], ["3"]) == 5


async def test_a_script_gets_text_numbers_and_bytes(connection: Connection) -> None:
    assert await connection.script(ECHO, ["{a}:1", "{a}:2"], ["\u00e9", 7]) == ["\u00e9", "7", 2]
    assert await connection.script(ECHO, ["{a}:1"], [b"x", "y"]) == ["x", "y", 1]


async def test_it_runs_a_script_that_the_server_forgot(connection: Connection) -> None:
    await connection.script(INCREMENT, ["{a}:n"], [1])
    await connection.client.script_flush()
    assert await connection.script(INCREMENT, ["{a}:n"], [1]) == 2


async def test_a_scripts_own_mistake_is_no_outage(connection: Connection) -> None:
    with pytest.raises(redis_errors.ResponseError):
        await connection.script(BROKEN, ["{a}:n"])


async def test_a_crowd_waits_for_its_turn(connection: Connection) -> None:
    replies = await asyncio.gather(
        *(connection.script(INCREMENT, ["{a}:n"], [1]) for _ in range(200))
    )
    assert sorted(replies) == list(range(1, 201))


async def test_a_crowd_of_raw_commands_waits_too(connection: Connection) -> None:
    async def one() -> None:
        async with connection.guard() as client:
            await client.incr("n")

    await asyncio.gather(*(one() for _ in range(200)))
    assert await connection.client.get("n") == "200"


async def test_it_pings(connection: Connection) -> None:
    assert await connection.ping() > 0


@pytest.mark.parametrize("kind", ["valkey", "cluster"])
async def test_a_connection_that_was_cut_is_made_again(
    kind: str, request: pytest.FixtureRequest
) -> None:
    connection = await Connection.open(request.getfixturevalue(f"{kind}_url"))
    other = await Connection.open(request.getfixturevalue(f"{kind}_url"))
    await other.client.flushall()
    await connection.script(INCREMENT, ["{a}:n"], [1])
    client: Any = other.client
    for target in (
        [{"target_nodes": n} for n in client.get_primaries()] if other.is_cluster else [{}]
    ):
        await client.execute_command("CLIENT", "KILL", "TYPE", "normal", **target)
    assert await connection.script(INCREMENT, ["{a}:n"], [1]) == 2
    await connection.close()
    await other.close()


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ConnectionError("gone"),
        redis_errors.TimeoutError("slow"),
        redis_errors.BusyLoadingError("LOADING"),
        redis_errors.ClusterDownError("CLUSTERDOWN"),
        redis_errors.SlotNotCoveredError("slot"),
        redis_errors.ReadOnlyError("READONLY"),
        redis_errors.OutOfMemoryError("OOM"),
        redis_errors.ResponseError("MISCONF Errors writing to the AOF file: No space left"),
        redis_errors.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis_errors.ResponseError("BUSY a script is running"),
        redis_errors.ResponseError("ERR Error running script: -OOM command not allowed"),
        redis_errors.RedisClusterException("All slots are not covered after query"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_the_guard_translates_an_outage(error: Exception) -> None:
    connection = Connection(FakeAsyncRedis())
    with pytest.raises(StoreUnavailable) as caught:
        async with connection.guard():
            raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ResponseError("WRONGTYPE Operation against a key"),
        redis_errors.ResponseError("ERR unknown command"),
        redis_errors.ResponseError("BUSYGROUP Consumer Group name already exists"),
        redis_errors.WatchError("changed"),
        redis_errors.DataError("no bool"),
        redis_errors.RedisClusterException("EVALSHA - all keys must map to the same key slot"),
        redis_errors.CrossSlotTransactionError("two slots"),
        StoreUnavailable("already said"),
        KeyError("ours"),
    ],
    ids=repr,
)
async def test_the_guard_leaves_other_errors_alone(error: Exception) -> None:
    connection = Connection(FakeAsyncRedis())
    with pytest.raises(type(error)) as caught:
        async with connection.guard():
            raise error
    assert caught.value is error
    assert not is_outage(error)


async def test_a_store_that_is_away_is_an_outage() -> None:
    for url in ("redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1", "unix:///nowhere.sock"):
        connection = await Connection.open(url, timeout=0.5)
        with pytest.raises(StoreUnavailable):
            await connection.script(INCREMENT, ["{a}:n"], [1])
        with pytest.raises(StoreUnavailable):
            await connection.ping()
        await connection.close()


async def test_a_full_store_is_an_outage(own: Connection) -> None:
    await own.client.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="set"):
        await own.script(SET, ["{a}:n"], ["x"])
    with pytest.raises(StoreUnavailable):
        async with own.guard() as client:
            await client.set("n", "x")


async def test_a_replica_is_an_outage(own: Connection) -> None:
    await own.client.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnavailable):
        await own.script(SET, ["{a}:n"], ["x"])


async def test_a_refused_password_is_an_outage_that_says_so(own_url: str, own: Connection) -> None:
    await own.client.config_set("requirepass", "right")
    wrong = await Connection.open(own_url.replace("redis://", "redis://:wr0ng@"))
    with pytest.raises(StoreUnavailable, match="password") as caught:
        await wrong.ping()
    assert "wr0ng" not in str(caught.value)
    await wrong.close()


async def test_a_cluster_behind_a_plain_url_says_what_to_write(cluster_url: str) -> None:
    first = cluster_url.removeprefix("redis+cluster://").split(",")[0]
    connection = await Connection.open(f"redis://{first}")

    async def read_all_slots() -> None:
        for number in range(50):
            async with connection.guard() as client:
                await client.get(f"key-{number}")

    with pytest.raises(StoreUnavailable, match=r"redis\+cluster://"):
        await read_all_slots()
    await connection.close()


async def test_a_plain_server_behind_a_cluster_url_says_so(valkey_url: str) -> None:
    connection = await Connection.open(
        valkey_url.replace("redis://", "redis+cluster://").removesuffix("/0")
    )
    with pytest.raises(StoreUnavailable, match="not enabled"):
        await connection.ping()
    await connection.close()


async def test_keys_in_two_slots_are_a_mistake_and_no_outage(cluster_url: str) -> None:
    connection = await Connection.open(cluster_url)
    with pytest.raises(redis_errors.ClusterCrossSlotError):
        await connection.script(INCREMENT, ["{a}:n", "{b}:n"], [1])
    await connection.close()


async def test_what_timed_out_is_not_sent_twice(own: Connection) -> None:
    pid = await pid_of(own)
    await own.script(INCREMENT, ["{a}:n"], [1])
    with stopped(pid), pytest.raises(StoreUnavailable):
        await own.script(INCREMENT, ["{a}:n"], [1])
    # The hung server carries out what lies in its socket, once.
    assert await own.script(INCREMENT, ["{a}:n"], [0]) == 2


async def test_a_hung_node_is_an_outage_and_then_heals(cluster_url: str) -> None:
    connection = await Connection.open(cluster_url, timeout=0.3)
    client: Any = connection.client
    await client.flushall()
    assert await connection.script(INCREMENT, ["{a}:n"], [1]) == 1
    node = client.get_node_from_key("{a}:n")
    [info] = (await client.info("server", target_nodes=node),)
    with stopped(int(info["process_id"])):
        with pytest.raises(StoreUnavailable):
            await connection.script(INCREMENT, ["{a}:n"], [1])
        with pytest.raises(StoreUnavailable):
            async with connection.guard():
                await client.pipeline().get("{a}:n").execute()
    async with asyncio.timeout(20):
        while True:
            try:
                assert await connection.script(INCREMENT, ["{a}:n"], [0]) == 2
                break
            except StoreUnavailable:
                await asyncio.sleep(0.1)
    async with connection.guard():
        assert await client.pipeline().get("{a}:n").execute() == ["2"]
    await connection.close()
