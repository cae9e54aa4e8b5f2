"""`linkgate simulate`: what it refuses, what it prints, and its status."""

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from linkgate.cli import app
from linkgate.simulation import behaviours


class Gateway(BaseHTTPRequestHandler):
    """Answers everything with one status; a redirect leads to a checkout."""

    status = 200

    def answer(self) -> None:
        self.send_response(self.status)
        if self.status == 303:
            self.send_header("Location", "https://checkout.stripe.com/c/pay/1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_OPTIONS = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A link of a gateway; `Gateway.status` is what it answers."""
    monkeypatch.setattr(Gateway, "status", 200)
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/l/token"
        server.shutdown()
        thread.join()


class Hostile(socketserver.StreamRequestHandler):
    """Opens every link, and answers what is no HEAD with bytes that would steer a terminal."""

    answer = b""

    def handle(self) -> None:
        first = self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        good = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.wfile.write(good if first.startswith(b"HEAD") else self.answer)


@pytest.fixture
def hostile_url(elsewhere: Path) -> Iterator[str]:
    """A link of a gateway that answers with `Hostile.answer`."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hostile) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/l/token"
        server.shutdown()
        thread.join()


ESCAPES = ("\x1b[2J\x07[red]x[/red]", "\x9b31m\u202e")


@pytest.mark.parametrize(
    "answer",
    [
        answer
        for text in ESCAPES
        for answer in (
            f"HTTP/1.1 303 {text}\r\nLocation: https://a{text}.example/\r\n",
            f"HTTP/1.1 303 See Other\r\nLocation: {text}:{text}\r\n",
            f"{text} no HTTP\r\nat all\r\n",
            f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n{text}\r\n",
            f"HTTP/1.1 200 OK\r\nContent-Length: {text}\r\n",
        )
    ],
)
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_no_gateway_steers_the_terminal(
    answer: str, as_json: list[str], hostile_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (answer.encode(), answer.encode("utf-8").replace(b"\xc2\x9b", b"\x9b")):
        monkeypatch.setattr(Hostile, "answer", data + b"Connection: close\r\n\r\n")
        result = run(hostile_url, "--only", "curl", *as_json)
        said = result.stdout + result.stderr
        assert said.replace("\n", "").isprintable()
        # What aiohttp quotes of it is one line, and the link is not in it.
        assert r"\n\n" not in said
        assert "/l/token" not in said
        assert result.exit_code in {0, 1}


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["simulate", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result
    return result


def test_a_gateway_that_mints_for_machines_is_a_failure(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gateway, "status", 303)
    result = run(url, "--only", "curl", "--only", "x", "--pause", "0")
    assert result.exit_code == 1
    assert "2 of 2 behaviours went through: x, curl." in result.stdout
    assert "GET 303, 3 x HEAD 303" in result.stdout
    assert "4 x sent on to checkout.stripe.com" in result.stdout
    assert "policy confirm" in result.stdout.replace("--", "")


def test_a_gateway_that_holds_is_none(url: str) -> None:
    result = run(url, "--only", "curl", "--only", "burst", "--pause", "0")
    assert result.exit_code == 0
    assert "None of 1 behaviours went through: nothing was minted." in result.stdout
    assert "it needs 3 links at least" in result.stdout
    assert "for real" in result.stderr


def test_what_shows_nothing_is_a_failure(url: str) -> None:
    result = run(url, "--only", "defender-form")
    assert result.exit_code == 1
    assert "1 could not be replayed to their end" in result.stdout


def test_it_prints_json(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gateway, "status", 303)
    result = run(url, "--json", "--only", "curl", "--only", "decoy", "--pause", "0")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["counts"] == {"held": 0, "went_through": 1, "incomplete": 0, "not_replayed": 1}
    [answer] = data["behaviours"][0]["answers"]
    assert answer == {
        "method": "GET",
        "status": 303,
        "got": "sent on to checkout.stripe.com",
        "passed": True,
        "location": "https://checkout.stripe.com/c/pay/1",
    }


def test_it_lists_its_behaviours(elsewhere: Path) -> None:
    listed = json.loads(run("--list", "--json").stdout)["behaviours"]
    assert [one["name"] for one in listed] == [one.name for one in behaviours()]
    assert all(one["source"] and one["date"] for one in listed)
    shown = run("--list", "--only", "curl")
    assert (shown.exit_code, shown.stdout.count("curl") > 0) == (0, True)
    assert "defender" not in shown.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "URL: is missing"),
        (["go.example.com/l/x"], "is not shaped like a link"),
        (["https://go.example.com/"], "is not shaped like a link"),
        (["https://go.example.com/l/"], "is not shaped like a link"),
        (["https://go.example.com/dashboard/l/x"], "is not shaped like a link"),
        (["https://go.example.com:x/l/x"], "is not shaped like a link"),
        (["https://[/l/x"], "is not shaped like a link"),
        (["ftp://go.example.com/l/x"], "is not shaped like a link"),
        (["https://x.example/l/x", "https://x.example/l/x"], "URL: is given twice"),
        (["https://x.example/l/x", "--decoy", "x"], "--decoy: 'x' is not shaped like a link"),
        (["https://x.example/l/x", "--decoy", "https://x.example/l/x"], "--decoy: is the link"),
        (["https://x.example/l/x", "--only", "curll"], "did you mean curl?"),
        (["https://x.example/l/x", "--pause", "-1"], "--pause"),
    ],
)
def test_misuse_is_told_before_anything_is_sent(
    words: list[str], message: str, elsewhere: Path
) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_a_link_that_opens_nothing_ends_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gateway, "status", 404)
    result = run(url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no link of this gateway (404)" in result.stderr


def test_an_unreachable_gateway_ends_it(elsewhere: Path) -> None:
    result = run("http://127.0.0.1:9/l/x", "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "can't be reached" in result.stderr


def test_at_a_terminal_it_asks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from linkgate.cli import simulate

    asked = []
    monkeypatch.setattr(simulate, "_at_a_terminal", lambda: True)
    monkeypatch.setattr(simulate.typer, "confirm", lambda text, **_: asked.append(text))
    result = run(url, "--only", "curl")
    assert (result.exit_code, result.stdout, asked) == (1, "", ["Begin?"])
    assert "Nothing was sent." in result.stderr
    assert run(url, "--only", "curl", "--yes").exit_code == 0
