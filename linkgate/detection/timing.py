"""When a visit comes: soon after sending, together with others, in a burst over several links.

Machines hurry and come in crowds. So do colleagues behind one address, now and then: these make a
suspect at most.
"""

from collections.abc import Iterable

from linkgate.detection.declared import suspect
from linkgate.detection.history import Sighting
from linkgate.detection.rules import Finding, Scene


def scan_window(scene: Scene) -> Finding | None:
    """The visit comes before the e-mail was sent, or in the minutes after, when scanners work.

    Source: Defender opens links 22 s to minutes after delivery, Google within 60 s (logged); 5
    minutes are Healthchecks' threshold, and Mautic's 2 s miss today's scanners. Wrong about people:
    yes, about whoever reads mail at once; hence suspect.
    """
    signals = scene.signals
    if signals.sent_at is None:
        return None
    since = scene.now - signals.sent_at
    if since >= signals.scan_seconds:
        return None
    if since < 0:
        return suspect("it comes before the e-mail was sent")
    return suspect(f"it comes {_lasting(since)} after sending, while scanners are at work")


def twin(scene: Scene) -> Finding | None:
    """The link was visited a moment ago already.

    Source: Defender's two hits 134 ms apart, Google's two edges 47 ms apart (logged); Marketo
    counts 2 activities in the same second as a machine's. Wrong about people: yes, about a double
    click or a scanner at work while the person clicks; hence suspect.
    """
    if scene.signals.press is not None:  # the press follows its page
        return None
    before = within(scene.history.link, scene.limits.twin_seconds)
    if not before:
        return None
    age = min(sighting.age for sighting in before)
    return suspect(f"another visit to the same link came {_lasting(age)} earlier")


def burst_address(scene: Scene) -> Finding | None:
    """Several links were opened from one address within moments.

    Source: 3 links in 2 s (published threshold); warmbly counts 2 in 5 s. Wrong about people: yes,
    about colleagues behind one address just after sending; hence suspect.
    """
    limits = scene.limits
    return _burst(
        scene,
        [s for s in scene.history.network if s.same_address],
        limits.burst_links,
        "one address",
    )


def burst_network(scene: Scene) -> Finding | None:
    """Many links were opened from one network (/24, /64) within moments.

    Source: Defender scans from several addresses of one network (40.94.16.*, logged). Wrong about
    people: yes, behind a carrier's shared addresses during a large campaign; hence suspect.
    """
    return _burst(scene, scene.history.network, scene.limits.burst_network_links, "one network")


def within(sightings: Iterable[Sighting], seconds: float) -> list[Sighting]:
    """Those of the sightings that are at most `seconds` old."""
    return [sighting for sighting in sightings if sighting.age <= seconds]


def _burst(scene: Scene, sightings: Iterable[Sighting], limit: int, whence: str) -> Finding | None:
    press = scene.signals.press
    if press is not None and not press.unpressed:
        return None
    seconds = scene.limits.burst_seconds
    links = 1 + len({sighting.opened for sighting in within(sightings, seconds)})
    if links < limit:
        return None
    return suspect(f"{links} links were opened from {whence} within {seconds:g} s")


def _lasting(seconds: float) -> str:
    if seconds >= 90:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
