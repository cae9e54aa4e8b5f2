"""Values in Stripe's JSON: checked before anything is made of them.

Every function raises ValueError or TypeError for what Stripe doesn't send, so that nothing odd
gets into the store.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]


def whole(value: Any) -> int:
    """Return a whole number that is not negative."""
    # 2**53: what JSON and Lua hold exactly.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError("a whole number is out of range")
    return value


def text(value: Any) -> str:
    """Return a text of bearable length."""
    if not isinstance(value, str) or len(value.encode()) > 5000:  # half a surrogate raises
        raise ValueError("a text is too long, or none")
    return value


def whole_or_none(value: Any) -> int | None:
    """Return a whole number, or None where Stripe has nothing to say."""
    return None if value is None else whole(value)


def text_or_none(value: Any) -> str | None:
    """Return a text, or None where Stripe has nothing to say."""
    return None if value is None else text(value)


def flag(value: Any) -> bool:
    """Return a yes or no; what is absent is a no."""
    if value is not None and not isinstance(value, bool):
        raise TypeError("a flag is neither yes nor no")
    return bool(value)


def mapping(value: Any) -> Object:
    """Return an object inside another; what is absent is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError("an object is none")
    return value


def listed(value: Any) -> Iterator[Object]:
    """Yield the objects of one of Stripe's lists; what is absent is empty."""
    data = mapping(value).get("data")
    if data is not None and not isinstance(data, list):
        raise TypeError("a list is none")
    return map(mapping, data or [])


def identity(value: Any) -> str | None:
    """Return the id of another object, which may be spelt out ("expanded") in its place."""
    if isinstance(value, Mapping):
        value = value["id"]
    # Some references that are not there are empty in older versions of the API.
    return text_or_none(value) or None
