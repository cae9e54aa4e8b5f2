"""Ending tasks: whatever they are at, they end."""

import asyncio
from typing import Any

#: After so long, a task that still runs is told again.
AGAIN_SECONDS = 0.5


async def end_tasks(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel tasks until all have ended; what they raise is theirs.

    Once isn't enough: a cancellation may come in the very moment in which a library ends a timeout
    of its own, and be taken for it.
    """
    left = {task for task in tasks if task is not None and not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
