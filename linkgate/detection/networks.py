"""Who owns the network that a visit comes from, as far as it is known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a network: `sort` is "mail security" or "hosting"."""

    name: str
    sort: str


class Networks:
    """Networks by address."""

    def owners(self, address: str) -> tuple[Owner, ...]:
        """Return who is known to own `address`'s network; empty for people's networks."""
        return ()
