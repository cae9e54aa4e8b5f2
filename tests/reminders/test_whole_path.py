"""The whole way: a link with an address, a session that runs out, an e-mail, a fresh session."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from linkgate.store import keys
from linkgate.store.apikeys import Scope
from linkgate.store.connect import Connection
from tests.reminders.post import PASSWORD, USER, Authority, Mailman
from tests.stack import PRICE, Answer, Clock, Stack, running


async def api(stack: Stack, path: str, body: Any) -> Any:
    _, key = await stack.gateway.store.keys.create("test", [Scope.ADMIN], stack.clock())
    answer = await stack.ask(
        "POST", f"/api/v1/{path}", {"Authorization": f"Bearer {key}"}, data=json.dumps(body)
    )
    assert answer.status == 201, answer.text
    return json.loads(answer.text)


async def until(found: Callable[[], Awaitable[Any]]) -> None:
    """Wait for what goes on in the background."""
    async with asyncio.timeout(10):
        while not await found():
            await asyncio.sleep(0.02)


async def noted(stack: Stack, link_id: str) -> bool:
    row = await stack.gateway.store.links.read(link_id)
    return row is not None and row.fields.get("reminder") == "sent"


async def open_link(stack: Stack, path: str) -> Answer:
    """Open a link, and press the button if there is one."""
    page = await stack.get(path)
    return await stack.press(page) if page.status == 200 else page


async def test_the_reminders_link_opens_a_fresh_session(
    valkey_url: str, mailman: Mailman, authority: Authority
) -> None:
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    mail = {
        "host": "127.0.0.1",
        "port": mailman.port,
        "username": USER,
        "password": PASSWORD,
        "sender": "shop@example.com",
        "ca_bundle": str(authority.bundle),
    }
    async with running(valkey_url, Clock(), more={"mail": mail}) as stack:
        store, reminders = stack.gateway.store, stack.gateway.reminders
        await api(
            stack,
            "campaigns",
            {
                "slug": "spring",
                "name": "Spring sale",
                "destination": {
                    "line_items": [{"price": PRICE}],
                    "success_url": "https://shop.example.com/thanks",
                    "cancel_url": "https://shop.example.com/",
                },
                "reminder": {"after_minutes": 60, "language": "fr"},
            },
        )
        link = await api(
            stack,
            "links",
            {"campaign": "spring", "recipient": "r-1", "email": "anna@example.com"},
        )
        first = await open_link(stack, link["url"])
        assert first.status == 303
        [session] = await stack.sessions()
        await stack.control("POST", f"sessions/{session['id']}/expire")
        await until(reminders.queue.depth)
        await reminders.worker.work()
        assert mailman.envelopes == []
        stack.clock.offset += 3600
        client: Any = store.connection.client
        due = {link["id"]: time.time() * 1000 - 1}
        assert await client.zadd(keys.queue_due("reminders"), due, xx=True, ch=True)
        reminders.worker.nudge()
        await until(lambda: noted(stack, link["id"]))

        [message] = mailman.messages
        assert message["To"] == "anna@example.com"
        assert message["From"] == "Example Shop <shop@example.com>"
        assert message["Subject"] == "Vous pouvez encore finaliser votre commande chez Example Shop"
        body = message.get_body(("plain",))
        assert body
        [url] = [word for word in body.get_content().split() if "/l/" in word]
        second = await open_link(stack, url)
        assert second.status == 303
        assert second.location != first.location
        [fresh] = await stack.open_sessions()
        assert fresh["metadata"]["linkgate_link"] == link["id"]
        _, key = await store.keys.create("test", [Scope.ADMIN], stack.clock())
        shown = await stack.get(f"/api/v1/links/{link['id']}", {"Authorization": f"Bearer {key}"})
        assert json.loads(shown.text)["reminder"]["result"] == "sent"

        way_out = str(message["List-Unsubscribe"]).strip("<>")
        assert (await stack.get(way_out)).status == 200
        said = await stack.ask("POST", way_out, {}, data={"List-Unsubscribe": "One-Click"})
        assert said.status == 200
        row = await store.links.read(link["id"])
        assert row
        assert await stack.gateway.suppression.covers(row)
