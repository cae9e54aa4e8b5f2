"""`linkgate serve` and `linkgate sandbox` as real processes."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import (
    Running,
    command,
    fetch,
    free_port,
    is_alive,
    run,
    running,
    wait_for,
)

CONFIG = """
[server]
public_url = "http://localhost:9"
port = 0
[signing]
keys = ["0123456789abcdefghijklmnopqrstuvwxyz"]
[store]
url = "embedded:./data"
[stripe]
api_key = "sk_test_nothing"
api_base = "http://127.0.0.1:9"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a configuration for an embedded store of its own."""
    (tmp_path / "linkgate.toml").write_text(CONFIG)
    return tmp_path


def url(served: Running) -> str:
    match = re.match(r"linkgate listens on (http://127\.0\.0\.1:\d+)", served.first_line)
    assert match, served.first_line
    return match[1]


def store_pid(folder: Path) -> int:
    return int((folder / "data" / "server.lock").read_text().split()[0])


def test_it_serves_and_ends_with_status_0(folder: Path) -> None:
    with running(folder, "serve") as served:
        ready = fetch(f"{url(served)}/health/ready")
        assert ready.status == 200
        assert "server" not in ready.headers
        store = store_pid(folder)
        assert is_alive(store)
        assert served.stop() == 0
        assert not is_alive(store)
        assert "stripe.webhook_secrets is empty" in served.errors()


def test_ctrl_c_ends_it_with_status_0(folder: Path) -> None:
    with running(folder, "serve") as served:
        assert served.stop(signal.SIGINT) == 0
        assert "Traceback" not in served.errors()


def test_a_request_under_way_is_answered_before_the_end(folder: Path) -> None:
    with running(folder, "serve") as served:
        port = int(url(served).rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
            client.sendall(head + b"{")
            # Answered after it, so that the first part was surely read.
            assert fetch(f"{url(served)}/health/live").status == 200
            served.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not _connects(port), "the port to be let go")
            # A server that does not wait for its requests has ended by then.
            time.sleep(1)
            assert served.process.poll() is None
            client.sendall(b"}")
            assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert served.process.wait(60) == 0


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def test_options_go_before_the_file_and_the_environment(folder: Path) -> None:
    port = free_port()
    (folder / "port").write_text("1")
    with running(
        folder, "serve", "--port", str(port), LINKGATE_SERVER__PORT_FILE=str(folder / "port")
    ) as served:
        assert url(served).endswith(f":{port}")


def test_a_taken_port_is_a_sentence(folder: Path) -> None:
    with running(folder, "serve") as served:
        port = url(served).rpartition(":")[2]
        done = run(command("serve", "--port", port), folder)
    assert done.returncode == 1
    assert re.fullmatch(rf"(.*WARNING.*\n)?linkgate: port {port} .* is taken .*\n", done.stderr)


def test_a_store_that_can_t_be_used_is_a_sentence(folder: Path) -> None:
    (folder / "data").write_text("a file where the folder should be")
    for workers in ("1", "2"):
        done = run(command("serve", "--workers", workers), folder)
        assert done.returncode == 2
        assert "store.url: " in done.stderr
        assert "Traceback" not in done.stderr


def test_a_store_that_is_away_does_not_keep_it_from_serving(folder: Path) -> None:
    with running(folder, "serve", LINKGATE_STORE__URL="redis://127.0.0.1:9/0") as served:
        assert fetch(f"{url(served)}/health/live").status == 200
        assert fetch(f"{url(served)}/health/ready").status == 503
        assert "the store does not answer" in served.errors()
        assert "Traceback" not in served.errors()


def workers_of(served: Running) -> list[int]:
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [
        int(pid)
        for pid, parent, args in rows
        if int(parent) == served.process.pid and "linkgate.workers" in args
    ]


@pytest.fixture
def crew(folder: Path) -> Iterator[Running]:
    """Two workers."""
    with running(folder, "serve", "--workers", "2") as served:
        yield served


def test_workers_share_the_store(crew: Running) -> None:
    assert "2 workers" in crew.first_line
    assert len(workers_of(crew)) == 2
    key = run(command("keys", "create", "--name", "x", "--scope", "admin"), crew.folder)
    bearer = {"Authorization": f"Bearer {key.stdout.strip()}"}
    body = (
        '{"slug": "spring", "name": "Spring", "destination": {"line_items": [{"price": "price_1"}],'
        ' "success_url": "https://example.com/"}}'
    )
    base = f"{url(crew)}/api/v1"
    assert fetch(f"{base}/campaigns", "POST", bearer, body).status == 201
    issued = fetch(f"{base}/links", "POST", bearer, '{"campaign": "spring", "recipient": "r-1"}')
    assert issued.status == 201
    # Each request has a connection of its own, so that both workers answer some.
    token = re.search(r'"token":"([^"]+)"', issued.body)
    assert token
    visits = [fetch(f"{url(crew)}/l/{token[1]}") for _ in range(12)]
    assert {visit.status for visit in visits} == {200}
    wait_for(
        lambda: fetch(f"{base}/links/{token[1]}", headers=bearer).body.count('"verdict"') == 12,
        "every worker's visits",
    )
    assert crew.stop() == 0
    assert "Traceback" not in crew.errors()


def test_a_worker_that_dies_is_replaced(crew: Running) -> None:
    first, second = workers_of(crew)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(set(workers_of(crew)) - {first, second}) == 1, "another worker")
    assert fetch(f"{url(crew)}/health/live").status == 200
    assert "ended with status -9; starting another" in crew.errors()


def test_no_worker_outlives_its_parent(crew: Running) -> None:
    port, store = int(url(crew).rpartition(":")[2]), store_pid(crew.folder)
    orphans = workers_of(crew)
    crew.process.kill()
    wait_for(lambda: not any(map(is_alive, orphans)), "the workers to end")
    assert not _connects(port)
    # The last user of the embedded store takes it along.
    wait_for(lambda: not is_alive(store), "the store to end")
    with running(crew.folder, "serve", "--port", str(port)) as served:
        assert fetch(f"{url(served)}/health/ready").status == 200


def test_the_sandbox_runs_alone(tmp_path: Path) -> None:
    words = ("--port", "0", "--webhook", "http://localhost:9/webhooks/stripe")
    with running(tmp_path, "sandbox", *words, "--api-key", "sk_test_mine") as sandbox:
        assert sandbox.process.stdout
        match = re.search(r"http://127\.0\.0\.1:\d+", sandbox.first_line)
        assert match
        bearer = {"Authorization": "Bearer sk_test_mine"}
        assert fetch(f"{match[0]}/v1/account", headers=bearer).status == 200
        assert fetch(f"{match[0]}/v1/account").status == 401
        assert sandbox.stop() == 0
        told = sandbox.process.stdout.read()
    assert f'api_base = "{match[0]}"' in told
    assert 'api_key = "sk_test_mine"' in told
    assert re.search(r'webhook_secrets = \["whsec_\w{32}"\]', told)
