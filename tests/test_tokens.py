"""Tokens: what goes in comes out, whatever mail does to it, and nothing else gets in."""

import base64
import hmac
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkgate.errors import BadSignature, ExpiredToken, MalformedToken, TokenError
from linkgate.tokens import Keyring, Link, LinkTokens, Purpose, link_id

OLD, NEW, DROPPED = "o" * 43, "n" * 43, "d" * 43
NOW = 1_800_000_000.0
LINK = Link("spring", "r-1001", int(NOW) + 7200, int(NOW) - 60, "cus_ABC123")
tokens = LinkTokens(Keyring([OLD, NEW]))


def test_it_returns_every_claim() -> None:
    link = Link("spring", "r-1001", 1_800_007_200, 1_799_999_999, "cus_ABC123")
    reading = tokens.read(tokens.issue(link), NOW)
    assert reading.link == link
    assert not reading.decoy


def test_it_leaves_absent_claims_out() -> None:
    link = Link("spring", "r-1001", 1_800_007_200)
    token = tokens.issue(link)
    payload = base64.urlsafe_b64decode(token.split(".")[0] + "==")
    assert payload == b'["spring","r-1001",500002]'
    assert tokens.read(token, NOW).link == link


def test_the_wire_format_of_version_1_never_changes() -> None:
    # Issued once and pinned: a change that breaks this breaks links in people's mailboxes.
    token = (
        "WyJzcHJpbmciLCJyLTEwMDEiLDUwMDAwMiwxNzk5OTk5OTk5LCJjdXNfQUJDMTIzIl0"
        ".3CokC9d8NzsQRYSF1uxzA2nLMaB7FnfdKnLgZUJcxL0"
    )
    assert (
        tokens.issue(Link("spring", "r-1001", 1_800_007_200, 1_799_999_999, "cus_ABC123")) == token
    )


def test_the_documented_format_can_be_made_without_linkgate() -> None:
    derived = hmac.digest(NEW.encode(), b"linkgate.link.v1", "sha256")
    payload = base64.urlsafe_b64encode(b'["spring","r-1001",500002]').rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.digest(derived, payload, "sha256")).rstrip(b"=")
    token = f"{payload.decode()}.{signature.decode()}"
    assert tokens.issue(Link("spring", "r-1001", 1_800_007_200)) == token


def test_it_stays_under_160_characters() -> None:
    link = Link("s" * 24, "r" * 36, 1_900_000_000, 1_795_000_000)
    assert len(tokens.issue(link)) < 160
    assert len(tokens.issue_decoy(link)) < 160


def test_an_expiry_is_rounded_up_to_the_hour() -> None:
    link = Link("spring", "r", int(NOW) + 1)
    assert tokens.read(tokens.issue(link), NOW).link.expires_at == 1_800_003_600


@pytest.mark.parametrize("offset", [0, 3600])
def test_it_expires_when_its_hour_begins(offset: int) -> None:
    token = tokens.issue(Link("spring", "r", 1_800_000_000))
    with pytest.raises(ExpiredToken) as caught:
        tokens.read(token, 1_800_000_000 + offset)
    assert caught.value.campaign == "spring"
    assert tokens.read(token, 1_799_999_999).link.recipient == "r"
    assert tokens.read_ignoring_expiry(token).link.recipient == "r"


def test_old_keys_verify_and_the_newest_signs() -> None:
    by_old = LinkTokens(Keyring([OLD])).issue(LINK)
    assert tokens.read(by_old, NOW).link.recipient == "r-1001"
    assert LinkTokens(Keyring([NEW])).read(tokens.issue(LINK), NOW).link.recipient == "r-1001"


def test_a_dropped_key_opens_nothing() -> None:
    with pytest.raises(BadSignature):
        tokens.read(LinkTokens(Keyring([DROPPED])).issue(LINK), NOW)


@pytest.mark.parametrize("purpose", [Purpose.CHALLENGE, Purpose.DEVICE])
def test_another_purposes_signature_opens_nothing(purpose: Purpose) -> None:
    with pytest.raises(BadSignature):
        tokens.read(tokens.issue(LINK, purpose), NOW)


