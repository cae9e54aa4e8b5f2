"""Who owns the network that a visit comes from, as far as it is known.

The ranges and AS numbers are in data/networks.toml and data/asns.toml, each with its source and
date. An AS number comes from whoever makes the `Networks`: reading a database is not the core's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache, lru_cache
from ipaddress import ip_network
from typing import Any

from linkgate.addresses import Network, RangeMap, normalise
from linkgate.detection.tables import read_data

# Some 4 MB. A visit asks twice, and a visitor comes again within minutes or not at all.
ADDRESSES_KEPT = 16_384


class Sort(StrEnum):
    """What a network's owner does with it."""

    MAIL_SECURITY = "mail security"
    HOSTING = "hosting"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a network, by a name for the operator to read."""

    name: str
    sort: Sort


@dataclass(frozen=True, slots=True)
class Holding:
    """What is known to be an owner's: networks or AS numbers, where from, and when looked up."""

    owner: Owner
    source: str
    date: date
    networks: tuple[Network, ...] = ()
    numbers: tuple[int, ...] = ()


@cache
def known_ranges() -> tuple[Holding, ...]:
    """data/networks.toml. Raises ValueError naming a range that is none."""
    return tuple(
        _holding(item, networks=tuple(ip_network(text) for text in item["ranges"].split()))
        for item in read_data("networks")["entry"]
    )


@cache
def known_numbers() -> tuple[Holding, ...]:
    """data/asns.toml."""
    return tuple(
        _holding(item, numbers=tuple(item["numbers"])) for item in read_data("asns")["entry"]
    )


def _holding(item: Mapping[str, Any], **held: Any) -> Holding:
    owner = Owner(item["name"], Sort(item["sort"]))
    return Holding(owner, item["source"], item["date"], **held)


@cache
def _owner_by_range() -> RangeMap[Owner]:
    return RangeMap(
        (network, holding.owner) for holding in known_ranges() for network in holding.networks
    )


@cache
def _owner_by_number() -> Mapping[int, Owner]:
    return {number: holding.owner for holding in known_numbers() for number in holding.numbers}


class Networks:
    """Owners by address: from the files, and by AS number where somebody can tell it.

    `asn_of` is asked once per address, with the address as `addresses.normalise` writes it, and
    returns None where it knows none; it must not raise.
    """

    def __init__(self, asn_of: Callable[[str], int | None] | None = None) -> None:
        self._asn_of = asn_of
        self._owners = lru_cache(maxsize=ADDRESSES_KEPT)(self._find)

    def owners(self, address: str) -> tuple[Owner, ...]:
        """Return who is known to own `address`'s network; empty for people's networks and junk."""
        return self._owners(address) if address else ()

    def _find(self, address: str) -> tuple[Owner, ...]:
        if not normalise(address):
            return ()
        owners = _owner_by_range().find(address)
        number = self._asn_of(address) if self._asn_of is not None else None
        owner = None if number is None else _owner_by_number().get(number)
        return owners if owner is None or owner in owners else (*owners, owner)
