"""What a verdict costs: every rule, five sightings to compare with, the networks' lists.

    python -m tests.benchmarks.judging [--visits 2000] [--rounds 7]

Printed in microseconds of processor time, and as a ratio to reading one signed token with
itsdangerous in the same run: only the ratio means anything elsewhere. Kinds of visit take turns
within each round, and the median round counts.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

from itsdangerous import URLSafeSerializer
from msgspec.structs import replace

from linkgate.detection import History, Sighting, judge, warm
from linkgate.signals import Signals

NOW = 1_800_000_000.0
HISTORY = History(
    link=tuple(
        Sighting(f"v{n}", "lnk_1", 2.0 + n, same_network=True, same_address=n == 1)
        for n in range(2)
    ),
    network=tuple(
        Sighting(f"v{n}", f"lnk_{n}", 3.0 + n, same_network=True, same_address=n == 4)
        for n in range(2, 5)
    ),
)
_CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{version} Safari/537.36"
)
PERSON = Signals(
    user_agent=_CHROME.format(version="156.0.0.0"),
    accept="text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    accept_language="en-US,en;q=0.9",
    accept_encoding="gzip, deflate, br, zstd",
    sec_fetch_site="none",
    sec_fetch_mode="navigate",
    sec_fetch_dest="document",
    sec_fetch_user="?1",
    sec_ch_ua='"Chromium";v="156", "Google Chrome";v="156", "Not:A-Brand";v="8"',
    sec_ch_ua_mobile="?0",
    sec_ch_ua_platform='"Windows"',
    host="go.example.com",
    secure=True,
    address="84.128.0.7",
    sent_at=NOW - 7200,
)
#: As many of them take turns as are likely to be about at one time.
USUAL = [
    replace(PERSON, accept_language=f"en-US,en;q=0.{n % 9 + 1}", address=f"84.128.{n}.7")
    for n in range(250)
]
_numbers = itertools.count()


def usual() -> Iterator[Signals]:
    """Visits whose headers and addresses were seen before."""
    return itertools.cycle(USUAL)


def new_headers() -> Iterator[Signals]:
    """A user agent and addresses that were seen before, in headers that were not."""
    for n, known in zip(_numbers, itertools.cycle(USUAL), strict=False):
        yield replace(known, accept_language=f"en-US,en;q=0.9,de;q=0.{n}")


def new_visitors() -> Iterator[Signals]:
    """A user agent that was seen before, from an address that was not, in headers that were not."""
    for n, known in zip(_numbers, new_headers(), strict=False):
        yield replace(known, address=f"84.{128 + n // 65536 % 64}.{n // 256 % 256}.{n % 256}")


def new_browsers() -> Iterator[Signals]:
    """Browsers whose user agents were never seen."""
    for n in _numbers:
        yield replace(PERSON, user_agent=_CHROME.format(version=f"156.0.{n // 250}.{n % 250}"))


def new_machines() -> Iterator[Signals]:
    """Machines whose user agents were never seen."""
    for n in _numbers:
        yield Signals(user_agent=f"Link{n}Checker/1.{n} (+https://bot{n}.example.com/about)")


KINDS: dict[str, Callable[[], Iterator[Signals]]] = {
    "headers seen before": usual,
    "user agent seen before, new headers": new_headers,
    "the same, and a new address": new_visitors,
    "a browser's user agent never seen": new_browsers,
    "a machine's user agent never seen": new_machines,
}
TOKEN = "a token read by itsdangerous"


def _judging(kind: str, visits: int) -> float:
    """Return the seconds of processor time that a verdict takes."""
    ready = list(itertools.islice(KINDS[kind](), visits))
    started = time.process_time()
    for signals in ready:
        judge(signals, HISTORY, NOW)
    return (time.process_time() - started) / visits


def _reading(visits: int) -> float:
    serializer = URLSafeSerializer("benchmark-" + "0123456789abcdef" * 3)
    token = serializer.dumps(["spring", "r-1001", 500_821])
    started = time.process_time()
    for _ in range(visits):
        serializer.loads(token)
    return (time.process_time() - started) / visits


def main() -> None:
    """Run the benchmark and print its table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--visits", type=int, default=2_000, help="verdicts in one measurement")
    options.add_argument("--rounds", type=int, default=7)
    chosen = options.parse_args()
    warm()
    for signals in USUAL:
        judge(signals, HISTORY, NOW)
    costs: dict[str, list[float]] = {kind: [] for kind in (TOKEN, *KINDS)}
    for _ in range(chosen.rounds):
        costs[TOKEN].append(_reading(chosen.visits))
        for kind in KINDS:
            costs[kind].append(_judging(kind, chosen.visits))
    print(f"{'verdict':38}{'us':>8}{'ratio':>8}")
    for kind, measured in costs.items():
        ratios = [a / b for a, b in zip(measured, costs[TOKEN], strict=True)]
        cost = statistics.median(measured) * 1e6
        print(f"{kind:38}{cost:>8.1f}{statistics.median(ratios):>8.2f}")


if __name__ == "__main__":
    main()
