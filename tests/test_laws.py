"""What else the laws promise, each with a test that fails when it is broken."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from linkgate import challenge, stripe_calls
from linkgate.errors import StoreUnavailable
from linkgate.minting import Minted
from linkgate.store.entries import Claim, Visit
from linkgate.store.links import dump_session
from linkgate.tokens import Keyring
from tests.stack import BROWSER, PRICE, SCANNER, SIGNING_KEY, Stack

KEYS = Keyring([SIGNING_KEY])


async def test_law_2_a_good_challenge_in_a_get_is_no_confirmation(stack: Stack) -> None:
    await stack.campaign(policy="confirm")
    link = stack.link()
    good = challenge.issue(KEYS, link.id, stack.clock())
    answer = await stack.get(f"{stack.path(link)}?challenge={good}")
    assert answer.status == 200
    assert await stack.sessions() == []


async def test_law_4_a_session_that_comes_too_late_is_closed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign(policy="direct")
    link = stack.link()
    store = stack.gateway.store
    settle = store.links.settle

    async def overtaken(*args: Any, **more: Any) -> bool:
        # Another gateway took the link on while this one was stuck between Stripe and the store.
        await store.connection.client.hincrby(f"lg:{{{link.id}}}:link", "attempt", 1)
        return await settle(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(store.links, "settle", overtaken)
        assert (await stack.get(stack.path(link))).status == 503
    assert await stack.open_sessions() == []
    assert (await stack.get(stack.path(link))).status == 303
    assert len(await stack.open_sessions()) == 1


async def test_law_4_a_late_webhook_does_not_let_a_link_be_paid_twice(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    await stack.get(stack.path(link))
    [session] = await stack.sessions()
    await stack.control("POST", "webhooks/hold")
    await stack.control("POST", f"sessions/{session['id']}/pay")
    row = await stack.row(link)
    # The session's time is over by the store's clock, and nobody has told of the payment.
    over = replace(row.sessions[0], expires_at=1000)
    await stack.gateway.store.connection.client.hset(
        f"lg:{{{link.id}}}:sessions", session["id"], dump_session(over)
    )
    assert (await stack.get(stack.path(link))).status == 200
    assert len(await stack.sessions()) == 1


async def test_law_4_the_lease_outlasts_whoever_holds_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign()
    claims: list[Claim] = []
    enter = stack.gateway.store.links.enter

    async def watched(link: Any, visit: Any, claim: Any, *told: Any) -> Any:
        claims.append(claim)
        return await enter(link, visit, claim, *told)

    monkeypatch.setattr(stack.gateway.store.links, "enter", watched)
    await stack.get(stack.path(stack.link()))
    longest = stack.settings.stripe.person_deadline_seconds + stack.settings.stripe.timeout_seconds
    assert claims[0].lease_ms > longest * 1000


async def test_law_4_an_attempt_goes_on_when_its_person_has_left(stack: Stack) -> None:
    campaign = await stack.campaign()
    link = stack.link()
    await stack.fault(mode="slow", seconds=0.3)
    mint = stack.gateway.mint
    leaving = asyncio.create_task(
        mint.session(campaign, link, Visit("v1", "mint", '{"id":"v1","at":1.0}'), 1.0)
    )
    await asyncio.sleep(0.1)
    leaving.cancel()
    await mint.drain()
    assert (await stack.row(link)).fields["current"] == (await stack.sessions())[0]["id"]
    result = await mint.session(campaign, link, Visit("v2", "mint", '{"id":"v2","at":2.0}'), 2.0)
    assert isinstance(result, Minted)
    assert not result.fresh


async def test_law_8_a_visit_during_an_outage_is_kept_too(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign()
    await stack.get(stack.path(stack.link()))
    link = stack.link()

    async def away(*_: Any) -> Any:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(stack.gateway.store.connection, "script", away)
        assert (await stack.get(stack.path(link))).status == 503
    row = await stack.row(link)
    assert [visit["verdict"] for visit in row.visits] == ["human"]


async def test_a_machines_visit_costs_the_store_nothing_and_a_persons_two_calls(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign(policy="direct")
    store, link = stack.gateway.store, stack.link()
    await stack.get(stack.path(link))
    await store.recorder.flush()
    task = store.recorder._task
    assert task
    task.cancel()  # it writes the buffer by the same calls
    run, calls = store.connection.script, []

    async def counted(script: Any, *args: Any) -> Any:
        # What looks for work in the background asks now and then, whoever comes.
        if script.name not in {"take a lease", "move on the mark", "take from a queue"}:
            calls.append(script.name)
        return await run(script, *args)

    monkeypatch.setattr(store.connection, "script", counted)
    for headers in (SCANNER, {**BROWSER, "Sec-Purpose": "prefetch"}):
        await stack.get(stack.path(link), headers)
    assert calls == []
    assert (await stack.get(stack.path(link))).status == 303
    assert calls == ["sight", "enter"]


async def test_the_device_cookie_is_secure_where_the_gateway_is(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign(policy="confirm")
    gate = stack.gateway.gate
    terms = replace(gate._terms, public_url="https://go.example.com")
    monkeypatch.setattr(gate, "_terms", terms)
    answer = await stack.press(await stack.get(stack.path(stack.link())))
    assert answer.headers["Set-Cookie"].endswith("; Secure")


async def test_stripes_retry_after_is_honoured(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign()
    decide, waits = stripe_calls._wait, []

    def watched(error: Exception, pause: float, **more: Any) -> float | None:
        waits.append(decide(error, pause, **more))
        return 0.0

    monkeypatch.setattr(stripe_calls, "_wait", watched)
    await stack.fault(status=429, retry_after=7)
    assert (await stack.get(stack.path(stack.link()))).status == 303
    assert waits == [7.0]


@pytest.mark.parametrize(
    ("mode", "noun", "destination"),
    [
        ("payment", "payment_intent", {"line_items": [{"price": PRICE}]}),
        ("subscription", "subscription", {"line_items": [{"price": "price_demo_monthly"}]}),
        ("setup", "setup_intent", {"line_items": [], "params": {"currency": "eur"}}),
    ],
)
async def test_what_a_payment_leaves_at_stripe_names_its_link(
    stack: Stack, mode: str, noun: str, destination: dict[str, Any]
) -> None:
    await stack.campaign(destination={"mode": mode, **destination})
    link = stack.link()
    await stack.get(stack.path(link))
    [session] = await stack.sessions()
    await stack.control("POST", f"sessions/{session['id']}/pay")
    [left] = stack.sandbox.world.every(noun)
    assert left["metadata"]["linkgate_link"] == link.id
    assert left["metadata"]["linkgate_campaign"] == "spring"
    async with asyncio.timeout(10):
        while "done" not in (await stack.row(link)).fields:
            await asyncio.sleep(0.02)
    page = await stack.get(stack.path(link))
    assert page.status == 200
    assert ("paid" in page.text.lower()) == (mode != "setup")


async def test_a_revoked_link_leaves_nothing_to_pay(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    await stack.get(stack.path(link))
    await stack.gateway.desk.revoke(link.id, stack.clock())
    assert await stack.open_sessions() == []
    assert (await stack.get(stack.path(link))).status == 410
