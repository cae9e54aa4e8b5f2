"""Messages reach their receivers: signed, in order, again until they are taken."""

import asyncio
import json
import random
import re
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import web
from standardwebhooks import WebhookVerificationError

import linkgate
from linkgate import working
from linkgate.config.outbound import EndpointTable
from linkgate.delivering import DAYS_3, SCHEDULE, Rest, again_after
from linkgate.outbox import Message
from linkgate.store.outbox import read_note
from linkgate.store.parked import ParkedStore
from linkgate.store.queue import Queue
from tests.outbound.conftest import LINK, Desk, message
from tests.outbound.receiving import Got, Receiver, endpoint, receiving, saying, secret, verified

DAY = 86_400.0


async def test_a_message_is_signed_and_is_what_it_says(
    desk: Desk, receiver: Receiver, shop: EndpointTable
) -> None:
    outbox = desk.outbox(shop)
    await outbox.send(LINK, [message(1)])
    await desk.deliver(outbox)
    [got] = receiver.taken
    assert verified(got, secret()) == {
        "type": "payment.succeeded",
        "timestamp": "2027-01-15T08:00:00.250Z",
        "data": {"link": {"id": LINK}, "n": 1},
    }
    assert got.headers["user-agent"] == f"linkgate/{linkgate.__version__}"
    assert got.headers["content-type"] == "application/json"
    assert re.fullmatch(r"msg_[0-9a-f]{32}", got.id)
    assert await desk.waiting() == 0


async def test_the_same_change_makes_the_same_id_and_others_others() -> None:
    made = Message.of(LINK, "k", "payment.failed", 1, {})
    assert made.id == Message.of(LINK, "k", "payment.failed", 2, {"later": True}).id
    others = [
        Message.of(LINK + "b", "k", "payment.failed", 1, {}),
        Message.of(LINK, "j", "payment.failed", 1, {}),
        Message.of(LINK, "k", "payment.refunded", 1, {}),
    ]
    assert len({made.id, *(other.id for other in others)}) == 4
    with pytest.raises(ValueError, match="no type"):
        Message.of(LINK, "k", "payment.suceeded", 1, {})


async def test_running_couriers_deliver_when_woken(
    desk: Desk, receiver: Receiver, shop: EndpointTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "LOOK_SECONDS", 3600.0)
    outbox = desk.outbox(shop)
    outbox.start()
    await outbox.send(LINK, [message(1), message(2)])
    await receiver.until(lambda: len(receiver.taken) == 2)
    assert receiver.numbers(LINK) == [1, 2]


async def test_endpoints_get_the_types_that_they_want(desk: Desk, receiver: Receiver) -> None:
    picky = endpoint("picky", f"{receiver.url}/picky", events=["payment.refunded"])
    outbox = desk.outbox(endpoint("all", receiver.url), picky)
    assert outbox.wants("payment.refunded")
    assert outbox.wants("link.visited")
    assert not desk.outbox(picky).wants("link.visited")
    await outbox.send(LINK, [message(1), message(2, kind="payment.refunded")])
    await desk.deliver(outbox)
    await desk.deliver(outbox)
    assert receiver.numbers(LINK) in ([1, 2, 2], [2, 1, 2])
    keys = [key for key, _ in outbox.lines(LINK, [message(1), message(2, kind="payment.refunded")])]
    assert [key.rpartition(":")[2] for key in keys] == ["all", "all", "picky"]
    assert all(key.startswith(f"lg:{{{LINK}}}:") for key in keys)


async def test_nobody_who_wants_it_costs_no_call_to_the_store(desk: Desk) -> None:
    outbox = desk.outbox(endpoint("picky", "https://x.example/", events=["payment.refunded"]))
    await desk.store.connection.client.config_resetstat()
    await outbox.expect(LINK, ["link.visited"])
    await outbox.wake(LINK, ["link.visited", "session.minted"])
    assert outbox.lines(LINK, [message(1, kind="link.visited")]) == []
    stats = await desk.store.connection.client.info("commandstats")
    assert not [name for name in stats if "eval" in name]


