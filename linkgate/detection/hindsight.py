"""What a visit tells about the ones before it: evidence that comes too late for their own verdict.

Whatever is found here has a rule's name: the same rule would have found it, had the visits come in
another order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from linkgate.detection.history import History, Limits, Sighting
from linkgate.detection.timing import within
from linkgate.detection.verdict import Evidence, Kind, Standing
from linkgate.signals import Signals


@dataclass(frozen=True, slots=True)
class Doubt:
    """Late evidence about one earlier visit."""

    sighting: Sighting
    evidence: Evidence


def hindsight(signals: Signals, history: History, limits: Limits) -> tuple[Doubt, ...]:
    """Return what this visit, judged now, changes about those that are remembered.

    Only what one machine must have done is taken back: visits with the same user agent, from the
    same address or network. People behind one address differ in their browsers; and a session that
    is taken back by mistake stands in a person's way. A decoy, which no person opens, taints its
    link whoever came. A twin takes nothing back: a double click opens two tabs, and both have to
    work. A press taints nothing: its page came just before it.
    """
    if signals.press is not None:
        return ()
    if signals.decoy:
        return tuple(_decoy(history, limits))
    return tuple(_bursts(history, limits))


def _decoy(history: History, limits: Limits) -> Iterable[Doubt]:
    for sighting in within(history.link, limits.decoy_before_seconds):
        reason = f"the link's decoy was opened {sighting.age:.2g} s later"
        yield Doubt(sighting, Evidence("decoy-link", Standing.AUTOMATED, reason, Kind.SCANNER))
    for sighting in within(history.network, limits.decoy_before_seconds):
        if sighting.same_address and sighting.same_agent:
            reason = f"its address opened a decoy {sighting.age:.2g} s later"
            yield Doubt(
                sighting, Evidence("decoy-address", Standing.AUTOMATED, reason, Kind.SCANNER)
            )


def _bursts(history: History, limits: Limits) -> Iterable[Doubt]:
    near = within(history.network, limits.burst_seconds)
    for rule, whence, sightings, limit in (
        ("burst-address", "address", [s for s in near if s.same_address], limits.burst_links),
        ("burst-network", "network", near, limits.burst_network_links),
    ):
        # The one visit that completes the burst: those after it find the earlier ones done.
        if len({sighting.link for sighting in sightings}) != limit - 1:
            continue
        seconds = f"{limits.burst_seconds:g} s"
        reason = f"it was the beginning of {limit} links from one {whence} within {seconds}"
        for sighting in sightings:
            if sighting.same_agent:
                yield Doubt(sighting, Evidence(rule, Standing.SUSPECT, reason))
