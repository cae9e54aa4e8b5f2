"""References: they name a link, for one purpose, and open nothing."""

import re

import pytest

from linkgate.errors import BadSignature, MalformedToken, TokenError
from linkgate.references import References
from linkgate.tokens import Keyring, Link, LinkTokens, Purpose, link_id

KEY = "a-signing-key-of-some-length"
LINK = link_id("spring", "r-1001")


@pytest.fixture
def references() -> References:
    return References(Keyring([KEY]))


def test_a_reference_leads_back_to_its_link(references: References) -> None:
    assert references.read_return(references.issue_return(LINK)) == LINK
    assert references.read_unsubscribe(references.issue_unsubscribe(LINK)) == LINK


def test_the_same_link_has_the_same_reference_in_every_process() -> None:
    """What an attempt asks has to be the same when it is asked again."""
    assert len({References(Keyring([KEY])).issue_return(LINK) for _ in range(3)}) == 1


def test_references_of_older_keys_are_read(references: References) -> None:
    newer = References(Keyring([KEY, "a-newer-key-of-some-length"]))
    assert newer.read_return(references.issue_return(LINK)) == LINK
    assert newer.issue_return(LINK) != references.issue_return(LINK)
    with pytest.raises(BadSignature):
        references.read_return(newer.issue_return(LINK))


def test_a_reference_is_good_for_its_own_purpose_alone(references: References) -> None:
    with pytest.raises(BadSignature):
        references.read_unsubscribe(references.issue_return(LINK))
    with pytest.raises(BadSignature):
        references.read_return(references.issue_unsubscribe(LINK))
    keyring = Keyring([KEY])
    for purpose in set(Purpose) - {Purpose.RETURN}:
        with pytest.raises(BadSignature):
            references.read_return(keyring.sign(purpose, LINK.encode()))


def test_a_reference_opens_no_link(references: References) -> None:
    tokens = LinkTokens(Keyring([KEY]))
    for text in (references.issue_return(LINK), references.issue_unsubscribe(LINK)):
        with pytest.raises(TokenError):
            tokens.read_ignoring_expiry(text)
    token = tokens.issue(Link("spring", "r-1001", 2_000_000_000))
    with pytest.raises(TokenError):
        references.read_return(token)


def test_it_holds_neither_recipient_nor_anything_to_escape(references: References) -> None:
    for path in (
        references.return_path(LINK),
        references.unsubscribe_path(LINK),
    ):
        assert re.fullmatch(r"[A-Za-z0-9._/-]{1,120}", path)
        assert "r-1001" not in path


@pytest.mark.parametrize("junk", [".", ",", ")", ">", "%0D", "/", "&utm_source=x", "%3E"])
def test_what_mail_added_is_passed_over(references: References, junk: str) -> None:
    assert references.read_unsubscribe(references.issue_unsubscribe(LINK) + junk) == LINK


@pytest.mark.parametrize(
    "text",
    ["", ".", LINK, f"{LINK}.", f"{LINK}.{'A' * 43}", "lnk_x." + "A" * 43, "\ud800", "x" * 9999],
)
def test_what_nobody_signed_is_refused(references: References, text: str) -> None:
    with pytest.raises((MalformedToken, BadSignature)):
        references.read_return(text)


def test_one_changed_character_is_one_too_many(references: References) -> None:
    good = references.issue_return(LINK)
    # The last one carries bits that base64 passes over.
    for place in range(len(good) - 1):
        other = "0" if good[place] != "0" else "1"
        with pytest.raises(TokenError):
            references.read_return(good[:place] + other + good[place + 1 :])
