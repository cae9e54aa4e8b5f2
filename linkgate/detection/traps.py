"""What only a machine falls into."""

from linkgate.detection.declared import automated, suspect
from linkgate.detection.pressing import after_reading, by_hand
from linkgate.detection.rules import Finding, Scene
from linkgate.detection.verdict import Kind


def decoy(scene: Scene) -> Finding | None:
    """The visit opened a decoy, a link in the e-mail that no person can see.

    Source: hidden links in mautic#9798 and Trend Micro's practice. Wrong about people: hardly;
    someone who reads a mail's source can find it.
    """
    if not scene.signals.decoy:
        return None
    return automated("it opened a link that no person can see", Kind.SCANNER)


def decoy_link(scene: Scene) -> Finding | None:
    """The link's decoy was opened shortly before: whatever follows every link is at this one.

    Source: Mautic discards 10 s around a hidden link's opening (mautic#9798). Wrong about people:
    yes, about whoever opens the e-mail in the minute in which it is scanned: a press by hand is
    therefore only suspect, and goes through.
    """
    found = _after(scene, scene.history.link_decoy, "the link's decoy was opened")
    if found is None or not by_hand(scene):
        return found
    # No scanner has been seen pressing with real input.
    return suspect(found.reason)


def decoy_address(scene: Scene) -> Finding | None:
    """The same address opened a decoy shortly before, of this link or another.

    Source: after a filtered click, Paminga discards the same address for 15 minutes; a minute here,
    because people share addresses with scanners. Wrong about people: yes, behind one address with
    a scanner: a press by hand, and one without script by someone who has read, is therefore only
    suspect, and goes through.
    """
    found = _after(scene, scene.history.address_decoy, "its address opened a decoy")
    # Behind such an address the next decoy is never far: nobody may have to wait for the last one.
    if found is None or not (by_hand(scene) or after_reading(scene)):
        return found
    return suspect(found.reason)


def _after(scene: Scene, age: float | None, what: str) -> Finding | None:
    if age is None or age > scene.limits.decoy_seconds or scene.signals.decoy:
        return None
    return automated(f"{what} {age:.2g} s earlier", Kind.SCANNER)
