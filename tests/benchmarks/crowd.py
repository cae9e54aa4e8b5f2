"""A crowd larger than Stripe's limit, at real processes: who gets in, when, and in which order.

    python -m tests.benchmarks.crowd [--people 6000] [--rate 100] [--limit 25] [--gateways 2]

People come at random, so many a second, from networks of their own, and do what the pages tell
them. The sandbox refuses what is above Stripe's limit, and says how many creations came in its
busiest second; where it is short of a processor itself, that is more than was sent in any second,
which is noted at the gateways. `tests.benchmarks.turns` has the same crowd without processes.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bars.people import come, overtaken
from tests.bars.serving import crowd, serving
from tests.benchmarks.turns import SECOND, busiest
from tests.cli.processes import ROOT

CREATE = "POST /v1/checkout/sessions"
#: Python runs it when a process starts: each creation's moment goes into a file.
NOTING = """
import os, time, stripe
ask = stripe.AIOHTTPClient.request_async
async def noting(self, method, url, headers, post_data=None):
    if method == "post" and url.endswith("/v1/checkout/sessions"):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{time.time()}\\n")
    return await ask(self, method, url, headers, post_data)
stripe.AIOHTTPClient.request_async = noting
"""


async def _measure(options: argparse.Namespace, folder: Path) -> None:
    (folder / "noting").mkdir()
    (folder / "noting" / "sitecustomize.py").write_text(NOTING)
    env = {"PYTHONPATH": f"{folder / 'noting'}:{ROOT}", "NOTES": str(folder / "notes")}
    async with serving(folder, options.gateways, **env) as served:
        await served.campaign()
        people = crowd(options.people, int(time.time()) + 86_400)
        await served.control("POST", "limits", {"creations_per_second": options.limit})
        began = time.monotonic()
        await come(people, served.urls, options.rate, options.within)
        passed = time.monotonic() - began
        limits = (await served.control("GET", "state"))["limits"]
    noted = (folder / "notes").read_text().split()
    sent = sorted(round(float(at) * SECOND) for at in noted)
    through = [person for person in people if person.let_in]
    errors = Counter(error for person in people for error in person.errors)
    waits = sorted(person.waited for person in through)
    pages = sorted(took for person in people for took in person.took)
    print(
        f"{options.people} people, {options.rate:g} a second, Stripe's limit {options.limit} a "
        f"second, {options.gateways} gateways"
    )
    print(
        f"let in                        {len(through)} ({len({p.location for p in through})} "
        f"sessions) in {passed:.0f} s"
    )
    print(f"errors                        {sum(errors.values())} {dict(errors) or ''}")
    print(f"sent in the busiest second    {busiest(sent)}")
    print(f"Stripe's busiest second       {limits['busiest_second'].get(CREATE, 0)}")
    print(f"refused by Stripe (429)       {limits['refused'].get(CREATE, 0)}")
    print(f"longest wait, and the middle  {waits[-1]:.1f} s, {waits[len(waits) // 2]:.1f} s")
    print(f"let in before earlier people  by {overtaken(people):.1f} s at most")
    print(f"requests each                 {sum(p.asks for p in people) / len(people):.1f}")
    print(f"a page took at most, 99 %     {pages[-1]:.2f} s, {pages[len(pages) * 99 // 100]:.2f} s")


def main() -> None:
    """Run the benchmark and print what came of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--people", type=int, default=6_000)
    options.add_argument("--rate", type=float, default=100.0, help="people a second")
    options.add_argument("--limit", type=int, default=25, help="creations a second at Stripe")
    options.add_argument("--gateways", type=int, default=2, help="how many processes serve")
    options.add_argument("--within", type=float, default=900.0, help="how long people try, in s")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(options.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()
