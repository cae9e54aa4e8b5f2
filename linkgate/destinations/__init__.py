"""Where campaigns lead. A destination is one module and one line here."""

from linkgate.destinations.checkout import Checkout
from linkgate.destinations.stripe_api import StripeAPI


def registry(api: StripeAPI, *, wait_seconds: float) -> dict[str, Checkout]:
    """Return the destinations by their `kind`; `wait_seconds` is the longest that a visit waits."""
    return {"checkout": Checkout(api, wait_seconds=wait_seconds)}
