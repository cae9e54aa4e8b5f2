"""The links of unsigned ways in: what they name, what they sell, what a cookie brings."""

from datetime import UTC, datetime
from typing import Any

import pytest

from linkgate import anonymous, campaigns
from linkgate.anonymous import Way
from linkgate.campaigns import Campaign
from linkgate.errors import Invalid
from linkgate.issuing import NewLink
from linkgate.tokens import RECIPIENT, Keyring, Link, LinkTokens
from linkgate.validation import validated

NOW = 1_800_000_000
TOKENS = LinkTokens(Keyring(["a-key-of-the-tests-" + "0123456789" * 3]))
OWN = {"price": "price_own", "quantity": 3}


def campaign(slug: str = "spring", **changes: Any) -> Campaign:
    destination = {"line_items": [OWN], **changes.pop("destination", {})}
    data = {"slug": slug, "name": "Spring", "public": True, "destination": destination, **changes}
    return campaigns.create(data, datetime.fromtimestamp(NOW, UTC))


def made(price: str | None = None, nonce: str = "n1", slug: str = "spring") -> Link:
    return anonymous.link(slug, price, nonce, NOW + 86_400)


def remembered(*cookies: str, way: Way | None = None, now: float = NOW) -> Link | None:
    way = way or Way("spring")
    found = anonymous.remembered(TOKENS, way, "; ".join(cookies), now)
    return found.link if found else None


def cookie(link: Link, **more: Any) -> str:
    token = more.pop("token", None) or TOKENS.issue(link)
    text = anonymous.cookie(link, token, NOW, secure=more.pop("secure", False)).decode()
    return text.partition(";")[0]


@pytest.mark.parametrize("price", [None, "price_1", "gold-monthly.v2", "p" * 90])
def test_a_link_names_its_way(price: str | None) -> None:
    link = made(price)
    assert RECIPIENT.fullmatch(link.recipient)
    assert anonymous.way_of(link) == Way("spring", price)
    assert link.id != made(price, "n2").id
    assert TOKENS.read(TOKENS.issue(link), NOW).link == link


@pytest.mark.parametrize("recipient", ["r-1", "anon~", "anon~price", "anon~~n", "xanon~-~n"])
def test_other_recipients_name_no_way(recipient: str) -> None:
    link = Link("spring", recipient, NOW)
    assert anonymous.way_of(link) is None
    assert anonymous.shelf(link) is link
    with pytest.raises(ValueError, match="issued to somebody"):
        anonymous.cookie(link, "token", NOW, secure=True)


def test_what_mints_nothing_is_kept_in_one_place() -> None:
    shelves = {anonymous.shelf(made(price, nonce)) for price in (None, "a") for nonce in "xyz"}
    assert [shelf.recipient for shelf in shelves] == ["anon~-~machines"]
    assert anonymous.shelf(made(slug="other")) not in shelves


def test_nobody_else_may_name_such_a_recipient() -> None:
    with pytest.raises(Invalid, match="must not begin with anon~"):
        validated(NewLink, {"campaign": "spring", "recipient": "anon~price_own~x"})


