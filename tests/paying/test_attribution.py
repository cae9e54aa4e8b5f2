"""Whose an event is: by its metadata, by what is known of Stripe's ids, or by asking Stripe."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from linkgate.attributing import Attribution
from linkgate.errors import StoreUnavailable
from linkgate.payments import read_event
from linkgate.tokens import Link
from tests.paying.kit import (
    SUBSCRIPTION,
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
)
from tests.stack import SCANNER, Stack


def invoice(**more: Any) -> dict[str, Any]:
    return {
        "id": "in_1",
        "object": "invoice",
        "status": "paid",
        "amount_paid": 1900,
        "amount_due": 1900,
        "currency": "eur",
        "billing_reason": "subscription_cycle",
        "metadata": {},
        **more,
    }


def new_shape(subscription: str, named: Mapping[str, str]) -> dict[str, Any]:
    details = {"subscription": subscription, "metadata": dict(named)}
    return {"parent": {"type": "subscription_details", "subscription_details": details}}


def old_shape(subscription: str, named: Mapping[str, str]) -> dict[str, Any]:
    line = {"id": "il_1", "object": "line_item", "metadata": dict(named)}
    return {"subscription": subscription, "lines": {"object": "list", "data": [line]}}


async def states(stack: Stack, link: Link) -> dict[str, str]:
    found = (await row(stack, link)).ledger
    return {one.id: one.state.value for one in (*found.sessions.values(), *found.others.values())}


async def known(stack: Stack) -> list[str]:
    """The links that there are rows of."""
    client: Any = stack.gateway.store.connection.client
    return sorted([key async for key in client.scan_iter("lg:{lnk_*")])


async def test_a_session_names_its_link(stack: Stack) -> None:
    await selling(stack)
    link = stack.link()
    await hear(stack, event("checkout.session.completed", session(metadata=metadata(link))))
    assert (await fields(stack, link))["done"] == "paid"


@pytest.mark.parametrize("by", ["cs_test_1", "cs_test_2"])
async def test_a_session_without_metadata_is_found_by_what_is_known(stack: Stack, by: str) -> None:
    """By itself, or by the session that it continues."""
    await selling(stack)
    link = stack.link()
    recovery = {"url": "https://pay", "expires_at": int(stack.clock()) + 3600}
    begun = session(
        status="expired",
        payment_status="unpaid",
        metadata=metadata(link),
        after_expiration={"recovery": recovery},
    )
    await hear(stack, event("checkout.session.expired", begun))
    assert "done" not in await fields(stack, link)
    later = session(by, recovered_from=None if by == "cs_test_1" else "cs_test_1")
    answer = await post(stack, event("checkout.session.completed", later))
    assert json.loads(answer.text) == {"status": "kept"}
    await stack.heard()
    assert (await fields(stack, link))["done"] == "paid"
    assert (await states(stack, link))[by] == "paid"


@pytest.mark.parametrize("shape", [new_shape, old_shape])
@pytest.mark.parametrize("names", [True, False])
async def test_an_invoice_belongs_to_its_subscription_s_link(
    stack: Stack, shape: Any, names: bool
) -> None:
    await selling(stack)
    link = stack.link()
    bought_ = session(mode="subscription", subscription="sub_1", metadata=metadata(link))
    await hear(stack, event("checkout.session.completed", bought_))
    named = metadata(link) if names else {}
    await hear(stack, event("invoice.paid", invoice(**shape("sub_1", named))))
    assert (await states(stack, link))["in_1"] == "paid"
    assert (await counts(stack))["amount.eur"] == 4900 + 1900


async def test_a_subscription_without_metadata_is_found_by_its_session(stack: Stack) -> None:
    await selling(stack)
    link = stack.link()
    bought_ = session(mode="subscription", subscription="sub_1", metadata=metadata(link))
    ended = {
        "id": "sub_1",
        "object": "subscription",
        "status": "canceled",
        "customer": "cus_1",
        "items": {"object": "list", "data": []},
        "metadata": {},
    }
    await hear(
        stack,
        event("checkout.session.completed", bought_),
        event("customer.subscription.deleted", ended),
    )
    assert (await states(stack, link))["sub_1"] == "canceled"


async def test_a_refund_and_a_dispute_are_found_by_their_payment(stack: Stack) -> None:
    await selling(stack)
    link = stack.link()
    paid = session(payment_intent="pi_1", metadata=metadata(link))
    dispute = {
        "id": "dp_1",
        "object": "dispute",
        "status": "needs_response",
        "payment_intent": "pi_1",
        "charge": "ch_1",
        "amount": 4900,
        "currency": "eur",
        "metadata": {},
    }
    await hear(
        stack,
        event("checkout.session.completed", paid),
        event("charge.refunded", charge("pi_1")),
        event("charge.dispute.created", dispute),
    )
    found = (await row(stack, link)).ledger
    assert [payment.refunded for payment in found.payments] == [4900]
    assert [dispute.state for dispute in found.disputes] == ["open"]
    assert stack.sandbox.world.requests["GET /v1/payment_intents/{id}"] == 0


@pytest.mark.parametrize("mode", ["payment", "subscription"])
async def test_stripe_is_asked_whose_a_refund_is(stack: Stack, mode: str) -> None:
    """Nothing else was heard of: every other event was lost."""
    await stack.campaign(destination=SUBSCRIPTION if mode == "subscription" else {})
    link = stack.link()
    await stack.control("POST", "webhooks/lose", {"events": None})
    session_id = await bought(stack, link)
    await stack.control("DELETE", "webhooks")
    for made in stack.sandbox.world.every("charge"):
        made["metadata"] = {}
    await act(stack, session_id, "refund")
    found = (await row(stack, link)).ledger
    assert sum(payment.refunded for payment in found.payments) > 0
    assert (await counts(stack))["refunded.eur"] in (4900, 1900)


async def test_while_stripe_is_away_the_event_waits(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linkgate import attributing

    monkeypatch.setattr(attributing, "ASKING_SECONDS", 0.2)
    await stack.campaign()
    link = stack.link()
    await stack.control("POST", "webhooks/lose", {"events": None})
    session_id = await bought(stack, link)
    await stack.control("DELETE", "webhooks")
    for made in stack.sandbox.world.every("charge"):
        made["metadata"] = {}
    await stack.fault(match="GET /v1/payment_intents/*", status=500, times=None)
    await stack.gateway.reader.stop()
    await stack.control("POST", f"sessions/{session_id}/refund")
    await stack.sandbox.courier.settled()
    assert await stack.gateway.reader.work() == 1
    assert (await row(stack, link)).ledger.payments == ()
    # What waits holds up nothing.
    await post(stack, event("checkout.session.completed", session(metadata=metadata(link))))
    await stack.gateway.reader.work()
    assert (await states(stack, link))["cs_test_1"] == "paid"
    await stack.control("DELETE", "faults")
    [(waiting, _)] = await stack.gateway.inbox.waiting()
    [body] = [e for e in stack.sandbox.world.every("event") if e["id"] == waiting]
    await stack.gateway.inbox.put(waiting, json.dumps(body))
    await stack.gateway.reader.work()
    assert [payment.refunded for payment in (await row(stack, link)).ledger.payments] == [4900]


FOREIGN = [
    event("checkout.session.completed", session("cs_foreign", metadata={"order": "7"})),
    event("invoice.paid", invoice(**new_shape("sub_foreign", {"order": "7"}))),
    event("charge.refunded", charge("pi_foreign")),
    event("charge.refunded", charge(None)),
    event(
        "payment_intent.succeeded",
        {
            "id": "pi_foreign",
            "object": "payment_intent",
            "status": "succeeded",
            "amount": 1,
            "currency": "eur",
            "metadata": {},
        },
    ),
    event(
        "customer.subscription.updated",
        {
            "id": "sub_foreign",
            "object": "subscription",
            "status": "active",
            "customer": "cus_1",
            "items": {"object": "list", "data": []},
            "metadata": {},
        },
    ),
    event("customer.created", {"id": "cus_1", "object": "customer"}),
    event("payout.paid", {"id": "po_1", "object": "payout"}),
]


async def test_what_is_nobody_s_leaves_nothing_behind(stack: Stack) -> None:
    for foreign in FOREIGN:
        answer = await post(stack, foreign)
        assert answer.status == 200
    await stack.heard()
    client: Any = stack.gateway.store.connection.client
    assert await known(stack) == []
    assert [key async for key in client.scan_iter("lg:ref:*")] == []
    assert await stack.gateway.inbox.depth() == 0


async def test_another_linkgate_s_payments_are_nobody_s(stack: Stack) -> None:
    """Staging and development may share a test account, and two brands a live one."""
    await stack.campaign()
    link = Link("autumn", "r-1", int(stack.clock()) + 86_400)
    theirs = session(metadata=metadata(link, campaign="autumn"))
    await hear(stack, event("checkout.session.completed", theirs))
    assert await known(stack) == []
    # What Stripe says when it is asked whose a refund is, counts no more than that.
    intent = {"id": "pi_9", "object": "payment_intent", "metadata": theirs["metadata"]}
    stack.sandbox.world.put(intent)
    await hear(stack, event("charge.refunded", charge("pi_9")))
    assert await known(stack) == []
    # A link that this one knows is its own, whatever became of its campaign.
    await stack.gateway.store.links.revoke(link.id, stack.clock(), link.expires_at, link=link)
    await hear(stack, event("checkout.session.completed", theirs))
    assert (await fields(stack, link))["done"] == "paid"


async def test_while_the_campaigns_can_t_be_read_an_event_waits(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await selling(stack)
    await stack.gateway.reader.stop()
    link = stack.link()
    await post(stack, event("checkout.session.completed", session(metadata=metadata(link))))

    async def away(*_: Any) -> Any:
        raise StoreUnavailable("just now")

    with monkeypatch.context() as patch:
        patch.setattr(stack.gateway.store.campaigns, "get", away)
        [item] = await stack.gateway.inbox.take(1, lease_ms=1)
        with pytest.raises(StoreUnavailable):
            await stack.gateway.reader._handle(item)
    await asyncio.sleep(0.005)
    await stack.gateway.reader.work()
    assert (await fields(stack, link))["done"] == "paid"


@pytest.mark.parametrize("then", ["visit", "machine"])
async def test_a_link_first_heard_of_by_a_webhook_learns_whose_it_is(
    stack: Stack, then: str
) -> None:
    await stack.campaign(max_payments="unlimited")
    link = stack.link(customer="cus_7")
    await hear(stack, event("checkout.session.completed", session(metadata=metadata(link))))
    said = await fields(stack, link)
    assert (said["campaign"], said["recipient"]) == ("spring", link.recipient)
    if then == "visit":
        await enter(stack, link)
    else:
        await stack.get(stack.path(link), SCANNER)
    said = (await stack.row(link)).fields
    # Tokens are good until the full hour.
    assert int(said["expires_at"]) == -(-link.expires_at // 3600) * 3600
    assert (said["recipient"], said["customer"]) == (link.recipient, "cus_7")


async def test_a_session_that_came_to_nothing_leaves_no_name_behind(stack: Stack) -> None:
    await selling(stack)
    link = stack.link()
    over = session(status="expired", payment_status="unpaid", metadata=metadata(link))
    await hear(stack, event("checkout.session.expired", over))
    assert (await states(stack, link))["cs_test_1"] == "expired"
    client: Any = stack.gateway.store.connection.client
    assert [key async for key in client.scan_iter("lg:ref:*")] == []


async def test_whom_a_link_is_not_for_is_not_kept(stack: Stack) -> None:
    await selling(stack)
    link = stack.link()
    named = {**metadata(link), "linkgate_recipient": "somebody-else"}
    await hear(stack, event("checkout.session.completed", session(metadata=named)))
    assert "recipient" not in await fields(stack, link)


@pytest.mark.parametrize("account", [None, "acct_7"])
async def test_a_connected_account_s_refund_is_asked_about_in_that_account(
    stack: Stack, account: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await selling(stack)
    link = stack.link()
    # As the invoice's of a subscription does, the payment itself names no link.
    named = {"id": "in_9", "object": "invoice", **new_shape("sub_9", metadata(link))}
    payment = {
        "id": "inpay_9",
        "object": "invoice_payment",
        "invoice": invoice(**named),
        "payment": {"type": "payment_intent", "payment_intent": "pi_9"},
        "status": "paid",
    }
    asked: list[str | None] = []

    async def dated(_: Any, path: str, __: Any, deadline: Any, of: str | None) -> Any:
        asked.append(of)
        listed = path == "/v1/invoice_payments"
        return ({"data": [payment]} if listed else {"object": "payment_intent", "id": "pi_9"}), 1

    await stack.gateway.reconciler.stop()

    monkeypatch.setattr(type(stack.gateway.stripe), "_dated", dated)
    await hear(stack, event("charge.refunded", charge("pi_9"), account=account))
    assert asked == [account, account]
    ledger = (await row(stack, link)).ledger
    assert {one.account for one in ledger.others.values()} == {account}


async def test_the_other_mode_s_events_are_nobody_s(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    link = stack.link()
    paid = session(metadata=metadata(link), livemode=True)
    answer = await post(stack, event("checkout.session.completed", paid, livemode=True))
    assert (answer.status, json.loads(answer.text)) == (200, {"status": "ignored"})
    assert await known(stack) == []
    assert "is ignored: it is in live mode" in caplog.text


async def test_the_account_of_a_connect_event_is_kept(stack: Stack) -> None:
    await selling(stack)
    link = stack.link()
    paid = session(metadata=metadata(link), payment_intent="pi_1")
    await hear(stack, event("checkout.session.completed", paid, account="acct_1"))
    found = (await row(stack, link)).ledger
    assert {one.account for one in (*found.sessions.values(), *found.others.values())} == {"acct_1"}


async def test_only_the_listed_accounts_events_count(stack: Stack) -> None:
    """Whoever runs a connected account could name anybody's link in its metadata."""
    books, stripe = stack.gateway.books, stack.gateway.stripe
    await stack.campaign()
    link = stack.link()
    paid = session(metadata=metadata(link))
    trusting = Attribution(books, stripe)
    choosy = Attribution(books, stripe, frozenset({"acct_2"}))
    for account, by in (("acct_1", None), ("acct_2", link.id), (None, link.id)):
        found = read_event(event("checkout.session.completed", paid, account=account))
        assert found
        assert await choosy.link_of(found) == by
        assert await trusting.link_of(found) == link.id
