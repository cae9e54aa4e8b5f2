"""Issuing links, looking them up and revoking them.

Issuing signs a token and stores nothing, so it costs the same for one link and for a million. Only
private attributes (an e-mail address, metadata for Stripe) are kept, because they have no place
in a token that anyone can read; they go when the link goes.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from linkgate import anonymous
from linkgate.campaigns import Campaign, Status
from linkgate.config import Links as LinkSettings
from linkgate.errors import Conflict, Invalid, NotFound, Problem, StoreUnavailable, TokenError
from linkgate.picturing import NOTHING, Picture, PicturedSession, picture
from linkgate.store import DAY, Store
from linkgate.tokens import CUSTOMER, LINK_ID, RECIPIENT, SLUG, Link, LinkTokens, Reading
from linkgate.validation import Instant, Model, Slug, validated

#: The pictures are what the desk answers with.
__all__ = ["LINK_ID", "Desk", "Issued", "NewLink", "Picture", "PicturedSession"]

log = logging.getLogger(__name__)

HOUR = 3600

#: What browsers take for an address (HTML standard, "valid e-mail address"), with a dot in its
#: domain: Stripe refuses a session whose customer_email it can't read, and the person stands there.
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)

#: Stripe takes 50 keys (https://docs.stripe.com/api/metadata); four of them are linkgate's own.
MAX_METADATA = 46


def _recipient(value: str) -> str:
    if "@" in value:
        raise ValueError(
            "looks like an e-mail address, and everyone who holds the link could read it; "
            "pass your own opaque id here, and the address as email"
        )
    if value.startswith(anonymous.PREFIX):
        raise ValueError(f"must not begin with {anonymous.PREFIX}: those are linkgate's own")
    if not RECIPIENT.fullmatch(value):
        raise ValueError("must be 1 to 128 of: letters, digits and . _ : ~ + / = | -")
    return value


def _customer(value: str) -> str:
    if not CUSTOMER.fullmatch(value):
        raise ValueError("must be the id of a customer at Stripe, as in cus_NffrFeUfNV2Hib")
    return value


def _email(value: str) -> str:
    local = value.partition("@")[0]
    if len(value) > 254 or not _EMAIL.fullmatch(value) or ".." in f".{local}.":
        raise ValueError("must be an e-mail address, as in someone@example.com")
    return value


def _metadata_key(value: str) -> str:
    if value.startswith("linkgate_"):
        raise ValueError("keys that begin with linkgate_ are linkgate's own")
    if not value or len(value) > 40 or "[" in value or "]" in value:
        raise ValueError("Stripe takes keys of 1 to 40 characters, without square brackets")
    return value


class NewLink(Model):
    """The body of a link's creation."""

    campaign: Slug = Field(description="The slug of the campaign that the link leads into")
    recipient: Annotated[str, AfterValidator(_recipient)] = Field(
        description="Your own opaque id of the person; anyone who holds the link can read it"
    )
    sent_at: Instant | None = Field(
        default=None, description="When this link's e-mail goes out; the campaign's time if null"
    )
    customer: Annotated[str, AfterValidator(_customer)] | None = Field(
        default=None, description="The person's customer id at Stripe"
    )
    metadata: (
        Annotated[
            dict[
                Annotated[str, AfterValidator(_metadata_key)],
                Annotated[str, StringConstraints(max_length=500, strip_whitespace=False)],
            ],
            Field(max_length=MAX_METADATA),
        ]
        | None
    ) = Field(
        default=None,
        description="Put on the session at Stripe beside linkgate's own four keys: up to 46 keys "
        "of 40 characters, texts of 500",
    )
    email: Annotated[str, AfterValidator(_email)] | None = Field(
        default=None,
        description="The address to fill in at Stripe, to send reminders to, and to tell a "
        "callback service; kept by linkgate until the link is gone, and never part of the link",
    )
    expires_at: Instant | None = Field(
        default=None,
        description="When the link stops to open, rounded up to the full hour; by default the "
        "campaign's link_days after it is sent",
    )


