"""Processes that die at any step, and what has to come of it all the same."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from linkgate.reconsidering import Reconsidering
from linkgate.tokens import Link
from tests.reconsidering.thinking import counts, has_open, hit_decoy, picture, visit
from tests.stack import Stack


class Killed(BaseException):
    """The process ends here."""


def kill_at(
    patch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool, call: int = 1
) -> Callable[[], bool]:
    """Let the process die at a call of a step, before or after its work; says whether it did."""
    work = getattr(owner, name)
    calls = itertools.count(1)
    died: list[bool] = []

    @functools.wraps(work)
    async def step(*args: Any, **more: Any) -> Any:
        fatal = next(calls) == call
        if fatal and not after:
            died.append(True)
            raise Killed
        result = await work(*args, **more)
        if fatal:
            died.append(True)
            raise Killed
        return result

    patch.setattr(owner, name, step)
    return lambda: bool(died)


async def two_minted_then_a_decoy(stack: Stack) -> list[Link]:
    await stack.campaign()
    # What these tell of a closed session is no business of the second thoughts'.
    await stack.control("POST", "webhooks/hold")
    links = [stack.link("a"), stack.link("b")]
    for link in links:
        assert (await visit(stack, link)).status == 303
    await hit_decoy(stack, links[0])
    return links


async def assert_all_is_done(stack: Stack, links: Sequence[Link]) -> None:
    assert await stack.gateway.store.doubts.waiting() == 0
    assert await stack.open_sessions() == []
    for link in links:
        # What a process that died at it left undone, the watch over the link does.
        await stack.gateway.books.catch_up(link.id)
        assert not await has_open(stack, link)
        found = (await picture(stack, link))["visits"][-1]
        assert (found["verdict"], found["kind"]) == ("automated", "scanner")
        assert [(c["before"], c["after"]) for c in found["changes"]] == [("human", "scanner")]
        rules = [e["rule"] for e in found["evidence"]]
        assert len(rules) == len(set(rules))
    counted = await counts(stack)
    assert counted == {
        "visits.scanner": 3,
        "verdicts.changed": 2,
        "decisions.mint": 2,
        "decisions.interstitial": 1,
        "sessions.minted": 2,
        "sessions.taken_back": 2,
        "sessions.closed": 2,
    }


STEPS = [
    *(("doubts", name, 1) for name in ("take", "strike_out")),
    *(("doubts", name, n) for name in ("find", "rewrite", "recount") for n in (1, 2)),
    *(("doubts", name, n) for name in ("disown", "count_once") for n in (1, 2)),
    *(("mint", "close_one", n) for n in (1, 2)),
    *(("ledgers", "hear", n) for n in (1, 2)),
    *(("links", "read", n) for n in (1, 2)),
    *(("stripe", "expire_session", n) for n in (1, 2)),
]


def part(stack: Stack, name: str) -> Any:
    gateway = stack.gateway
    return {
        "doubts": gateway.store.doubts,
        "links": gateway.store.links,
        "ledgers": gateway.store.ledgers,
        "mint": gateway.mint,
        "stripe": gateway.stripe,
    }[name]


def another(stack: Stack) -> Reconsidering:
    """Return the second thoughts of another process on the same store."""
    return Reconsidering(stack.gateway.store, stack.gateway.mint, stack.clock)
