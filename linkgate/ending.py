"""Ending tasks: whatever they are at, they end."""

import asyncio
import logging
from typing import Any

log = logging.getLogger(__name__)

#: After so long, a task that still runs is told again.
AGAIN_SECONDS = 0.5
#: And after so many times it is left alone.
TIMES = 10


async def end_tasks(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel tasks until all have ended; what they raise is theirs.

    Once isn't enough: a cancellation may come in the very moment in which a library ends a timeout
    of its own, and be taken for it.
    """
    left = {task for task in tasks if task is not None and not task.done()}
    for _ in range(TIMES):
        if not left:
            return
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    # Whatever they are at can be repeated: a process that doesn't end is worse.
    for task in left:
        log.error("%s does not end, and is left", task.get_name())
