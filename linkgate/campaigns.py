"""Campaigns: what a set of links leads to, and what makes that valid.

A campaign is data. It is read from the API's JSON, kept in the store as JSON, and may change after
the e-mail went out: links name their campaign, so old links follow. The stored form is append-only:
a new field needs a default, so that a campaign stored by an older version still loads.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from linkgate import anonymous, proofs
from linkgate.destinations import DEFAULT_KIND, Destination
from linkgate.destinations.location import misleading
from linkgate.errors import Conflict, Invalid, Problem
from linkgate.mail.settings import Reminder
from linkgate.payments import Ledger, payments_made
from linkgate.proofs import Secrets
from linkgate.tokens import Keyring
from linkgate.validation import Instant, Model, Slug, WebAddress, validated


class Policy(StrEnum):
    """How much proof a visit needs before a session is minted; the table is in `decision`."""

    ADAPTIVE = "adaptive"
    CONFIRM = "confirm"
    DIRECT = "direct"


class Status(StrEnum):
    """Whether a campaign's links lead anywhere. Ended is for good; paused can be resumed."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


def _price(value: str) -> str:
    if not anonymous.PRICE.fullmatch(value):
        raise ValueError("must be the id of a price at Stripe, as in price_1MoBy5LkdIwHu7ix")
    return value


class CampaignSettings(Model):
    """What an operator decides about a campaign; everything but the slug can change at any time."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    destination: Destination
    policy: Policy = Policy.ADAPTIVE
    sent_at: Instant | None = Field(
        default=None, description="When the e-mail goes out, unless a link says otherwise"
    )
    scan_minutes: Annotated[int, Field(ge=0, le=1440)] | None = Field(
        default=None,
        description="How long after sending scanners are expected, and everybody is asked to press "
        "the button; the configuration's default if null",
    )
    public: bool = Field(
        default=False,
        description="Whether people get in without a link of theirs, by /c/{slug} and "
        "/checkout?price=..., as from a pricing page or a QR code",
    )
    public_prices: Annotated[
        tuple[Annotated[str, AfterValidator(_price)], ...], Field(max_length=100)
    ] = Field(
        default=(),
        description="Prices at Stripe that /checkout?price=... sells by this campaign, once each, "
        "besides those of its line_items",
    )
    max_payments: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["unlimited"] | None = Field(
        default=None,
        description="How often one link can be paid; once for a checkout, without end for other "
        "destinations if null",
    )
    completed_url: WebAddress | None = Field(
        default=None,
        description="Where people go who open a link that is paid already; linkgate's page that "
        "says so if null",
    )
    # Stripe allows 30 minutes to 24 hours; the rest of the day is the margin for clock skew.
    session_minutes: Annotated[int, Field(ge=30, le=1430)] = 30
    reuse_minutes: Annotated[float, Field(ge=0, le=1430)] = 2
    link_days: Annotated[int, Field(ge=1, le=3660)] | None = Field(
        default=None, description="How long its links live; the configuration's default if null"
    )
    reminder: Reminder | None = Field(
        default=None,
        description="The e-mail that linkgate sends once when a session has expired, to an address "
        "given at the link's creation; none if null",
    )

    @model_validator(mode="after")
    def _reuse_within_session(self) -> Self:
        if self.reuse_minutes >= self.session_minutes:
            raise ValueError("reuse_minutes must be below session_minutes")
        return self

    @model_validator(mode="after")
    def _open_to_anybody(self) -> Self:
        if self.public and self.destination.kind == "portal":
            raise ValueError("public is not for a portal: it has to know whose it is")
        sells = self.destination.is_checkout and getattr(self.destination, "mode", "") != "setup"
        if self.public_prices and not sells:
            raise ValueError("public_prices needs a checkout that sells something")
        return self

    @property
    def payments_allowed(self) -> int | None:
        """How often one of its links can be paid; None is without end."""
        if self.max_payments is None:
            return self.destination.default_payments
        return None if self.max_payments == "unlimited" else self.max_payments

    @property
    def renewable(self) -> bool:
        """Whether a subscription that has ended doesn't count among a link's payments."""
        return self.destination.renewable

    def allows_another(self, ledger: Ledger) -> bool:
        """Say whether one of its links can be paid once more, by what is known of its money."""
        allowed = self.payments_allowed
        return allowed is None or payments_made(ledger, renewable=self.renewable) < allowed


class NewCampaign(CampaignSettings):
    """The body of a campaign's creation."""

    slug: Slug