def test_a_campaign_sells_its_own_prices_and_those_it_allows() -> None:
    spring = campaign(public_prices=["price_more"])
    assert anonymous.prices(spring) == {"price_own", "price_more"}
    assert [anonymous.opens(spring, p) for p in (None, "price_own", "price_more", "price_x")] == [
        True, True, True, False,
    ]  # fmt: skip
    closed = campaign(public=False, public_prices=["price_more"])
    assert not any(anonymous.opens(closed, p) for p in (None, "price_own", "price_more"))
    setup = campaign(destination={"mode": "setup", "line_items": [], "currency": "eur"})
    assert (anonymous.opens(setup, None), anonymous.opens(setup, "price_own")) == (True, False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"public_prices": ["-"]}, "public_prices.0"),
        ({"public_prices": ["a~b"]}, "public_prices.0"),
        ({"public_prices": ["p" * 91]}, "public_prices.0"),
        ({"public_prices": ["price_1"] * 101}, "public_prices"),
        ({"public_prices": ["a"], "destination": {"mode": "setup", "line_items": []}}, ""),
    ],
)
def test_campaigns_that_can_not_be_open_are_refused(changes: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        campaign(**changes)
    assert not field or [problem.field for problem in refused.value.problems] == [field]


def test_a_portal_is_not_open_to_anybody() -> None:
    data = {"slug": "p", "name": "P", "public": True, "destination": {"kind": "portal"}}
    with pytest.raises(Invalid, match="has to know whose it is"):
        campaigns.create(data, datetime.fromtimestamp(NOW, UTC))


def test_the_first_that_sells_a_price_is_found() -> None:
    found = [
        campaign("private", public=False),
        campaign("other", destination={"line_items": [{"price": "price_other"}]}),
        campaign("paused").model_copy(update={"status": campaigns.Status.PAUSED}),
        campaign("ended").model_copy(update={"status": campaigns.Status.ENDED}),
        campaign("first"),
        campaign("second"),
    ]
    assert anonymous.seller(found, "price_own") is found[4]
    assert anonymous.seller(found[:4], "price_own") is found[2]
    assert anonymous.seller([found[3]], "price_own") is None
    assert anonymous.seller(found, "price_x") is None


def test_a_way_to_a_price_sells_that_one_once() -> None:
    spring = campaign(public_prices=["price_more"])
    taxed = {"price": "price_taxed", "quantity": 2, "tax_rates": ["txr_1"]}
    metered = {"price": "price_metered"}
    many = {"price": "price_many", "quantity": 5, "adjustable_quantity": {"enabled": True}}
    own = [OWN, taxed, metered, many]
    names = [item["price"] for item in own]
    spring = campaign(public_prices=["price_more", *names])

    def sold(price: str | None) -> list[Any]:
        return anonymous.line_items(spring, made(price), own)

    assert sold(None) == own
    assert sold("price_own") == [{"price": "price_own", "quantity": 1}]
    assert sold("price_taxed") == [{**taxed, "quantity": 1}]
    assert sold("price_metered") == [metered]
    assert sold("price_many") == [many]
    assert sold("price_more") == [{"price": "price_more", "quantity": 1}]
    assert anonymous.line_items(spring, Link("spring", "r-1", NOW), own) == own


def test_a_price_that_is_withdrawn_is_not_sold_any_more() -> None:
    spring = campaign(public_prices=["price_more"])
    closed = campaigns.change(spring, {"public": False}, spring.created_at)
    fewer = campaigns.change(spring, {"public_prices": None}, spring.created_at)
    for now, price in ((closed, None), (closed, "price_own"), (fewer, "price_more")):
        with pytest.raises(ValueError, match="is not open to the public"):
            anonymous.line_items(now, made(price), [OWN])


def test_a_cookie_brings_a_browser_back_to_its_link() -> None:
    link, other = made(), made("price_own")
    both = [cookie(other), "a=b", cookie(link), "c"]
    assert remembered(*both) == link
    assert remembered(*both, way=Way("spring", "price_own")) == other
    assert remembered(*both, way=Way("spring", "price_more")) is None
    text = anonymous.cookie(link, "token", NOW + 400, secure=True).decode()
    assert "; Max-Age=86000; Path=/; HttpOnly; SameSite=Lax; Secure" in text


def test_no_other_cookie_does() -> None:
    link, name = made(), Way("spring").cookie
    token = TOKENS.issue(link)
    elsewhere = LinkTokens(Keyring(["another-key-of-the-tests-" + "0123456789" * 3]))
    assert remembered(f"{name}={token}") == link
    for value in (
        "",
        "junk",
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        elsewhere.issue(link),
        TOKENS.issue_decoy(link),
        TOKENS.issue(made("price_own")),
        TOKENS.issue(made(slug="other")),
        TOKENS.issue(Link("spring", "r-1", NOW + 86_400)),
    ):
        assert remembered(f"{name}={value}") is None, value
    assert remembered(f"x{name}={token}") is None
    assert remembered(f"{name}={token}", now=NOW + 90_001) is None
    # Nobody keeps us verifying.
    assert remembered(*[f"{name}=junk{n}" for n in range(50)], f"{name}={token}") is None
