"""The challenge and the device cookie: only what we signed, for this link, for a while. And what
else the form says of its press.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkgate import challenge, device
from linkgate.challenge import SEEN_LIMIT, Challenge, Origin, Refusal, read_press
from linkgate.signals import Press
from linkgate.tokens import Keyring, Purpose

KEYS = Keyring(["k" * 43])
OTHER = Keyring(["x" * 43])
LINK = "lnk_aaaaaaaaaaaaaaaaaaaaaaaaaa"
NOW = 1_800_000_000.0


def read(text: str, *, link: str = LINK, now: float = NOW) -> Challenge | Refusal:
    return challenge.read(KEYS, text, link=link, now=now, max_age=3600)


@pytest.mark.parametrize("origin", Origin)
def test_a_fresh_challenge_is_good(origin: Origin) -> None:
    text = challenge.issue(KEYS, LINK, NOW - 5, origin)
    assert read(text) == Challenge(LINK, NOW - 5, origin)


def test_its_characters_need_no_escaping() -> None:
    assert set(challenge.issue(KEYS, LINK, NOW)) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
    )


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", Refusal.MISSING),
        ("junk", Refusal.FORGED),
        ("a.b", Refusal.FORGED),
        ("é" * 20, Refusal.FORGED),
        ("a" * 1_000_000, Refusal.FORGED),
        (challenge.issue(OTHER, LINK, NOW), Refusal.FORGED),
        (KEYS.sign(Purpose.LINK, f"{LINK}~0~i".encode()), Refusal.FORGED),
        (KEYS.sign(Purpose.CHALLENGE, b"not ours"), Refusal.FORGED),
        (challenge.issue(KEYS, "lnk_other", NOW), Refusal.OTHER_LINK),
        (challenge.issue(KEYS, LINK, NOW - 3601), Refusal.STALE),
        (challenge.issue(KEYS, LINK, NOW + 3601), Refusal.STALE),
    ],
)
def test_a_refused_challenge_says_why(text: str, refusal: Refusal) -> None:
    assert read(text) is refusal


def test_clocks_of_two_gateways_may_differ_a_little() -> None:
    assert isinstance(read(challenge.issue(KEYS, LINK, NOW + 600)), Challenge)


def press(gesture: str) -> Press:
    return read_press(Challenge(LINK, NOW - 4, Origin.INTERSTITIAL), gesture, False, NOW)


@pytest.mark.parametrize(
    ("gesture", "expected"),
    [
        ("", Press(dwell=4)),
        ("ran", Press(dwell=4, ran=True)),
        (
            "ran pressed trusted seen=2310",
            Press(dwell=4, ran=True, pressed=True, trusted=True, visible=2.31),
        ),
        ("ran driver seen=80", Press(dwell=4, ran=True, driven=True, visible=0.08)),
        ("ran pressed seen=0", Press(dwell=4, ran=True, pressed=True)),
        # What says nothing of having run says nothing at all.
        ("pressed trusted seen=2310", Press(dwell=4)),
        # Invented ones.
        ("ran ran seen=9000 seen=5 seen=9000", Press(dwell=4, ran=True, visible=0.005)),
        ("ran seen=1e999", Press(dwell=4, ran=True)),
        ("ran seen=-5", Press(dwell=4, ran=True)),
        ("ran seen=", Press(dwell=4, ran=True)),
        ("ran seen=nan seen=inf", Press(dwell=4, ran=True)),
        ("ran seen=٣٣٣٣", Press(dwell=4, ran=True)),
        ("ran seen=" + "9" * 200, Press(dwell=4, ran=True, visible=SEEN_LIMIT)),
        ("ran seen=" + "9" * 10_000, Press(dwell=4, ran=True, visible=SEEN_LIMIT)),
        ("RAN PRESSED TRUSTED", Press(dwell=4)),
        ("ran\x00 \ud800 ran-pressed=trusted", Press(dwell=4)),
        ("x" * 10_000 + " ran", Press(dwell=4)),
    ],
)
def test_what_the_script_says_is_read(gesture: str, expected: Press) -> None:
    assert press(gesture) == expected


@given(st.text(max_size=400))
def test_no_gesture_ever_raises(gesture: str) -> None:
    read = press(f"ran {gesture}")
    assert read.ran
    assert 0 <= read.visible <= SEEN_LIMIT


def test_the_second_button_and_the_busy_page_are_told() -> None:
    good = Challenge(LINK, NOW - 4, Origin.INTERSTITIAL)
    assert read_press(good, "", True, NOW) == Press(dwell=4, second=True)
    assert read_press(good, "ran", True, NOW) == Press(dwell=4, ran=True, second=True)
    busy = Challenge(LINK, NOW - 4, Origin.BUSY)
    assert read_press(busy, "", False, NOW) == Press(dwell=4, repeat=True)
    assert read_press(busy, "ran", False, NOW) == Press(dwell=4, ran=True, repeat=True)
    waiting = Challenge(LINK, NOW - 4, Origin.WAITING)
    assert read_press(waiting, "", False, NOW) == Press(dwell=4, repeat=True, unpressed=True)
    written = read_press(waiting, "ran pressed trusted seen=3000", True, NOW)
    assert (written.repeat, written.unpressed) == (True, True)


@pytest.mark.parametrize("refusal", Refusal)
def test_without_a_good_challenge_the_dwell_is_not_known(refusal: Refusal) -> None:
    assert read_press(refusal, "", False, NOW) == Press()
    assert read_press(refusal, "ran seen=700", False, NOW) == Press(ran=True, visible=0.7)


def test_a_gateway_whose_clock_is_ahead_makes_nobody_hasty() -> None:
    ahead = Challenge(LINK, NOW + 0.001, Origin.INTERSTITIAL)
    assert read_press(ahead, "", False, NOW).dwell is None
    assert read_press(Challenge(LINK, NOW, Origin.INTERSTITIAL), "", False, NOW).dwell == 0


def test_a_device_is_known_by_its_cookie() -> None:
    value = device.issue(KEYS, "d1", NOW + 10)
    assert device.read(KEYS, f"a=b; {device.COOKIE}={value}; c=d", NOW) == "d1"


@pytest.mark.parametrize(
    "cookies",
    [
        "",
        ";;;",
        f"{device.COOKIE}=",
        f"{device.COOKIE}=junk",
        f"{device.COOKIE}={device.issue(OTHER, 'd1', NOW + 10)}",
        f"{device.COOKIE}={device.issue(KEYS, 'd1', NOW)}",
        f"other={device.issue(KEYS, 'd1', NOW + 10)}",
        f"{device.COOKIE}={KEYS.sign(Purpose.CHALLENGE, b'd1~ffffffffff')}",
        f"{device.COOKIE}={KEYS.sign(Purpose.DEVICE, b'no tilde')}",
    ],
)
def test_any_other_cookie_is_no_device(cookies: str) -> None:
    assert device.read(KEYS, cookies, NOW) is None


def test_a_bad_cookie_does_not_hide_a_good_one() -> None:
    good = device.issue(KEYS, "d1", NOW + 10)
    assert device.read(KEYS, f"{device.COOKIE}=x; {device.COOKIE}={good}", NOW) == "d1"
