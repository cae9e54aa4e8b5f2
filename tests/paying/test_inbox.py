"""Webhooks: kept before they are answered, worked on afterwards, with effects once."""

import asyncio
import json
import random
import time
from typing import Any

import pytest

from linkgate import config
from linkgate.bookkeeping import Bookkeeper
from linkgate.errors import ConfigError, StoreUnavailable
from linkgate.gateway import Gateway
from linkgate.payments import read_event
from linkgate.store import Store, keys
from linkgate.store.ledgers import Ledgers
from linkgate.store.queue import Queue
from linkgate.tokens import Link
from linkgate.webhooks import BUSY_TRIES, REFUSED_TRIES, TOLERANCE_SECONDS
from tests.paying.conftest import Heard
from tests.paying.kit import (
    SUBSCRIPTION,
    Killed,
    act,
    bought,
    charge,
    counts,
    enter,
    event,
    fields,
    hear,
    metadata,
    post,
    row,
    selling,
    session,
    signed,
)
from tests.stack import SIGNING_KEY, WEBHOOK_SECRET, Stack


def paid(link: Link, **more: Any) -> dict[str, Any]:
    return event("checkout.session.completed", session(metadata=metadata(link), **more))


async def test_an_event_is_kept_before_the_answer(stack: Stack) -> None:
    """The process that took it in dies; whoever is next works on it."""
    await selling(stack)
    await stack.gateway.reader.stop()
    link = stack.link()
    answer = await post(stack, paid(link))
    assert (answer.status, json.loads(answer.text)) == (200, {"status": "kept"})
    assert await fields(stack, link) == {}
    heir = await Gateway.open(stack.settings, stack.clock, background=False)
    assert await heir.reader.work() == 1
    await heir.close()
    assert (await fields(stack, link))["done"] == "paid"
    assert (await counts(stack))["sessions.paid"] == 1