@dataclass(frozen=True, slots=True)
class Issued:
    """A link as it was issued."""

    id: Annotated[str, Field(description="Follows from campaign and recipient alone")]
    campaign: str
    recipient: str
    url: Annotated[str, Field(description="What to put behind the button in the e-mail")]
    token: str
    decoy_url: Annotated[
        str, Field(description="A link that no person can see, to expose machines; optional to use")
    ]
    sent_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Desk:
    """Where links are issued, looked up and revoked. `now` is in Unix seconds everywhere.

    Every method raises StoreUnavailable when the store doesn't answer.
    """

    store: Store
    tokens: LinkTokens
    public_url: str
    settings: LinkSettings
    #: Closes the open sessions of a link that is revoked; None where no Stripe is at hand, and
    #: then a session stays payable until it runs out.
    close: Callable[[str, float], Awaitable[bool]] | None = None

    async def issue(self, data: Mapping[str, Any], now: float) -> Issued:
        """Sign the link that `data` (see NewLink) describes.

        Raises Invalid with every wrong field, and Conflict if the campaign has ended or the link
        was revoked.
        """
        campaign, problems = await self._named(data)
        try:
            new = validated(NewLink, data)
        except Invalid as error:
            raise Invalid([*error.problems, *problems]) from None
        problems += self._untimely(new, campaign, now)
        if problems or campaign is None:
            raise Invalid(problems)
        if campaign.status is Status.ENDED:
            raise Conflict(f"campaign {campaign.slug} has ended: its links lead nowhere any more")
        link = Link(
            new.campaign,
            new.recipient,
            self._expiry(new, campaign, now),
            int(new.sent_at.timestamp()) if new.sent_at else None,
            new.customer,
        )
        await self._refuse_revoked(link)
        private = {"email": new.email, "metadata": new.metadata}
        if given := {name: value for name, value in private.items() if value}:
            await self.store.links.keep_private(link, given)
        return self._issued(link)

    async def picture(self, name: str, now: float) -> Picture:
        """Return what is known of the link with this id or token, an expired or mangled one too.

        Raises NotFound if it is neither, or the id of a link that nothing is kept of.
        """
        link_id, reading = self._resolve(name)
        # Machines' visits are buffered; whoever looks a link up wants to see the latest too.
        try:
            await self.store.recorder.flush()
        except StoreUnavailable:
            log.warning("a link is shown without the visits that are still buffered")
        row = await self.store.links.read(link_id)
        if row is None and reading is None:
            raise NotFound(
                f"nothing is kept of a link {link_id}: a link that nobody has visited yet is only "
                "known by its token, so ask with the token"
            )
        link = reading.link if reading else None
        url = self._url(self.tokens.issue(link)) if link else None
        return picture(link_id, link, url, row or NOTHING, now)

    async def revoke(self, name: str, now: float) -> Picture:
        """Make the link with this id or token lead nowhere, whichever of its tokens is used.

        Revoking it again changes nothing. Raises NotFound if `name` is neither id nor token.
        """
        link_id, reading = self._resolve(name)
        # An untouched link's expiry isn't known from its id, and a later token may be in use too.
        keep_until = self.store.links.keep_until(Link("", "", self._latest(now)))
        link = reading.link if reading else None
        await self.store.links.revoke(link_id, now, keep_until, link=link)
        if self.close:
            await self.close(link_id, now)
        return await self.picture(name, now)

    async def _named(self, data: Any) -> tuple[Campaign | None, list[Problem]]:
        """Return the campaign that `data` names; whether the slug is one is not told here."""
        slug = data.get("campaign") if isinstance(data, Mapping) else None
        if not isinstance(slug, str) or not SLUG.fullmatch(slug):
            return None, []
        try:
            return await self.store.campaigns.read(slug), []
        except NotFound:
            return None, [Problem("campaign", f"there is no campaign {slug}; create it first")]

    async def _refuse_revoked(self, link: Link) -> None:
        # The same recipient's link is the same link: a new token for it would be dead on arrival.
        row = await self.store.links.read(link.id)
        if row and "revoked_at" in row.fields:
            raise Conflict(
                f"the link of this recipient in campaign {link.campaign} was revoked, and a new "
                "token for it would not open either"
            )

    def _untimely(self, new: NewLink, campaign: Campaign | None, now: float) -> list[Problem]:
        days = self.settings.max_days
        latest = now + days * DAY
        problems = []
        sent = _sent_at(new, campaign)
        if sent >= latest:
            problems.append(
                Problem("sent_at", f"lies further ahead than a link may live ({days} days)")
            )
        if new.expires_at:
            expires = new.expires_at.timestamp()
            if expires <= now:
                problems.append(Problem("expires_at", "has passed already"))
            elif expires > latest:
                problems.append(
                    Problem("expires_at", f"may be {days} days ahead at most (links.max_days)")
                )
            elif expires <= sent:
                problems.append(Problem("expires_at", "must be after sent_at"))
        return problems

    def _expiry(self, new: NewLink, campaign: Campaign, now: float) -> int:
        if new.expires_at:
            return _full_hour(new.expires_at.timestamp())
        days = campaign.link_days or self.settings.default_days
        begins = max(now, _sent_at(new, campaign))
        return min(_full_hour(begins + days * DAY), self._latest(now))

    def _latest(self, now: float) -> int:
        return _full_hour(now + self.settings.max_days * DAY)

    def _issued(self, link: Link) -> Issued:
        token = self.tokens.issue(link)
        return Issued(
            id=link.id,
            campaign=link.campaign,
            recipient=link.recipient,
            url=self._url(token),
            token=token,
            decoy_url=self._url(self.tokens.issue_decoy(link)),
            sent_at=None if link.sent_at is None else _time(link.sent_at),
            expires_at=_time(link.expires_at),
        )

    def _resolve(self, name: str) -> tuple[str, Reading | None]:
        if LINK_ID.fullmatch(name):
            return name, None
        try:
            reading = self.tokens.read_ignoring_expiry(name)
        except TokenError:
            raise NotFound(
                "this is neither a link's id (lnk_ and 32 hex digits) nor a token that "
                "one of the keys in signing.keys has signed"
            ) from None
        return reading.link.id, reading

    def _url(self, token: str) -> str:
        return f"{self.public_url}/l/{token}"


def _sent_at(new: NewLink, campaign: Campaign | None) -> float:
    sent = new.sent_at or (campaign.sent_at if campaign else None)
    return sent.timestamp() if sent else 0.0


def _full_hour(seconds: float) -> int:
    # A token's expiry is in full hours, rounded up; what is said here has to be what it does.
    return int(-(-seconds // HOUR)) * HOUR


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
