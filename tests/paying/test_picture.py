"""The picture of a link shows what became of its money, for the link and for each session."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from linkgate.payments import LinkState, Standing
from tests.paying.kit import SUBSCRIPTION, act, bought, enter, picture
from tests.stack import Stack

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


async def shown(stack: Stack, link: Any) -> tuple[str, list[str]]:
    found = await picture(stack, link)
    return found["state"], [session["state"] for session in found["sessions"]]


@pytest.mark.parametrize(
    ("deeds", "expected"),
    [
        (["pay"], "paid"),
        (["pay-later"], "pending"),
        (["pay-later", "fail-async"], "failed"),
        (["decline"], "open"),
        (["expire"], "expired"),
        (["pay", "refund"], "refunded"),
        (["pay", "dispute"], "disputed"),
        (["pay", "dispute", "lose-dispute"], "disputed"),
        (["pay", "dispute", "win-dispute"], "paid"),
    ],
)
async def test_a_payment(stack: Stack, deeds: list[str], expected: str) -> None:
    await stack.campaign()
    link = stack.link()
    await enter(stack, link)
    [session] = await stack.open_sessions()
    assert await shown(stack, link) == ("open", ["open"])
    await act(stack, session["id"], *deeds)
    of_link = {"expired": "visited"}.get(expected, expected)
    assert await shown(stack, link) == (of_link, [expected])


async def test_a_part_of_it(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    await act(stack, await bought(stack, link), "refund", amount=900)
    assert await shown(stack, link) == ("partially_refunded", ["partially_refunded"])


@pytest.mark.parametrize(
    ("deeds", "expected"),
    [
        ([], "active"),
        (["renew"], "active"),
        (["fail-renewal"], "past_due"),
        (["fail-renewal", "unpaid"], "unpaid"),
        (["fail-renewal", "catch-up"], "active"),
        (["cancel"], "canceled"),
    ],
)
async def test_a_subscription(stack: Stack, deeds: list[str], expected: str) -> None:
    await stack.campaign(destination=SUBSCRIPTION)
    link = stack.link()
    session_id = await bought(stack, link)
    for deed in deeds:
        # Not in the same second: Stripe says no more about that.
        await stack.control("POST", "clock", {"by": 5})
        await act(stack, session_id, deed)
    assert await shown(stack, link) == (expected, [expected])


async def test_what_one_second_s_events_leave_open_stripe_is_asked(stack: Stack) -> None:
    """A renewal fails and is caught up at once: each event says that it came after the other."""
    await stack.gateway.watcher.stop()
    await stack.campaign(destination=SUBSCRIPTION)
    link = stack.link()
    session_id = await bought(stack, link)
    await stack.control("POST", "clock", {"by": 5})
    now = time.time()
    stack.sandbox.world._clock = lambda: now
    await act(stack, session_id, "fail-renewal", "catch-up")
    row = await stack.gateway.store.links.read(link.id)
    assert row
    assert row.ledger.unsure
    assert link.id in await stack.gateway.watch.queue.ids()
    await stack.control("POST", "clock", {"by": 5})
    await stack.gateway.watch.look(link.id)
    assert await shown(stack, link) == ("active", ["active"])


async def test_a_trial(stack: Stack) -> None:
    await stack.campaign(destination={**SUBSCRIPTION, "trial_days": 7})
    link = stack.link()
    session_id = await bought(stack, link)
    assert await shown(stack, link) == ("trialing", ["trialing"])
    await act(stack, session_id, "end-trial")
    assert await shown(stack, link) == ("active", ["active"])


async def test_each_session_stands_for_itself(stack: Stack) -> None:
    await stack.campaign(max_payments=3, reuse_minutes=0)
    link = stack.link()
    await act(stack, await bought(stack, link), "refund")
    await bought(stack, link)
    await enter(stack, link)
    state, states = await shown(stack, link)
    assert (state, states) == ("partially_refunded", ["refunded", "paid", "open"])
    stack.clock.offset += 3600
    assert (await shown(stack, link))[1] == ["refunded", "paid", "expired"]


def test_every_state_is_documented() -> None:
    text = DOCUMENT.read_text()
    [line] = [line for line in text.splitlines() if line.startswith("| `sessions` |")]
    named = set(re.findall("`([a-z_]+)`", line))
    assert {standing.value for standing in Standing} <= named
    table = text[text.index("| state | meaning |") :].split("\n\n")[0]
    assert {state.value for state in LinkState} == set(re.findall("`([a-z_]+)`", table))