async def test_what_can_t_be_read_later_holds_up_nothing(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """Kept by a version that read it otherwise, or broken on a disk."""
    await selling(stack)
    await stack.gateway.reader.stop()
    await stack.gateway.inbox.put_all({"evt_broken": "{", "evt_odd": '{"type": "invoice.paid"}'})
    link = stack.link()
    assert (await post(stack, paid(link))).status == 200
    await stack.gateway.reader.work()
    assert (await fields(stack, link))["done"] == "paid"
    assert set(await stack.gateway.inbox.ids()) == {"evt_broken", "evt_odd"}
    assert "the event evt_broken can't be taken in" in caplog.text


async def tried_often(stack: Stack, tries: int) -> None:
    """Let all that waits in the inbox have failed so often, and be due."""
    inbox = stack.gateway.inbox
    client: Any = stack.gateway.store.connection.client
    for id_, text in (await client.hgetall(keys.queue_items(inbox.name))).items():
        generation, _, held, body = json.loads(text)
        item = json.dumps([generation, tries, held, body])
        await client.hset(keys.queue_items(inbox.name), id_, item)
        await client.zadd(keys.queue_due(inbox.name), {id_: 1})


@pytest.mark.parametrize(
    ("status", "tries"), [(403, REFUSED_TRIES), (500, BUSY_TRIES)], ids=["refused", "away"]
)
async def test_what_is_never_answered_is_left_to_reconciliation(
    stack: Stack,
    status: int,
    tries: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A restricted key: every refund of the account would stay, and take others' places."""
    from linkgate import attributing

    monkeypatch.setattr(attributing, "ASKING_SECONDS", 0.2)
    await stack.gateway.reader.stop()
    await stack.fault(match="GET /v1/payment_intents/*", status=status, times=None)
    refund = event("charge.refunded", charge("pi_foreign"), account="acct_1")
    assert (await post(stack, refund)).status == 200
    await tried_often(stack, tries - 1)
    await stack.gateway.reader.work()
    assert await stack.gateway.inbox.ids() == [refund["id"]]
    assert await stack.gateway.store.ledgers.left() == []
    await tried_often(stack, tries)
    await stack.gateway.reader.work()
    assert await stack.gateway.inbox.ids() == []
    assert await stack.gateway.store.ledgers.left() == [(refund["id"], "acct_1")]
    [said] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert f"the event {refund['id']} is given up after {tries + 1} tries" in said.getMessage()


async def test_what_can_never_be_read_is_left_to_reconciliation(stack: Stack) -> None:
    await stack.gateway.reader.stop()
    await stack.gateway.inbox.put("evt_broken", "{")
    await tried_often(stack, REFUSED_TRIES)
    await stack.gateway.reader.work()
    assert await stack.gateway.inbox.ids() == []
    assert await stack.gateway.store.ledgers.left() == [("evt_broken", None)]


STEPS = [
    (Ledgers, "_read"),
    (Ledgers, "_write"),
    (Ledgers, "refer"),
    (Ledgers, "count"),
    (Ledgers, "finish"),
    (Bookkeeper, "_look_after"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
async def test_a_death_at_any_step_of_an_event_loses_and_doubles_nothing(
    heard: Heard, owner: Any, name: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, link = heard.stack, heard.stack.link()
    await selling(stack)
    await stack.gateway.reader.stop()
    work, died = getattr(owner, name), []

    async def fatal(*args: Any, **more: Any) -> Any:
        if after:
            await work(*args, **more)
        died.append(True)
        raise Killed

    assert (await post(stack, paid(link, customer="cus_1"))).status == 200
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fatal)
        [item] = await stack.gateway.inbox.take(1, lease_ms=1)
        with pytest.raises(Killed):
            await stack.gateway.reader._handle(item)
    assert died
    await asyncio.sleep(0.005)
    await stack.gateway.reader.work()
    assert await stack.gateway.inbox.depth() == 0
    found = await counts(stack)
    assert found == {
        "sessions.paid": 1,
        "changes.payment.succeeded": 1,
        "changes.access.granted": 1,
        "amount.eur": 4900,
    }
    assert await heard.types(link) == ["payment.succeeded", "access.granted"]
    assert await stack.gateway.store.ledgers.find(["cs_test_1"]) == link.id
    assert not [field for field in await fields(stack, link) if field.startswith("todo:")]


async def test_what_a_death_left_undone_is_done_by_the_watch(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe's API told it, not an event: nobody sends that again."""
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    await stack.gateway.watcher.stop()
    await stack.control("POST", "webhooks/lose", {"events": None})
    session_id = await bought(stack, link)
    from linkgate.destinations.base import Deadline

    told = await stack.gateway.stripe.read(session_id, Deadline.after(5))

    async def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledgers, "count", die)
        with pytest.raises(Killed):
            await stack.gateway.books.hear_known(link.id, told)
    assert "sessions.paid" not in await counts(stack)
    for _ in range(2):
        await stack.gateway.watch.look(link.id)
    found = await counts(stack)
    assert (found["sessions.paid"], found["amount.eur"]) == (1, 4900)
    assert (await heard.types(link))[-2:] == ["payment.succeeded", "access.granted"]


async def test_the_next_event_does_what_a_death_left_undone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = stack.link()
    first = paid(link)
    over = session("cs_2", status="expired", metadata=metadata(link))
    second = event("checkout.session.expired", over)

    async def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledgers, "count", die)
        with pytest.raises(Killed):
            await _hear(stack, link.id, first)
    await _hear(stack, link.id, second)
    await _hear(stack, link.id, first)
    found = await counts(stack)
    assert (found["sessions.paid"], found["amount.eur"], found["sessions.expired"]) == (1, 4900, 1)


async def _hear(stack: Stack, link_id: str, data: Any) -> bool:
    read = read_event(data)
    assert read
    return await stack.gateway.books.hear_event(link_id, read)


async def lives(stack: Stack) -> list[dict[str, Any]]:
    """The events of three links' lives, as the sandbox tells them."""
    await stack.campaign()
    await stack.campaign("club", destination=SUBSCRIPTION)
    await stack.control("POST", "webhooks/lose", {"events": None})
    later, member = stack.link("later"), stack.link("member", campaign="club")
    await act(stack, await bought(stack, stack.link("paid")), "refund")
    await act(stack, await bought(stack, later, "pay-later"), "settle", "dispute", "win-dispute")
    await act(stack, await bought(stack, member), "renew", "fail-renewal", "catch-up", "cancel")
    await stack.control("DELETE", "webhooks")
    return list(stack.sandbox.world.every("event"))


async def test_forged_stale_doubled_and_shuffled_the_state_is_right_and_effects_once(
    heard: Heard,
) -> None:
    stack = heard.stack
    events = await lives(stack)
    order = random.Random(4)
    sendings: list[tuple[str, str, int]] = []
    for each in events:
        payload = json.dumps(each, default=str)
        for _ in range(50 if each["type"] == "checkout.session.completed" else 3):
            sendings.append((payload, signed(payload), 200))
        sendings.append((payload[:-7], signed(payload), 400))
        sendings.append((payload, signed(payload, secret="whsec_" + "x" * 32), 400))
        sendings.append((payload, signed(payload, at=time.time() - TOLERANCE_SECONDS - 1), 400))
    order.shuffle(sendings)
    before = len(sendings)
    answers = await asyncio.gather(*(post(stack, text, name) for text, name, _ in sendings))
    assert len(answers) == before
    assert [answer.status for answer in answers] == [status for *_, status in sendings]
    await stack.heard()
    spring, club = await counts(stack), await counts(stack, "club")
    once = {
        "sessions.paid": 2,
        "changes.payment.succeeded": 2,
        "changes.payment.refunded": 1,
        "amount.eur": 9800,
        "refunded.eur": 4900,
    }
    assert {name: spring[name] for name in once} == once
    # One of the two may have what was paid for; how often that changed, the order decides.
    granted = spring["changes.access.granted"] - spring.get("changes.access.revoked", 0)
    assert granted == 1
    assert club["amount.eur"] == 3 * 1900
    # One whose end is heard of first has never begun for us.
    assert club["changes.subscription.ended"] == 1
    assert club.get("changes.subscription.started", 0) <= 1
    states = {}
    for name in ("paid", "later"):
        link = stack.link(name)
        states[name] = (await row(stack, link)).fields["done"]
        told = await heard.told(link)
        assert len({message["id"] for message in told}) == len(told)
        assert [m["type"] for m in told].count("payment.succeeded") == 1
    assert states == {"paid": "paid", "later": "paid"}


async def test_events_of_one_link_at_the_same_moment_lose_nothing(heard: Heard) -> None:
    """Thirty at once, each of another session, and a visit that mints among them."""
    stack, link = heard.stack, heard.stack.link()
    await stack.campaign(max_payments="unlimited")
    events = [
        event("checkout.session.completed", session(f"cs_test_{n}", metadata=metadata(link, n)))
        for n in range(30)
    ]
    entering = asyncio.create_task(enter(stack, link))
    assert await asyncio.gather(*(_hear(stack, link.id, e) for e in events)) == [True] * 30
    assert (await entering).status == 303
    known = await row(stack, link)
    assert len(known.sessions) == 31
    assert known.fields["done_count"] == "30"
    [minted] = [one.id for one in known.sessions if one.state == "open"]
    assert minted in known.fields["open"].split()
    found = await counts(stack)
    assert (found["sessions.paid"], found["amount.eur"]) == (30, 30 * 4900)
    types = await heard.types(link)
    assert types.count("payment.succeeded") == 30
    assert types.count("session.minted") == 1


async def test_the_same_event_at_the_same_moment_is_taken_in_once(stack: Stack) -> None:
    link = stack.link()
    same = paid(link)
    answers = await asyncio.gather(*(_hear(stack, link.id, same) for _ in range(30)))
    assert sum(answers) == 1
    assert (await counts(stack))["sessions.paid"] == 1


async def test_messages_whose_couriers_could_not_be_woken_are_delivered_all_the_same(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, link = heard.stack, heard.stack.link()
    await selling(stack)
    alerts = 0
    alert = stack.gateway.outbox._store.alert

    async def flaky(*args: Any, **more: Any) -> Any:
        nonlocal alerts
        alerts += 1
        if not more.get("delay_ms"):
            raise StoreUnavailable("just now")
        return await alert(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(stack.gateway.outbox._store, "alert", flaky)
        await hear(stack, paid(link))
    assert alerts >= 2
    waiting = Queue(stack.gateway.store.connection, "outbox:shop")
    assert link.id in await waiting.ids()


def live_on(store: str) -> config.Config:
    return config.parse(
        {
            "server": {"public_url": "https://go.example.com"},
            "signing": {"keys": [SIGNING_KEY]},
            "store": {"url": store},
            "stripe": {"api_key": "sk_live_" + "1" * 30, "webhook_secrets": [WEBHOOK_SECRET]},
        }
    )


async def test_a_store_that_was_away_at_the_start_is_held_to_its_mode_later(
    stack: Stack, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> str:
        raise StoreUnavailable("not yet")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep_to", away)
        live = await Gateway.open(live_on(valkey_url), background=False)
        test = await Gateway.open(stack.settings, background=False)
    link = stack.link()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="holds what test mode did"):
            await live.store.connection.ping()
        with pytest.raises(StoreUnavailable, match="holds what test mode did"):
            await live.inbox.put("evt_1", "{}")
        with pytest.raises(StoreUnavailable, match="holds what test mode did"):
            await live.store.links.revoke(link.id, 1.0, link.expires_at)
    assert await stack.gateway.inbox.ids() == []
    assert await fields(stack, link) == {}
    # Whoever it belongs to goes on.
    assert await test.store.links.revoke(link.id, 1.0, link.expires_at)
    assert await test.store.keep_to("test") == "test"
    await live.close()
    await test.close()


async def test_a_store_keeps_to_its_mode(stack: Stack, valkey_url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await Gateway.open(live_on(valkey_url), background=False)
    [problem] = caught.value.problems
    assert problem.field == "stripe.api_key"
    assert "live key" in problem.message
    assert "test mode" in problem.message
    # And nothing was spoilt by the try.
    again = await Gateway.open(stack.settings, background=False)
    await again.close()
