"""No second payment, in whatever order visits, payments, ends, webhooks and crashes come.

A hundred interleavings here; LINKGATE_INTERLEAVINGS=1000 runs a thousand, in a minute or two. The
same seed always gives the same course, and a failure tells it step by step.
"""

import asyncio
import os
from collections import Counter

import pytest

from tests.bars.interleaving import Interleaving, interleave
from tests.bars.scene import Broken
from tests.bars.virtual import VirtualLoop, run

COUNT = int(os.environ.get("LINKGATE_INTERLEAVINGS", "100"))
#: Seeds of one test, so that a failure doesn't keep the others from being seen.
AT_ONCE = 25


@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_no_interleaving_leads_to_a_second_payment(first: int, valkey_url: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, min(first + AT_ONCE, COUNT)):
        trial = interleave(seed, valkey_url)
        seen += trial.counts
        seen["deaths"] += sum(trial.deaths.values())
        seen["sessions"] += len(trial.sessions)
    # They were no walks in the park.
    assert min(seen[what] for what in ("deaths", "sessions", "pay", "post", "bank")) > 10, seen


def test_a_second_payment_would_be_seen(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is closed before the next session is made, it soon comes to that."""

    async def leave_open(self: object, *args: object) -> None:
        return None

    monkeypatch.setattr("linkgate.attempts.Attempts._close_all", leave_open)
    broken = 0
    for seed in range(10):
        try:
            interleave(seed, valkey_url)
        except Broken:
            broken += 1
    assert broken > 3


def test_the_same_seed_gives_the_same_course(valkey_url: str) -> None:
    def course(trial: Interleaving) -> list[str]:
        # What Stripe's stand-in calls things is left to chance.
        return [line[:24] for line in trial.log]

    assert course(interleave(3, valkey_url)) == course(interleave(3, valkey_url))


def test_virtual_time_passes_in_no_time_and_in_order() -> None:
    seen: list[tuple[float, str]] = []

    async def work(loop: VirtualLoop) -> None:
        async def later(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            seen.append((round(loop.time()), name))

        await asyncio.gather(later(86_400, "a day"), later(1, "a second"), later(60, "a minute"))

    run(work)
    assert seen == [(1, "a second"), (60, "a minute"), (86_400, "a day")]
