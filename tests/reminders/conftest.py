"""A mail server, and a store with a link in it whose session has run out."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from linkgate import campaigns
from linkgate.config.mail import Mail
from linkgate.mail.composing import Letterhead
from linkgate.pages.brand import Brand
from linkgate.payments import Session, SessionState
from linkgate.reminding import Reminders
from linkgate.store import Store, keys
from linkgate.store.entries import Row
from linkgate.store.links import dump_session
from linkgate.suppression import Suppression
from linkgate.tokens import Keyring, Link
from tests.reminders.post import PASSWORD, USER, Authority, Mailman, open_for
from tests.stack import Clock

KEY = "signing-key-of-reminders-" + "0123456789" * 3
URL = "https://go.example.com"
HEAD = Letterhead("shop@example.com", "Example Shop", "Example Shop", "#1f5eff")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(trustme.CA(), tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def mailman(authority: Authority) -> AsyncIterator[Mailman]:
    """A mail server with STARTTLS and a login, in a good mood."""
    async with open_for(Mailman(), authority) as found:
        yield found


def settings(mailman: Mailman, bundle: Path, **more: Any) -> Mail:
    values = {
        "host": "127.0.0.1",
        "port": mailman.port,
        "username": USER,
        "password": PASSWORD,
        "sender": "Example Shop <shop@example.com>",
        "reply_to": "help@example.com",
        "ca_bundle": bundle,
        "per_minute": 6000,
        "timeout_seconds": 5,
        **more,
    }
    return Mail.model_validate(values)


@dataclass
class Scene:
    """One process's reminders on a store, and ways to set the scene."""

    store: Store
    mailman: Mailman
    authority: Authority
    clock: Clock = field(default_factory=Clock)

    def reminders(self, *, keys_in_use: tuple[str, ...] = (KEY,), **more: Any) -> Reminders:
        """Build a process's reminders."""
        keyring = Keyring(keys_in_use)
        return Reminders.of(
            settings(self.mailman, self.authority.bundle, **more),
            Brand("Example Shop", "#1f5eff"),
            URL,
            store=self.store,
            keyring=keyring,
            suppression=self.suppression(keys_in_use),
            clock=self.clock,
        )

    def suppression(self, keys_in_use: tuple[str, ...] = (KEY,)) -> Suppression:
        return Suppression(self.store, Keyring(keys_in_use), self.clock)

    async def campaign(self, slug: str = "spring", **changes: Any) -> campaigns.Campaign:
        destination = {
            "line_items": [{"price": "price_1"}],
            "success_url": "https://shop.example.com/thanks",
        }
        data = {
            "slug": slug,
            "name": "Spring sale",
            "destination": destination,
            "reminder": {"after_minutes": 0},
            **changes,
        }
        campaign = campaigns.create(data, datetime.now(UTC))
        await self.store.campaigns.put(campaign, replaces=None)
        return campaign

    async def link(
        self,
        recipient: str = "r-1",
        *,
        campaign: str = "spring",
        email: str | None = "anna@example.com",
        state: SessionState = SessionState.EXPIRED,
        session_s: int = -60,
        expires_s: int = 86_400,
        **fields: Any,
    ) -> Link:
        """Keep a link that was visited and whose session ended, as the store has it then."""
        now = int(self.clock())
        link = Link(campaign, recipient, now + expires_s)
        session = Session("cs_1", "", state, 1, now - 3600, now + session_s)
        row = {
            "campaign": campaign,
            "recipient": recipient,
            "expires_at": str(link.expires_at),
            "customer": "",
            **fields,
        }
        client = cast(Any, self.store.connection.client)
        await client.hset(keys.link(link.id), mapping=row)
        await client.expire(keys.link(link.id), 86_400)
        await client.hset(keys.sessions(link.id), session.id, dump_session(session))
        if email:
            await client.set(keys.private(link.id), json.dumps({"email": email}))
        return link

    async def row(self, link: Link) -> Row:
        row = await self.store.links.read(link.id)
        assert row
        return row

    async def said(self, link: Link) -> str | None:
        """What the link's row says of its reminder."""
        return (await self.row(link)).fields.get("reminder")

    async def set(self, link: Link, **fields: str) -> None:
        await cast(Any, self.store.connection.client).hset(keys.link(link.id), mapping=fields)

    async def make_due(self, link: Link) -> None:
        """Let the time pass that the link's item waits for."""
        client = cast(Any, self.store.connection.client)
        changed = await client.zadd(
            keys.queue_due("reminders"), {link.id: time.time() * 1000 - 1000}, xx=True, ch=True
        )
        assert changed, "nothing waits"

    async def counts(self, slug: str = "spring") -> dict[str, int]:
        await self.store.recorder.flush()
        counted = await self.store.campaigns.counts(slug)
        return {
            name.removeprefix("reminders."): number
            for name, number in counted.items()
            if name.startswith("reminders.")
        }


@pytest.fixture
async def scene(valkey_url: str, mailman: Mailman, authority: Authority) -> AsyncIterator[Scene]:
    store = await Store.open(valkey_url)
    await store.connection.client.flushall()
    yield Scene(store, mailman, authority)
    await store.close()
