"""What one connection may send: by sockets, against linkgate as `serve` runs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from linkgate import bounds
from linkgate.bounds import MAX_HEAD_BYTES, MAX_PIPELINED
from linkgate.serving import Server, bind
from linkgate.web.app import create
from tests.stack import SCANNER, Clock, Stack, configuration, running

HOST = b"Host: go.example.com\r\n"
GET = b"GET /l/nothing HTTP/1.1\r\n" + HOST
POST = b"POST /l/nothing HTTP/1.1\r\n" + HOST
#: Nothing here takes as long, however busy the machine is.
PATIENCE = 60


class Peer:
    """The other end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def flood(self, data: bytes, times: int) -> int:
        """Send again and again for as long as it is taken; return how many bytes were."""
        sent = 0
        with contextlib.suppress(ConnectionError):
            for _ in range(times):
                await self.send(data)
                sent += len(data)
        return sent

    async def answer(self) -> tuple[int, dict[str, str], str]:
        """Read one answer."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.rstrip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(first.split(" ")[1]), headers, body.decode()

    async def last_answer(self) -> tuple[int, dict[str, str], str]:
        """Read one answer, which has to be the last."""
        found = await self.answer()
        assert found[1]["connection"] == "close"
        await self.ended()
        return found

    async def ended(self) -> None:
        """Wait until the connection has ended, without another word."""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(PATIENCE):
                assert await self.reader.read() == b""


class Served:
    """A running server, and connections to it."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port
        self.peers: list[Peer] = []

    async def peer(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self.peers.append(peer)
        return peer

    @property
    def connections(self) -> set[bounds.BoundedProtocol]:
        return self.server.server_state.connections  # type: ignore[return-value]

    async def until_nobody_is_connected(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.connections:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[Served]:
    """Serve `app` as `linkgate serve` does."""
    ready = asyncio.Event()
    server = Server(app, ready.set)
    with bind("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server.serve([listener]))
        await ready.wait()
        here = Served(server, listener.getsockname()[1])
        try:
            yield here
        finally:
            for peer in here.peers:
                peer.writer.close()
            server.stop(at_once=True)
            await task
            # uvicorn leaves it out when it is to end at once, and the embedded store would stay.
            await server.lifespan.shutdown()


def without_lifespan(app: Any) -> Any:
    """Wrap `app`, which needs no start, or has been started elsewhere."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return wrapped


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    """A whole gateway; what these tests send never gets as far as Stripe."""
    settings = configuration(8080, "http://127.0.0.1:9", f"embedded:{tmp_path}")
    async with served(create(settings, Clock())) as here:
        yield here


@pytest.fixture
async def reader() -> AsyncIterator[Served]:
    """An application that reads bodies to their end and answers with their length."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await asyncio.sleep(0.6)
        length, message = 0, {"more_body": scope["path"] != "/early"}
        while message["more_body"]:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length += len(message["body"])
        names = b",".join(name for name, _ in scope["headers"])
        body = b"%d %s" % (length, names)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with served(without_lifespan(app)) as here:
        yield here


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let slow mean a fraction of a second."""
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.2)


def is_lawful(headers: dict[str, str]) -> bool:
    return (
        headers["cache-control"] == "no-store"
        and headers["referrer-policy"] == "no-referrer"
        and "noindex" in headers["x-robots-tag"]
    )


# How much


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (GET + b"X-Huge: ", b"a" * 65_000),
        (GET + b"X-Huge", b"a" * 65_000),
        (GET, b"a: b\r\n" * 10_000),
        (GET, b"a: b\r\n" * 50),
        (b"GET /l/", b"a" * 65_000),
        (b"GET /l/", b"a" * 999),
        (b"", b"\r\n" * 5_000),
    ],
    ids=["header", "name", "headers", "in-pieces", "url", "url-in-pieces", "nothing"],
)
async def test_a_head_without_end_is_refused_unparsed(
    reader: Served, first: bytes, piece: bytes
) -> None:
    peer = await reader.peer()
    await peer.send(first)
    sent = await peer.flood(piece, 20_000_000 // len(piece))
    assert sent > 10 * MAX_HEAD_BYTES
    [connection] = reader.connections
    parsed = sum(len(name) + len(value) for name, value in connection.headers or ())
    assert parsed + len(getattr(connection, "url", b"")) <= MAX_HEAD_BYTES
    status, headers, body = await peer.last_answer()
    assert status == 431
    assert is_lawful(headers)
    assert "too large" in body


async def test_a_head_of_just_the_bound_is_taken(gateway: Served) -> None:
    peer = await gateway.peer()
    rest = MAX_HEAD_BYTES - len(GET) - len(b"X: \r\n\r\n")
    whole = GET + b"X: " + b"a" * rest + b"\r\n\r\n"
    for _ in range(3):
        await peer.send(whole)
        status, headers, _body = await peer.answer()
        assert status == 404
        assert is_lawful(headers)
    await peer.send(whole.replace(b"X: ", b"X: a"))
    assert (await peer.last_answer())[0] == 431


@pytest.mark.parametrize("end", [b"0\r\n", b"5;"], ids=["trailers", "extension"])
async def test_what_frames_a_body_is_bound_as_a_head_is(reader: Served, end: bytes) -> None:
    peer = await reader.peer()
    await peer.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + end)
    await peer.flood(b"X-Trailer: " + b"a" * 60_000 + b"\r\n" if end[0] == 48 else b"a" * 999, 300)
    status, headers, _ = await peer.last_answer()
    # llhttp bounds extensions by itself, where it does.
    assert status in (400, 431)
    assert is_lawful(headers)


async def test_trailers_are_no_headers(reader: Served) -> None:
    peer = await reader.peer()
    await peer.send(b"POST /slow HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    await peer.send(b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
    assert (await peer.answer())[2] == "5 transfer-encoding"


async def test_requests_without_end_sent_ahead_are_not_kept(reader: Served) -> None:
    peer = await reader.peer()
    await peer.flood(b"GET /slow HTTP/1.1\r\n\r\n" * 10_000, 10)
    await peer.ended()
    await reader.until_nobody_is_connected()


async def test_a_body_larger_than_a_head_may_be_is_taken(reader: Served) -> None:
    peer = await reader.peer()
    for _ in range(2):
        body = b"a" * 3_000_000
        await peer.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (await peer.answer())[2] == "3000000 content-length"


# How slowly


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        GET,
        GET + b"X-Half: ",
        b"\r\n",
        POST + b"Content-Length: 10\r\n\r\n",
        POST + b"Content-Length: 10\r\n\r\n1",
        b"POST /webhooks/stripe HTTP/1.1\r\nContent-Length: 10\r\n\r\n1",
    ],
    ids=["letter", "half", "half-header", "empty-line", "no-body", "half-body", "webhook"],
)
@pytest.mark.usefixtures("hurry")
async def test_who_stops_sending_is_cut_off(gateway: Served, sent: bytes) -> None:
    peer = await gateway.peer()
    await peer.send(sent)
    status, headers, _ = await peer.last_answer()
    assert status == 408
    assert is_lawful(headers)
    await gateway.until_nobody_is_connected()


@pytest.mark.usefixtures("hurry")
async def test_who_sends_nothing_is_cut_off_without_a_word(reader: Served) -> None:
    peer = await reader.peer()
    await peer.ended()
    await reader.until_nobody_is_connected()


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b"\r\n"),
        (GET, b"a"),
        (POST + b"Content-Length: 100000\r\n\r\n", b"a"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
    ids=["nothing", "head", "body", "chunks"],
)
@pytest.mark.usefixtures("hurry")
async def test_who_sends_a_byte_now_and_then_is_cut_off(
    reader: Served, first: bytes, drop: bytes
) -> None:
    peer = await reader.peer()
    await peer.send(first)

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await peer.send(drop)
                await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    assert (await peer.answer())[0] == 408
    await reader.until_nobody_is_connected()
    dripping.cancel()


@pytest.mark.usefixtures("hurry")
async def test_empty_lines_do_not_keep_an_idle_connection(reader: Served) -> None:
    peer = await reader.peer()
    await peer.send(GET + b"\r\n")
    assert (await peer.answer())[0] == 200
    await peer.send(b"\r\n")
    assert (await peer.last_answer())[0] == 408


async def test_a_slow_upload_that_goes_on_is_taken(
    reader: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(bounds, "BODY_BYTES", 100)
    peer = await reader.peer()
    await peer.send(b"POST / HTTP/1.1\r\nContent-Length: 20480\r\n\r\n")
    for _ in range(32):
        await peer.send(b"a" * 640)
        await asyncio.sleep(0.05)
    assert (await peer.answer())[2] == "20480 content-length"


@pytest.mark.usefixtures("hurry")
async def test_who_waits_for_us_is_not_slow(reader: Served) -> None:
    upload = b"POST /slow HTTP/1.1\r\nContent-Length: 5\r\n"
    asking = await reader.peer()
    await asking.send(upload + b"Expect: 100-continue\r\n\r\n")
    assert await asking.reader.readline() == b"HTTP/1.1 100 Continue\r\n"
    await asking.reader.readline()
    await asking.send(b"hello")
    assert (await asking.answer())[2] == "5 content-length,expect"
    # Ahead of the answer to the one before; half a request is none to cut while it is made.
    ahead = await reader.peer()
    await ahead.send(upload + b"\r\nhello" + b"GET / HTTP/1.1\r\n")
    assert (await ahead.answer())[2] == "5 content-length"
    await ahead.send(b"\r\n")
    assert (await ahead.answer())[2] == "0 "


@pytest.mark.usefixtures("hurry")
async def test_a_body_that_goes_on_after_its_answer_is_let_in_for_a_while(reader: Served) -> None:
    peer = await reader.peer()
    await peer.send(b"POST /early HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n")
    assert (await peer.answer())[0] == 200
    assert await peer.flood(b"a" * 2048, 1_000_000) > 0
    await peer.ended()


@pytest.mark.usefixtures("hurry")
async def test_an_idle_connection_is_kept(reader: Served) -> None:
    peer = await reader.peer()
    await peer.send(GET + b"\r\n")
    assert (await peer.answer())[0] == 200
    await asyncio.sleep(0.6)
    for piece in (b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nhi\r\n", b"0\r\n\r\n"):
        await peer.send(POST + piece if b"chunked" in piece else piece)
        await asyncio.sleep(0.01)
    assert (await peer.answer())[0] == 200
    await asyncio.sleep(0.6)
    await peer.send(GET + b"\r\n")
    assert (await peer.answer())[0] == 200


async def test_who_does_not_take_the_answer_is_dropped(
    reader: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "TAKING_SECONDS", 0.1)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.1)
    peer = await reader.peer()
    await peer.send(b"GET / HTTP/1.1\r\n\r\n")
    await peer.answer()
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    [connection] = reader.connections
    connection.transport.write(b"a" * 50_000_000)
    connection.transport.close()
    await reader.until_nobody_is_connected()


# What else


@pytest.mark.parametrize(
    "sent",
    [
        b"get /l/x HTTP/1.1\r\n\r\n",
        GET + b"no header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        GET + b"X: \x00\r\n\r\n",
    ],
    ids=["method", "header", "tls", "control"],
)
async def test_what_is_not_http_is_answered_by_the_laws(reader: Served, sent: bytes) -> None:
    peer = await reader.peer()
    await peer.send(sent)
    await peer.flood(b"and on", 1000)
    status, headers, _ = await peer.last_answer()
    assert status == 400
    assert is_lawful(headers)


@pytest.mark.usefixtures("hurry")
async def test_who_goes_on_after_a_refusal_is_cut_off(reader: Served) -> None:
    peer = await reader.peer()
    await peer.send(b"nonsense\r\n\r\n")
    assert (await peer.answer())[0] == 400
    await peer.flood(b"nonsense" * 100, 1_000_000)
    await reader.until_nobody_is_connected()


async def test_an_error_is_never_the_answer_to_another_request(reader: Served) -> None:
    peer = await reader.peer()
    await peer.send(b"GET /slow HTTP/1.1\r\n\r\n" + b"nonsense")
    await peer.ended()


async def test_many_requests_on_one_connection(reader: Served) -> None:
    peer = await reader.peer()
    count = MAX_PIPELINED // 2
    post = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    for _ in range(3):
        await peer.send((b"GET / HTTP/1.1\r\nX-One: 1\r\n\r\n" + post) * (count // 2))
        for _ in range(count // 2):
            assert (await peer.answer())[2] == "0 x-one"
            assert (await peer.answer())[2] == "5 content-length"
    # In pieces that end anywhere.
    for byte in post * 3:
        await peer.send(bytes([byte]))
    for _ in range(3):
        assert (await peer.answer())[2] == "5 content-length"


async def test_a_person_presses_the_button(tmp_path: Path) -> None:
    async with running(f"embedded:{tmp_path}", Clock()) as stack:
        await stack.campaign()
        async with served(without_lifespan(stack.app)) as here:
            beside = Stack(
                f"http://127.0.0.1:{here.port}", stack.app, stack.sandbox_url, stack.sandbox,
                stack.http, stack.clock, stack.settings,
            )  # fmt: skip
            page = await beside.get(beside.path(beside.link()), SCANNER)
            assert page.status == 200
            answer = await beside.press(page)
            assert answer.status == 303, answer
