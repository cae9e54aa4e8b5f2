"""Addresses: whose they are behind trusted proxies, what networks hold them, what may be kept.

Whatever is asked of an address is total: junk is the empty string, never an error.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import groupby
from operator import itemgetter
from typing import Generic, TypeVar

CHAIN_LIMIT = 2048
#: 64:ff9b::/96
_NAT64 = 0x64FF9B << 64

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
T = TypeVar("T")

_MAPPED = IPv6Network("::ffff:0:0/96")
# Not ip_address.is_private: that takes documentation's ranges in, and leaves carriers' NAT out.
_PRIVATE: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
for _text in (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
    *("100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"),
):
    _network = ip_network(_text)
    _PRIVATE[_network.version].append((int(_network[0]), int(_network[-1])))


def read_network(text: str) -> Network:
    """A range of addresses, or one address as a range of its own; raises ValueError.

    IPv4 in IPv6 clothing is undressed, as addresses are: no visitor would ever be in it.
    """
    network = ip_network(text.strip(), strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = int(network.network_address) - int(_MAPPED.network_address)
        return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))
    return network


class RangeMap(Generic[T]):
    """Values by network, overlapping or not, found by one bisection.

    Overlaps are cut when it is made: each piece of the address space knows all of its values.
    """

    def __init__(self, pairs: Iterable[tuple[Network, T]]) -> None:
        edges: dict[int, list[tuple[int, int, T]]] = {4: [], 6: []}
        for network, value in pairs:
            first = int(network.network_address)
            end = first + (1 << network.max_prefixlen - network.prefixlen)
            edges[network.version] += (first, 1, value), (end, -1, value)
        self._tables = {version: _pieces(found) for version, found in edges.items()}

    def find(self, address: str) -> tuple[T, ...]:
        """Return the values of every network that holds `address`, each once; of junk, none."""
        parsed = _parse(address)
        if parsed is None:
            return ()
        starts, values = self._tables[parsed.version]
        return values[bisect_right(starts, int(parsed))]


def _pieces(edges: list[tuple[int, int, T]]) -> tuple[list[int], list[tuple[T, ...]]]:
    """The places where the values change, and the values from there on; before the first, none."""
    starts: list[int] = []
    values: list[tuple[T, ...]] = [()]
    open_: dict[T, int] = {}
    edges.sort(key=itemgetter(0))
    for edge, changes in groupby(edges, key=itemgetter(0)):
        for _, step, value in changes:
            count = open_.get(value, 0) + step
            if count:
                open_[value] = count
            else:
                del open_[value]
        now = tuple(open_)
        if now != values[-1]:
            starts.append(edge)
            values.append(now)
    return starts, values


class TrustedProxies:
    """The networks whose word about the visitor's address and scheme is taken.

    Raises ValueError naming the network that can't be parsed.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        parsed: list[Network] = []
        for text in networks:
            try:
                parsed.append(read_network(text))
            except ValueError:
                raise ValueError(
                    f"{text!r} is not a network; write it as 10.0.0.0/8 or 2001:db8::/32"
                ) from None
        self._any = bool(parsed)
        ranges = RangeMap((network, True) for network in parsed)
        # Addresses of proxies repeat, so that the answer is kept; visitors' own addresses pass
        # through here once per visit, hence the bound.
        self._trusts = lru_cache(maxsize=4096)(lambda address: bool(ranges.find(address)))

    def __bool__(self) -> bool:
        return self._any

    def trusts(self, address: str) -> bool:
        """Whether `address` (as `normalise` writes it) belongs to a trusted proxy."""
        return self._any and self._trusts(address)


