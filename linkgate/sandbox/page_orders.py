"""What the pay page orders of Stripe as a whole: requests that fail, and a clock that is off.

The words are those of its form; the controls and the command line can order more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from linkgate.sandbox.faults import Fault, FaultBook
from linkgate.sandbox.world import World

CREATIONS = "POST /v1/checkout/sessions"
#: Longer than most calls take, and shorter than anybody is kept waiting.
SLOW_SECONDS = 5.0

_FAULTS: Mapping[str, Fault] = {
    "429": Fault(CREATIONS, status=429),
    "500": Fault(CREATIONS, status=500),
    "slow": Fault(CREATIONS, "slow", seconds=SLOW_SECONDS),
    "cut": Fault(CREATIONS, "drop"),
}
_TIMES: Mapping[str, int | None] = {"1": 1, "10": 10, "all": None}
#: Seconds by which the clock is moved.
_MOVES: Mapping[str, float] = {"-5m": -300.0, "+5m": 300.0, "+1h": 3600.0, "+1d": 86_400.0}


@dataclass(frozen=True, slots=True)
class PageOrders:
    """Takes the orders of the pay page's two forms; passes over what is in none of them."""

    world: World
    faults: FaultBook

    def take(self, action: str, form: Mapping[str, object]) -> None:
        """Do what a form says: `fault` or `clock`."""
        if action == "clock":
            change = str(form.get("change"))
            start = 0.0 if change == "right" else self.world.offset
            self.world.offset = start + _MOVES.get(change, 0.0)
            self.world.sweep()
            return
        kind, times = str(form.get("kind")), str(form.get("times"))
        if kind == "clear":
            self.faults.clear()
        elif kind in _FAULTS and times in _TIMES:
            self.faults.add(replace(_FAULTS[kind], times=_TIMES[times]))

    def standing(self) -> list[str]:
        """Say what is ordered now, a sentence each."""
        said = []
        for fault in self.faults.open():
            what = str(fault.status) if fault.mode == "status" else fault.mode
            often = "until it is cleared" if fault.times is None else f"{fault.times} more"
            said.append(f"{fault.match}: {what}, {often}.")
        if off := round(self.world.offset):
            said.append(f"The clock is {abs(off)} s {'ahead' if off > 0 else 'behind'}.")
        return said
