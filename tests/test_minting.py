"""Minting when Stripe, the store or linkgate itself fails at the worst moment.

Whatever happens: a person gets a page with a way on, and no link ever has two open sessions.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from linkgate import campaigns
from linkgate.campaigns import Campaign
from linkgate.destinations.checkout import LineItem
from linkgate.destinations.checkout_parameters import (
    CLOCK_MARGIN_SECONDS,
    MAX_METADATA,
    parameters,
)
from linkgate.errors import DestinationBusy, StoreUnavailable
from linkgate.store import keys, scripts
from linkgate.store.connect import Connection, Script
from linkgate.stripe_api import Deadline, StripeAPI
from linkgate.tokens import Link
from tests.stack import PRICE, SCANNER, Answer, Clock, Stack, embedded, running

CREATE = "POST /v1/checkout/sessions"


@pytest.fixture
async def hasty(valkey_url: str) -> AsyncIterator[Stack]:
    """A linkgate that waits for Stripe half a second a call, and two and a half in all."""
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    terms = {"timeout_seconds": 0.5, "person_deadline_seconds": 2.5}
    async with running(valkey_url, Clock(), **terms) as found:
        yield found


def is_busy(answer: Answer) -> bool:
    return answer.status == 503 and "retry.js" in answer.text and "Retry-After" in answer.headers


async def one_open_session(stack: Stack) -> Any:
    [session] = await stack.open_sessions()
    return session


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "times": 2, "retry_after": 0.1},
        {"mode": "drop"},
        {"mode": "drop", "executed": True},
        {"mode": "truncate", "executed": True},
        {"mode": "hang", "seconds": 1, "executed": True},
        {"status": 500},
        {"status": 500, "executed": True},
        {"status": 409, "times": 2},
    ],
    ids=str,
)
async def test_a_passing_fault_is_ridden_out(hasty: Stack, fault: dict[str, Any]) -> None:
    await hasty.campaign(policy="direct")
    await hasty.fault(**fault)
    answer = await hasty.get(hasty.path(hasty.link()))
    assert (answer.status, answer.location) == (303, (await one_open_session(hasty))["url"])


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "times": 99, "retry_after": 9},
        {"status": 500, "times": 99},
        {"status": 503, "times": 99},
        {"mode": "drop", "times": 99},
        {"mode": "drop", "times": 99, "executed": True},
        {"mode": "truncate", "times": 99},
        {"mode": "hang", "times": 99, "seconds": 5},
    ],
    ids=str,
)
async def test_a_lasting_fault_is_a_page_that_leads_on(hasty: Stack, fault: dict[str, Any]) -> None:
    await hasty.campaign(policy="direct")
    link = hasty.link()
    await hasty.fault(**fault)
    busy = await hasty.get(hasty.path(link))
    assert is_busy(busy), busy.text
    row = await hasty.row(link)
    assert row.visits[0]["outcome"].startswith("busy: ")
    await hasty.control("DELETE", "faults")
    # What the page's script does by itself, and the button does by hand.
    answer = await hasty.press(busy)
    assert (answer.status, answer.location) == (303, (await one_open_session(hasty))["url"])
    assert "Set-Cookie" not in answer.headers


async def test_when_all_of_stripe_is_down_nobody_is_turned_away(hasty: Stack) -> None:
    await hasty.campaign(policy="direct")
    link = hasty.link()
    await hasty.fault(match="*", status=500, times=99)
    busy = await hasty.get(hasty.path(link))
    assert is_busy(busy)
    await hasty.control("DELETE", "faults")
    assert (await hasty.press(busy)).status == 303
    await one_open_session(hasty)


@pytest.mark.parametrize(
    "fault",
    [{"status": 500, "times": 99}, {"mode": "drop", "times": 99}, {"status": 429, "times": 99}],
    ids=str,
)
async def test_an_old_session_that_can_not_be_closed_keeps_a_new_one_away(
    hasty: Stack, fault: dict[str, Any]
) -> None:
    await hasty.campaign(policy="direct", reuse_minutes=0)
    link = hasty.link()
    first = await hasty.get(hasty.path(link))
    await hasty.fault(match="POST /v1/checkout/sessions/*/expire", **fault)
    assert is_busy(await hasty.get(hasty.path(link)))
    assert (await one_open_session(hasty))["url"] == first.location
    await hasty.control("DELETE", "faults")
    assert (await hasty.get(hasty.path(link))).status == 303
    await one_open_session(hasty)


async def test_a_session_that_stripe_has_forgotten_does_not_lock_anyone_out(stack: Stack) -> None:
    """Another account's key, or a sandbox that was restarted."""
    await stack.campaign(policy="direct", reuse_minutes=0)
    link = stack.link()
    await stack.get(stack.path(link))
    [session] = await stack.sessions()
    del stack.sandbox.world.objects["checkout.session"][session["id"]]
    assert (await stack.get(stack.path(link))).status == 303
    await one_open_session(stack)


