"""The watch over links: what no webhook tells is asked, and what is superfluous is closed."""

import logging
from itertools import pairwise
from typing import Any

import pytest

from linkgate.destinations.base import Deadline
from linkgate.errors import DestinationBusy, StoreUnavailable
from linkgate.store import keys
from linkgate.tokens import Link
from linkgate.watching import ATTEMPT_SECONDS, MARGIN_SECONDS, PENDING_SECONDS
from tests.paying.kit import (
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
    selling,
)
from tests.stack import Clock, Stack

HALF_HOUR = 30 * 60 + MARGIN_SECONDS + 300


async def pass_time(stack: Stack, seconds: float) -> None:
    """Let linkgate's clock and Stripe's go on."""
    stack.clock.offset += seconds
    await stack.control("POST", "clock", {"by": seconds})


async def lose_all(stack: Stack) -> None:
    await stack.control("POST", "webhooks/lose", {"events": None})


async def quietly(stack: Stack) -> None:
    """Nothing is watched but by the test."""
    await stack.gateway.watcher.stop()


async def watched(stack: Stack, link: Link) -> float | None:
    """Look at a link as the worker does; returns in how many seconds it is looked at again."""
    queue = stack.gateway.watch.queue
    client: Any = stack.gateway.store.connection.client
    await client.zadd(keys.queue_due(queue.name), {link.id: 1}, xx=True)
    await stack.gateway.watcher.work()
    due = dict(await queue.waiting()).get(link.id)
    return None if due is None else due - Clock()()


