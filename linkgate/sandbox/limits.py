"""Stripe's limit on creations: so many a second for each endpoint, counted over a sliding second.

Off unless ordered. What arrives is counted in any case, so that a test can see how much did.
Source: https://docs.stripe.com/rate-limits (25 a second for each endpoint).
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

from linkgate.sandbox.errors import ApiError

SECOND = 1.0


class Limits:
    """`ticks` gives seconds that only ever go on; the world's clock can be moved, this can't."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self.set(None)

    def set(self, creations_per_second: int | None) -> None:
        """Allow so many creations a second (None: any number), and count from zero."""
        self.creations_per_second = creations_per_second
        self.refused: Counter[str] = Counter()
        self.busiest: Counter[str] = Counter()
        self._arrived: defaultdict[str, deque[float]] = defaultdict(deque)
        self._admitted: defaultdict[str, deque[float]] = defaultdict(deque)

    def enter(self, endpoint: str) -> None:
        """Count one creation; raises ApiError (429) for one too many, which takes no place."""
        now = self._ticks()
        arrived, admitted = self._arrived[endpoint], self._admitted[endpoint]
        for times in (arrived, admitted):
            while times and times[0] <= now - SECOND:
                times.popleft()
        arrived.append(now)
        self.busiest[endpoint] = max(self.busiest[endpoint], len(arrived))
        most = self.creations_per_second
        if most is not None and len(admitted) >= most:
            self.refused[endpoint] += 1
            raise too_many()
        admitted.append(now)

    def as_json(self) -> dict[str, Any]:
        return {
            "creations_per_second": self.creations_per_second,
            "refused": dict(self.refused),
            "busiest_second": dict(self.busiest),
        }


def too_many() -> ApiError:
    """Stripe's 429."""
    return ApiError(
        "Request rate limit exceeded. You can learn more about rate limits here "
        "https://docs.stripe.com/rate-limits.",
        status=429,
        code="rate_limit",
    )
