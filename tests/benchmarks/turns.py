"""What a crowd meets that is larger than Stripe's limit: who gets in, when, and in which order.

Run `python -m tests.benchmarks.turns`. A real store gives the turns; the people, their browsers and
the time are simulated, so that the same figures come out on any machine. People come evenly spread
at random; whoever is told to come again does so as the busy page does, up to two seconds late; a
share of them never return.
"""

import argparse
import asyncio
import heapq
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from linkgate.store.budget import Budget
from linkgate.store.connect import Connection

#: How much later than told the busy page comes at most, on purpose (web/static/retry.js).
LATEST_SECONDS = 2.0
PATIENCE_SECONDS = 2.0
SECOND = 1_000_000
#: When all scenes begin (Unix us).
BEGIN = 1_800_000_000 * SECOND


class Now:
    """Simulated time, in whole microseconds as the store's: sums of them stay exact."""

    def __init__(self) -> None:
        self.at = BEGIN

    def __call__(self) -> int:
        return self.at


@dataclass
class Crowd:
    """People who come, and what became of each; `came` and `went` in us from the beginning."""

    people: int
    seconds: float
    lost: float = 0.0
    seed: int = 1
    came: dict[str, int] = field(default_factory=dict)
    went: dict[str, int] = field(default_factory=dict)
    asks: int = 0

    async def passes(self, budgets: Sequence[Budget], now: Now) -> None:
        """Let everyone come and come again until nobody does; each asks any of the processes."""
        chance = random.Random(self.seed)
        stays = {f"lnk_{n}": chance.random() >= self.lost for n in range(self.people)}
        coming = [(round(chance.random() * self.seconds * SECOND), link) for link in stays]
        heapq.heapify(coming)
        while coming:
            at, link = heapq.heappop(coming)
            now.at = BEGIN + at
            self.came.setdefault(link, at)
            self.asks += 1
            turn = await chance.choice(budgets).turn(link, PATIENCE_SECONDS)
            if turn.go:
                self.went[link] = at + round(turn.wait * SECOND)
            elif stays[link]:
                late = chance.random() * min(max(1.0, turn.wait / 2), LATEST_SECONDS)
                heapq.heappush(coming, (at + round((turn.wait + late) * SECOND), link))
            else:
                self.came.pop(link)

    @property
    def busiest(self) -> int:
        """How many calls the busiest second held, wherever it begins."""
        return busiest(sorted(self.went.values()))

    @property
    def overtaken(self) -> float:
        """By how many seconds, at most, someone went before another who had come earlier."""
        worst = latest = 0
        for link in sorted(self.went, key=self.went.__getitem__):
            latest = max(latest, self.came[link])
            worst = max(worst, latest - self.came[link])
        return worst / SECOND

    @property
    def longest(self) -> float:
        """How long the last to go had waited, or whoever waited longer."""
        return max(self.went[link] - self.came[link] for link in self.went) / SECOND


def busiest(times: Sequence[int]) -> int:
    """Return how many of the times (us, sorted) the fullest second holds, wherever it begins."""
    most = first = 0
    for index, at in enumerate(times):
        while at - times[first] >= SECOND:
            first += 1
        most = max(most, index - first + 1)
    return most


async def _measure(options: argparse.Namespace, folder: str) -> None:
    connections = [await Connection.open(f"embedded:{folder}") for _ in range(4)]
    print(
        f"{options.arrivals} people a second for {options.seconds} s, a budget of "
        f"{options.rate:g} a second, 4 connections"
    )
    print(
        f"{'never return':>12}{'let in':>8}{'left out':>10}{'busiest s':>11}{'through s':>11}"
        f"{'at best s':>11}{'longest s':>11}{'overtaken s':>13}{'asks each':>11}{'us an ask':>11}"
    )
    for lost in (0.0, 0.2, 0.5):
        now = Now()
        budgets = [
            Budget(connection, f"crowd{lost}", options.rate, clock=now)
            for connection in connections
        ]
        people = int(options.arrivals * options.seconds)
        crowd = Crowd(people, options.seconds, lost)
        started = time.perf_counter()
        await crowd.passes(budgets, now)
        passed = (time.perf_counter() - started) / crowd.asks
        through = max(crowd.went.values()) / SECOND
        best = max(len(crowd.went) / options.rate, options.seconds)
        print(
            f"{lost:12.0%}{len(crowd.went):8}{len(crowd.came) - len(crowd.went):10}"
            f"{crowd.busiest:11}{through:11.0f}{best:11.0f}{crowd.longest:11.0f}"
            f"{crowd.overtaken:13.1f}{crowd.asks / people:11.1f}{passed * 1e6:11.0f}"
        )
    for connection in connections:
        await connection.close()


def main() -> None:
    """Run the benchmark and print its table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--arrivals", type=int, default=100, help="people a second")
    options.add_argument("--seconds", type=int, default=60, help="for how long they come")
    options.add_argument("--rate", type=float, default=20.0, help="the budget, calls a second")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(options.parse_args(), str(Path(folder) / "store")))


if __name__ == "__main__":
    main()