class Campaign(NewCampaign):
    """A campaign as it is kept. `revision` counts its changes."""

    status: Status = Status.ACTIVE
    created_at: Instant
    updated_at: Instant
    revision: int = 1


def allows_another(campaign: Campaign | None, ledger: Ledger) -> bool:
    """Say whether a link can be paid once more; once is all where its campaign is not known."""
    return campaign.allows_another(ledger) if campaign else payments_made(ledger) < 1


def create(data: Mapping[str, Any], now: datetime) -> Campaign:
    """Return the campaign that `data` describes; raises Invalid with every wrong field."""
    new = validated(NewCampaign, data)
    _check(new)
    return Campaign(**dict(new), created_at=now, updated_at=now)


def change(campaign: Campaign, patch: Mapping[str, Any], now: datetime) -> Campaign:
    """Return `campaign` with `patch` merged in, by RFC 7396.

    So null resets a field, objects merge and lists replace; but a destination of another kind
    replaces the old one. Raises Invalid with every wrong field.
    """
    fixed = [
        Problem(name, "can't be changed; make a new campaign instead" if name == "slug" else mend)
        for name, mend in _NOT_BY_PATCH.items()
        if name in patch
    ]
    if fixed:
        raise Invalid(fixed)
    current = campaign.model_dump(mode="json", exclude=set(_NOT_BY_PATCH))
    settings = validated(CampaignSettings, _merge(_kept(current, patch), patch))
    _check(settings)
    return _revised(campaign, now, **dict(settings))


def check_life(campaign: Campaign, max_days: int) -> None:
    """Raise Invalid if the campaign's links would outlive `max_days`, a revocation's life."""
    if campaign.link_days and campaign.link_days > max_days:
        raise Invalid([Problem("link_days", f"must be at most {max_days} (links.max_days)")])


def change_status(campaign: Campaign, status: Status, now: datetime) -> Campaign:
    """Return `campaign` in `status`; raises Conflict if it has ended, which is for good."""
    if campaign.status is Status.ENDED and status is not Status.ENDED:
        raise Conflict(f"campaign {campaign.slug} has ended; an ended campaign can't be reopened")
    return campaign if campaign.status is status else _revised(campaign, now, status=status)


def secrets_of(keyring: Keyring, campaign: Campaign) -> Secrets | None:
    """Return what a campaign shares with its target; None where there is nothing to verify."""
    goal = campaign.destination
    if goal.secret_purpose is None:
        return None
    number: int = getattr(goal, "secret_number", 1)
    return proofs.secrets_of(keyring, goal.secret_purpose, campaign.slug, number)


_NOT_BY_PATCH = {
    "slug": "",
    "status": "use /pause, /resume or /end",
    "created_at": "is set by linkgate",
    "updated_at": "is set by linkgate",
    "revision": "is set by linkgate",
}


def _check(settings: CampaignSettings) -> None:
    problems = [
        Problem(f"destination.{found.field}".removesuffix("."), found.message)
        for found in settings.destination.problems()
    ]
    if wrong := misleading(settings.completed_url):
        problems.append(Problem("completed_url", wrong))
    if problems:
        raise Invalid(problems)


def _kept(current: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a patch is merged into: nothing of a destination whose kind it changes."""
    goal = patch.get("destination")
    if not isinstance(goal, Mapping) or "kind" not in goal:
        return current
    kind = DEFAULT_KIND if goal["kind"] is None else goal["kind"]
    return current if kind == current["destination"]["kind"] else {**current, "destination": {}}


def _revised(campaign: Campaign, now: datetime, **changes: Any) -> Campaign:
    return campaign.model_copy(
        update={**changes, "updated_at": now, "revision": campaign.revision + 1}
    )


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
