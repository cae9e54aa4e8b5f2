"""The interstitial's signed challenge: proof that a press belongs to a page that we showed.

A challenge names its link, so one taken from another link's page is worth nothing; it names its
time, so an old one is worth nothing; and it is signed, so none can be made up. It is not used up by
a press: a double click must not lock anyone out, and the single flight of minting already keeps
repeated presses to one session.
"""

from dataclasses import dataclass
from enum import StrEnum

from linkgate.errors import BadSignature
from linkgate.tokens import Keyring, Purpose


class Origin(StrEnum):
    """Which page carried the challenge."""

    INTERSTITIAL = "i"
    #: The busy page, shown to someone whom the gate had already let in; its script may resubmit.
    BUSY = "b"


class Refusal(StrEnum):
    """Why a challenge does not confirm anything."""

    MISSING = "missing"
    FORGED = "forged"
    OTHER_LINK = "other link"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that verified; `issued_at` in Unix seconds."""

    link: str
    issued_at: float
    origin: Origin


def issue(keyring: Keyring, link: str, now: float, origin: Origin = Origin.INTERSTITIAL) -> str:
    """Return a challenge for the link with id `link`; its characters are URL- and HTML-safe."""
    return keyring.sign(Purpose.CHALLENGE, f"{link}~{int(now * 1000):x}~{origin}".encode())


def read(
    keyring: Keyring, text: str, *, link: str, now: float, max_age: float
) -> Challenge | Refusal:
    """Return the challenge in `text` if it is good for `link` now, else why it is not.

    `max_age` is in seconds, and holds both ways: only another gateway, whose clock is ahead, can
    have dated a challenge later.
    """
    if not text:
        return Refusal.MISSING
    if len(text) > 256:
        return Refusal.FORGED
    try:
        name, issued, origin = keyring.verify(Purpose.CHALLENGE, text).decode("ascii").split("~")
        challenge = Challenge(name, int(issued, 16) / 1000, Origin(origin))
    except (BadSignature, ValueError):
        return Refusal.FORGED
    if challenge.link != link:
        return Refusal.OTHER_LINK
    if abs(now - challenge.issued_at) > max_age:
        return Refusal.STALE
    return challenge
