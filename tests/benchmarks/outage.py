"""Stripe is unreachable for a while, and people keep coming: pages with a way on, and then in.

    python -m tests.benchmarks.outage [--seconds 60] [--rate 50] [--gateways 2]

At real processes, with people who do what the pages tell them. For the first half of the outage
Stripe takes requests and never answers, for the second it breaks every connection. People come from
five seconds before it to five seconds after.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bars.people import Person, come
from tests.bars.serving import Served, crowd, serving

LEAD_SECONDS = 5.0


async def _outage(served: Served, seconds: float) -> float:
    """Let it begin and end; returns when it ended, by the steady clock."""
    await asyncio.sleep(LEAD_SECONDS)
    hang = {"match": "*", "mode": "hang", "times": None, "seconds": 600}
    await served.control("POST", "faults", hang)
    await asyncio.sleep(seconds / 2)
    await served.control("DELETE", "faults")
    await served.control("POST", "faults", {"match": "*", "mode": "drop", "times": None})
    await asyncio.sleep(seconds / 2)
    await served.control("DELETE", "faults")
    return time.monotonic()


async def _measure(options: argparse.Namespace, folder: Path) -> None:
    async with serving(folder, options.gateways) as served:
        await served.campaign()
        count = int(options.rate * (options.seconds + 2 * LEAD_SECONDS))
        people = crowd(count, int(time.time()) + 86_400)
        began = time.monotonic()
        outage = asyncio.create_task(_outage(served, options.seconds))
        await come(people, served.urls, options.rate, options.within)
        ended = await outage
        state = await served.control("GET", "state")
    _print(people, state["sessions"], options, began, ended)


def _print(
    people: list[Person],
    sessions: list[dict[str, dict[str, str]]],
    options: argparse.Namespace,
    began: float,
    ended: float,
) -> None:
    through = [person for person in people if person.let_in]
    errors = Counter(error for person in people for error in person.errors)
    links = Counter(session["metadata"]["linkgate_link"] for session in sessions)
    first = [person.took[0] for person in people if person.took]
    pages = [took for person in people for took in person.took]
    statuses = Counter(status for person in people for status in person.statuses)
    last = max((person.let_in for person in through), default=ended)
    print(
        f"{len(people)} people, {options.rate:g} a second; Stripe away for {options.seconds:g} s; "
        f"{options.gateways} gateways"
    )
    print(f"let in                        {len(through)}, the last {last - ended:.0f} s after it")
    print(f"errors                        {sum(errors.values())} {dict(errors) or ''}")
    print(f"sessions, and links with two  {len(sessions)}, {sum(n > 1 for n in links.values())}")
    print(f"statuses                      {dict(statuses)}")
    print(f"a first page took at most     {_longest(first)}")
    print(f"any page took at most         {_longest(pages)}")
    print(f"let in during the outage      {sum(_during(p, began, ended) for p in through)}")


def _longest(took: Sequence[float]) -> str:
    """Say how long the longest took, and how long all but the longest hundredth."""
    ordered = sorted(took)
    return f"{ordered[-1]:.2f} s (99 %: {ordered[len(ordered) * 99 // 100]:.2f} s)"


def _during(person: Person, began: float, ended: float) -> bool:
    # What was on its way when it began may still come through.
    return began + LEAD_SECONDS + 1 < person.let_in < ended


def main() -> None:
    """Run the benchmark and print what came of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0, help="how long Stripe is away")
    options.add_argument("--rate", type=float, default=50.0, help="people a second")
    options.add_argument("--gateways", type=int, default=2, help="how many processes serve")
    options.add_argument("--within", type=float, default=900.0, help="how long people try, in s")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(options.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()
