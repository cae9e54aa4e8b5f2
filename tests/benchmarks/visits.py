"""How fast visits are answered, each as a ratio to a bare Litestar route in the same run.

    python -m tests.benchmarks.visits [--seconds 3] [--rounds 3]

One server process (uvicorn, uvloop, httptools) pinned to one core answers over real loopback HTTP;
the load and the store run on the other core. Kinds of visit take turns within each round, so that a
machine whose speed drifts gives the same ratios. Only the ratios mean anything elsewhere: of
requests a second, and of the server's own processor time a request, which other work on the machine
disturbs less.

People's links are a wheel, long enough that none is opened twice within a second: the second visit
would be a suspect's. Machines go round a third of them. Each link has a visitor in a network of its
own, named by a trusted proxy, so that visits are remembered by link and by network as in earnest.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import uvicorn
import uvloop
from litestar import Litestar, get
from litestar.response import Redirect

from linkgate import campaigns, config
from linkgate.bounds import BoundedProtocol
from linkgate.gateway import Gateway
from linkgate.payments import Session, SessionState
from linkgate.store.entries import Claim, Visit
from linkgate.tokens import Link
from linkgate.web.app import create

LINKS = 6_000
#: Machines come to these again and again.
SCANNED = 2_000
#: Links that are prepared side by side.
AT_ONCE = 100
#: Longer than two visits of one link are taken for a machine's: kinds of visit share the links.
PAUSE_SECONDS = 1.2
CONNECTIONS = 32
GATE_PORT, BARE_PORT = 18_931, 18_932

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{version}.0.0.0 Safari/537.36"
)
BROWSER = (
    'sec-ch-ua: "Chromium";v="{version}", "Google Chrome";v="{version}", "Not-A.Brand";v="24"\r\n'
    'sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Windows"\r\nUpgrade-Insecure-Requests: 1\r\n'
    "User-Agent: " + CHROME + "\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n"
    "Sec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9,de;q={quality}\r\n"
)
SUSPECT = "User-Agent: " + CHROME + "\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n"
SCANNER = (
    "User-Agent: Barracuda Sentinel (EE) {version}\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"
)


@get("/bare", status_code=303)
async def bare() -> Redirect:
    return Redirect("https://checkout.example.com/c/pay/cs_test_1", status_code=303)


def _configuration(folder: Path) -> config.Config:
    return config.parse(
        {
            "server": {
                "public_url": f"http://127.0.0.1:{GATE_PORT}",
                "trusted_proxies": ["127.0.0.1/32"],
            },
            "signing": {"keys": ["benchmark-" + "0123456789abcdef" * 3]},
            "store": {"url": f"embedded:{folder}"},
            "stripe": {"api_key": "sk_test_" + "0" * 24, "api_base": "http://127.0.0.1:9"},
        }
    )


async def _prepare(gateway: Gateway) -> list[str]:
    """Make a campaign and links whose sessions are open, and return the links' tokens."""
    campaign = campaigns.create(
        {
            "slug": "spring",
            "name": "Spring sale",
            "reuse_minutes": 29,
            "destination": {
                "line_items": [{"price": "price_1"}],
                "success_url": "https://shop.example.com/",
            },
        },
        datetime.now(UTC),
    )
    await gateway.store.campaigns.put(campaign, replaces=None)
    now = int(time.time())

    async def make(number: int) -> str:
        link = Link("spring", f"r-{number:032d}", now + 86_400, now - 7200)
        visit = Visit(f"{number:016x}", "mint", json.dumps({"id": f"{number:016x}", "at": now}))
        await gateway.store.links.enter(link, visit, Claim(visit.id, 15_000, 0, campaign.revision))
        url = f"https://checkout.example.com/c/pay/cs_test_{number}"
        session = Session(f"cs_test_{number}", url, SessionState.OPEN, 1, now, now + 86_400)
        await gateway.store.links.settle(link, visit.id, session, visit.id, revision=1)
        return gateway.tokens.issue(link)

    tokens: list[str] = []
    for first in range(0, LINKS, AT_ONCE):
        tokens += await asyncio.gather(*map(make, range(first, first + AT_ONCE)))
    return tokens