@pytest.mark.parametrize("seed", range(3))
async def test_each_link_s_messages_come_in_order_whatever_fails(
    desk: Desk, receiver: Receiver, shop: EndpointTable, seed: int
) -> None:
    chance = random.Random(seed)

    async def moody(got: Got) -> web.StreamResponse | int:
        await asyncio.sleep(chance.random() * 0.003)
        return chance.choice([204, 204, 200, 500, 503, 301])

    receiver.answer = moody
    outbox = desk.outbox(shop)
    links = [f"lnk_{number:022d}" for number in range(12)]
    for number in range(8):
        for link in links:
            await outbox.send(link, [message(number, link)])
        await desk.deliver(outbox, *links)
    while sum([await desk.waiting(link=link) for link in links]):
        await desk.deliver(outbox, *links)
    assert [receiver.numbers(link) for link in links] == [list(range(8))] * 12


async def test_what_was_under_way_when_a_process_died_comes_again_and_in_order(
    desk: Desk, receiver: Receiver, shop: EndpointTable
) -> None:
    async def silent(_: Got) -> int:
        await asyncio.Event().wait()
        return 204

    receiver.answer = silent
    first = desk.outbox(shop, lease_seconds=0.5)
    first.start()
    await first.send(LINK, [message(1), message(2)])
    await receiver.until(lambda: len(receiver.came) == 1)
    await first.close()

    receiver.answer = None
    second = desk.outbox(shop)
    second.start()
    await receiver.until(lambda: len(receiver.taken) == 2)
    assert receiver.numbers(LINK) == [1, 2]
    assert receiver.came[0].id == receiver.came[1].id


async def test_a_process_that_dies_before_it_wakes_anybody_loses_nothing(
    desk: Desk, receiver: Receiver, shop: EndpointTable
) -> None:
    outbox = desk.outbox(shop)
    queue = outbox.couriers["shop"].worker._queue
    await outbox.expect(LINK, ["payment.succeeded"])
    # Somebody looks in the very moment between the announcement and the change.
    await come_due(desk, queue)
    await outbox.couriers["shop"].worker.work()
    [(link, due)] = await queue.waiting()
    assert link == LINK
    assert 80 < due - desk.clock() < 95
    await outbox._store.add(outbox.lines(LINK, [message(1)]))
    # A minute later, as far as the queue is concerned.
    await come_due(desk, queue)
    await outbox.couriers["shop"].worker.work()
    assert receiver.numbers(LINK) == [1]
    desk.clock.offset += 91
    await come_due(desk, queue)
    await outbox.couriers["shop"].worker.work()
    assert await queue.depth() == 0


async def come_due(desk: Desk, queue: Queue) -> None:
    """Let the link's item be due now, as it is."""
    text = await desk.store.connection.client.hget("lg:{queue:outbox:shop}:items", LINK)
    await queue.put(LINK, json.loads(text)[3])


async def test_a_dead_receiver_holds_up_nobody_else(desk: Desk, receiver: Receiver) -> None:
    async with receiving() as dead:

        async def silent(_: Got) -> int:
            await asyncio.Event().wait()
            return 204

        dead.answer = silent
        outbox = desk.outbox(endpoint("dead", dead.url), endpoint("live", receiver.url))
        outbox.start()
        links = [f"lnk_{number:022d}" for number in range(40)]
        for link in links:
            await outbox.send(link, [message(1, link), message(2, link)])
        await receiver.until(lambda: len(receiver.taken) == 80)
        assert all(receiver.numbers(link) == [1, 2] for link in links)
        # And no more than ten at once are kept waiting.
        await dead.until(lambda: len(dead.came) == 10)
        await outbox.close()
        assert len(dead.came) == 10


