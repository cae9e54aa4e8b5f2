"""What the operator's systems are told of each course that a link may take, in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from linkgate.payments import Ledger
from tests.paying.conftest import Heard
from tests.paying.kit import SUBSCRIPTION, act, bought, enter, event, hear, metadata, session
from tests.stack import SCANNER, Answer, Stack

BOUGHT = ["link.visited", "session.minted", "payment.succeeded", "access.granted"]
SUBSCRIBED = [
    "link.visited",
    "session.minted",
    "payment.succeeded",
    "subscription.started",
    "access.granted",
]


def data(messages: Sequence[Mapping[str, Any]], kind: str) -> list[Any]:
    return [message["data"] for message in messages if message["type"] == kind]


async def opened(stack: Stack, url: str) -> Answer:
    """Open an address from a message, as a person does."""
    page = await stack.get(url)
    return await stack.press(page) if "challenge" in page.text else page


async def test_somebody_visits_and_pays(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    session_id = await bought(stack, link)
    told = await heard.told(link)
    assert [message["type"] for message in told] == BOUGHT
    [paid] = data(told, "payment.succeeded")
    assert (paid["amount"], paid["currency"], paid["session"]) == (4900, "eur", session_id)
    [minted] = data(told, "session.minted")
    assert minted["session"] == session_id
    for message in told:
        about = message["data"]["link"]
        assert (about["id"], about["campaign"]) == (link.id, "spring")
        assert about["recipient"] == link.recipient
    # Its address works: it leads to what the link stands at.
    page = await opened(stack, paid["link"]["url"])
    assert "This has already been paid" in page.text


async def test_machines_are_not_told_of(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    await stack.get(stack.path(link), SCANNER)
    await stack.ask("HEAD", stack.path(link))
    assert await heard.told(link) == []


async def test_a_session_that_ran_out_can_be_reminded_of(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    await enter(stack, link)
    [first] = await stack.open_sessions()
    await act(stack, first["id"], "expire")
    told = await heard.told(link)
    assert [message["type"] for message in told] == [
        "link.visited",
        "session.minted",
        "session.expired",
    ]
    [expired] = data(told, "session.expired")
    assert expired["session"] == first["id"]
    answer = await opened(stack, expired["link"]["url"])
    [second] = await stack.open_sessions()
    assert answer.location == second["url"]


async def test_a_session_that_linkgate_closed_has_not_expired(heard: Heard) -> None:
    """A fresh one took its place: nobody is to be reminded."""
    stack = heard.stack
    await stack.campaign(reuse_minutes=0)
    link = stack.link()
    await enter(stack, link)
    await enter(stack, link)
    assert len(await stack.sessions()) == 2
    assert (await heard.types(link)).count("session.minted") == 2
    assert "session.expired" not in await heard.types(link)
    assert not await stack.gateway.reminders.queue.depth()


async def test_a_revoked_link_s_session_is_closed_in_silence(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    await enter(stack, link)
    await stack.gateway.desk.revoke(link.id, stack.clock())
    assert await stack.open_sessions() == []
    assert await heard.types(link) == ["link.visited", "session.minted"]


async def test_a_visit_is_told_with_what_the_gate_did(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign(policy="direct")
    paid, revoked = stack.link('"decision":"mint"'), stack.link()
    await bought(stack, paid)
    await enter(stack, paid)
    decisions = [told["decision"] for told in data(await heard.told(paid), "link.visited")]
    assert decisions == ["mint", "already done"]
    await enter(stack, revoked)
    await stack.gateway.desk.revoke(revoked.id, stack.clock())
    await enter(stack, revoked)
    decisions = [told["decision"] for told in data(await heard.told(revoked), "link.visited")]
    assert decisions == ["mint", "refuse"]
    assert {told["link"]["recipient"] for told in data(await heard.told(paid), "link.visited")} == {
        paid.recipient
    }


async def test_money_that_goes_back_takes_access_with_it(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    session_id = await bought(stack, link)
    await act(stack, session_id, "refund", amount=900)
    await act(stack, session_id, "refund")
    told = await heard.told(link)
    assert [message["type"] for message in told] == [
        *BOUGHT,
        "payment.refunded",
        "payment.refunded",
        "access.revoked",
    ]
    assert [(one["amount"], one["full"]) for one in data(told, "payment.refunded")] == [
        (900, False),
        (4000, True),
    ]


@pytest.mark.parametrize(
    ("end", "access"), [("win-dispute", []), ("lose-dispute", ["access.revoked"])]
)
async def test_a_dispute_takes_access_when_it_is_lost(
    heard: Heard, end: str, access: list[str]
) -> None:
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    await act(stack, await bought(stack, link), "dispute", end)
    told = await heard.told(link)
    disputed = ["payment.disputed"] * len(data(told, "payment.disputed"))
    assert len(disputed) in (1, 2)
    assert [message["type"] for message in told] == [*BOUGHT, *disputed, *access]
    assert data(told, "payment.disputed")[-1]["state"] == {"w": "won", "l": "lost"}[end[0]]


async def test_a_slow_payment_grants_when_the_money_is_there(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    session_id = await bought(stack, link, "pay-later")
    assert await heard.types(link) == ["link.visited", "session.minted"]
    await act(stack, session_id, "settle")
    assert await heard.types(link) == BOUGHT


async def test_a_slow_payment_that_fails_is_told(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    await act(stack, await bought(stack, link, "pay-later"), "fail-async")
    assert await heard.types(link) == ["link.visited", "session.minted", "payment.failed"]


async def test_a_subscription_s_life(heard: Heard) -> None:
    stack = heard.stack
    await stack.campaign(destination=SUBSCRIPTION)
    link = stack.link()
    session_id = await bought(stack, link)
    told = await heard.types(link)
    assert sorted(told) == sorted(SUBSCRIBED)
    for deed in ("renew", "fail-renewal", "catch-up", "cancel"):
        # Not in the same second: then Stripe would have to be asked about it.
        await stack.control("POST", "clock", {"by": 5})
        await act(stack, session_id, deed)
    found = await heard.told(link)
    types = [message["type"] for message in found]
    assert types[:5] == told
    assert sorted(types[5:]) == sorted(
        [
            "payment.succeeded",
            "payment.failed",
            "payment.succeeded",
            "subscription.ended",
            "access.revoked",
        ]
    )
    assert types[-1] == "access.revoked"
    assert [one["amount"] for one in data(found, "payment.succeeded")] == [1900] * 3


async def test_the_same_change_has_the_same_id(heard: Heard) -> None:
    """A receiver that failed gets the very same message again, and so does a second outbox."""
    stack = heard.stack
    await stack.campaign()
    link = stack.link()
    failed: list[str] = []

    async def answer(got: Any) -> int:
        if not failed:
            failed.append(got.id)
            return 500
        return 204

    heard.receiver.answer = answer
    paid = event("checkout.session.completed", session(metadata=metadata(link)))
    await hear(stack, paid)
    row = await stack.gateway.store.ledgers.read(link.id)
    again = [
        stack.gateway.books.teller.messages(link.id, Ledger(), row.after, row.fields, at)
        for at in (1.0, 2.0)
    ]
    ids = [[message.id for message in messages] for messages in again]
    assert ids[0] == ids[1]
    courier = stack.gateway.outbox.couriers["shop"]
    await heard.receiver.until(lambda: bool(heard.receiver.came))
    await stack.gateway.outbox.wake(link.id, ["payment.succeeded"])
    await courier.worker.work()
    told = await heard.told(link)
    assert [message["id"] for message in told] == ids[0]
    assert failed == [ids[0][0]]


@pytest.mark.parametrize("over", ["revoked", "expired"])
async def test_a_link_that_is_over_has_no_address(heard: Heard, over: str) -> None:
    stack = heard.stack
    await stack.campaign()
    hours = (int(stack.clock()) // 3600 + 1) * 3600
    link = replace(stack.link(), expires_at=hours)
    await bought(stack, link)
    if over == "revoked":
        await stack.gateway.desk.revoke(link.id, stack.clock())
    else:
        stack.clock.offset += hours - stack.clock()
    about = stack.sandbox.world.every("payment_intent")[0]
    charge = stack.sandbox.world.objects["charge"][about["latest_charge"]]
    refunded = {**charge, "amount_refunded": 4900, "refunded": True}
    told = event("charge.refunded", refunded, created=int(stack.clock()))
    await hear(stack, told)
    [back] = data(await heard.told(link), "payment.refunded")
    assert back["link"]["url"] is None
    assert back["link"]["recipient"] == link.recipient