def _serve(folder: Path, core: int | None, ready: "multiprocessing.Queue[list[str]]") -> None:
    async def run() -> None:
        app = create(_configuration(folder))
        servers = [
            uvicorn.Server(
                uvicorn.Config(
                    served,
                    port=port,
                    http=BoundedProtocol,
                    log_level="warning",
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                )
            )
            for served, port in (
                (app, GATE_PORT),
                (Litestar([bare], openapi_config=None), BARE_PORT),
            )
        ]
        tasks = [asyncio.create_task(server.serve()) for server in servers]
        while not all(server.started for server in servers):
            await asyncio.sleep(0.05)
        tokens = await _prepare(app.state.gateway)
        # Only now: the store was started before, and keeps the other core.
        if core is not None:
            os.sched_setaffinity(0, {core})
        ready.put(tokens)
        await asyncio.gather(*tasks)

    uvloop.run(run())


class _Client(asyncio.Protocol):
    """Sends one request after another on one connection, and counts what comes back."""

    def __init__(self, requests: Iterator[bytes], statuses: dict[bytes, int]) -> None:
        self._requests = requests
        self._statuses = statuses
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports implement the class without inheriting from it.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        assert self._transport
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        status = head[9:12]
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._buffer = b""
        self._transport.write(next(self._requests))


def _processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used; 0 where /proc doesn't tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load(
    port: int, requests: Sequence[bytes], seconds: float, server: int
) -> tuple[float, float, str]:
    statuses: dict[bytes, int] = {}
    stream = itertools.cycle(requests)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Client(stream, statuses), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(0.2)
    before, started, used = sum(statuses.values()), time.perf_counter(), _processor_seconds(server)
    await asyncio.sleep(seconds)
    answered = sum(statuses.values()) - before
    rate = answered / (time.perf_counter() - started)
    cost = (_processor_seconds(server) - used) / answered
    for transport, _ in made:
        transport.abort()
    return rate, cost, "/".join(sorted(status.decode() for status in statuses))


def _visitor(number: int) -> str:
    """Return an address in a /24 of its own, of a network where people are (84.128.0.0/10)."""
    return f"84.{128 + number // 256}.{number % 256}.7"


def _requests(tokens: Sequence[str], headers: str) -> list[bytes]:
    return [
        f"GET /l/{token} HTTP/1.1\r\nHost: 127.0.0.1:{GATE_PORT}\r\n"
        f"X-Forwarded-For: {_visitor(n)}\r\n"
        f"{headers.format(version=150 + n % 7, quality=f'0.{1 + n % 8}')}\r\n".encode()
        for n, token in enumerate(tokens)
    ]


def main() -> None:
    """Run the benchmark and print its table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    core = cores[0] if len(cores) > 1 else None
    if core is not None:
        os.sched_setaffinity(0, set(cores[1:]))
    with tempfile.TemporaryDirectory() as folder:
        ready: multiprocessing.Queue[list[str]] = multiprocessing.Queue()
        server = multiprocessing.Process(target=_serve, args=(Path(folder), core, ready))
        server.start()
        try:
            tokens = ready.get(timeout=120)
            assert server.pid
            uvloop.run(_measure(tokens, chosen.seconds, chosen.rounds, server.pid))
        finally:
            server.terminate()
            server.join()


async def _measure(tokens: Sequence[str], seconds: float, rounds: int, server: int) -> None:
    bare_request = [b"GET /bare HTTP/1.1\r\nHost: 127.0.0.1\r\n" + BROWSER.encode() + b"\r\n"]
    kinds = {
        "bare 303": (BARE_PORT, bare_request),
        "automated GET": (GATE_PORT, _requests(tokens[:SCANNED], SCANNER)),
        "suspect GET": (GATE_PORT, _requests(tokens[:SCANNED], SUSPECT)),
        "human GET, open session": (GATE_PORT, _requests(tokens, BROWSER)),
    }
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    costs: dict[str, list[float]] = {kind: [] for kind in kinds}
    statuses: dict[str, str] = {}
    for _ in range(rounds):
        for kind, (port, requests) in kinds.items():
            await asyncio.sleep(PAUSE_SECONDS)
            rate, cost, statuses[kind] = await _load(port, requests, seconds, server)
            rates[kind].append(rate)
            costs[kind].append(cost)
    print(f"{'visit':26}{'status':>8}{'a second':>10}{'ratio':>8}{'CPU us':>10}{'ratio':>8}")
    for kind in kinds:
        rate_ratios = [a / b for a, b in zip(rates[kind], rates["bare 303"], strict=True)]
        cost_ratios = [b / a for a, b in zip(costs[kind], costs["bare 303"], strict=True) if a]
        print(
            f"{kind:26}{statuses[kind]:>8}{statistics.median(rates[kind]):>10,.0f}"
            f"{statistics.median(rate_ratios):>8.2f}{statistics.median(costs[kind]) * 1e6:>10.1f}"
            f"{statistics.median(cost_ratios or [0]):>8.2f}"
        )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
