"""Connections to the three kinds of store: one contract, the same tests on each."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fakeredis import FakeAsyncRedis

from linkgate.store.connect import Connection
from tests.store import servers


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server, shared by the session."""
    with servers.valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real cluster of three nodes, shared by the session."""
    with servers.cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture(params=["fakeredis", "valkey", "cluster"])
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    """An empty store."""
    if request.param == "fakeredis":
        opened = Connection(FakeAsyncRedis(decode_responses=True, max_connections=1000))
    else:
        opened = await Connection.open(request.getfixturevalue(f"{request.param}_url"))
        await opened.client.flushall()
    yield opened
    await opened.close()
