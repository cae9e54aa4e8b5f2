"""Where campaigns lead. A destination is one module and one line here."""

from linkgate.destinations.checkout import Checkout
from linkgate.destinations.stripe_api import StripeAPI


def registry(api: StripeAPI) -> dict[str, Checkout]:
    """Return the destinations by their `kind`."""
    return {"checkout": Checkout(api)}
