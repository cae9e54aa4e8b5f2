"""Campaigns: what a set of links leads to, and what makes that valid.

A campaign is data. It is read from the API's JSON, kept in the store as JSON, and may change after
the e-mail went out: links name their campaign, so old links follow. The stored form is append-only:
a new field needs a default, so that a campaign stored by an older version still loads.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from linkgate.errors import Conflict, Invalid, Problem
from linkgate.mail.settings import Reminder
from linkgate.validation import Instant, Model, Slug, WebAddress, validated

#: What linkgate sets itself on every Checkout Session: passing it through would break a law.
OWN_PARAMETERS = frozenset(
    {"mode", "expires_at", "client_reference_id", "customer", "success_url", "cancel_url"}
    | {"line_items", "ui_mode", "return_url"}
    # A recovered session is a second one, which nothing here would close.
    | {"after_expiration"}
)

#: Parameters that linkgate adds its own metadata to, each an object with `metadata` in it.
_DATA_PARAMETERS = ("payment_intent_data", "subscription_data", "setup_intent_data")


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


class LineItem(Model):
    """One thing to buy: a price at Stripe, or `price_data` that describes one inline."""

    price: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    price_data: dict[str, Any] | None = None
    quantity: Annotated[int, Field(ge=1, le=999_999)] | None = 1
    adjustable_quantity: dict[str, Any] | None = None
    tax_rates: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.price is None) == (self.price_data is None):
            raise ValueError("give exactly one of price and price_data")
        return self


class CheckoutDestination(Model):
    """A Stripe Checkout Session, made when a person visits."""

    kind: Literal["checkout"] = "checkout"
    mode: Literal["payment", "subscription", "setup"] = "payment"
    line_items: Annotated[tuple[LineItem, ...], Field(max_length=100)] = ()
    success_url: WebAddress
    cancel_url: WebAddress | None = None
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Further parameters of Stripe's POST /v1/checkout/sessions, passed as they are",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mode != "setup" and not self.line_items:
            raise ValueError(f"mode {self.mode} needs line_items; setup is the mode without")
        if self.mode == "setup" and self.line_items:
            raise ValueError("mode setup takes no line_items: nothing is bought")
        owned = sorted(OWN_PARAMETERS & self.params.keys())
        if owned:
            raise ValueError(f"params must not set {', '.join(owned)}: linkgate sets these itself")
        _check_names("params", self.params)
        _check_metadata("params.metadata", self.params)
        for name in _DATA_PARAMETERS:
            data = self.params.get(name)
            if data is not None and not isinstance(data, dict):
                raise ValueError(f"params.{name} must be an object")
            _check_metadata(f"params.{name}.metadata", data or {})
        return self


Destination = CheckoutDestination


def _check_names(place: str, value: Any) -> None:
    # "after_expiration[recovery][enabled]" is on the wire what the nested objects are.
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not name or "[" in name or "]" in name:
                raise ValueError(f"{place}: write {name!r} as nested objects, without brackets")
            _check_names(f"{place}.{name}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_names(place, inner)


def _check_metadata(name: str, holder: Mapping[str, Any]) -> None:
    # Stripe's limits (https://docs.stripe.com/api/metadata), less linkgate's own four keys.
    metadata = holder.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict) or len(metadata) > 46:
        raise ValueError(f"{name} must be an object of at most 46 keys")
    for key, value in metadata.items():
        if not isinstance(value, str | int | float | bool) or len(str(value)) > 500:
            raise ValueError(f"{name}.{key} must be a text of at most 500 characters")
        if not 0 < len(key) <= 40:
            raise ValueError(f"{name}: keys have 1 to 40 characters")


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
        default=False, description="Kept for unsigned ways in, which are not served yet"
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


class NewCampaign(CampaignSettings):
    """The body of a campaign's creation."""

    slug: Slug


class Campaign(NewCampaign):
    """A campaign as it is kept. `revision` counts its changes."""

    status: Status = Status.ACTIVE
    created_at: Instant
    updated_at: Instant
    revision: int = 1


def create(data: Mapping[str, Any], now: datetime) -> Campaign:
    """Return the campaign that `data` describes; raises Invalid with every wrong field."""
    new = validated(NewCampaign, data)
    return Campaign(**dict(new), created_at=now, updated_at=now)


def change(campaign: Campaign, patch: Mapping[str, Any], now: datetime) -> Campaign:
    """Return `campaign` with `patch` merged in, by RFC 7396.

    So null resets a field, objects merge and lists replace. Raises Invalid with every wrong field.
    """
    fixed = [
        Problem(name, "can't be changed; make a new campaign instead" if name == "slug" else mend)
        for name, mend in _NOT_BY_PATCH.items()
        if name in patch
    ]
    if fixed:
        raise Invalid(fixed)
    current = campaign.model_dump(mode="json", exclude=set(_NOT_BY_PATCH))
    settings = validated(CampaignSettings, _merge(current, patch))
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


_NOT_BY_PATCH = {
    "slug": "",
    "status": "use /pause, /resume or /end",
    "created_at": "is set by linkgate",
    "updated_at": "is set by linkgate",
    "revision": "is set by linkgate",
}


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