async def test_an_endpoint_that_fails_is_left_alone_and_its_tries_are_not_counted(
    desk: Desk, receiver: Receiver, shop: EndpointTable
) -> None:
    async def broken(_: Got) -> int:
        return 500

    receiver.answer = broken
    outbox = desk.outbox(shop, resting=True)
    now = [100.0]
    courier = outbox.couriers["shop"]
    courier.rest = Rest(lambda: now[0])
    courier._hold = 0.0
    links = [f"lnk_{number:022d}" for number in range(30)]
    for link in links:
        await outbox.send(link, [message(1, link)])
    # One after the other, so that it is known how many there were before the rest.
    for _ in range(5):
        [item] = await courier.worker._queue.take(1, lease_ms=60_000)
        later = await courier.handle(item)
        assert later
        assert later.failed
        await courier.worker._queue.later(item, delay_ms=10**9, failed=True)
    assert len(receiver.came) == 5
    assert courier.rest.left == 2.0
    for item in await courier.worker._queue.take(30, lease_ms=60_000):
        later = await courier.handle(item)
        assert later
        assert not later.failed
    assert len(receiver.came) == 5
    now[0] += 2.0
    await courier.handle(item)
    assert len(receiver.came) == 6
    assert courier.rest.left == 4.0


def test_rests_grow_to_a_minute_and_end_with_the_first_success() -> None:
    now = [0.0]
    rest = Rest(lambda: now[0])
    lengths = []
    for _ in range(14):
        began = rest.begin()
        rest.failed(began)
        rest.failed(began - 0.1)  # one that was under way already
        lengths.append(rest.left)
        now[0] += rest.left + 1.0
    assert lengths[:8] == [0.0, 0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert max(lengths) == 60.0
    rest.failed(rest.begin(), asked=7200)
    assert rest.left == 60.0
    rest.succeeded()
    assert rest.left == 0.0
    rest.failed(rest.begin())
    assert rest.left == 0.0
    rest.failed(rest.begin(), asked=30)
    assert rest.left == 30.0


async def test_secrets_rotate_in_either_order(desk: Desk, receiver: Receiver) -> None:
    old, new = secret("o"), secret("n")
    for number, both in enumerate(((old,), (old, new), (new, old), (new,))):
        outbox = desk.outbox(endpoint("shop", receiver.url, secrets=both))
        await outbox.send(LINK, [message(number)])
        await desk.deliver(outbox)
        for one in (old, new):
            if one in both:
                verified(receiver.taken[-1], one)
            else:
                with pytest.raises(WebhookVerificationError):
                    verified(receiver.taken[-1], one)
    assert receiver.numbers(LINK) == [0, 1, 2, 3]
    assert receiver.taken[1].headers["webhook-signature"].count("v1,") == 2


async def test_what_is_not_taken_for_three_days_is_parked_and_the_next_one_tried(
    desk: Desk, receiver: Receiver, shop: EndpointTable
) -> None:
    async def picky(got: Got) -> int:
        return 204 if got.number == 2 else 500

    receiver.answer = picky
    outbox = desk.outbox(shop)
    await outbox.send(LINK, [message(1)])
    desk.clock.offset += DAYS_3 - 60
    await outbox.send(LINK, [message(2), message(3)])
    await desk.deliver(outbox)
    assert [got.number for got in receiver.came] == [1]
    assert await desk.waiting() == 3
    [waiting] = await outbox._store.waiting("shop", 10)
    assert (waiting.behind, waiting.reason) == (2, "it answered 500")
    desk.clock.offset += 61
    await desk.deliver(outbox)
    assert [got.number for got in receiver.came] == [1, 1, 2, 3]
    assert receiver.numbers(LINK) == [2]
    [parked], _ = await ParkedStore(desk.store.connection).list(None, 10)
    assert (parked.line.id, parked.reason) == (message(1).id, "it answered 500")
    assert await desk.waiting() == 1


async def test_a_parking_that_was_cut_short_is_finished(
    desk: Desk, receiver: Receiver, shop: EndpointTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: Got) -> int:
        return 410

    async def dies(*_: object) -> str:
        raise KeyboardInterrupt

    receiver.answer = gone
    outbox = desk.outbox(shop)
    await outbox.send(LINK, [message(1)])
    courier = outbox.couriers["shop"]
    [item] = await courier.worker._queue.take(1, lease_ms=1)
    with monkeypatch.context() as patch:
        patch.setattr(outbox._store, "pop", dies)
        with pytest.raises(KeyboardInterrupt):
            await courier.handle(item)
    assert await desk.waiting() == 1
    await courier.handle(item)
    assert await desk.waiting() == 0
    assert await ParkedStore(desk.store.connection).count() == 1


async def test_gone_parks_at_once_and_disables_nothing(
    desk: Desk, receiver: Receiver, shop: EndpointTable
) -> None:
    async def picky(got: Got) -> int:
        return 410 if got.number == 1 else 200

    receiver.answer = picky
    outbox = desk.outbox(shop)
    await outbox.send(LINK, [message(1), message(2)])
    await desk.deliver(outbox)
    assert receiver.numbers(LINK) == [2]
    assert await ParkedStore(desk.store.connection).count("shop") == 1


async def test_a_redirect_is_a_failure_and_not_followed(
    desk: Desk, receiver: Receiver, shop: EndpointTable
) -> None:
    async def elsewhere(_: Got) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    receiver.answer = elsewhere
    outbox = desk.outbox(shop)
    await outbox.send(LINK, [message(1)])
    await desk.deliver(outbox)
    assert (len(receiver.came), receiver.taken, await desk.waiting()) == (1, [], 1)


async def test_a_receiver_that_accepts_and_then_drips_has_accepted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkgate.delivering.TIMEOUT_SECONDS", 0.2)
    async with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx") as url:
        outbox = desk.outbox(endpoint("shop", url))
        await outbox.send(LINK, [message(1)])
        await desk.deliver(outbox)
        assert await desk.waiting() == 0


@pytest.mark.parametrize("age", [0, 4.9, 5, 10, 305, 3_000, 100_000, 200_000, DAYS_3 - 1, 10**7])
def test_tries_follow_the_schedule(age: float) -> None:
    due = min((at for at in SCHEDULE if at > age), default=DAYS_3) - age
    for _ in range(50):
        wait = again_after(age)
        assert max(min(due, DAYS_3 - age), 1.0) <= wait <= max(due * 1.2, 1.0)
        assert age + wait <= DAYS_3 or wait == 1.0


def test_a_receiver_may_ask_for_more_time_within_bounds() -> None:
    assert again_after(0, 60.0) == 60.0
    assert again_after(100, 60.0) > 200
    assert again_after(DAYS_3 - 10, 3600.0) == 10.0


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("120", 120, 120),
        ("999999999999999", 43_200, 43_200),
        ("in a while", 5, 6),
        ("-5", 5, 6),
        ("Fri, 32 Nov 2026 99:00:00 GMT", 5, 6),
        ("DATE", 590, 601),
    ],
)
async def test_retry_after_is_honoured(
    desk: Desk, receiver: Receiver, shop: EndpointTable, text: str, least: float, most: float
) -> None:
    async def busy(_: Got) -> web.StreamResponse:
        in_ten = datetime.fromtimestamp(desk.clock() + 600, UTC)
        told = format_datetime(in_ten, usegmt=True) if text == "DATE" else text
        return web.Response(status=503, headers={"Retry-After": told})

    receiver.answer = busy
    outbox = desk.outbox(shop)
    await outbox.send(LINK, [message(1)])
    courier = outbox.couriers["shop"]
    [item] = await courier.worker._queue.take(1, lease_ms=1000)
    later = await courier.handle(item)
    assert later
    assert least - 0.5 <= later.seconds <= most
    assert read_note(later.body).reason == "it answered 503"
