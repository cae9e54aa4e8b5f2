"""The interstitial's signed challenge, and what else its form says of the press.

The challenge proves that a press belongs to a page that we showed.

A challenge names its link, so one taken from another link's page is worth nothing; it names its
time, so an old one is worth nothing; and it is signed, so none can be made up. It is not used up by
a press: a double click must not lock anyone out, and the single flight of minting already keeps
repeated presses to one session.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from linkgate.errors import BadSignature
from linkgate.signals import Press, Signals
from linkgate.tokens import Keyring, Purpose

#: The script writes some forty characters.
GESTURE_LIMIT = 256
#: In seconds. A challenge is stale long before.
SEEN_LIMIT = 86_400.0

_SEEN = re.compile(r"seen=([0-9]+)")


class Origin(StrEnum):
    """Which page carried the challenge."""

    INTERSTITIAL = "i"
    #: The busy page, shown to someone who had pressed; its script may resubmit.
    BUSY = "b"
    #: The same, shown to someone let in by the verdict alone: no press stands behind it.
    WAITING = "w"


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


def read_press(confirmation: Challenge | Refusal, gesture: str, second: bool, now: float) -> Press:
    """Return how the form was sent, from its challenge as `read` and its other two fields.

    `gesture` is what web/static/press.js wrote: `ran`, then at the press `pressed`, `trusted`,
    `driver` and `seen=` with milliseconds. `second` says that the second button was used. Total:
    what the script can't have written is passed over.

    A challenge that another gateway, whose clock is ahead, dated later than `now` says nothing of
    the dwell, so that a person is not taken for hasty. A clock ahead by less than the person's stay
    shortens the dwell, but not twice: the page that then comes is dated by the slower clock.
    """
    dwell, repeat, unpressed = None, False, False
    if isinstance(confirmation, Challenge):
        repeat = confirmation.origin is not Origin.INTERSTITIAL
        unpressed = confirmation.origin is Origin.WAITING
        if confirmation.issued_at <= now:
            dwell = now - confirmation.issued_at
    words = gesture[:GESTURE_LIMIT].split()
    if "ran" not in words:
        return Press(dwell=dwell, second=second, repeat=repeat, unpressed=unpressed)
    seen = [int(match[1]) / 1000 for word in words if (match := _SEEN.fullmatch(word))]
    return Press(
        dwell=dwell,
        ran=True,
        pressed="pressed" in words,
        trusted="trusted" in words,
        driven="driver" in words,
        # Said twice, the shorter holds: the word is only good against whoever gives it.
        visible=min((*seen, SEEN_LIMIT)) if seen else 0.0,
        second=second,
        repeat=repeat,
        unpressed=unpressed,
    )


def same_origin(signals: Signals, public_url: str) -> bool:
    """Say whether nothing about a POST shows that it came from another site's page.

    In-app browsers may send neither header: the challenge carries the proof, this stops a forged
    form on another site that got hold of a challenge. What the browser itself says of the site
    comes first: behind a proxy, Host and Origin may name it differently. Under Referrer-Policy:
    no-referrer Chromium sends `Origin: null` for our own form, which proves nothing either way.
    """
    if signals.sec_fetch_site == "same-origin":
        return True
    # "none": the person reloads, or comes back to a closed tab. No other site can cause that.
    if signals.sec_fetch_site not in {"", "none"}:
        return False
    if signals.origin in {"", "null"}:
        return True
    return _site(signals.origin) in {_site(public_url), _site(f"//{signals.host}")}


def _site(address: str) -> str:
    """Return host and port, without the ports that go without saying."""
    host = address.partition("//")[2].lower()
    return host.removesuffix(":443").removesuffix(":80")
