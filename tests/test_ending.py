"""Tasks are ended, whatever becomes of the first cancellation."""

import asyncio

import pytest

from linkgate import ending
from linkgate.ending import end_tasks


async def test_one_that_swallows_a_cancellation_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = 0

    async def stubborn() -> None:
        nonlocal told
        while told < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told += 1
        raise RuntimeError("its own business")

    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.01)
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks(task, None)
    assert told == 3
    assert task.done()
    assert isinstance(task.exception(), RuntimeError)


async def test_what_has_ended_is_left_alone() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end_tasks(task, None)
    await end_tasks()
