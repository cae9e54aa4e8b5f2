"""An event loop whose time passes only when nothing else can: hours of waiting take no time."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from math import inf, nextafter
from typing import Any


class _Selector(selectors.DefaultSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        if timeout > 0:
            # Never so little that it is lost in rounding.
            now = self.loop.passed
            self.loop.passed = max(now + timeout, nextafter(now, inf))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0 and is jumped from one timer to the next; sockets are not looked at."""

    def __init__(self) -> None:
        self.passed = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.passed


def run(work: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    """Run `work` on a loop of its own."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work(loop))
    finally:
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.close()


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
