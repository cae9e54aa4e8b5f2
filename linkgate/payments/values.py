"""Values in Stripe's JSON: checked before anything is made of them."""

from typing import Any


def whole(value: Any) -> int:
    """Return a whole number that is not negative; raises ValueError for anything else."""
    # 2**53: what JSON and Lua hold exactly.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError("a whole number is out of range")
    return value


def text(value: Any) -> str:
    """Return a text of bearable length; raises ValueError for anything else."""
    if not isinstance(value, str) or len(value.encode()) > 5000:  # half a surrogate raises
        raise ValueError("a text is too long, or none")
    return value
