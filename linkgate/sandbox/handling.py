"""What may become of an event on its way: lost, doubled, late; ordered for the next so many."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

Fate: TypeAlias = Literal["lose", "double", "delay"]


@dataclass(frozen=True, slots=True)
class Handling:
    """One order for the next `events` (None: until cleared) of the kinds that `kind` matches.

    `lose` never delivers, and the event stays readable by the API; `double` delivers `copies` at
    once; `delay` delivers `seconds` late.
    """

    fate: Fate
    events: int | None = 1
    kind: str = "*"
    copies: int = 2
    seconds: float = 10.0


class HandlingBook:
    """The orders that are open, first come first served; an event falls under one at most."""

    def __init__(self) -> None:
        self._orders: list[Handling] = []
        self._just_now: Handling | None = None

    def add(self, order: Handling) -> None:
        self._orders.append(order)

    def clear(self) -> None:
        self._orders.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(order) for order in self._orders]

    @contextmanager
    def just_now(self, order: Handling | None) -> Iterator[None]:
        """Handle what is told inside by `order`, before any other."""
        self._just_now = order
        try:
            yield
        finally:
            self._just_now = None

    def take(self, kind: str) -> Handling | None:
        """The order that an event of a kind falls under, if any; it counts as one of its events."""
        if self._just_now is not None:
            return self._just_now
        for place, order in enumerate(self._orders):
            if not fnmatchcase(kind, order.kind):
                continue
            if order.events is not None:
                self._orders[place] = replace(order, events=order.events - 1)
                if order.events <= 1:
                    del self._orders[place]
            return order
        return None