def through(
    chains: Mapping[bytes, bytes], peer: str, scheme: str, proxies: TrustedProxies
) -> tuple[str, bool]:
    """The visitor's address and whether he spoke https, as the trusted hops tell it.

    X-Forwarded-For wins over Forwarded: nearly every proxy writes the former and passes the latter
    through untouched, so that a visitor could write it himself.
    """
    if b"x-forwarded-for" in chains:
        hops = _items(chains[b"x-forwarded-for"])
        protos = _items(chains.get(b"x-forwarded-proto", b""))
    else:
        elements = [_parameters(item) for item in _items(chains.get(b"forwarded", b""))]
        hops = [element.get("for", "") for element in elements]
        protos = [element.get("proto", "") for element in elements]
        if not elements:
            protos = _items(chains.get(b"x-forwarded-proto", b""))
    address, depth = _client(hops, peer, proxies)
    # Read at the same depth: entries further left were sent by the visitor, not by a trusted hop.
    proto = protos[max(len(protos) - depth, 0)].lower() if protos else ""
    return address, (proto or scheme) == "https"


def _client(hops: Sequence[str], peer: str, proxies: TrustedProxies) -> tuple[str, int]:
    """Walk from the right, past trusted hops: (the visitor's address, how many hops were trusted).

    The leftmost entries can be invented by the visitor; only what a trusted hop appended counts.
    """
    address, depth = peer, 0
    for hop in reversed(hops):
        if not proxies.trusts(address):
            break
        depth += 1
        address = normalise(hop)
        if not address:  # "unknown", a hidden name (RFC 7239, 6.3) or junk: nobody vouches further
            break
    return address, max(depth, 1)


def _items(chain: bytes) -> list[str]:
    text = chain[-CHAIN_LIMIT:].decode("latin-1")
    items = [item.strip() for item in text.split(",")]
    if len(chain) > CHAIN_LIMIT:
        # The cut is made on the left, where the visitor's inventions stand; half an entry is none.
        del items[0]
    return [item for item in items if item]


def _parameters(element: str) -> dict[str, str]:
    """`for=192.0.2.60;proto=http` as a dict with lower-case names and unquoted values."""
    pairs = (part.partition("=") for part in element.split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


@lru_cache(maxsize=16_384)
def normalise(address: str) -> str:
    """An address in its one canonical spelling, without port, brackets or zone; junk becomes "".

    IPv4 addresses in IPv6 clothing (::ffff:192.0.2.1) are undressed, so that they are one visitor.
    """
    parsed = _parse(address)
    return "" if parsed is None else parsed.compressed


@lru_cache(maxsize=16_384)
def is_private(address: str) -> bool:
    """Whether an address is this machine's or a private network's (RFC 1918, 4193, 3927, 6598)."""
    parsed = _parse(address)
    if parsed is None:
        return False
    number = int(parsed)
    return any(first <= number <= last for first, last in _PRIVATE[parsed.version])


@lru_cache(maxsize=16_384)
def neighbourhood(address: str) -> str:
    """The network that one visitor's addresses share: /24 for IPv4, /64 for IPv6; junk is "".

    Only for counting within seconds; what is stored for longer is `truncate`d.
    """
    return _cut(address, 24, 64)


@lru_cache(maxsize=16_384)
def truncate(address: str) -> str:
    """The network that may be stored instead of an address: /24 for IPv4, /48 for IPv6; junk is "".

    Law: nothing personal is stored. 256 neighbours, or one site's 65,536 networks, are no person.
    """
    return _cut(address, 24, 48)


def _cut(address: str, of_4: int, of_6: int) -> str:
    # What str(ip_network(...)) would be, in a fifth of the time.
    parsed = _parse(address)
    if parsed is None:
        return ""
    bits = of_4 if parsed.version == 4 else of_6
    rest = parsed.max_prefixlen - bits
    return f"{type(parsed)(int(parsed) >> rest << rest)}/{bits}"


# Each of the above asks for the same address in turn.
@lru_cache(maxsize=16_384)
def _parse(text: str) -> Address | None:
    bare = text.strip().strip('"')[:64]
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        parsed = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return _undressed(parsed) if isinstance(parsed, IPv6Address) else parsed


def _undressed(address: IPv6Address) -> Address:
    """The IPv4 address that an IPv6 one carries whole: mapped (RFC 4291), 6to4 (RFC 3056), NAT64
    (RFC 6052). Cut as an IPv6 address it would be kept whole, or be one with everybody else's.
    """
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    number = int(address)
    return IPv4Address(number & 0xFFFFFFFF) if number >> 32 == _NAT64 else address
