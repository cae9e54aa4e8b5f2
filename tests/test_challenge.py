"""The challenge and the device cookie: only what we signed, for this link, for a while."""

import pytest

from linkgate import challenge, device
from linkgate.challenge import Challenge, Origin, Refusal
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
