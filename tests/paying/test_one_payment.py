"""One link, one payment: or as many as its campaign says, and never one more."""

import asyncio
import json
import random
from typing import Any

import pytest

from linkgate.campaigns import Campaign
from linkgate.store import keys
from tests.paying.kit import (
    SUBSCRIPTION,
    act,
    bought,
    counts,
    drop_lease,
    enter,
    event,
    fields,
    hear,
    metadata,
    row,
)
from tests.stack import Stack

PAID = "This has already been paid"
PENDING = "Your payment is being confirmed"
COMPLETED = "https://shop.example.com/done"


async def is_done(stack: Stack, link: Any, words: str = PAID) -> bool:
    answer = await enter(stack, link)
    return answer.status == 200 and words in answer.text


@pytest.mark.parametrize(
    ("deeds", "words"),
    [
        (["refund"], "This payment was refunded"),
        (["dispute"], PAID),
        (["dispute", "lose-dispute"], PAID),
    ],
)
async def test_a_paid_link_stays_done_whatever_becomes_of_the_money(
    stack: Stack, deeds: list[str], words: str
) -> None:
    await stack.campaign()
    link = stack.link()
    session_id = await bought(stack, link)
    assert await is_done(stack, link)
    await act(stack, session_id, *deeds)
    assert await is_done(stack, link, words)
    assert len(await stack.sessions()) == 1


@pytest.mark.parametrize("most", [1, 3])
async def test_a_link_is_paid_so_often_and_no_more(stack: Stack, most: int) -> None:
    await stack.campaign(max_payments=most)
    link = stack.link()
    for number in range(most):
        await bought(stack, link)
        assert (await fields(stack, link))["done_count"] == str(number + 1)
    assert await is_done(stack, link)
    assert await stack.open_sessions() == []
    assert (await counts(stack))["sessions.paid"] == most


async def test_without_end_is_without_end(stack: Stack) -> None:
    await stack.campaign(max_payments="unlimited")
    link = stack.link()
    for _ in range(4):
        await bought(stack, link)
    assert (await enter(stack, link)).status == 303


async def test_a_link_that_may_be_paid_again_counts_what_it_finds_paid_meanwhile(
    stack: Stack,
) -> None:
    """Nobody told that the second one of two was paid; a visit finds out, and goes on or not."""
    await stack.campaign(max_payments=2, reuse_minutes=0)
    link = stack.link()
    await bought(stack, link)
    await stack.control("POST", "webhooks/lose", {"events": None})
    await bought(stack, link)
    assert await is_done(stack, link)
    assert await stack.open_sessions() == []
    assert (await fields(stack, link))["done_count"] == "2"


async def test_more_allowed_later_opens_the_way_and_less_closes_it(stack: Stack) -> None:
    campaign = await stack.campaign()
    link = stack.link()
    await bought(stack, link)
    more = campaign.model_copy(update={"max_payments": 2, "revision": 2})
    await stack.gateway.store.campaigns.put(more, replaces=campaign)
    assert (await enter(stack, link)).status == 303
    less = more.model_copy(update={"max_payments": 1, "revision": 3})
    await stack.gateway.store.campaigns.put(less, replaces=more)
    assert await is_done(stack, link)


async def test_people_who_have_paid_go_where_the_campaign_says(stack: Stack) -> None:
    await stack.campaign(completed_url=COMPLETED)
    link = stack.link()
    session_id = await bought(stack, link, "pay-later")
    # Not while the money is on its way: the shop would thank for what may not come.
    assert await is_done(stack, link, PENDING)
    await act(stack, session_id, "settle")
    answer = await enter(stack, link)
    assert (answer.status, answer.location) == (303, COMPLETED)
    assert answer.headers["Cache-Control"] == "no-store"


BOOKS = "https://bücher.example/straße?für=dich#später"
BOOKS_ASCII = "https://xn--bcher-kva.example/stra%C3%9Fe?f%C3%BCr=dich#sp%C3%A4ter"


async def test_people_who_have_paid_go_to_that_very_host(stack: Stack) -> None:
    await stack.campaign(completed_url=BOOKS)
    link = stack.link()
    await bought(stack, link)
    answer = await enter(stack, link)
    assert (answer.status, answer.location) == (303, BOOKS_ASCII)


@pytest.mark.parametrize("kept", ["https://\u2024.\u2024/danke", "https://bücher.example:99999/"])
async def test_an_address_that_was_kept_and_can_not_be_one_leaves_the_page(
    stack: Stack, kept: str
) -> None:
    campaign = await stack.campaign(completed_url=COMPLETED)
    stored = json.loads(campaign.model_dump_json())
    older = Campaign.model_validate_json(json.dumps({**stored, "completed_url": kept}))
    await stack.gateway.store.campaigns.put(
        older.model_copy(update={"revision": 2}), replaces=campaign
    )
    link = stack.link()
    await bought(stack, link)
    assert await is_done(stack, link)


