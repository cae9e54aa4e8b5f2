"""Reconciliation: what no webhook brought is found in Stripe's own list, once, by one process."""

import asyncio
import logging
from typing import Any

import pytest

from linkgate import reconciling
from linkgate.errors import DestinationBusy, LinkgateError
from linkgate.gateway import Gateway
from linkgate.payments import EVENTS
from linkgate.reconciling import (
    FIRST_SECONDS,
    GRACE_SECONDS,
    LONGEST_SECONDS,
    LONGEST_SLICE_SECONDS,
    MOST_FAILURES,
    OVERLAP_SECONDS,
)
from linkgate.store import keys
from linkgate.tokens import Link
from tests.paying.kit import (
    act,
    bought,
    charge,
    counts,
    enter,
    fields,
    metadata,
    post,
    row,
    session,
)
from tests.stack import Stack

LISTED = "GET /v1/events"


async def lost(stack: Stack, *deeds: str) -> tuple[Link, str]:
    """Somebody pays, and no webhook comes; returns when Stripe's are no longer awaited."""
    await stack.campaign()
    link = stack.link()
    await stack.control("POST", "webhooks/lose", {"events": None})
    session_id = await bought(stack, link)
    await act(stack, session_id, *deeds)
    await stack.control("DELETE", "webhooks")
    stack.clock.offset += GRACE_SECONDS + 60
    return link, session_id


def asked(stack: Stack, what: str = LISTED) -> int:
    return stack.sandbox.world.requests[what]


async def everything_kept(stack: Stack) -> dict[str, Any]:
    """All keys of the store that are about payments, with what they hold."""
    await stack.gateway.store.recorder.flush()
    client: Any = stack.gateway.store.connection.client
    found: dict[str, Any] = {}
    async for key in client.scan_iter("*"):
        read = {"string": client.get, "hash": client.hgetall, "set": client.smembers}
        kind = await client.type(key)
        if kind in read and "lease" not in key:
            found[key] = await read[kind](key)
        elif kind == "zset":
            found[key] = await client.zrange(key, 0, -1)
    return found


