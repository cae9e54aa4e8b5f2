"""What comes in from outside, checked: types of fields, and plain words for what is wrong."""

from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)

from linkgate.errors import Invalid, Problem
from linkgate.tokens import SLUG

M = TypeVar("M", bound=BaseModel)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Model(BaseModel):
    """Frozen, and strict about unknown fields: a misspelt field must not be silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _web_address(value: str) -> str:
    # Rejects javascript:, data: and their kin, which Stripe would put behind a button; and what
    # urlsplit silently drops, line breaks and tabs.
    if not value.isprintable() or " " in value:
        raise ValueError("must not contain spaces or control characters")
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("is not an address; check its brackets") from None
    if parts.scheme == "https" and parts.hostname:
        return value
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return value
    raise ValueError("must be an https:// address (http:// only for localhost)")


def _instant(value: Any) -> Any:
    # Numbers would be taken for Unix seconds or milliseconds by guesswork; the API speaks RFC 3339.
    if value is None or isinstance(value, datetime) or (isinstance(value, str) and "T" in value):
        return value
    raise ValueError('must be a time with a zone, as in "2026-05-01T08:00:00Z"')


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


WebAddress = Annotated[str, StringConstraints(max_length=5000), AfterValidator(_web_address)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_to_utc)]
Slug = Annotated[
    str,
    StringConstraints(pattern=f"^{SLUG.pattern}$"),
]


def validated(model: type[M], data: Any) -> M:
    """Return `data` as `model`; raises Invalid with every wrong field, named by its path."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(_problem(model, details) for details in error.errors()) from None


def _problem(model: type[BaseModel], details: Any) -> Problem:
    # pydantic names a wrong key of an object by the key and, behind it, "[key]".
    whole = tuple(step for step in details["loc"] if step != "[key]")
    # pydantic names the kind behind a destination: destination.checkout.mode.
    place = (whole[0], *whole[2:]) if len(whole) > 1 and whole[0] == "destination" else whole
    return Problem(".".join(map(str, place)) or "body", _message(model, details, whole))


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
    choice = [model]
    for step in place:
        if not isinstance(step, str):
            continue
        if len(choice) > 1:
            # Of several kinds, pydantic names the one that was meant.
            choice = [each for each in choice if _kind(each) == step]
            continue
        field = choice[0].model_fields.get(step) if choice else None
        choice = list(dict.fromkeys(_models(field.annotation))) if field else []
    return list(choice[0].model_fields) if len(choice) == 1 else []


def _kind(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("kind")
    return field.default if field else None


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