async def test_a_session_that_ran_out_unheard_is_found(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await quietly(stack)
    await stack.campaign()
    link = stack.link()
    await lose_all(stack)
    assert (await enter(stack, link)).status == 303
    [session] = await stack.open_sessions()
    # Before its end there is nothing to ask.
    again = await watched(stack, link)
    assert again is not None
    assert abs(again - (session["expires_at"] + MARGIN_SECONDS - stack.clock())) < 5
    await pass_time(stack, HALF_HOUR)
    assert await watched(stack, link) is None
    [known] = (await row(stack, link)).sessions
    assert known.state == "expired"
    assert (await counts(stack))["drift.sessions"] == 1
    assert f"drift: link {link.id}: {session['id']} was not open any more" in caplog.text


async def test_a_payment_that_nobody_told_of_is_found(stack: Stack) -> None:
    await quietly(stack)
    await stack.campaign()
    link = stack.link()
    await lose_all(stack)
    await bought(stack, link)
    assert "done" not in await fields(stack, link)
    await pass_time(stack, HALF_HOUR)
    assert await watched(stack, link) is None
    assert (await fields(stack, link))["done"] == "paid"
    found = await counts(stack)
    assert (found["sessions.paid"], found["amount.eur"], found["drift.sessions"]) == (1, 4900, 1)


async def test_a_payment_on_its_way_is_asked_about_now_and_then(stack: Stack) -> None:
    """Bank debits take days: Stripe must not be asked every second of them."""
    await quietly(stack)
    await stack.campaign()
    link = stack.link()
    session_id = await bought(stack, link, "pay-later")
    await lose_all(stack)
    await pass_time(stack, HALF_HOUR)
    for _ in range(3):
        again = await watched(stack, link)
        assert again is not None
        assert again > PENDING_SECONDS - 60
    await act(stack, session_id, "settle")
    assert (await fields(stack, link))["done"] == "pending"
    assert await watched(stack, link) is None
    assert (await fields(stack, link))["done"] == "paid"


@pytest.mark.parametrize("mode", ["payment", "subscription"])
async def test_a_payment_that_fell_through_unheard_opens_the_way_again(
    stack: Stack, mode: str
) -> None:
    await quietly(stack)
    price = {"payment": "price_demo_once", "subscription": "price_demo_monthly"}[mode]
    await stack.campaign(destination={"mode": mode, "line_items": [{"price": price}]})
    link = stack.link()
    session_id = await bought(stack, link, "pay-later")
    await lose_all(stack)
    await act(stack, session_id, "fail-async")
    assert (await enter(stack, link)).status == 200
    await pass_time(stack, HALF_HOUR)
    await watched(stack, link)
    known = await fields(stack, link)
    # Stripe goes on collecting for a subscription: that is not begun anew, but paid.
    expected = {"payment": (None, None), "subscription": ("failed", "past_due")}[mode]
    assert (known.get("done"), known.get("standing")) == expected
    # The store's clock, which attempts go by, has stood still.
    await stack.control("POST", "clock", {"offset": 0})
    answer = await enter(stack, link)
    assert answer.status == 303
    assert ("/c/pay/" in answer.location) is (mode == "payment")


async def twin(stack: Stack, link: Link, session_id: str) -> None:
    """Let a link have a second open session, and let linkgate know of it."""
    world = stack.sandbox.world
    world.put({**world.objects["checkout.session"][session_id], "id": "cs_test_twin"})
    world.carts["cs_test_twin"] = world.carts[session_id]
    known = await stack.gateway.stripe.read("cs_test_twin", Deadline.after(5))
    await stack.gateway.books.hear_known(link.id, known)


async def test_another_tab_s_session_is_closed_when_one_is_paid(stack: Stack) -> None:
    """Stripe's recovery page made a second one that linkgate heard of."""
    await quietly(stack)
    await stack.campaign()
    link = stack.link()
    assert (await enter(stack, link)).status == 303
    [first] = await stack.open_sessions()
    await twin(stack, link, first["id"])
    assert len(await stack.open_sessions()) == 2
    await act(stack, first["id"], "pay")
    await watched(stack, link)
    assert await stack.open_sessions() == []
    found = await counts(stack)
    assert (found["sessions.paid"], found["sessions.closed"]) == (1, 1)
    assert "changes.session.expired" not in found


async def unsure(stack: Stack) -> Link:
    """A subscription of which two events of one second leave open how it stands."""
    await quietly(stack)
    await selling(stack)
    link = stack.link()
    said = {
        "id": "sub_gone",
        "object": "subscription",
        "customer": "cus_1",
        "items": {"object": "list", "data": []},
        "metadata": metadata(link),
    }
    kind, at = "customer.subscription.updated", int(stack.clock())
    states = ("active", "past_due")
    await hear(stack, *(event(kind, {**said, "status": one}, created=at) for one in states))
    assert (await row(stack, link)).ledger.unsure == ("sub_gone",)
    return link


async def test_of_what_stripe_no_longer_knows_the_guess_stands(stack: Stack) -> None:
    """A deleted test clock, or a sandbox that was started anew."""
    link = await unsure(stack)
    [before] = (await row(stack, link)).ledger.subscriptions
    assert await watched(stack, link) is None
    [known] = (await row(stack, link)).ledger.subscriptions
    assert (known.state, known.unsure) == (before.state, False)
    assert stack.sandbox.world.requests["GET /v1/subscriptions/{id}"] == 1


async def test_what_stripe_can_t_say_yet_is_asked_less_and_less_often(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await unsure(stack)
    [known] = (await row(stack, link)).ledger.subscriptions

    async def same_second(*_: Any) -> Any:
        return (known,)

    monkeypatch.setattr(stack.gateway.stripe, "read", same_second)
    waits = [await watched(stack, link) for _ in range(16)]
    found = [wait for wait in waits if wait is not None]
    assert len(found) == 16
    assert found[0] < 3
    assert all(later > sooner * 1.2 for sooner, later in pairwise(found[:10]))
    assert 2800 < found[-1] < 4400


async def test_what_could_not_be_closed_is_closed_later(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await quietly(stack)
    await stack.campaign()
    link = stack.link()
    assert (await enter(stack, link)).status == 303
    [first] = await stack.open_sessions()
    await twin(stack, link, first["id"])
    await act(stack, first["id"], "pay")

    async def busy(*_: Any) -> Any:
        raise DestinationBusy("Stripe is away")

    with monkeypatch.context() as patch:
        patch.setattr(stack.gateway.stripe, "expire_session", busy)
        for _ in range(3):
            again = await watched(stack, link)
            assert again is not None
            assert again < 60
    await watched(stack, link)
    assert await stack.open_sessions() == []


async def killed_before_settling(stack: Stack, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies when Stripe has made the session, and can't even give its lease back."""
    links = stack.gateway.store.links

    async def die(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(links, "settle", die)
        patch.setattr(links, "release", die)
        assert (await enter(stack, link)).status == 503
    assert "lease" in await fields(stack, link)


async def test_a_session_whose_maker_was_killed_is_found(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await quietly(stack)
    await stack.campaign()
    link = stack.link()
    await killed_before_settling(stack, link, monkeypatch)
    # Whoever holds the lease may be alive.
    again = await watched(stack, link)
    assert again is not None
    assert again <= ATTEMPT_SECONDS + 1
    assert (await row(stack, link)).sessions == ()
    await drop_lease(stack, link)
    await pass_time(stack, ATTEMPT_SECONDS)
    await watched(stack, link)
    [known] = (await row(stack, link)).sessions
    [made] = await stack.open_sessions()
    assert (known.id, known.state) == (made["id"], "open")
    # And it is watched from now on.
    await lose_all(stack)
    await pass_time(stack, HALF_HOUR)
    await watched(stack, link)
    [known] = (await row(stack, link)).sessions
    assert known.state == "expired"


@pytest.mark.parametrize("meanwhile", ["nothing", "found", "closed", "expired", "paid"])
async def test_the_next_visit_gets_a_session_that_is_open(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    await quietly(stack)
    await stack.campaign()
    link = stack.link()
    await killed_before_settling(stack, link, monkeypatch)
    await drop_lease(stack, link)
    await pass_time(stack, ATTEMPT_SECONDS)
    if meanwhile != "nothing":
        await watched(stack, link)
        [known] = (await row(stack, link)).sessions
        if meanwhile == "closed":
            await stack.gateway.mint.close_open(link.id, stack.clock())
        elif meanwhile != "found":
            await act(stack, known.id, {"expired": "expire", "paid": "pay"}[meanwhile])
    answer = await enter(stack, link)
    found = await stack.open_sessions()
    if meanwhile == "paid":
        assert (answer.status, found) == (200, [])
        assert "This has already been paid" in answer.text
        return
    assert (answer.status, [answer.location]) == (303, [session["url"] for session in found])
    made = 2 if meanwhile in ("closed", "expired") else 1
    assert len(await stack.sessions()) == made == len((await row(stack, link)).sessions)


async def test_a_session_made_by_a_late_repeat_is_found(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe was away when the attempt began; whoever asked again later, died."""
    await quietly(stack)
    await stack.campaign(session_minutes=120)
    link = stack.link()
    await stack.fault(mode="drop", times=99)
    monkeypatch.setattr(stack.gateway.mint, "_wait_seconds", 1.0)
    assert (await enter(stack, link)).status == 503
    await watched(stack, link)
    await stack.control("DELETE", "faults")
    await pass_time(stack, 600)
    await killed_before_settling(stack, link, monkeypatch)
    await drop_lease(stack, link)
    await pass_time(stack, ATTEMPT_SECONDS)
    await watched(stack, link)
    [known] = (await row(stack, link)).sessions
    [made] = await stack.open_sessions()
    assert known.id == made["id"]