async def test_a_lost_webhook_is_found_and_told(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    link, _ = await lost(stack)
    assert "done" not in await fields(stack, link)
    report = await stack.gateway.reconciler.events()
    assert set(report.missed) == {
        ("payment_intent.succeeded", link.id),
        ("checkout.session.completed", link.id),
    }
    assert (await fields(stack, link))["done"] == "paid"
    found = await counts(stack)
    assert (found["sessions.paid"], found["amount.eur"], found["drift.events"]) == (1, 4900, 2)
    assert f"drift: link {link.id}: checkout.session.completed" in caplog.text
    # Another time there is nothing left to find.
    again = await stack.gateway.reconciler.events()
    assert (again.missed, again.events) == ([], report.events)
    assert await counts(stack) == found


async def test_a_webhook_that_comes_after_all_counts_no_more(stack: Stack) -> None:
    await lost(stack)
    await stack.gateway.reconciler.events()
    found = await counts(stack)
    for told in stack.sandbox.world.every("event"):
        if told["type"] in EVENTS:
            assert (await post(stack, told)).status == 200
    await stack.heard()
    assert await counts(stack) == found


async def test_what_may_still_be_on_its_way_is_left_alone(stack: Stack) -> None:
    link, _ = await lost(stack)
    stack.clock.offset -= 120
    report = await stack.gateway.reconciler.events()
    assert (report.events, report.missed) == (0, [])
    # By hand, everything is looked at.
    report = await stack.gateway.reconciler.events(int(stack.clock()) - 900)
    assert len(report.missed) == 2
    assert (await fields(stack, link))["done"] == "paid"


async def test_each_time_goes_on_from_the_last(stack: Stack) -> None:
    reconciler, now = stack.gateway.reconciler, int(stack.clock())
    first = await reconciler.events()
    assert abs(first.since - (now - FIRST_SECONDS - OVERLAP_SECONDS)) <= 2
    assert abs(first.until - (now - GRACE_SECONDS)) <= 2
    stack.clock.offset += 600
    second = await reconciler.events()
    assert second.since == first.until - OVERLAP_SECONDS
    # By hand from further back; that doesn't move on what the servers have seen.
    by_hand = await reconciler.events(now - 90 * 86_400)
    assert abs(by_hand.since - (int(stack.clock()) - LONGEST_SECONDS)) <= 2
    third = await reconciler.events()
    assert third.since == second.until - OVERLAP_SECONDS


async def test_a_dry_run_changes_nothing(stack: Stack) -> None:
    await stack.gateway.watcher.stop()
    link, _ = await lost(stack)
    other = stack.link()
    await stack.control("POST", "webhooks/lose", {"events": None})
    await bought(stack, other)
    before = await everything_kept(stack)
    report = await stack.gateway.reconciler.everything(dry_run=True)
    assert {name for _, name in report.missed} >= {link.id}
    # Both links are watched, and both sessions are paid.
    assert (report.asked, report.drifted, report.failed) == (2, 2, 0)
    assert await everything_kept(stack) == before
    real = await stack.gateway.reconciler.everything()
    assert (len(real.missed), real.asked) == (len(report.missed), 2)
    assert (await fields(stack, other))["done"] == "paid"


async def test_open_sessions_are_asked_about_by_hand(stack: Stack) -> None:
    """Neither a webhook nor the list of events tells of it: say they are older than Stripe's 30
    days.
    """
    await stack.gateway.watcher.stop()
    link, _ = await lost(stack)
    stack.sandbox.world.objects["event"].clear()
    seen: list[tuple[int, int]] = []
    report = await stack.gateway.reconciler.everything(progress=lambda *done: seen.append(done))
    assert (report.missed, report.asked, report.drifted) == ([], 1, 1)
    assert seen[-1] == (0, 1)
    assert (await fields(stack, link))["done"] == "paid"
    assert (await counts(stack))["drift.sessions"] == 1


async def test_long_lists_are_read_to_their_end(stack: Stack) -> None:
    link, _ = await lost(stack)
    world = stack.sandbox.world
    await stack.control("POST", "webhooks/lose", {"events": None})
    for number in range(230):
        world.emit("checkout.session.expired", session(f"cs_foreign_{number}", status="expired"))
    stack.clock.offset += 60
    report = await stack.gateway.reconciler.events()
    assert report.events >= 232
    assert {name for _, name in report.missed} == {link.id}
    assert asked(stack) >= 3


async def test_what_is_nobody_s_or_of_the_other_mode_is_passed_over(stack: Stack) -> None:
    await stack.control("POST", "webhooks/lose", {"events": None})
    link = stack.link()
    live = {**session("cs_live_1", metadata=metadata(link)), "livemode": True}
    for about in (session("cs_foreign"), live):
        told = stack.sandbox.world.emit("checkout.session.completed", about)
        told["livemode"] = bool(about.get("livemode"))
    stack.clock.offset += GRACE_SECONDS + 60
    report = await stack.gateway.reconciler.events()
    assert (report.events, report.missed, report.failed) == (2, [], 0)
    assert await stack.gateway.store.links.read(link.id) is None


@pytest.mark.parametrize("odd", ["unreadable", "unbearable"])
async def test_one_odd_event_keeps_nobody_else_s_away(
    stack: Stack, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.control("POST", "webhooks/lose", {"events": None})
    other = stack.link()
    about = session("cs_odd", metadata=metadata(other))
    if odd == "unreadable":
        about["created"] = "long ago"
    stack.sandbox.world.emit("checkout.session.completed", about)
    link, _ = await lost(stack)
    hear_event = type(stack.gateway.books).hear_event

    async def hear(self: Any, name: str, told: Any) -> bool:
        if name == other.id:
            raise TypeError("it is not the same as before")
        return await hear_event(self, name, told)

    monkeypatch.setattr(type(stack.gateway.books), "hear_event", hear)
    report = await stack.gateway.reconciler.events()
    assert (await fields(stack, link))["done"] == "paid"
    assert await stack.gateway.store.ledgers.reconciled() == report.until


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "times": 2},
        {"status": 429, "times": 1, "retry_after": 0.1},
        {"mode": "drop"},
        {"mode": "truncate"},
        {"mode": "slow", "seconds": 0.2},
    ],
    ids=str,
)
async def test_a_passing_fault_is_ridden_out(stack: Stack, fault: dict[str, Any]) -> None:
    link, _ = await lost(stack)
    await stack.fault(match=LISTED, **fault)
    report = await stack.gateway.reconciler.events()
    assert len(report.missed) == 2
    assert (await fields(stack, link))["done"] == "paid"


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"mode": "drop"}], ids=str)
async def test_after_a_lasting_fault_the_next_time_makes_up_for_it(
    stack: Stack, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.gateway.reconciler.stop()
    monkeypatch.setattr(reconciling, "PAGE_SECONDS", 0.3)
    link, _ = await lost(stack)
    before = await stack.gateway.store.ledgers.reconciled()
    await stack.fault(match=LISTED, times=None, **fault)
    with pytest.raises(DestinationBusy):
        await stack.gateway.reconciler.events()
    assert await stack.gateway.store.ledgers.reconciled() == before
    await stack.control("DELETE", "faults")
    await stack.gateway.reconciler.events()
    assert (await fields(stack, link))["done"] == "paid"


async def test_whose_refund_it_is_that_can_t_be_found_out_now_is_later(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linkgate import attributing

    monkeypatch.setattr(attributing, "ASKING_SECONDS", 0.2)
    link, _ = await lost(stack, "refund")
    events = stack.sandbox.world.objects["event"]
    for name in [name for name in events if events[name]["type"] != "charge.refunded"]:
        del events[name]
    for told in events.values():
        told["data"]["object"]["metadata"] = {}
    await stack.fault(match="GET /v1/payment_intents/*", status=500, times=None)
    for _ in range(2):
        report = await stack.gateway.reconciler.events()
        assert (report.missed, report.failed) == ([], 1)
        # What came after it is not gone through again and again for its sake.
        assert await stack.gateway.store.ledgers.reconciled() == report.until
    stack.clock.offset += 86_400
    await stack.control("DELETE", "faults")
    report = await stack.gateway.reconciler.events()
    assert report.missed == [("charge.refunded", link.id)]
    assert await stack.gateway.store.ledgers.left() == []
    assert [payment.refunded for payment in (await row(stack, link)).ledger.payments] == [4900]


async def refunds(stack: Stack, count: int) -> None:
    """Let there be other people's refunds in Stripe's list."""
    await stack.control("POST", "webhooks/lose", {"events": None})
    for number in range(count):
        stack.sandbox.world.emit("charge.refunded", charge(f"pi_{number}"))
    await stack.control("DELETE", "webhooks")


async def test_what_the_key_may_not_ask_about_doesn_t_fill_each_run(stack: Stack) -> None:
    await refunds(stack, 8)
    stack.clock.offset += GRACE_SECONDS + 60
    forbidden = {"match": "GET /v1/payment_intents/*", "status": 403, "times": None}
    await stack.fault(**forbidden)
    events = stack.gateway.reconciler.events
    assert (await events()).failed == 8
    stack.clock.offset += 86_400
    for _ in range(3):
        report = await events()
        assert report.failed == MOST_FAILURES
    assert report.events == 0
    assert len(await stack.gateway.store.ledgers.left()) == 8
    # In a dry run nothing is struck out, or left for another time.
    await stack.control("DELETE", "faults")
    assert (await events(dry_run=True)).failed == 0
    assert len(await stack.gateway.store.ledgers.left()) == 8
    assert (await events()).missed == []
    assert await stack.gateway.store.ledgers.left() == []


async def test_what_stripe_has_forgotten_is_given_up(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    await stack.gateway.books.leave("evt_gone", "acct_1")
    assert await stack.gateway.store.ledgers.left() == [("evt_gone", "acct_1")]
    report = await stack.gateway.reconciler.events()
    assert (report.failed, await stack.gateway.store.ledgers.left()) == (0, [])
    assert "evt_gone was never taken in" in caplog.text


async def test_by_hand_the_last_minutes_are_not_left_out(stack: Stack) -> None:
    """Whoever types the command has just lost something."""
    link, _ = await lost(stack)
    stack.clock.offset -= 240
    reconciler = stack.gateway.reconciler
    report = await reconciler.everything(dry_run=True)
    assert {name for _, name in report.missed} == {link.id}
    assert abs(report.until - stack.clock()) <= 2
    report = await reconciler.everything()
    assert len(report.missed) == 2
    # By itself it goes on from where all was settled.
    kept = await stack.gateway.store.ledgers.reconciled()
    assert kept == report.until - GRACE_SECONDS


async def test_a_long_time_is_gone_through_in_slices_and_what_was_done_is_kept(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.gateway.reconciler.stop()
    link, _ = await lost(stack)
    stack.clock.offset += 2 * 86_400
    stripe, asked_for = stack.gateway.stripe, []
    events = type(stripe).events

    def counted(self: Any, since: int, until: int, *rest: Any) -> Any:
        asked_for.append((since, until))
        if len(asked_for) == 3:
            raise DestinationBusy("Stripe went away")
        return events(self, since, until, *rest)

    monkeypatch.setattr(type(stripe), "events", counted)
    client: Any = stack.gateway.store.connection.client
    await client.set(keys.RECONCILED, int(stack.clock()) - FIRST_SECONDS)
    with pytest.raises(DestinationBusy):
        await stack.gateway.reconciler.events()
    # One after the other, each beginning where the last has ended, longer while little happens.
    (begin, first), (second, end), _ = asked_for
    assert (first - begin + 1, second, end - second + 1) == (3600, first + 1, 7200)
    assert await stack.gateway.store.ledgers.reconciled() == end
    asked_for.clear()
    asked_for += [(0, 0)] * 3
    report = await stack.gateway.reconciler.events()
    assert report.since == end - OVERLAP_SECONDS
    assert (await fields(stack, link))["done"] == "paid"
    assert max(until - since for since, until in asked_for) < LONGEST_SLICE_SECONDS
    assert await stack.gateway.store.ledgers.reconciled() == report.until


async def test_a_crowded_slice_is_followed_by_a_short_one(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.gateway.reconciler.stop()
    monkeypatch.setattr(reconciling, "FEW_EVENTS", 3)
    await refunds(stack, 4)
    stack.clock.offset += 4 * 3600
    asked_for: list[int] = []
    events = type(stack.gateway.stripe).events

    def counted(self: Any, since: int, until: int, *rest: Any) -> Any:
        asked_for.append(until - since + 1)
        return events(self, since, until, *rest)

    monkeypatch.setattr(type(stack.gateway.stripe), "events", counted)
    await stack.gateway.reconciler.events(int(stack.clock()) - 9 * 3600)
    # 1, 2 and 4 hours: the third has them all.
    assert asked_for[:4] == [3600, 7200, 14_400, 3600]


async def test_by_hand_what_an_older_version_never_watched_is_put_under_watch(
    stack: Stack,
) -> None:
    await stack.campaign()
    await stack.gateway.watcher.stop()
    link = stack.link()
    session_id = await bought(stack, link, "pay-later")
    client: Any = stack.gateway.store.connection.client
    watch = stack.gateway.watch.queue
    await client.delete(keys.queue_due(watch.name), keys.queue_items(watch.name))
    reconciler = stack.gateway.reconciler
    since = int(stack.clock()) - 900
    await reconciler.everything(since, dry_run=True)
    assert await watch.ids() == []
    await stack.control("POST", "webhooks/lose", {"events": None})
    await act(stack, session_id, "settle")
    stack.sandbox.world.objects["event"] = {
        id_: told
        for id_, told in stack.sandbox.world.objects["event"].items()
        if told["type"] == "checkout.session.completed"
    }
    report = await reconciler.everything(since)
    assert (report.missed, report.asked, report.drifted) == ([], 1, 1)
    assert (await fields(stack, link))["done"] == "paid"


async def test_one_process_does_it_for_all(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """And another goes on when that one is gone."""
    async with asyncio.timeout(10):
        while not asked(stack):
            await asyncio.sleep(0.01)
    await stack.gateway.reconciler.stop()
    others = [await Gateway.open(stack.settings, stack.clock, background=False) for _ in range(3)]
    turns: list[Gateway] = []

    def noted(gateway: Gateway) -> Any:
        events = gateway.reconciler.events

        async def note(*args: Any, **more: Any) -> Any:
            turns.append(gateway)
            return await events(*args, **more)

        return note

    try:
        for other in others:
            monkeypatch.setattr(other.reconciler, "events", noted(other))
            other.reconciler.start(0.02)
        async with asyncio.timeout(10):
            while len(turns) < 5:
                await asyncio.sleep(0.01)
        assert len({id(gateway) for gateway in turns}) == 1
        # Whoever stops gives it back.
        holder = turns[0]
        await holder.reconciler.stop()
        async with asyncio.timeout(10):
            while turns[-1] is holder:
                await asyncio.sleep(0.01)
    finally:
        for other in others:
            await other.close()


async def test_a_failure_ends_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    reconciler = stack.gateway.reconciler
    await reconciler.stop()
    tries: list[Exception] = [DestinationBusy("away"), ValueError("a bug"), LinkgateError("odd")]
    done = asyncio.Event()

    async def events() -> None:
        if tries:
            raise tries.pop()
        done.set()

    monkeypatch.setattr(reconciler, "events", events)
    reconciler.start(0.01)
    async with asyncio.timeout(10):
        await done.wait()


async def test_a_recovered_session_paid_unheard_is_found(stack: Stack) -> None:
    await stack.campaign(destination={"recovery": True})
    link = stack.link()
    await enter(stack, link)
    [first] = await stack.open_sessions()
    await act(stack, first["id"], "expire")
    await stack.control("POST", "webhooks/lose", {"events": None})
    await act(stack, first["id"], "recover")
    [second] = await stack.open_sessions()
    await act(stack, second["id"], "pay")
    stack.clock.offset += GRACE_SECONDS + 60
    report = await stack.gateway.reconciler.events()
    assert ("checkout.session.completed", link.id) in report.missed
    assert (await fields(stack, link))["done"] == "paid"
