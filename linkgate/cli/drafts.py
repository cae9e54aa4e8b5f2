"""What the options and a file say about a campaign, put together into the API's words."""

import json
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linkgate.errors import Invalid, Problem

#: Which option sets which field, so that an error names what the person typed.
_OPTIONS = {
    "name": "--name",
    "policy": "--policy",
    "sent_at": "--sent-at",
    "scan_minutes": "--scan-minutes",
    "session_minutes": "--session-minutes",
    "link_days": "--link-days",
    "max_payments": "--max-payments",
    "completed_url": "--completed-url",
    "destination.mode": "--mode",
    "destination.line_items": "--price",
    "destination.success_url": "--success-url",
    "destination.cancel_url": "--cancel-url",
    "destination.recovery": "--recovery",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """The options as they were given; None where one wasn't."""

    name: str | None
    price: list[str] | None
    mode: str | None
    success_url: str | None
    cancel_url: str | None
    url: str | None
    callback: str | None
    portal: bool
    policy: str | None
    sent_at: str | None
    scan_minutes: int | None
    public: bool | None
    session_minutes: int | None
    link_days: int | None
    max_payments: str | None
    completed_url: str | None
    recovery: bool | None


def read_draft(file: str | None, draft: Draft, *, whole: bool) -> dict[str, Any]:
    """Return the file's fields with the options' over them; `whole` if a new campaign is meant.

    Raises Invalid for a file that can't be read, or with nothing given.
    """
    data = _read(file) if file else {}
    options = _fields(draft)
    if not data and not options and not whole:
        raise Invalid([Problem("options", "name nothing to change; --help lists what there is")])
    destination = {**_object(data, "destination"), **options.pop("destination", {})}
    merged = {**data, **options}
    if destination or whole:
        merged["destination"] = destination
    return merged


@contextmanager
def refer_to_options(**more: str) -> Iterator[None]:
    """Add to each problem within the option that mends it; `more` are further ones by field."""
    try:
        yield
    except Invalid as error:
        options = {**_OPTIONS, **more}
        raise Invalid(_with_option(problem, options) for problem in error.problems) from None


def _with_option(problem: Problem, options: dict[str, str]) -> Problem:
    known = [field for field in options if f"{problem.field}.".startswith(f"{field}.")]
    if not known:
        return problem
    return Problem(f"{problem.field} ({options[max(known, key=len)]})", problem.message)


def _fields(draft: Draft) -> dict[str, Any]:
    destination = {
        **_kind(draft),
        "mode": draft.mode,
        "line_items": None if draft.price is None else [_item(text) for text in draft.price],
        "success_url": draft.success_url,
        "cancel_url": draft.cancel_url,
        "recovery": draft.recovery,
    }
    fields = {
        "name": draft.name,
        "policy": draft.policy,
        "sent_at": draft.sent_at,
        "scan_minutes": draft.scan_minutes,
        "public": draft.public,
        "session_minutes": draft.session_minutes,
        "link_days": draft.link_days,
        "max_payments": _number(draft.max_payments),
        "completed_url": draft.completed_url,
        "destination": {key: value for key, value in destination.items() if value is not None}
        or None,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _kind(draft: Draft) -> dict[str, Any]:
    """Return what the options say of a destination's kind; raises Invalid for two."""
    checkout = {"kind": "checkout"}
    named = {
        "--price": checkout if draft.price is not None else None,
        "--mode": checkout if draft.mode is not None and draft.price is None else None,
        "--url": {"kind": "url", "url": draft.url} if draft.url is not None else None,
        "--callback": (
            {"kind": "callback", "url": draft.callback} if draft.callback is not None else None
        ),
        "--portal": {"kind": "portal"} if draft.portal else None,
    }
    given = {option: meant for option, meant in named.items() if meant}
    if len(given) > 1:
        message = "name more than one place to lead to; give one of them"
        raise Invalid([Problem(" and ".join(given), message)])
    return next(iter(given.values()), {})


def _number(text: str | None) -> int | str | None:
    """Return a number where it is one; the campaign knows what else may stand there."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else text


def _item(text: str) -> dict[str, Any]:
    price, colon, quantity = text.partition(":")
    if colon and not (quantity.isascii() and quantity.isdigit()):
        message = f"{text!r}: after the colon comes a quantity, as in price_123:2"
        raise Invalid([Problem("--price", message)])
    return {"price": price, "quantity": int(quantity) if colon else 1}


def _object(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if value is not None and not isinstance(value, dict):
        raise Invalid([Problem(key, "must be an object")])
    return value or {}


def _read(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8-sig")
        data = tomllib.loads(text) if file.endswith(".toml") else json.loads(text)
    except OSError as error:
        raise _bad(file, f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _bad(file, "is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise _bad(file, f"is not valid TOML: {error}") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise _bad(file, f"is not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise _bad(file, "must hold one JSON object: a campaign in the API's words")
    # TOML has times of its own; the API's words have them as text.
    return {key: _plain(value) for key, value in data.items()}


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _bad(file: str, message: str) -> Invalid:
    return Invalid([Problem("--file" if file == "-" else file, message)])
