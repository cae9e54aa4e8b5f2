"""Parameters against a shape: values of Python out, or Stripe's refusal.

Limits of metadata: https://docs.stripe.com/api/metadata.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from linkgate.sandbox.errors import ApiError, missing_param
from linkgate.sandbox.forms import Raw
from linkgate.sandbox.shapes import (
    Array,
    Choice,
    Clearable,
    Flag,
    Number,
    OneOf,
    Record,
    Shape,
    Table,
    Whole,
    fields_of,
)

METADATA_KEYS = 50
METADATA_KEY_LENGTH = 40
METADATA_VALUE_LENGTH = 500
TEXT_LENGTH = 5_000


@dataclass(slots=True)
class _Reading:
    """One pass over the parameters; collects, so that all unknown ones are named together."""

    limits: Mapping[str, int]
    unknown: list[str] = field(default_factory=list)
    wrong: list[ApiError] = field(default_factory=list)

    def refuse(self, message: str, path: str, code: str | None = None) -> None:
        self.wrong.append(ApiError(message, param=path, code=code))


def read(declared: Any, raw: Mapping[str, Raw], limits: Mapping[str, int] = {}) -> dict[str, Any]:
    """Check parameters against a TypedDict and give them as values of Python.

    `limits` maps a parameter without its indexes (`subscription_data[description]`) to the longest
    text that it takes; others take 5,000 characters. Raises ApiError, for unknown parameters first.
    """
    reading = _Reading(limits)
    values = _record(reading, Record(declared), dict(raw), "")
    if reading.unknown:
        many = "s" if len(reading.unknown) > 1 else ""
        raise ApiError(
            f"Received unknown parameter{many}: {', '.join(reading.unknown)}",
            code="parameter_unknown",
            param=reading.unknown[0],
        )
    if reading.wrong:
        raise reading.wrong[0]
    return values


def _value(reading: _Reading, shape: Shape, raw: Raw, path: str) -> Any:
    if raw == "":
        if not isinstance(shape, Clearable):
            reading.refuse(
                f"You passed an empty string for '{path}'. We assume empty values are an attempt "
                f"to unset a parameter; however '{path}' cannot be unset. You should remove "
                f"'{path}' from your request or supply a non-empty value.",
                path,
                "parameter_invalid_empty",
            )
        return ""
    if isinstance(shape, Clearable):
        shape = shape.shape
    nested: dict[type, Any] = {OneOf: _one_of, Record: _record, Array: _array, Table: _table}
    return nested.get(type(shape), _scalar)(reading, shape, raw, path)


def _one_of(reading: _Reading, shape: OneOf, raw: Raw, path: str) -> Any:
    attempts = []
    for option in shape.options:
        attempt = _Reading(reading.limits)
        value = _value(attempt, option, raw, path)
        if not attempt.wrong and not attempt.unknown:
            return value
        attempts.append(attempt)
    nested = [a for a, o in zip(attempts, shape.options, strict=True) if isinstance(o, Record)]
    told = nested[0] if nested and isinstance(raw, dict) else attempts[-1]
    reading.unknown += told.unknown
    reading.wrong += told.wrong
    return None


def _record(reading: _Reading, shape: Record, raw: Raw, path: str) -> dict[str, Any]:
    if isinstance(raw, str):
        reading.refuse("Invalid object", path)
        return {}
    fields = fields_of(shape.declared)
    values: dict[str, Any] = {}
    for key, given in raw.items():
        inner = f"{path}[{key}]" if path else key
        if key not in fields.shapes:
            reading.unknown.append(inner)
        else:
            values[key] = _value(reading, fields.shapes[key], given, inner)
    for key in fields.shapes:
        if key in fields.required and key not in raw:
            reading.wrong.append(missing_param(f"{path}[{key}]" if path else key))
    return values


def _array(reading: _Reading, shape: Array, raw: Raw, path: str) -> list[Any]:
    if isinstance(raw, str) or not all(re.fullmatch(r"[0-9]{1,6}", key) for key in raw):
        reading.refuse("Invalid array", path)
        return []
    ordered = sorted(raw.items(), key=lambda pair: int(pair[0]))
    return [
        _value(reading, shape.item, given, f"{path}[{place}]")
        for place, (_, given) in enumerate(ordered)
    ]


def _table(reading: _Reading, shape: Table, raw: Raw, path: str) -> dict[str, Any]:
    if isinstance(raw, str):
        reading.refuse("Invalid object", path)
        return {}
    if re.search(r"(^|\[)metadata\]?$", path):
        return _metadata(reading, raw, path)
    return {
        key: _value(reading, shape.value, given, f"{path}[{key}]") for key, given in raw.items()
    }


def _metadata(reading: _Reading, raw: Mapping[str, Raw], path: str) -> dict[str, str]:
    if len(raw) > METADATA_KEYS:
        reading.refuse(f"You can have up to {METADATA_KEYS} metadata keys.", path)
    kept = {}
    for key, value in raw.items():
        inner = f"{path}[{key}]"
        if not isinstance(value, str):
            reading.refuse("Metadata values must be strings; this one is a hash.", inner)
        elif len(key) > METADATA_KEY_LENGTH:
            reading.refuse(
                f"Metadata keys can have up to {METADATA_KEY_LENGTH} characters, but you passed "
                f"one that is {len(key)} characters.",
                inner,
            )
        elif len(value) > METADATA_VALUE_LENGTH:
            reading.refuse(
                f"Metadata values can have up to {METADATA_VALUE_LENGTH} characters, but you "
                f"passed in a value that is {len(value)} characters.",
                inner,
            )
        elif value:
            kept[key] = value
    return kept


def _scalar(reading: _Reading, shape: Shape, raw: Raw, path: str) -> Any:
    if isinstance(raw, dict):
        reading.refuse("Invalid string: a hash was given where one value is expected.", path)
        return None
    kinds: dict[type, Any] = {Whole: _whole, Flag: _flag, Number: _number}
    if isinstance(shape, Choice):
        return _choice(reading, shape, raw, path)
    return kinds.get(type(shape), _text)(reading, raw, path)


def _text(reading: _Reading, raw: str, path: str) -> str | None:
    limit = reading.limits.get(re.sub(r"\[[0-9]+\]", "", path), TEXT_LENGTH)
    if len(raw) <= limit:
        return raw
    reading.refuse(
        f"Invalid string: {raw[:10]}...{raw[-10:]}; must be at most {limit} characters", path
    )
    return None


def _whole(reading: _Reading, raw: str, path: str) -> int | None:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", raw, re.ASCII):
        return int(raw)
    reading.refuse(f"Invalid integer: {raw[:100]}", path, "parameter_invalid_integer")
    return None


def _flag(reading: _Reading, raw: str, path: str) -> bool | None:
    if raw.lower() in ("true", "false"):
        return raw.lower() == "true"
    reading.refuse(f"Invalid boolean: {raw[:100]}", path)
    return None


def _choice(reading: _Reading, shape: Choice, raw: str, path: str) -> str | None:
    if raw in shape.words:
        return raw
    head = re.sub(r"\[[0-9]+\]$", "", path)
    reading.refuse(f"Invalid {head}: must be one of {_listed(shape.words)}", path)
    return None


def _number(reading: _Reading, raw: str, path: str) -> Decimal | None:
    try:
        value = Decimal(raw)
    except InvalidOperation:
        value = Decimal("NaN")
    if value.is_finite():
        return value
    reading.refuse(f"Invalid decimal: {raw[:100]}", path, "parameter_invalid_decimal")
    return None


def _listed(words: tuple[str, ...]) -> str:
    comma = "," if len(words) > 2 else ""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])}{comma} or {words[-1]}"
