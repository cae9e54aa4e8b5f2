"""What a real server can't be made to do on demand: to swallow a command, and to fail over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from linkgate.errors import StoreUnavailable
from linkgate.store.connect import Connection, Script

SCRIPT = Script("one", "return 1")
# What COMMAND answers: GET has two arguments, and its key is the first of them.
KNOWN_COMMANDS = b"*1\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n"


@dataclass
class Node:
    """Speaks just enough of the protocol for redis-py to take it for a node of a cluster."""

    port: int = 0
    owners: list["Node"] = field(default_factory=list)
    reply: bytes = b""
    away: bool = False
    asked: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while (chunk := await reader.read(4000)) and not self.away:
            writer.write(b"+OK\r\n" * chunk.count(b"SETINFO"))
            writer.write(b"+PONG\r\n" * chunk.count(b"PING"))
            if b"SLOTS" in chunk:
                nodes = b"".join(b"*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % n.port for n in self.owners)
                writer.write(b"*1\r\n*%d\r\n:0\r\n:16383\r\n" % (2 + len(self.owners)) + nodes)
            elif b"COMMAND" in chunk:
                writer.write(KNOWN_COMMANDS)
            elif b"EVALSHA" in chunk or b"GET" in chunk:
                self.asked += 1
                writer.write(self.reply)
        writer.close()


@asynccontextmanager
async def nodes(count: int) -> AsyncIterator[list[Node]]:
    """A cluster whose first node owns every slot and has the others as replicas."""
    made = [Node() for _ in range(count)]
    servers = [await asyncio.start_server(node.serve, "127.0.0.1", 0) for node in made]
    for node, server in zip(made, servers, strict=True):
        node.port = server.sockets[0].getsockname()[1]
        node.owners = list(made)
    try:
        yield made
    finally:
        for node, server in zip(made, servers, strict=True):
            server.close()
            for writer in node.writers:
                writer.close()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_what_timed_out_is_not_sent_twice(scheme: str) -> None:
    async with nodes(1) as [node]:
        connection = await Connection.open(f"{scheme}://127.0.0.1:{node.port}", timeout=0.2)
        with pytest.raises(StoreUnavailable):
            await connection.script(SCRIPT, ["n"])
        assert node.asked == 1
        client: Any = connection.client
        with pytest.raises(StoreUnavailable):
            async with connection.guard():
                await client.pipeline(transaction=False).get("n").execute()
        assert node.asked == 2
        await connection.close()


async def test_pipelines_find_the_node_that_took_over() -> None:
    async with nodes(2) as [lost, replica]:
        lost.reply, replica.reply = b"$3\r\nold\r\n", b"$3\r\nnew\r\n"
        url = f"redis+cluster://127.0.0.1:{lost.port},127.0.0.1:{replica.port}"
        connection = await Connection.open(url, timeout=0.5)
        client: Any = connection.client

        async def read() -> Any:
            async with connection.guard():
                return (await client.pipeline().get("n").execute())[0]

        assert await read() == "old"
        lost.away = True
        replica.owners = [replica]
        with pytest.raises(StoreUnavailable):
            await read()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await read() == "new"
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
        await connection.close()
