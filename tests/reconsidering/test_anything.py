"""Visits, presses, decoys and work in any order: the sums are right in the end."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Mapping

import pytest

from linkgate.campaigns import Policy
from linkgate.decision import Action
from tests.reconsidering.crashing import (
    STEPS,
    Killed,
    another,
    kill_at,
    part,
)
from tests.reconsidering.thinking import (
    EXPIRE,
    HERE,
    NEIGHBOURS,
    PERSON,
    at,
    chrome,
    counts,
    has_open,
    moments_pass,
    think,
    think_all,
)
from tests.stack import Stack


class Anything:
    """Visits, presses, decoys and work in any order, several at once, with crashes in between."""

    def __init__(self, stack: Stack, seed: int, policy: Policy) -> None:
        self._stack = stack
        self._chance = random.Random(seed)
        self._policy = policy
        self.links = [stack.link(f"r-{number}") for number in range(4)]
        self.visits = 0

    async def happen(self) -> None:
        await self._stack.campaign(policy=self._policy.value)
        for _ in range(25):
            acts = self._chance.choices(
                [self._visit, self._decoy, self._press, self._work, self._wait],
                weights=[8, 2, 2, 3, 2],
                k=self._chance.choice([1, 1, 3, 6]),
            )
            if self._chance.random() < 0.3:
                acts.append(self._die)  # one at a time: it replaces what the others call
            await asyncio.gather(*(act() for act in acts))
            if self._chance.random() < 0.2:
                await self._stack.control("DELETE", "faults")
                if self._chance.random() < 0.5:
                    status = self._chance.choice([429, 500, 503])
                    await self._stack.fault(match=EXPIRE, status=status, times=3)
                await self._stack.fault(mode="slow", seconds=0.05, times=6)
        await self._stack.control("DELETE", "faults")

    def _who(self) -> Mapping[str, str]:
        version = self._chance.choice([155, 156])
        return at(self._chance.choice([HERE, HERE, NEIGHBOURS[0], PERSON]), chrome(version))

    async def _visit(self) -> None:
        self.visits += 1
        link = self._chance.choice(self.links)
        answer = await self._stack.get(self._stack.path(link), self._who())
        assert answer.status in {200, 303, 503}

    async def _press(self) -> None:
        self.visits += 2
        link = self._chance.choice(self.links)
        who = self._who()
        page = await self._stack.get(self._stack.path(link), who)
        if page.status == 303:
            self.visits -= 1
            return
        answer = await self._stack.press(page, who)
        assert answer.status in {200, 303, 503}
        self._stack.http.cookie_jar.clear()

    async def _decoy(self) -> None:
        self.visits += 1
        link = self._chance.choice(self.links)
        await self._stack.get("/l/" + self._stack.gateway.tokens.issue_decoy(link), self._who())

    async def _wait(self) -> None:
        await moments_pass(self._stack)

    async def _work(self) -> None:
        with contextlib.suppress(Killed):
            await think(self._stack, worker=another(self._stack))

    async def _die(self) -> None:
        owner, name, call = self._chance.choice([step for step in STEPS if step[0] == "doubts"])
        with pytest.MonkeyPatch.context() as patch:
            after = self._chance.random() < 0.5
            kill_at(patch, part(self._stack, owner), name, after=after, call=call)
            with contextlib.suppress(Killed):
                await think(self._stack, worker=another(self._stack))


@pytest.mark.parametrize("policy", [Policy.ADAPTIVE, Policy.DIRECT], ids=str)
@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_the_sums_are_right_and_no_machine_has_a_session(
    gate: Stack, seed: int, policy: Policy
) -> None:
    world = Anything(gate, seed, policy)
    await world.happen()
    await think_all(gate)
    counted = await counts(gate)
    held_for: Counter[str] = Counter()
    changes = 0
    for link in world.links:
        row = await gate.gateway.store.links.read(link.id)
        for kept in row.visits if row else ():
            held_for["visits." + (kept["kind"] or kept["verdict"])] += 1
            changes += len(kept.get("changes", ()))
        if row and await has_open(gate, link):
            [session] = [s for s in row.sessions if s.state == "open"]
            theirs = [v for v in row.visits if v["outcome"].endswith(f" {session.id}")]
            assert [
                v
                for v in theirs
                if v["decision"] == Action.MINT
                and not any(change.get("closing") for change in v.get("changes", ()))
            ], theirs
    assert {name: n for name, n in counted.items() if name.startswith("visits.")} == held_for
    assert sum(held_for.values()) == world.visits
    assert counted.get("verdicts.changed", 0) == changes