def test_a_decoy_has_the_same_shape_and_says_so() -> None:
    token, decoy = tokens.issue(LINK), tokens.issue_decoy(LINK)
    assert len(token) == len(decoy)
    assert token != decoy
    reading = tokens.read(decoy, NOW)
    assert reading.decoy
    assert reading.link.id == LINK.id


TOKEN = tokens.issue(LINK)
HALF = len(TOKEN) // 3


@pytest.mark.parametrize(
    "mangled",
    [
        *(TOKEN + junk for junk in ".,;:)>]}\"'!?*_-~"),
        *(
            TOKEN + junk
            for junk in ("/", "//", "=", "=3D", "%0D", "%0D%0A", "\r\n", " ", "%20", "...")
        ),
        *(
            TOKEN + junk
            for junk in ("&utm_source=mail", "?utm_source=mail", ")**", "&gt;", "</a>", "A")
        ),
        TOKEN.replace(".", "%2E"),
        TOKEN.replace(".", "%2e"),
        TOKEN.replace(".", "%252E"),
        TOKEN.replace(".", "=2E"),
        TOKEN.replace(".", "=2e") + "=3D",
        TOKEN[:HALF] + "=\r\n" + TOKEN[HALF:],
        TOKEN[:HALF] + "=" + TOKEN[HALF:],
        TOKEN[:HALF] + "=0D=0A" + TOKEN[HALF:],
        TOKEN[:HALF] + "%0D%0A" + TOKEN[HALF:],
        TOKEN[:HALF] + " " + TOKEN[HALF:],
        "<" + TOKEN + ">",
        "%3C" + TOKEN + "%3E",
        '"' + TOKEN + '"',
    ],
)
def test_a_token_mangled_by_mail_still_resolves(mangled: str) -> None:
    reading = tokens.read(mangled, NOW)
    assert reading.link.id == LINK.id
    assert reading.token == TOKEN


def test_spellings_of_a_token_are_not_remembered_one_by_one() -> None:
    reading = LinkTokens(Keyring([NEW]))
    token = reading.issue(LINK)
    for number in range(50):
        reading.read(f"{token}.{number}", NOW)
    assert reading._verified.cache_info().currsize == 1


@pytest.mark.parametrize(
    "junk",
    [
        "",
        ".",
        "abc",
        "a.b",
        "x" * 1_000_000,
        "é" * 50,
        "\0",
        "ü.ß",
        "%",
        "=",
        TOKEN[:60],
        "🦊" * 9000,
    ],
)
def test_what_is_no_token_is_malformed(junk: str) -> None:
    with pytest.raises(MalformedToken):
        tokens.read(junk, NOW)


def test_a_changed_payload_or_signature_is_refused() -> None:
    payload, signature = TOKEN.split(".")
    other = (
        LinkTokens(Keyring([NEW])).issue(Link("spring", "r-1002", LINK.expires_at)).split(".")[0]
    )
    for forged in (
        f"{other}.{signature}",
        f"{payload}.{'A' * 43}",
        f"{payload[:-2]}AA.{signature}",
    ):
        with pytest.raises(BadSignature):
            tokens.read(forged, NOW)


@given(st.text(alphabet=string.printable, max_size=300))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(TokenError):
        tokens.read(text, NOW)


@given(st.integers(0, len(TOKEN) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_single_change_makes_another_link(place: int, character: str) -> None:
    try:
        reading = tokens.read(TOKEN[:place] + character + TOKEN[place + 1 :], NOW)
    except TokenError:
        return
    assert reading.link == tokens.read(TOKEN, NOW).link


def test_a_link_is_named_by_its_campaign_and_recipient_alone() -> None:
    later = Link("spring", "r-1001", LINK.expires_at + 86_400)
    assert (
        later.id == LINK.id == link_id("spring", "r-1001") == "lnk_c9dd120dbc996a96c5722166a40d6a45"
    )
    assert link_id("spring", "r-1002") != LINK.id
    assert link_id("springr", "-1001") != LINK.id


@pytest.mark.parametrize("keys", [[], [""], ["a", ""]])
def test_an_empty_key_is_no_key(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="needs at least one key"):
        Keyring(keys)
