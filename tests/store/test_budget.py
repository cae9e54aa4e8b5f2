"""The budget: never more than its rate, people in turn, and nobody who waits for good."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from linkgate.store import budget as module
from linkgate.store import keys
from linkgate.store.budget import GRACE_SECONDS, LOOK_IN_SECONDS, PLACE_SECONDS, Budget, Turn
from linkgate.store.connect import Connection
from tests.benchmarks.turns import SECOND, Crowd, Now, busiest

PATIENCE = 2.0


class Door:
    """One budget of 10 a second in simulated time."""

    def __init__(self, connection: Connection) -> None:
        self.now = Now()
        self.connection = connection
        self.budget = Budget(connection, "door", 10, clock=self.now)

    def pass_time(self, seconds: float) -> None:
        self.now.at += round(seconds * SECOND)

    async def ask(self, *links: str) -> list[Turn]:
        return [await self.budget.turn(link, PATIENCE) for link in links]

    async def crowd(self, count: int, name: str = "early") -> list[Turn]:
        """Let `count` people come at once; the first 21 may go at once, or within patience."""
        return await self.ask(*(f"{name}{n}" for n in range(count)))

    async def keys(self) -> set[str]:
        found = [key async for key in self.connection.client.scan_iter("lg:{budget:*")]
        return set(map(str, found))


@pytest.fixture
async def anywhere(connection: Connection) -> Door:
    """A door on each kind of store."""
    return Door(connection)


@pytest.fixture
async def four(valkey_url: str) -> AsyncIterator[list[Connection]]:
    """Four processes' connections to one real, empty store."""
    opened = [await Connection.open(valkey_url) for _ in range(4)]
    await opened[0].client.flushall()
    yield opened
    for connection in opened:
        await connection.close()


@pytest.fixture
async def door(four: list[Connection]) -> Door:
    return Door(four[0])


async def test_below_the_rate_everyone_goes_at_once(door: Door) -> None:
    for n in range(30):
        assert await door.ask(f"lnk_{n}") == [Turn(True, 0.0)]
        door.pass_time(0.1)


async def test_moments_are_one_interval_apart(anywhere: Door) -> None:
    # Also after a long rest: saved calls would come on top of the next second's.
    anywhere.pass_time(3600)
    turns = await anywhere.crowd(21)
    assert [turn.wait for turn in turns] == [n / 10 for n in range(21)]
    assert all(turn.go for turn in turns)


async def test_whoever_is_not_that_patient_gets_a_place(anywhere: Door) -> None:
    turns = (await anywhere.crowd(26))[21:]
    assert [turn.go for turn in turns] == [False] * 5
    assert [turn.left for turn in turns] == pytest.approx([2.1, 2.2, 2.3, 2.4, 2.5])
    # A moment early each, and never at once.
    assert [turn.wait for turn in turns] == [1.0] * 5
    assert await anywhere.budget.waiting() == 5


async def test_a_place_is_the_same_however_often_one_asks(door: Door) -> None:
    waiting = (await door.crowd(60))[59]
    last = await door.ask("late")
    for passed in range(3):
        [again] = await door.ask("early59")
        assert again.left == pytest.approx(waiting.left - passed / 2)
        door.pass_time(0.5)
    door.pass_time(last[0].wait - 1.5)
    # Still before the one who came after.
    assert (await door.ask("early59"))[0].left < (await door.ask("late"))[0].left


async def test_whoever_comes_back_goes_before_newcomers(anywhere: Door) -> None:
    turns = await anywhere.crowd(121)
    anywhere.pass_time(turns[21].wait + 1)
    [newcomer, old] = await anywhere.ask("new", "early21")
    assert old.go
    assert not newcomer.go
    assert newcomer.left > turns[120].left - 2


