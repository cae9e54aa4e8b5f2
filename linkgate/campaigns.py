"""Campaigns: what a set of links leads to, and what makes that valid.

A campaign is data. It is read from the API's JSON, kept in the store as JSON, and may change after
the e-mail went out: links name their campaign, so old links follow. The stored form is append-only:
a new field needs a default, so that a campaign stored by an older version still loads.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from linkgate.errors import Conflict, Invalid, Problem
from linkgate.tokens import SLUG

M = TypeVar("M", bound=BaseModel)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

#: What linkgate sets itself on every Checkout Session: passing it through would break a law.
OWN_PARAMETERS = frozenset(
    {"mode", "expires_at", "client_reference_id", "customer", "success_url", "cancel_url"}
    | {"line_items", "ui_mode", "return_url"}
)


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


class Model(BaseModel):
    """Frozen, and strict about unknown fields: a misspelt field must not be silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _web_address(value: str) -> str:
    # Rejects javascript:, data: and their kin, which Stripe would put behind a button.
    parts = urlsplit(value)
    if parts.scheme == "https" and parts.hostname:
        return value
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return value
    raise ValueError("must be an https:// address (http:// only for localhost)")


def _instant(value: Any) -> Any:
    # Numbers would be taken for Unix seconds or milliseconds by guesswork; the API speaks RFC 3339.
    if value is None or isinstance(value, (str, datetime)):
        return value
    raise ValueError('must be a time with a zone, as in "2026-05-01T08:00:00Z"')


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


WebAddress = Annotated[str, StringConstraints(max_length=5000), AfterValidator(_web_address)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_to_utc)]
Slug = Annotated[
    str,
    StringConstraints(pattern=f"^{SLUG.pattern}$"),
]


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
        return self


Destination = CheckoutDestination


class CampaignSettings(Model):
    """What an operator decides about a campaign; everything but the slug can change at any time."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    destination: Destination
    policy: Policy = Policy.ADAPTIVE
    sent_at: Instant | None = Field(
        default=None, description="When the e-mail goes out, unless a link says otherwise"
    )
    public: bool = Field(default=False, description="Whether an unsigned visit may open it")
    # Stripe allows 30 minutes to 24 hours; the rest of the day is the margin for clock skew.
    session_minutes: Annotated[int, Field(ge=30, le=1430)] = 30
    reuse_minutes: Annotated[float, Field(ge=0, le=1430)] = 2
    link_days: Annotated[int, Field(ge=1, le=3660)] | None = Field(
        default=None, description="How long its links live; the configuration's default if null"
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


def validated(model: type[M], data: Any) -> M:
    """Return `data` as `model`; raises Invalid with every wrong field, named by its path."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(_problem(model, details) for details in error.errors()) from None
    except OverflowError:
        # A time whose zone moves it out of the years 1 to 9999; pydantic lets that through.
        raise Invalid([Problem("body", "has a time in it that is out of range")]) from None


def _problem(model: type[BaseModel], details: Any) -> Problem:
    # pydantic names a wrong key of an object by the key and, behind it, "[key]".
    place = tuple(step for step in details["loc"] if step != "[key]")
    return Problem(".".join(map(str, place)) or "body", _message(model, details, place))


def _message(model: type[BaseModel], details: Any, place: tuple[int | str, ...]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        near = get_close_matches(str(place[-1]), _fields(model, place[:-1]), n=1)
        hint = f"did you mean {near[0]}?" if near else "check its spelling"
        return f"is not a field here; {hint}"
    if kind == "string_pattern_mismatch" and context["pattern"] == f"^{SLUG.pattern}$":
        return (
            "must be 1 to 48 lower-case letters, digits and hyphens, and begin with no hyphen, "
            "as in spring-sale"
        )
    if kind == "string_too_short" and context["min_length"] == 1:
        return "must not be empty"
    if kind in _PLAIN:
        return _PLAIN[kind].format(**context)
    return str(details["msg"]).removeprefix("Value error, ")


def _fields(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Name the fields of the model that stands at `place` below `model`; none if none does."""
    for step in place:
        if isinstance(step, str):
            field = model.model_fields.get(step)
            inner = next(_models(field.annotation), None) if field else None
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


_A_TIME = 'must be a time with a zone, as in "2026-05-01T08:00:00Z"'

#: Plain words for what pydantic says to programmers, by its names for the kinds of errors.
_PLAIN = {
    "missing": "is required",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "datetime_type": _A_TIME,
    "datetime_parsing": _A_TIME,
    "datetime_from_date_parsing": _A_TIME,
    "timezone_aware": _A_TIME,
}
