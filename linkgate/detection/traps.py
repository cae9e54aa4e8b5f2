"""What only a machine falls into."""

from linkgate.detection.declared import automated
from linkgate.detection.rules import Finding, Scene
from linkgate.detection.verdict import Kind


def decoy(scene: Scene) -> Finding | None:
    """The visit opened a decoy, a link in the e-mail that no person can see.

    Source: hidden links in mautic#9798 and Trend Micro's practice. Wrong about people: hardly;
    someone who reads a mail's source can find it, and only that visit is judged so.
    """
    if not scene.signals.decoy:
        return None
    return automated("it opened a link that no person can see", Kind.SCANNER)