async def test_whoever_comes_late_goes_at_once(door: Door) -> None:
    await door.crowd(60)
    # Everyone's time is over, and the line full of newcomers.
    door.pass_time(600)
    turns = await door.crowd(60, "new")
    assert not turns[-1].go
    door.pass_time(1)
    [late, newcomer] = await door.ask("early40", "newest")
    assert (late.go, newcomer.go) == (True, False)


async def test_those_who_stay_away_hold_up_nobody(door: Door) -> None:
    turns = await door.crowd(221)
    assert turns[220].left == pytest.approx(22.0)
    # All but the last stay away: the line is idle, and it goes early. A newcomer waits a little.
    door.pass_time(2.5)
    assert [turn.go for turn in await door.ask("new", "early220")] == [False, True]


async def test_a_newcomer_passes_a_line_that_nobody_uses_for_a_second(door: Door) -> None:
    await door.crowd(221)
    door.pass_time(2.1 + 0.9)
    [early] = await door.ask("new")
    assert not early.go
    door.pass_time(0.2)
    assert [turn.go for turn in await door.ask("newer", "newest")] == [True, False]


async def test_whoever_has_long_to_wait_is_asked_to_look_in_half_way(door: Door) -> None:
    turns = await door.crowd(722)
    assert turns[721].left == pytest.approx(72.1)
    assert turns[721].wait == pytest.approx(35.05)
    assert turns[521].left == pytest.approx(52.1)
    assert turns[521].wait == LOOK_IN_SECONDS
    assert turns[300].wait == pytest.approx(28.0)


async def test_a_used_turn_is_good_once_more_within_a_minute(door: Door) -> None:
    # Stripe may not answer: whoever had their turn isn't sent to the end of the line for it.
    await door.crowd(100)
    door.pass_time(8)
    assert (await door.ask("early70"))[0].go
    await door.crowd(60, "new")
    door.pass_time(1)
    assert [turn.go for turn in await door.ask("early70", "newest")] == [True, False]


async def test_a_used_turn_is_not_kept_by_asking(door: Door) -> None:
    key = keys.budget_place("door", "lnk_1")
    await door.ask("lnk_1")
    await door.connection.client.expire(key, 5)
    door.pass_time(1)
    assert (await door.ask("lnk_1"))[0].go
    assert await door.connection.client.ttl(key) <= 5


async def test_places_expire_and_those_who_went_leave_the_line(anywhere: Door) -> None:
    await anywhere.crowd(23)
    found = await anywhere.keys()
    assert keys.budget_place("door", "early22") in found
    for key in found:
        assert 0 < await anywhere.connection.client.ttl(key) <= 2 * PLACE_SECONDS
    anywhere.pass_time(1.5)
    await anywhere.ask("early21", "early22")
    assert await anywhere.budget.waiting() == 0


async def test_only_those_who_are_expected_count(door: Door) -> None:
    await door.crowd(300)
    assert await door.budget.waiting() == 279
    door.pass_time(60 + GRACE_SECONDS)
    for _ in range(3):  # some at a time
        await door.ask("new")
    assert await door.budget.waiting() == 0


@pytest.mark.parametrize("jump", [-7200, -90, 90, 7200], ids=str)
async def test_another_servers_clock_locks_nobody_out(door: Door, jump: float) -> None:
    turns = await door.crowd(60)
    door.pass_time(jump)
    [newcomer] = await door.ask("new")
    assert newcomer.go or newcomer.wait <= 10
    # Whoever waits gets in as told, or sooner; nobody is behind all who come.
    for n in range(21, 60):
        turn = turns[n]
        for _ in range(5):
            door.pass_time(turn.wait)
            [turn] = await door.ask(f"early{n}")
            if turn.go:
                break
        assert turn.go


async def test_a_place_in_the_future_is_not_behind_all_who_come(door: Door) -> None:
    await door.crowd(60)
    door.pass_time(-7200)
    await door.crowd(60, "new")
    [old] = await door.ask("early50")
    newer = await door.crowd(60, "newer")
    assert old.left < newer[0].left
    assert (await door.ask("early50"))[0].left == old.left


