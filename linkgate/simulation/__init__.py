"""How known scanners and previewers behave, replayed against a running gateway.

`behaviours.toml` holds them as data, `behaviours` reads it, `forms` reads the interstitial as a
machine would, `replay` sends the requests and says what came of them. It can't come from the
scanners' networks: behaviours are replayed, networks are not.
"""

from linkgate.simulation.behaviours import Behaviour, Step, Targets, behaviours
from linkgate.simulation.replay import CannotStart, Got, Result, examine, replay

__all__ = [
    "Behaviour",
    "CannotStart",
    "Got",
    "Result",
    "Step",
    "Targets",
    "behaviours",
    "examine",
    "replay",
]
