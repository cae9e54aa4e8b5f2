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
    """Late evidence about one earlier visit. `closes` says whether it is enough to take a session
    away as well.
    """

    sighting: Sighting
    evidence: Evidence
    closes: bool = True


def hindsight(signals: Signals, history: History, limits: Limits) -> tuple[Doubt, ...]:
    """Return what this visit, judged now, changes about those that are remembered.

    Only what looks like one machine is taken back: the same browser, down to its languages and
    hints, at the same address. A whole company may have the same browser, and a carrier's network
    many people with the same telephone; and a session that is taken by mistake stands in the way of
    someone who may be typing a card's number. So sessions go only for what machines alone do: links
    opened within half a second, or a decoy by what looks like the visitor. A twin takes nothing
    back: a double click opens two tabs, and both have to work. A press taints nothing: its page
    came just before it.
    """
    if signals.press is not None and not signals.press.unpressed:
        return ()
    if signals.decoy:
        return tuple(_decoy(history, limits))
    return tuple(_bursts(history, limits))


def _decoy(history: History, limits: Limits) -> Iterable[Doubt]:
    # Who came after an earlier hit was judged by it, and who came before was doubted by it: a decoy
    # that is hammered on costs nothing more.
    if not _counts(history.link_decoy, limits):
        for sighting in within(history.link, limits.decoy_before_seconds):
            reason = f"the link's decoy was opened {sighting.age:.2g} s later"
            # A late rescan from elsewhere must not cost a person the session.
            alike = sighting.same_network or sighting.same_browser
            yield Doubt(sighting, _automated("decoy-link", reason), closes=alike)
    if not _counts(history.address_decoy, limits):
        for sighting in within(history.network, limits.decoy_before_seconds):
            if sighting.same_address and sighting.same_browser:
                reason = f"its address opened a decoy {sighting.age:.2g} s later"
                at_once = sighting.age <= limits.burst_seconds
                yield Doubt(sighting, _automated("decoy-address", reason), closes=at_once)


def _counts(age: float | None, limits: Limits) -> bool:
    return age is not None and age <= limits.decoy_seconds


def _automated(rule: str, reason: str) -> Evidence:
    return Evidence(rule, Standing.AUTOMATED, reason, Kind.SCANNER)


def _bursts(history: History, limits: Limits) -> Iterable[Doubt]:
    everywhere = (*history.link, *history.network)
    at_address = tuple(s for s in everywhere if s.same_address)
    in_network = tuple(s for s in everywhere if s.same_network)
    others = {sighting.opened for sighting in history.network}
    for rule, whence, sightings, limit, closing in (
        ("burst-address", "address", at_address, limits.burst_links, limits.burst_close_seconds),
        ("burst-network", "network", in_network, limits.burst_network_links, 0.0),
    ):
        near = within(sightings, limits.burst_seconds)
        if len(others & {sighting.opened for sighting in near}) < limit - 1:
            continue
        # Only the visit that completes a burst has something to tell: whoever goes on with it finds
        # one that was judged by it, and the ones before that in doubt already.
        if any(_saw_a_burst(one, sightings, limit, limits.burst_seconds) for one in near):
            continue
        at_once = others & {sighting.opened for sighting in within(near, closing)}
        closes = closing > 0 and len(at_once) >= limit - 1
        seconds = f"{limits.burst_seconds:g} s"
        reason = f"it was the beginning of {limit} links from one {whence} within {seconds}"
        for sighting in near:
            if sighting.same_browser:
                evidence = Evidence(rule, Standing.SUSPECT, reason)
                yield Doubt(sighting, evidence, closes and sighting.age <= closing)


def _saw_a_burst(one: Sighting, sightings: Iterable[Sighting], limit: int, seconds: float) -> bool:
    before = {s.opened for s in sightings if one.age <= s.age <= one.age + seconds}
    return len(before | {one.opened}) >= limit