async def test_a_price_that_does_not_exist_is_told_to_the_operator(stack: Stack) -> None:
    campaign = await stack.campaign(
        policy="direct", destination={"line_items": [{"price": "price_nope"}]}
    )
    link = stack.link()
    answer = await stack.get(stack.path(link))
    assert answer.status == 503
    assert "price_nope" not in answer.text
    trouble = await stack.gateway.store.campaigns.trouble("spring")
    assert trouble
    assert "price_nope" in trouble["message"]
    assert "line_items" in trouble["message"]
    assert "price_nope" in (await stack.row(link)).visits[0]["outcome"]
    # Mended after sending: the old link follows.
    fixed = campaign.model_copy(
        update={
            "destination": campaign.destination.model_copy(
                update={"line_items": (LineItem(price=PRICE),)}
            ),
            "revision": 2,
        }
    )
    await stack.gateway.store.campaigns.put(fixed, replaces=campaign)
    assert (await stack.get(stack.path(link))).status == 303


@pytest.mark.parametrize("key", ["sk_test_" + "9" * 24])
async def test_a_wrong_stripe_key_is_told_to_the_operator(valkey_url: str, key: str) -> None:
    async with running(valkey_url, Clock(), api_key=key) as stack:
        await stack.campaign(f"wrong-key-{int(time.time() * 1000)}")
        slug = (await stack.gateway.store.campaigns.list())[0].slug
        answer = await stack.get(stack.path(stack.link(campaign=slug)))
        assert answer.status == 503
        trouble = await stack.gateway.store.campaigns.trouble(slug)
        assert trouble
        assert key not in trouble["message"]


async def test_a_process_that_died_while_minting_leaves_one_session(stack: Stack) -> None:
    """Stripe made the session, and linkgate died before it could keep it."""
    await stack.campaign(policy="direct")
    link = stack.link()
    links = stack.gateway.store.links
    settle = links.settle

    async def die(*_: Any, **__: Any) -> bool:
        raise StoreUnavailable("killed between Stripe's answer and the store")

    links.settle = die  # type: ignore[method-assign]
    assert is_busy(await stack.get(stack.path(link)))
    links.settle = settle  # type: ignore[method-assign]
    answer = await stack.get(stack.path(link))
    assert answer.location == (await one_open_session(stack))["url"]
    assert len(await stack.sessions()) == 1


async def test_a_campaign_changed_while_an_attempt_was_open_is_no_hindrance(hasty: Stack) -> None:
    campaign = await hasty.campaign(policy="direct")
    link = hasty.link()
    await hasty.fault(mode="drop", times=99, executed=True)
    busy = await hasty.get(hasty.path(link))
    await hasty.control("DELETE", "faults")
    changed = campaign.model_copy(update={"session_minutes": 60, "revision": 2})
    await hasty.gateway.store.campaigns.put(changed, replaces=campaign)
    assert (await hasty.press(busy)).status == 303
    assert len(await hasty.sessions()) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 422])