async def test_an_asynchronous_payment_that_fails_opens_the_way_again(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    session_id = await bought(stack, link, "pay-later")
    assert await is_done(stack, link, PENDING)
    await act(stack, session_id, "fail-async")
    assert "done" not in await fields(stack, link)
    await bought(stack, link)
    assert await is_done(stack, link)


async def test_nothing_to_pay_is_done_too(stack: Stack) -> None:
    await stack.campaign(
        destination={"mode": "setup", "line_items": [], "params": {"currency": "eur"}}
    )
    link = stack.link()
    await bought(stack, link)
    assert await is_done(stack, link, "This is already done")


@pytest.mark.parametrize("kind", ["payment_intent.succeeded", "checkout.session.completed"])
async def test_either_of_the_two_events_of_a_payment_is_enough(stack: Stack, kind: str) -> None:
    await stack.campaign(reuse_minutes=0)
    link = stack.link()
    await stack.control("POST", "webhooks/lose", {"events": None, "kind": kind})
    await bought(stack, link)
    assert (await fields(stack, link))["done"] == "paid"
    assert await is_done(stack, link)


async def test_a_payment_by_a_session_that_nobody_knows_is_enough(stack: Stack) -> None:
    """Stripe's recovery page made the session, and only its payment is told of."""
    await stack.campaign()
    link = stack.link()
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 4900,
        "amount_received": 4900,
        "currency": "eur",
        "metadata": metadata(link),
    }
    await hear(stack, event("payment_intent.succeeded", intent))
    assert await is_done(stack, link)
    assert await stack.sessions() == []


async def test_a_visit_never_mints_beside_a_payment_unheard(stack: Stack) -> None:
    await stack.campaign(reuse_minutes=0)
    link = stack.link()
    await stack.control("POST", "webhooks/lose", {"events": None})
    await bought(stack, link)
    assert await is_done(stack, link)
    assert len(await stack.sessions()) == 1
    assert (await fields(stack, link))["done"] == "paid"


async def test_many_visits_while_it_is_paid_leave_one_payment(stack: Stack) -> None:
    await stack.campaign(reuse_minutes=0)
    link = stack.link()
    await enter(stack, link)
    [session] = await stack.open_sessions()

    async def pay() -> bool:
        await asyncio.sleep(random.random() / 50)
        try:
            await stack.control("POST", f"sessions/{session['id']}/pay")
        except AssertionError:  # it was closed first
            return False
        return True

    done, *_ = await asyncio.gather(pay(), *(enter(stack, link) for _ in range(6)))
    await stack.delivered()
    sessions = await stack.sessions()
    assert sum(one["payment_status"] == "paid" for one in sessions) == (1 if done else 0)
    if done:
        assert await is_done(stack, link)
        assert await stack.open_sessions() == []


async def test_what_an_older_version_kept_is_done(stack: Stack) -> None:
    """It wrote `done` alone, and sessions with fewer fields."""
    await stack.campaign()
    link = stack.link()
    session_id = await bought(stack, link)
    client: Any = stack.gateway.store.connection.client
    gone = ("done_count", "open", "payer", "recovery_until", "heard")
    await client.hdel(keys.link(link.id), *gone)
    [text] = await client.hvals(keys.sessions(link.id))
    kept = ("id", "url", "state", "attempt", "created_at", "expires_at", "amount_total", "currency")
    old = {name: json.loads(text).get(name) for name in kept}
    await client.hset(keys.sessions(link.id), session_id, json.dumps(old))
    await client.delete(keys.ledger(link.id))
    assert await is_done(stack, link)
    # And it goes on from there.
    await act(stack, session_id, "refund")
    assert await is_done(stack, link, "This payment was refunded")
    assert (await row(stack, link)).ledger.payments[0].refunded == 4900


async def test_an_older_version_s_open_session_is_closed_before_the_next(stack: Stack) -> None:
    await stack.campaign(reuse_minutes=0)
    link = stack.link()
    await enter(stack, link)
    client: Any = stack.gateway.store.connection.client
    await client.hdel(keys.link(link.id), "open", "heard", "current_revision")
    assert (await enter(stack, link)).status == 303
    assert len(await stack.open_sessions()) == 1
    assert len(await stack.sessions()) == 2


async def test_who_paid_is_known_to_the_next_visit(stack: Stack) -> None:
    """Somebody without a customer of theirs subscribes, and opens the link again."""
    await stack.campaign(max_payments=2, destination=SUBSCRIPTION)
    link = stack.link()
    await bought(stack, link)
    customer = (await fields(stack, link))["payer"]
    assert customer.startswith("cus_")
    answer = await enter(stack, link)
    assert answer.status == 303
    assert "/p/session/" in answer.location


async def test_a_lost_lease_does_not_let_a_second_payment_in(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow visit settles when another has minted, and that one was paid."""
    await stack.campaign(reuse_minutes=0)
    link = stack.link()
    links = stack.gateway.store.links
    settle, waiting, go = links.settle, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **more: Any) -> Any:
        if not waiting.is_set():
            waiting.set()
            await go.wait()
        return await settle(*args, **more)

    monkeypatch.setattr(links, "settle", slow)
    first = asyncio.create_task(enter(stack, link))
    await waiting.wait()
    await drop_lease(stack, link)
    await bought(stack, link)
    go.set()
    assert (await first).status in (200, 303, 503)
    assert await is_done(stack, link)
    assert await stack.open_sessions() == []
    assert len([s for s in await stack.sessions() if s["payment_status"] == "paid"]) == 1
