"""Request bodies: JSON read strictly, and handed on as plain values.

What a body means is judged by the core, which reports every wrong field at once. Here is only what
has to hold of any body: that it is one JSON object, and holds nothing that JSON or the store can't.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

from litestar.exceptions import ClientException

from linkgate.errors import Invalid, Problem

JsonObject = dict[str, Any]

#: Stripe's own parameters nest some six levels deep. Deeper input only serves to exhaust a stack.
MAX_DEPTH = 20


class _Refused(Exception):
    """JSON to Python's reader, and not to anybody else."""


def read_object(body: bytes) -> JsonObject:
    """Return the JSON object in `body`.

    Raises ClientException (400) if it is no JSON, with the place, and Invalid if it is JSON that
    can't be worked with, with the fields.
    """
    try:
        # A byte order mark is what some Windows tools put in front.
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ClientException(
            f"The body is not UTF-8: byte {error.start + 1} can't be read."
        ) from None
    try:
        data = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ClientException(
            f"The body is not JSON: {error.msg[:1].lower()}{error.msg[1:]}, "
            f"at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise ClientException("The body is nested too deeply.") from None
    except _Refused as error:
        raise ClientException(f"The body can't be taken: {error}.") from None
    except ValueError:
        # Python's own bound on reading a number's digits, which otherwise takes quadratic time.
        raise ClientException(
            "The body can't be taken: it has a number of thousands of digits."
        ) from None
    if not isinstance(data, dict):
        raise Invalid([Problem("body", f"must be a JSON object, not {_KINDS[type(data)]}")])
    if problems := list(_unusable(data)):
        raise Invalid(problems)
    return data


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    data = dict(pairs)
    if len(data) < len(pairs):
        # Two readers of one body may each take another of the two for the truth.
        counted = Counter(name for name, _ in pairs)
        twice = [name for name, number in counted.items() if number > 1][:10]
        raise _Refused(f"it has {', '.join(map(json.dumps, twice))} twice in one object")
    return data


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not a number in JSON")


_KINDS: dict[type, str] = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _unusable(value: Any, path: tuple[str, ...] = ()) -> Iterator[Problem]:
    """Yield what can't be stored or sent on, with its place."""
    match value:
        case dict() | list() if len(path) >= MAX_DEPTH:
            yield Problem(".".join(path), f"is nested more than {MAX_DEPTH} levels deep")
        case dict():
            for name, inner in value.items():
                step = (*path, name.encode("ascii", "backslashreplace").decode())
                if trouble := _bad_text(name):
                    yield Problem(".".join(step), f"has a name that {trouble}")
                yield from _unusable(inner, step)
        case list():
            for index, inner in enumerate(value):
                yield from _unusable(inner, (*path, str(index)))
        case str():
            if trouble := _bad_text(value):
                yield Problem(".".join(path), trouble)
        case float():
            if not math.isfinite(value):
                yield Problem(".".join(path), "is too large a number")


def _bad_text(text: str) -> str:
    if "\0" in text:
        return "has a null character in it"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair in it, which is no character"
    return ""
