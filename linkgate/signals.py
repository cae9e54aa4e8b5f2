"""What one visit shows, read once from the request into a frozen, length-clamped value.

Everything here is total: junk in a header yields an empty or clamped field, never an error, because
a scanner's worst request still has to get an answer.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import msgspec

USER_AGENT_LIMIT = 512
HEADER_LIMIT = 256
COOKIE_LIMIT = 4096
PURPOSE_LIMIT = 8192
CHAIN_LIMIT = 2048

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Press(msgspec.Struct, frozen=True, gc=False):
    """How the interstitial's form was sent, as the page's own script and the challenge tell it.

    The challenge is signed; what the script says is the visitor's own word, and only good against
    him.
    """

    dwell: float | None = None
    """Seconds from the page's making to its sending; None without a good challenge."""
    ran: bool = False
    """The page's script ran. If it did not, the following say nothing."""
    pressed: bool = False
    """The button was pressed, rather than the form sent by a script."""
    trusted: bool = False
    """The browser says that a person's input caused the press (`isTrusted`)."""
    driven: bool = False
    """The browser says that a program drives it (`navigator.webdriver`)."""
    visible: float = 0.0
    """Seconds for which the page was visible before the press."""
    second: bool = False
    """The second button was used, which no person can see."""
    repeat: bool = False
    """It comes from the busy page, which sends by itself for somebody who was let in before."""


# A msgspec.Struct is made in a tenth of the time that a frozen dataclass of this size takes.
class Signals(msgspec.Struct, frozen=True, gc=False):
    """One visit, as far as a request shows it. A header that was not sent is the empty string."""

    method: str = "GET"
    user_agent: str = ""
    accept: str = ""
    accept_language: str = ""
    accept_encoding: str = ""
    sec_fetch_site: str = ""
    sec_fetch_mode: str = ""
    sec_fetch_dest: str = ""
    sec_fetch_user: str = ""
    sec_purpose: str = ""
    purpose: str = ""
    x_purpose: str = ""
    x_moz: str = ""
    sec_ch_ua: str = ""
    sec_ch_ua_mobile: str = ""
    sec_ch_ua_platform: str = ""
    x_requested_with: str = ""
    referer: str = ""
    origin: str = ""
    cookie: str = ""
    content_type: str = ""
    host: str = ""
    secure: bool = False
    """The visitor spoke https to the outermost trusted hop."""
    address: str = ""
    """The visitor's address after trusted proxies; empty when no trusted hop names one."""
    address_known: bool = True
    """The address is the visitor's own: a trusted proxy named it, or it is on the public internet.
    A private peer may be a proxy nobody told us of, or a container's bridge, with everybody behind
    it: nothing may be counted by it."""
    decoy: bool = False
    """The visit opened a decoy, a link that no person can see."""
    sent_at: float | None = None
    """When the e-mail went out, in Unix seconds: the link's time, else the campaign's."""
    scan_seconds: float = 600.0
    """How long after that scanners are at work; the campaign's."""
    known_device: bool = False
    """The visit carries a good cookie of a browser that confirmed before."""
    press: Press | None = None
    """How the interstitial's form was sent; None for anything but a POST."""


# Header name -> field of Signals and the most bytes that are kept of it.
_WANTED: dict[bytes, tuple[str, int]] = {
    b"user-agent": ("user_agent", USER_AGENT_LIMIT),
    b"cookie": ("cookie", COOKIE_LIMIT),
    # Not cut before the word that makes a prefetch of it.
    b"sec-purpose": ("sec_purpose", PURPOSE_LIMIT),
    b"purpose": ("purpose", PURPOSE_LIMIT),
    b"x-purpose": ("x_purpose", PURPOSE_LIMIT),
    b"x-moz": ("x_moz", PURPOSE_LIMIT),
} | {
    name: (name.decode().replace("-", "_"), HEADER_LIMIT)
    for name in (
        b"accept",
        b"accept-language",
        b"accept-encoding",
        b"sec-fetch-site",
        b"sec-fetch-mode",
        b"sec-fetch-dest",
        b"sec-fetch-user",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"x-requested-with",
        b"referer",
        b"origin",
        b"content-type",
        b"host",
    )
}
# Not ip_address.is_private: that takes documentation's ranges in, and leaves carriers' NAT out.
_PRIVATE = tuple(
    ip_network(text)
    for text in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"),
    )
)
_CHAINS = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"})


