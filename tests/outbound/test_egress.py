"""The way out: no name, spelling or answer of DNS leads to where only this machine can go."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from linkgate import egress
from linkgate.egress import BODY_BYTES, Egress, Unreachable, is_public
from tests.outbound.receiving import Got, Receiver, saying

PRIVATE = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192"),
    *("198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "168.63.129.16"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1"),
    *("ff0e::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe"),
    *("::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::"),
    *("2002:a00:1::1", "2002:a9fe:a9fe::", "2001:0:7f00:1::", "100::1", "5f00::1"),
    *("junk", ""),
]
PUBLIC = [
    *("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "93.184.215.14"),
    *("2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    "2002:808:808::1",
]


class Names(AbstractResolver):
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, known: Mapping[str, Sequence[str]]) -> None:
        self.known = {name: list(addresses) for name, addresses in known.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.known:
            raise OSError(None, "no such name")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.known[host]
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
async def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a socket was made for; none is let through to the network."""
    made: list[str] = []

    def note(info: tuple[Any, ...]) -> socket.socket:
        made.append(str(info[4][0]))
        raise OSError("the tests don't go out")

    monkeypatch.setattr(egress, "_any_socket", note)
    return made


@pytest.fixture
async def out() -> AsyncIterator[Egress]:
    made = Egress()
    yield made
    await made.close()


async def refused(url: str, way: Egress, **how: Any) -> str:
    with pytest.raises(Unreachable) as caught:
        await way.post(url, b"{}", {}, **how)
    return caught.value.why


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


async def test_names_are_judged_by_what_they_resolve_to(connected: list[str]) -> None:
    names = Names({f"n{i}.example": [address] for i, address in enumerate(PRIVATE[:-2])})
    way = Egress(names)
    for name in list(names.known):
        assert "private network" in await refused(f"https://{name}/", way)
    assert names.asked == list(names.known)
    assert connected == []
    names.known["public.example"] = ["8.8.8.8"]
    assert await refused("https://public.example/", way) == "no connection could be made"
    assert connected == ["8.8.8.8"]
    await way.close()


async def test_of_a_name_s_addresses_only_public_ones_are_tried(connected: list[str]) -> None:
    way = Egress(Names({"mixed.example": ["10.0.0.1", "8.8.8.8", "::1", "127.0.0.1"]}))
    await refused("https://mixed.example/", way)
    assert set(connected) == {"8.8.8.8"}
    await way.close()


async def test_a_name_that_changes_its_address_is_judged_each_time(connected: list[str]) -> None:
    names = Names({"rebinding.example": ["8.8.8.8"]})
    way = Egress(names)
    await refused("https://rebinding.example/", way)
    assert set(connected) == {"8.8.8.8"}
    names.known["rebinding.example"] = ["127.0.0.1"]
    # What the connector remembers of names is forgotten, as it is after some seconds.
    for session in way._sessions.values():
        session.connector.clear_dns_cache()  # type: ignore[union-attr]
    assert "private network" in await refused("https://rebinding.example/", way)
    assert set(connected) == {"8.8.8.8"}
    await way.close()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("2130706433", "017700000001", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "0"),
        *("127.0.0.1.", "localhost", "localhost.", "LOCALHOST", "１２７.0.0.1", "127。0。0。1"),
        *("0.0.0.0", "[::]", "169.254.169.254", "[fe80::1%25lo]", "user@127.0.0.1"),
        *(
            "8.8.8.8@127.0.0.1",
            "127.0.0.1\\@8.8.8.8",
            "127.0.0.1%00.example.com",
            "",
            "%31%32%37.1",
        ),
    ],
)
async def test_odd_spellings_of_this_machine_are_refused(
    host: str, out: Egress, connected: list[str]
) -> None:
    await refused(f"https://{host}/", out)
    assert connected == []


@pytest.mark.parametrize("url", ["http://8.8.8.8/", "ftp://8.8.8.8/", "file:///etc/passwd", "x"])
async def test_only_https_goes_out(url: str, out: Egress, connected: list[str]) -> None:
    assert await refused(url, out) == "the address is not https"
    assert connected == []


