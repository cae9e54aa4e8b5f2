"""A whole linkgate in processes of its own: gateways on one store, and Stripe's stand-in."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from linkgate import campaigns
from linkgate.store import Store
from linkgate.tokens import Keyring, Link, LinkTokens
from tests.bars.people import Person, address
from tests.cli.processes import Running, free_port
from tests.cli.processes import running as process
from tests.stack import PRICE, SIGNING_KEY, STRIPE_KEY, WEBHOOK_SECRET

TOKENS = LinkTokens(Keyring([SIGNING_KEY]))


@dataclass
class Served:
    """Where everything is. All gateways listen at `urls`."""

    urls: list[str]
    sandbox_url: str
    store: Store
    http: aiohttp.ClientSession
    processes: list[Running] = field(default_factory=list)

    async def campaign(self, **changes: Any) -> None:
        """Make the campaign `spring`."""
        data = {
            "slug": "spring",
            "name": "Spring sale",
            "destination": {
                "line_items": [{"price": PRICE}],
                "success_url": "https://shop.example.com/thanks",
                "cancel_url": "https://shop.example.com/",
            },
            **changes,
        }
        campaign = campaigns.create(data, datetime.now(UTC))
        await self.store.campaigns.put(campaign, replaces=None)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Use the sandbox's controls."""
        async with self.http.request(
            method,
            f"{self.sandbox_url}/sandbox/{path}",
            data=json.dumps(body) if body is not None else None,
            headers={"Authorization": f"Bearer {STRIPE_KEY}", "Content-Type": "application/json"},
        ) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json() if answer.content_length else None


def environment(store: str, sandbox_url: str, port: int, **more: str) -> dict[str, str]:
    """Return the configuration of one gateway."""
    return {
        "LINKGATE_SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
        "LINKGATE_SERVER__PORT": str(port),
        "LINKGATE_SERVER__TRUSTED_PROXIES": "127.0.0.1/32",
        "LINKGATE_SIGNING__KEYS": SIGNING_KEY,
        "LINKGATE_STORE__URL": store,
        "LINKGATE_STRIPE__API_KEY": STRIPE_KEY,
        "LINKGATE_STRIPE__API_BASE": sandbox_url,
        "LINKGATE_STRIPE__WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "LINKGATE_LOG__LEVEL": "error",
        **more,
    }


@contextlib.asynccontextmanager
async def serving(folder: Path, gateways: int, **more: str) -> AsyncIterator[Served]:
    """Start so many gateways on an embedded store in `folder`, and the sandbox."""
    port = free_port()
    with contextlib.ExitStack() as started:

        async def start(name: str, *arguments: str, **env: str) -> Running:
            (folder / name).mkdir()
            entered = process(folder / name, *arguments, **env)
            return await asyncio.to_thread(started.enter_context, entered)

        words = ("--api-key", STRIPE_KEY, "--webhook", f"http://127.0.0.1:{port}/webhooks/stripe")
        secret = ("--webhook-secret", WEBHOOK_SECRET)
        sandbox = await start("sandbox", "sandbox", "--port", "0", *words, *secret)
        found = re.search(r"http://[\d.]+:\d+", sandbox.first_line)
        assert found, sandbox.first_line
        store = f"embedded:{folder / 'data'}"
        ports = [port, *(free_port() for _ in range(gateways - 1))]
        processes = [
            await start(f"gateway{n}", "serve", **environment(store, found[0], port, **more))
            for n, port in enumerate(ports)
        ]
        opened = await Store.open(store)
        try:
            async with aiohttp.ClientSession() as http:
                urls = [f"http://127.0.0.1:{port}" for port in ports]
                yield Served(urls, found[0], opened, http, processes)
        finally:
            await opened.close()


def crowd(count: int, expires_at: int) -> list[Person]:
    """Return so many people, each with a link and a network of their own."""
    return [
        Person("/l/" + TOKENS.issue(Link("spring", f"r-{n}", expires_at)), address(n))
        for n in range(count)
    ]