async def test_budgets_of_other_names_are_others(four: list[Connection]) -> None:
    now = Now()
    for name in ("one", "two"):
        assert await Budget(four[0], name, 1, clock=now).turn("lnk_1", 0) == Turn(True, 0.0)


@pytest.mark.parametrize("lost", [0.0, 0.5])
async def test_a_crowd_goes_in_turn_and_never_above_the_rate(
    four: list[Connection], lost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Now()
    budgets = [Budget(connection, "crowd", 20, clock=now) for connection in four]
    monkeypatch.setattr(module, "LOOK_IN_SECONDS", 5.0)  # for a crowd of seconds, not a minute
    crowd = Crowd(800, 8.0, lost)
    await crowd.passes(budgets, now)
    assert set(crowd.went) == set(crowd.came)
    assert crowd.busiest == 20
    through = max(crowd.went.values()) / SECOND
    if lost:
        # Without those who stay away the line could be through in 20 s; with all of them, in 40.
        assert through < 35
    else:
        assert through < 41
        assert crowd.overtaken < 1.0


@pytest.mark.parametrize("seed", range(6))
async def test_no_second_ever_holds_more_than_the_rate(four: list[Connection], seed: int) -> None:
    chance, now = random.Random(seed), Now()
    rate = chance.choice([0.4, 1, 3, 7.5, 30])
    budgets = [Budget(connection, "any", rate, clock=now) for connection in four]
    went: list[int] = []
    for _ in range(150):
        # Waits, bursts, people again, other people, patient or not.
        now.at += chance.choice([0, 0, 0, 1, 1000, 50_000, 400_000, 3_000_000, 40_000_000])
        link, patience = f"lnk_{chance.randrange(40)}", chance.choice([0, 0.5, 2, 60])
        turn = await chance.choice(budgets).turn(link, patience)
        if turn.go:
            assert turn.wait <= patience
            went.append(now.at + round(turn.wait * SECOND))
    gaps = [after - before for before, after in zip(sorted(went), sorted(went)[1:], strict=False)]
    assert min(gaps) >= SECOND / rate
    assert busiest(sorted(went)) <= max(rate, 1) + 1 - 1e-9


async def test_processes_at_once_are_given_moments_of_their_own(four: list[Connection]) -> None:
    now = Now()
    budgets = [Budget(connection, "at once", 10, clock=now) for connection in four]
    turns = await asyncio.gather(*(budgets[n % 4].turn(f"a{n}", 60) for n in range(200)))
    assert sorted(turn.wait for turn in turns) == [n / 10 for n in range(200)]
    turns = await asyncio.gather(*(budgets[n % 4].turn(f"b{n}", 0) for n in range(100)))
    assert sorted(turn.left for turn in turns) == pytest.approx([20 + n / 10 for n in range(100)])


async def test_by_the_stores_own_clock(four: list[Connection]) -> None:
    budgets = [Budget(connection, "clock", 1000) for connection in four]
    turns = await asyncio.gather(*(budgets[n % 4].enter(f"lnk_{n}", 30) for n in range(100)))
    assert all(turn == Turn(True, 0.0) for turn in turns)
    assert not (await Budget(four[0], "slow", 0.001).enter("lnk_1", 0)).left
    assert not (await Budget(four[0], "slow", 0.001).enter("lnk_2", 0)).go


async def test_whoever_was_woken_late_asks_once_more(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    loop = asyncio.get_running_loop()
    late = 0.0

    async def oversleep(seconds: float) -> None:
        nonlocal late
        slept.append(seconds)
        late += seconds + 1.0
        door.pass_time(seconds + 1.0)

    time = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + late)
    monkeypatch.setattr(module.asyncio, "sleep", oversleep)
    await door.ask("first")
    assert (await door.budget.enter("lnk_1", 10)).go
    assert slept == [pytest.approx(0.1, abs=0.05), 0.0]