async def test_a_refusal_after_a_lost_answer_proves_nothing(hasty: Stack, status: int) -> None:
    await hasty.campaign(policy="direct")
    link = hasty.link()
    await hasty.fault(mode="drop", executed=True)
    await hasty.fault(status=status)
    await hasty.get(hasty.path(link))
    answer = await hasty.get(hasty.path(link))
    assert (answer.status, answer.location) == (303, (await one_open_session(hasty))["url"])
    assert len(await hasty.sessions()) == 1


@pytest.mark.parametrize("minutes", [31, 33])
async def test_an_attempt_of_unknown_result_is_taken_up_as_long_as_it_may_matter(
    hasty: Stack, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hasty.campaign(policy="direct")
    link = hasty.link()
    await hasty.fault(mode="drop", times=99, executed=True)
    assert is_busy(await hasty.get(hasty.path(link)))
    await hasty.control("DELETE", "faults")
    # The same as waiting: the attempt began that long ago, and Stripe's clock has gone on.
    key = keys.link(link.id)
    client = hasty.gateway.store.connection.client
    await hasty.control("POST", "clock", {"offset": minutes * 60})
    monkeypatch.setattr(scripts, "ENTER", later(scripts.ENTER, minutes * 60_000))
    await client.hdel(key, "lease")
    answer = await hasty.get(hasty.path(link))
    assert (answer.status, answer.location) == (303, (await one_open_session(hasty))["url"])
    assert len(await hasty.sessions()) == (1 if minutes < 32 else 2)


def later(script: Script, milliseconds: int) -> Script:
    """Return a script whose clock is ahead."""
    clock = "math.floor(tonumber(clock[2]) / 1000)"
    assert clock in script.source
    return Script(script.name, script.source.replace(clock, f"{clock} + {milliseconds}", 1))


async def test_a_store_clock_ahead_of_stripes_does_not_forget_an_open_session(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign(policy="direct")
    link = stack.link()
    await stack.get(stack.path(link))
    monkeypatch.setattr(scripts, "ENTER", later(scripts.ENTER, 33 * 60_000))
    answer = await stack.get(stack.path(link))
    assert (answer.status, answer.location) == (303, (await one_open_session(stack))["url"])
    assert len(await stack.sessions()) == 2


async def test_a_customer_who_is_gone_can_still_pay(stack: Stack) -> None:
    await stack.campaign(policy="direct")
    answer = await stack.get(stack.path(stack.link(customer="cus_deleted1")))
    assert answer.status == 303
    await one_open_session(stack)


async def test_a_campaign_that_updates_customers_takes_links_without_one(stack: Stack) -> None:
    await stack.campaign(
        policy="direct", destination={"params": {"customer_update": {"address": "auto"}}}
    )
    for link in (stack.link(), stack.link(customer="cus_deleted1")):
        assert (await stack.get(stack.path(link))).status == 303


async def test_a_lost_answer_and_a_customer_who_is_gone_in_one_visit(hasty: Stack) -> None:
    await hasty.campaign(policy="direct")
    await hasty.fault(mode="drop")
    assert (await hasty.get(hasty.path(hasty.link(customer="cus_deleted1")))).status == 303
    await one_open_session(hasty)


async def test_an_attempt_that_asked_nothing_begins_when_it_is_taken_up(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign(policy="direct")
    link = stack.link()

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(stack.gateway.store.links, "arm", away)
        assert is_busy(await stack.get(stack.path(link)))
    await stack.control("POST", "clock", {"offset": 300})
    monkeypatch.setattr(scripts, "ENTER", later(scripts.ENTER, 300_000))
    assert (await stack.get(stack.path(link))).status == 303


async def test_no_person_is_named_to_the_operator(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    await stack.campaign(policy="direct")
    link = stack.link()
    await stack.gateway.store.links.keep_private(link, {"email": "jane.doe@example"})
    # Neither an address that Stripe can't read nor a customer who is gone keeps anyone out.
    assert (await stack.get(stack.path(link))).status == 303
    assert (await stack.get(stack.path(stack.link(customer="cus_deleted1")))).status == 303
    assert await stack.gateway.store.campaigns.trouble("spring") is None
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("linkgate"))
    assert "without customer_email" in ours
    assert "without customer:" in ours
    for secret in ("jane", "cus_deleted1"):
        assert secret not in ours


async def test_a_proxys_refusal_is_no_word_of_stripes(hasty: Stack) -> None:
    """An HTML page with any status: a firewall, a load balancer, Stripe's own edge."""

    bodies = itertools.cycle(["<html>no</html>", '{"error": "x"}', '{"error": []}', "null", "7"])

    async def page(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]), text=next(bodies))

    proxy = web.Application()
    proxy.router.add_route("*", "/{status}/{rest:.*}", page)
    runner = web.AppRunner(proxy)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        for status in (304, 403, 407, 429) * 5:
            api = StripeAPI("sk_test_1", base=f"http://127.0.0.1:{port}/{status}", timeout_s=0.5)
            with pytest.raises(DestinationBusy) as caught:
                await api.create_session({}, "k", Deadline.after(0.1), asked_before=False)
            assert not caught.value.settled
            await api.close()
    finally:
        await runner.cleanup()


async def test_a_person_who_leaves_does_not_stop_the_attempt(stack: Stack) -> None:
    await stack.campaign(policy="direct")
    link = stack.link()
    await stack.fault(mode="slow", seconds=0.3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await stack.get(stack.path(link))
    answer = await stack.get(stack.path(link))
    assert answer.location == (await one_open_session(stack))["url"]
    assert len(await stack.sessions()) == 1


async def test_a_store_killed_amid_clicks_costs_nobody_the_way(tmp_path: Path) -> None:
    async with embedded(tmp_path / "data") as stack:
        await stack.campaign(policy="direct")
        link = stack.link()
        # From here on the campaign is at hand, and is used while the store is away.
        assert (await stack.get(stack.path(stack.link()))).status == 303
        clicks = [asyncio.create_task(stack.get(stack.path(link))) for _ in range(200)]
        await asyncio.sleep(0.02)
        pid = int((await stack.gateway.store.connection.client.info("server"))["process_id"])
        os.kill(pid, signal.SIGKILL)
        answers = await asyncio.gather(*clicks)
        assert {answer.status for answer in answers} <= {303, 503}
        assert all(is_busy(answer) for answer in answers if answer.status == 503)
        async with asyncio.timeout(20):
            while (answer := await stack.get(stack.path(link))).status != 303:
                await asyncio.sleep(0.2)
        ours = [s for s in await stack.open_sessions() if s["client_reference_id"] == link.id]
        assert [session["url"] for session in ours] == [answer.location]


async def test_without_a_store_people_get_a_way_on_and_machines_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign(policy="direct")
    assert (await stack.get(stack.path(stack.link()))).status == 303

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    connection = stack.gateway.store.connection
    monkeypatch.setattr(connection, "script", away)
    monkeypatch.setattr(stack.gateway.store.campaigns, "_load", away)
    path = stack.path(stack.link())
    assert is_busy(await stack.get(path))
    machine = await stack.get(path, SCANNER)
    assert (machine.status, "retry.js" in machine.text) == (200, False)
    # A campaign that isn't at hand: no name, no policy, but still the button.
    unknown = await stack.get(stack.path(stack.link(campaign="autumn")))
    assert (unknown.status, "retry.js" in unknown.text) == (200, False)
    assert unknown.challenge
    assert len(await stack.sessions()) == 1


@pytest.mark.parametrize(
    ("mode", "data"),
    [
        ("payment", "payment_intent_data"),
        ("subscription", "subscription_data"),
        ("setup", "setup_intent_data"),
    ],
)
async def test_every_mode_mints_and_can_be_attributed(stack: Stack, mode: str, data: str) -> None:
    destination: dict[str, Any] = {"mode": mode, "line_items": [{"price": PRICE}]}
    if mode == "subscription":
        destination["line_items"] = [{"price": "price_demo_monthly"}]
    if mode == "setup":
        destination |= {"line_items": [], "params": {"currency": "eur"}}
    await stack.campaign(policy="direct", destination=destination)
    link = stack.link()
    assert (await stack.get(stack.path(link))).status == 303
    row = await stack.row(link)
    params = parameters(
        await stack.gateway.store.campaigns.read("spring"),
        link,
        {},
        attempt=1,
        attempt_at=0.0,
        back=BACK,
    )
    assert params[data]["metadata"] == params["metadata"]
    assert row.sessions[0].state == "open"


async def test_private_attributes_reach_stripe_and_nothing_else(stack: Stack) -> None:
    await stack.campaign(policy="direct")
    link = stack.link()
    private = {"email": "someone@example.com", "metadata": {"segment": "gold"}}
    await stack.gateway.store.links.keep_private(link, private)
    answer = await stack.get(stack.path(link))
    assert answer.status == 303
    [session] = await stack.sessions()
    assert session["metadata"]["segment"] == "gold"
    made = stack.sandbox.world.get("checkout.session", session["id"])
    assert made
    assert made["customer_email"] == "someone@example.com"
    assert "someone" not in stack.path(link)


BACK = "https://go.example.com/return/x"


def spring(**changes: Any) -> Campaign:
    destination = {
        "line_items": [{"price": "price_1"}],
        "success_url": "https://a.example/",
        **changes.pop("destination", {}),
    }
    data = {"slug": "spring", "name": "Spring", "destination": destination, **changes}
    return campaigns.create(data, datetime(2026, 5, 1, tzinfo=UTC))


def test_parameters_are_the_same_for_the_same_attempt() -> None:
    link = Link("spring", "r-1", 2_000_000_000, None, "cus_1")
    made = [
        parameters(spring(), link, {}, attempt=3, attempt_at=1000.4, back=BACK) for _ in range(2)
    ]
    assert made[0] == made[1]
    assert made[0]["expires_at"] == 1001 + 1800 + CLOCK_MARGIN_SECONDS
    assert made[0]["customer"] == "cus_1"
    assert "customer_email" not in made[0]


def test_further_parameters_pass_through_beneath_our_own() -> None:
    params = {
        "allow_promotion_codes": True,
        "metadata": {"team": "growth", "linkgate_link": "forged"},
        "payment_intent_data": {"description": "Spring", "metadata": {"x": "y"}},
    }
    link = Link("spring", "r-1", 2_000_000_000)
    made = parameters(
        spring(destination={"params": params}), link, {}, attempt=1, attempt_at=0.0, back=BACK
    )
    assert made["allow_promotion_codes"] is True
    assert made["metadata"]["team"] == "growth"
    assert made["metadata"]["linkgate_link"] == link.id
    assert made["payment_intent_data"]["description"] == "Spring"
    assert made["payment_intent_data"]["metadata"]["x"] == "y"
    assert made["payment_intent_data"]["metadata"]["linkgate_link"] == link.id


def test_metadata_keeps_to_stripes_fifty_keys() -> None:
    link = Link("spring", "r-1", 2_000_000_000)
    params = {"metadata": {f"c{n}": "x" for n in range(46)}}
    private = {"metadata": {f"l{n}": "y" for n in range(40)}}
    made = parameters(
        spring(destination={"params": params}), link, private, attempt=1, attempt_at=0.0, back=BACK
    )
    assert len(made["metadata"]) == MAX_METADATA
    assert made["metadata"]["linkgate_link"] == link.id
    assert made["metadata"]["l39"] == "y"


def test_the_margin_covers_a_clock_that_is_behind_stripes() -> None:
    assert CLOCK_MARGIN_SECONDS >= 60


@pytest.mark.parametrize("skew", [-90, 90, 3600])
async def test_stripes_clock_may_differ_a_little(stack: Stack, skew: int) -> None:
    await stack.campaign(policy="direct")
    await stack.control("POST", "clock", {"offset": skew})
    answer = await stack.get(stack.path(stack.link()))
    assert answer.status == 303
    assert await stack.gateway.store.campaigns.trouble("spring") is None