async def test_what_is_allowed_is_reached(receiver: Receiver) -> None:
    url = receiver.url.replace("127.0.0.1", "hooks.example")
    way = Egress(Names({"hooks.example": ["127.0.0.1"]}))
    reply = await way.post(url, b"hello", {"X-One": "1"}, allow_private=True)
    assert (reply.status, reply.complete) == (204, True)
    [got] = receiver.came
    assert (got.body, got.headers["x-one"]) == (b"hello", "1")
    assert got.headers["accept-encoding"] == "identity"
    # A connection that was allowed is no way in for whoever isn't.
    assert "not https" in await refused(url, way)
    secure = url.replace("http:", "https:")
    assert "private network" in await refused(secure, way)
    assert len(receiver.came) == 1
    await way.close()


async def test_redirects_are_answers(receiver: Receiver, out: Egress) -> None:
    async def elsewhere(_: Got) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})

    receiver.answer = elsewhere
    for _ in range(2):
        reply = await out.post(receiver.url, b"", {}, allow_private=True)
        assert (reply.status, reply.headers["LOCATION"]) == (302, "/elsewhere")
    assert len(receiver.came) == 2
    assert "cookie" not in receiver.came[1].headers


async def test_large_answers_are_cut(receiver: Receiver, out: Egress) -> None:
    async def large(got: Got) -> web.StreamResponse:
        return web.Response(body=b"x" * int(got.body))

    receiver.answer = large
    for size, complete in ((BODY_BYTES, True), (BODY_BYTES + 1, False), (5_000_000, False)):
        reply = await out.post(receiver.url, str(size).encode(), {}, allow_private=True)
        assert (len(reply.body), reply.complete) == (BODY_BYTES, complete)


async def test_endless_answers_are_cut(out: Egress) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with saying(head, then=b"400\r\n" + b"x" * 1024 + b"\r\n", times=1000) as url:
        reply = await out.post(url, b"", {}, allow_private=True)
    assert (reply.status, len(reply.body), reply.complete) == (200, BODY_BYTES, False)


async def test_a_small_answer_does_not_unfold(out: Egress) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nzzzz"
    async with saying(head) as url:
        reply = await out.post(url, b"", {}, allow_private=True)
    assert (reply.body, reply.complete) == (b"zzzz", True)


async def test_a_slow_body_ends_and_a_missing_answer_is_told(out: Egress) -> None:
    async with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") as url:
        reply = await out.post(url, b"", {}, allow_private=True, timeout=0.2)
        assert (reply.status, reply.body, reply.complete) == (200, b"abc", False)
    async with saying(b"HTTP/1.1 200 O") as url:
        why = await refused(url, out, allow_private=True, timeout=0.2)
        assert why == "no answer within 0.2 seconds"


async def test_what_is_no_answer_is_told_without_the_address(out: Egress) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    closed = f"http://127.0.0.1:{free}/secret-token"
    assert await refused(closed, out, allow_private=True) == "no connection could be made"
    async with saying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") as url:
        assert await refused(url, out, allow_private=True) == "the answer can't be read"
        secure = url.replace("http:", "https:")
        why = await refused(secure, out, allow_private=True, timeout=0.3)
        assert why in ("no TLS connection could be made", "no answer within 0.3 seconds")
    unknown = Egress(Names({}))
    assert await refused("https://nobody.example/", unknown) == "the host name is not known"
    await unknown.close()


async def test_a_host_s_connections_are_bounded(receiver: Receiver, out: Egress) -> None:
    gate = asyncio.Event()

    async def held(_: Got) -> int:
        await gate.wait()
        return 200

    receiver.answer = held
    asked = [
        asyncio.create_task(out.post(receiver.url, b"", {}, allow_private=True)) for _ in range(60)
    ]
    await receiver.until(lambda: len(receiver.came) == egress.CONNECTIONS_A_HOST)
    gate.set()
    assert {reply.status for reply in await asyncio.gather(*asked)} == {200}
    assert len(receiver.came) == 60
