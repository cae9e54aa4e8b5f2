"""Finds out what only trying can show: the store, Stripe, the way in from outside, the files.

Each part looks by itself and reports what it saw; none changes anything, and one that fails hides
nothing of the others.
"""

import asyncio
import time
from collections.abc import Callable

from linkgate.config import Config
from linkgate.doctor.finding import Finding, Level
from linkgate.doctor.judging import examine_judging
from linkgate.doctor.reach import examine_reach
from linkgate.doctor.setup import examine_setup
from linkgate.doctor.store import examine_store
from linkgate.doctor.stripe_account import examine_stripe

__all__ = ["Finding", "Level", "examine"]


async def examine(config: Config, *, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Everything that was found, good or bad, by area; `clock` gives Unix seconds.

    Takes some ten seconds where nothing answers, and raises nothing that is about the setup.
    """
    store, stripe, reach = await asyncio.gather(
        examine_store(config.store.url, sends_mail=config.mail.host is not None, clock=clock),
        examine_stripe(config, clock),
        examine_reach(config),
    )
    return [*examine_setup(config), *examine_judging(config, clock), *store, *stripe, *reach]
