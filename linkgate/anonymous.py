"""Unsigned ways in: the links of visits that bring none, as from a pricing page or a QR code.

Such a visit is given a link of its own, made on the spot. It is stored nowhere until it mints, and
from then on it is a link like any other: one attempt at a time, one payment. A cookie brings the
same browser back to it.

    recipient = "anon~" price "~" nonce; "-" in the price's place for what the campaign itself sells

What a way leads to is decided anew at every visit: by the campaign's `public` and its prices.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from linkgate.cookies import values
from linkgate.errors import TokenError
from linkgate.tokens import Link, LinkTokens, Reading, link_id

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign
    from linkgate.destinations.checkout import CheckoutDestination

#: No recipient that a marketing tool gives may begin with it.
PREFIX: Final = "anon~"
#: Ids of prices as Stripe makes them, and of plans as people have named them.
PRICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,89}")
#: How long such a link opens, in seconds: for as long as somebody thinks a purchase over.
LIFE_SECONDS: Final = 86_400

COOKIE: Final = "lg_anon_"
_NO_PRICE: Final = "-"
_MACHINES: Final = "machines"


@dataclass(frozen=True, slots=True)
class Way:
    """An unsigned way in: to what a campaign sells, or to one price of it."""

    campaign: str
    price: str | None = None

    @property
    def id(self) -> str:
        """A name for it like a link's, which no link has."""
        return link_id(self.campaign, f"{PREFIX}{self.price or _NO_PRICE}")

    @property
    def path(self) -> str:
        """Where it begins, below the gateway's own address."""
        if self.price is None:
            return f"/c/{self.campaign}"
        return f"/checkout?price={self.price}&campaign={self.campaign}"

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds a browser's link of this way."""
        return COOKIE + self.id[4:12]


def link(campaign: str, price: str | None, nonce: str, expires_at: int) -> Link:
    """Return the link of one visit; `nonce` is its own, without "~", and unlikely to come again."""
    return Link(campaign, f"{PREFIX}{price or _NO_PRICE}~{nonce}", expires_at)


def way_of(link: Link) -> Way | None:
    """Return the way that a link was made for; None for a link that was issued to somebody."""
    if not link.recipient.startswith(PREFIX):
        return None
    price, _, nonce = link.recipient[len(PREFIX) :].partition("~")
    return Way(link.campaign, None if price == _NO_PRICE else price) if price and nonce else None


def shelf(link: Link) -> Link:
    """Return the link under which a visit to `link` is kept that mints nothing.

    That is one for all unsigned ways of a campaign: or every visit of a machine would leave a row.
    """
    if way_of(link) is None:
        return link
    return Link(link.campaign, f"{PREFIX}{_NO_PRICE}~{_MACHINES}", link.expires_at)


def opens(campaign: "Campaign", price: str | None) -> bool:
    """Say whether a campaign lets people in without a link of theirs, to this price if given."""
    return campaign.public and (price is None or price in prices(campaign))


def leads(campaign: "Campaign", price: str | None) -> bool:
    """Say whether a way in leads anywhere now, and be it to a page that says "later"."""
    return campaign.status != "ended" and opens(campaign, price)


def prices(campaign: "Campaign") -> frozenset[str]:
    """Return the prices that a campaign sells one by one: its own, and those it allows besides."""
    wanted = _checkout(campaign)
    if wanted is None or wanted.mode == "setup":
        return frozenset()
    own = {item.price for item in wanted.line_items if item.price}
    return frozenset(own.union(campaign.public_prices))


def seller(campaigns: Iterable["Campaign"], price: str) -> "Campaign | None":
    """Return the first of the campaigns that sells a price, before all those that are paused."""
    found = [one for one in campaigns if one.status != "ended" and opens(one, price)]
    return next((one for one in found if one.status == "active"), found[0] if found else None)


def line_items(
    campaign: "Campaign", link: Link, own: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return what a link's session sells, of the campaign's `own` line items as Stripe takes them.

    A way to one price sells that one, once. Raises ValueError if the campaign does not let anybody
    in by this way any more.
    """
    way = way_of(link)
    if way is None:
        return list(own)
    if not opens(campaign, way.price):
        raise ValueError(f"campaign {campaign.slug} is not open to the public for this price")
    if way.price is None:
        return list(own)
    for item in own:
        if item.get("price") == way.price:
            # Stripe takes no quantity for a metered price, and people may change an adjustable one.
            fixed = "quantity" in item and not item.get("adjustable_quantity")
            return [{**item, "quantity": 1} if fixed else item]
    return [{"price": way.price, "quantity": 1}]


def remembered(tokens: LinkTokens, way: Way, cookies: str, now: float) -> Reading | None:
    """Return the link to which a browser's cookies bring it back; None without a good one."""
    for value in values(cookies, way.cookie):
        try:
            reading = tokens.read(value, now)
        except TokenError:
            continue
        if way_of(reading.link) == way and not reading.decoy:
            return reading
    return None


def cookie(link: Link, token: str, now: float, *, secure: bool) -> bytes:
    """Return the Set-Cookie header's value that brings a browser back to its link.

    `token` is the link's. No script can read it, and of what other sites cause only a navigation
    carries it. Raises ValueError for a link that was issued to somebody: who holds it needs none.
    """
    way = way_of(link)
    if way is None:
        raise ValueError("this link was issued to somebody")
    age = max(int(link.expires_at - now), 0)
    attributes = f"Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"
    return f"{way.cookie}={token}; {attributes}".encode()


def _checkout(campaign: "Campaign") -> "CheckoutDestination | None":
    wanted = campaign.destination
    return cast("CheckoutDestination", wanted) if wanted.is_checkout else None
