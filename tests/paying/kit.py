"""What the tests of payments share: Stripe's events by hand, and looks at what came of them."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import stripe

from linkgate.store import keys
from linkgate.store.apikeys import Scope
from linkgate.store.entries import Row
from linkgate.tokens import Link
from tests.stack import WEBHOOK_SECRET, Answer, Stack

MONTHLY = "price_demo_monthly"
SUBSCRIPTION: Mapping[str, Any] = {"mode": "subscription", "line_items": [{"price": MONTHLY}]}

_numbers = itertools.count(1)


class Killed(BaseException):
    """The process ends here."""


def metadata(link: Link | str, attempt: int = 1, campaign: str = "spring") -> dict[str, str]:
    """What linkgate puts on everything that it has made at Stripe."""
    recipient = {} if isinstance(link, str) else {"linkgate_recipient": link.recipient}
    return {
        **recipient,
        "linkgate_link": link if isinstance(link, str) else link.id,
        "linkgate_campaign": campaign,
        "linkgate_attempt": str(attempt),
    }


def event(kind: str, about: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """An event as Stripe sends it; `previous` are its previous_attributes."""
    data: dict[str, Any] = {"object": dict(about)}
    if "previous" in more:
        data["previous_attributes"] = more.pop("previous")
    return {
        "id": f"evt_{next(_numbers)}",
        "object": "event",
        "type": kind,
        "created": int(time.time()),
        "livemode": False,
        "data": data,
        **more,
    }


def session(id_: str = "cs_test_1", **more: Any) -> dict[str, Any]:
    """A Checkout Session that was paid, unless told otherwise; of nobody's link."""
    now = int(time.time())
    return {
        "id": id_,
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "created": now,
        "expires_at": now + 1800,
        "amount_total": 4900,
        "currency": "eur",
        "url": None,
        "metadata": {},
        **more,
    }


def charge(intent: str | None, **more: Any) -> dict[str, Any]:
    """A charge that was given back; of nobody's link."""
    return {
        "id": "ch_1",
        "object": "charge",
        "status": "succeeded",
        "captured": True,
        "amount": 4900,
        "amount_captured": 4900,
        "amount_refunded": 4900,
        "refunded": True,
        "currency": "eur",
        "payment_intent": intent,
        "metadata": {},
        **more,
    }


def signed(payload: str, *, at: float | None = None, secret: str = WEBHOOK_SECRET) -> str:
    """A Stripe-Signature header."""
    when = int(time.time() if at is None else at)
    header: str = stripe.WebhookSignature.generate_signature_header(payload, secret, when)
    return header


async def post(stack: Stack, payload: str | Mapping[str, Any], signature: str = "") -> Answer:
    """Send an event, signed as Stripe does unless told otherwise."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    headers = {"Stripe-Signature": signature or signed(text, at=stack.clock())}
    return await stack.ask("POST", "/webhooks/stripe", headers, data=text)


async def selling(stack: Stack) -> None:
    """Let there be the campaign that `metadata` names."""
    if await stack.gateway.store.campaigns.get("spring") is None:
        await stack.campaign()


async def hear(stack: Stack, *events: Mapping[str, Any]) -> None:
    """Send events one after the other, and wait until they have been worked on."""
    for each in events:
        assert (await post(stack, each)).status == 200
        await stack.heard()


async def fields(stack: Stack, link: Link) -> Mapping[str, str]:
    """What the link's hash says; nothing if it isn't known."""
    row = await stack.gateway.store.links.read(link.id)
    return row.fields if row else {}


async def row(stack: Stack, link: Link) -> Row:
    found = await stack.gateway.store.links.read(link.id)
    assert found
    return found


async def counts(stack: Stack, slug: str = "spring") -> dict[str, int]:
    """The campaign's counters of sessions, changes and money."""
    await stack.gateway.store.recorder.flush()
    found = await stack.gateway.store.campaigns.counts(slug)
    return {
        name: number
        for name, number in found.items()
        if name.startswith(("sessions.", "changes.", "amount.", "refunded.", "drift."))
    }


async def picture(stack: Stack, link: Link | str) -> Any:
    """What the API shows of a link."""
    _, key = await stack.gateway.store.keys.create("test", [Scope.ADMIN], stack.clock())
    name = link if isinstance(link, str) else link.id
    answer = await stack.get(f"/api/v1/links/{name}", {"Authorization": f"Bearer {key}"})
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


async def enter(stack: Stack, link: Link) -> Answer:
    """Open a link, and press the button if there is one."""
    page = await stack.get(stack.path(link))
    return await stack.press(page) if page.status == 200 and "challenge" in page.text else page


async def bought(stack: Stack, link: Link, how: str = "pay") -> str:
    """Enter a link and pay its session; returns the session's id."""
    assert (await enter(stack, link)).status == 303
    [id_] = [s["id"] for s in await stack.open_sessions() if _of(s, link)]
    await act(stack, id_, how)
    return str(id_)


async def act(stack: Stack, session_id: str, *deeds: str, **told: Any) -> None:
    """Do things to a session in the sandbox, and wait until their webhooks have been worked on."""
    for deed in deeds:
        await stack.control("POST", f"sessions/{session_id}/{deed}", told)
    await stack.delivered()


def _of(session_: Mapping[str, Any], link: Link) -> bool:
    return bool((session_["metadata"] or {}).get("linkgate_link") == link.id)


async def until(found: Callable[[], Awaitable[Any]]) -> None:
    """Wait for what goes on in the background."""
    async with asyncio.timeout(10):
        while not await found():
            await asyncio.sleep(0.01)


async def drop_lease(stack: Stack, link: Link) -> None:
    """Let a visit's lease run out."""
    client: Any = stack.gateway.store.connection.client
    await client.hset(keys.link(link.id), "lease_until", "1")
