"""What a visit rule is shown, made from the parts that a test cares about."""

from linkgate.detection import History, Limits, Networks, Scene, read_agent
from linkgate.signals import Signals

#: A moment to judge at, in seconds since the epoch.
NOW = 1_800_000_000.0


def scene(
    signals: Signals | None = None,
    history: History | None = None,
    *,
    now: float = NOW,
    limits: Limits | None = None,
    networks: Networks | None = None,
) -> Scene:
    """Return everything that a visit rule may look at."""
    signals = signals or Signals()
    return Scene(
        signals,
        read_agent(signals.user_agent),
        history or History(),
        now,
        limits or Limits(),
        networks or Networks(),
    )