class TrustedProxies:
    """The networks whose word about the visitor's address and scheme is taken.

    Raises ValueError naming the network that can't be parsed.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        parsed: list[Network] = []
        for text in networks:
            try:
                parsed.append(ip_network(text.strip(), strict=False))
            except ValueError:
                raise ValueError(
                    f"{text!r} is not a network; write it as 10.0.0.0/8 or 2001:db8::/32"
                ) from None
        self.networks = tuple(parsed)
        # Addresses of proxies repeat, so that the answer is kept; visitors' own addresses pass
        # through here once per visit, hence the bound.
        self._trusts = lru_cache(maxsize=4096)(self._contains)

    def __bool__(self) -> bool:
        return bool(self.networks)

    def trusts(self, address: str) -> bool:
        """Whether `address` (as `normalise` writes it) belongs to a trusted proxy."""
        return bool(self.networks) and self._trusts(address)

    def _contains(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(
            parsed.version == network.version and parsed in network for network in self.networks
        )


def gather(
    method: str,
    headers: Iterable[tuple[bytes, bytes]],
    peer: str,
    scheme: str,
    proxies: TrustedProxies,
    *,
    decoy: bool = False,
    sent_at: float | None = None,
    scan_seconds: float = 600.0,
) -> Signals:
    """Read a visit from ASGI's raw headers (lower-case names).

    Lines of one header are joined (RFC 9110, 5.3): a second line must not hide what it says.
    `peer` is the address at the other end of the connection, `scheme` what the server spoke; the
    others are what is known of the link (see `Signals`).
    """
    found: dict[str, Any] = {}
    chains: dict[bytes, bytes] = {}
    trusted = proxies.trusts(normalise(peer)) if proxies else False
    for name, value in headers:
        wanted = _WANTED.get(name)
        if wanted is not None:
            field, limit = wanted
            text = value[:limit].decode("latin-1")
            if field not in found:
                found[field] = text
            elif text != found[field]:  # a proxy that repeats a header changes nothing
                joint = "; " if field == "cookie" else ", "
                found[field] = f"{found[field]}{joint}{text}"[: 2 * limit]
        elif trusted and name in _CHAINS:
            # Each line continues the one before (RFC 9110, 5.3): a visitor who sends a line of his
            # own must not push out the one that the proxy added below it.
            chains[name] = chains[name] + b"," + value if name in chains else value
    if chains:
        address, secure = _through(chains, normalise(peer), scheme, proxies)
    else:
        address, secure = normalise(peer), scheme == "https"
    return Signals(
        method=method[:16],
        secure=secure,
        address=address,
        address_known=bool(address) and (bool(chains) or not is_private(address)),
        decoy=decoy,
        sent_at=sent_at,
        scan_seconds=scan_seconds,
        **found,
    )


def _through(
    chains: dict[bytes, bytes], peer: str, scheme: str, proxies: TrustedProxies
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
    return parsed is not None and any(
        parsed.version == network.version and parsed in network for network in _PRIVATE
    )


@lru_cache(maxsize=16_384)
def neighbourhood(address: str) -> str:
    """The network that one visitor's addresses share: /24 for IPv4, /64 for IPv6; junk is "".

    Only for counting within seconds; what is stored for longer is `truncate`d.
    """
    parsed = _parse(address)
    if parsed is None:
        return ""
    return str(ip_network((parsed, 24 if parsed.version == 4 else 64), strict=False))


@lru_cache(maxsize=16_384)
def truncate(address: str) -> str:
    """The network that may be stored instead of an address: /24 for IPv4, /48 for IPv6; junk is "".

    Law: nothing personal is stored. 256 neighbours, or one site's 65,536 networks, are no person.
    """
    parsed = _parse(address)
    if parsed is None:
        return ""
    return str(ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


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
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
