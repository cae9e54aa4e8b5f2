"""Rules of the operator's own: whom to let through, whom to ask, what to call a machine.

They come from the configuration, carry the operator's authority, and are rules like any other from
there on: all of them run, their order makes no difference, and their evidence is kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec
from pydantic_core import SchemaError, SchemaValidator, core_schema

from linkgate.detection.agents import UserAgent
from linkgate.detection.rules import Finding, HeaderRule, Rule, Scene, Shape, VisitRule
from linkgate.detection.verdict import Authority, Kind, Standing
from linkgate.signals import Signals

Network = IPv4Network | IPv6Network

#: What the names of these rules begin with in evidence, so that no rule of linkgate's has one.
PREFIX = "own:"
PATTERN_LIMIT = 500

# Every header that a visit's signals keep -> the field that keeps it.
HEADERS = {
    field.name.replace("_", "-"): field.name
    for field in msgspec.structs.fields(Signals)
    if field.type is str and field.name not in {"method", "address"}
}

_QUOTED = 80
_MAPPED = IPv6Network("::ffff:0:0/96")
# Two texts with no character in common: what is found in both is found in any.
_UNLIKE = ("~" * 80, "Wq5 " * 20)
# What people's browsers call themselves: what is found in all of these tells no machine.
_BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
)


class Says(StrEnum):
    """What a rule of the operator's makes of a visit."""

    ALLOW = "allow"
    SUSPECT = "suspect"
    AUTOMATED = "automated"


_POINTS_TO = {
    Says.ALLOW: Standing.HUMAN,
    Says.SUSPECT: Standing.SUSPECT,
    Says.AUTOMATED: Standing.AUTOMATED,
}


class Pattern:
    """A regular expression that is searched for in a text, capitals and small letters alike.

    It is matched by Rust's engine, in time that grows with the text's length and no faster:
    Python's can be made to take minutes by a header that was written for it. Look-around and
    back-references don't exist there. Raises ValueError with the mend.
    """

    __slots__ = ("_search", "text")

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("is empty; leave it out, or write what to look for")
        if len(text) > PATTERN_LIMIT:
            raise ValueError(f"has more than {PATTERN_LIMIT} characters; make two rules of it")
        _compile(text)  # as it was written, so that what is told of it fits what stands there
        self.text = text
        self._search = _compile(f"(?i){text}").isinstance_python
        if self.found_in("") and self.found_in_anything():
            raise ValueError("is found in any text; write . for a header that is sent, ^$ for none")

    def found_in(self, text: str) -> bool:
        """Whether some part of `text` matches."""
        return self._search(text)

    def found_in_anything(self) -> bool:
        """Whether any text but the empty one matches."""
        return all(map(self.found_in, _UNLIKE))

    def found_in_browsers(self) -> bool:
        """Whether it is part of what every browser calls itself."""
        return all(map(self.found_in, _BROWSERS))


def _compile(text: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex"))
    except SchemaError as error:
        why = str(error).strip()
    if "size limit" in why:
        raise ValueError("is too large with its repetitions written out; repeat less")
    what = why.splitlines()[-1].removeprefix("error: ")
    raise ValueError(
        f"is no regular expression here: {what}; \\ before a character takes it as it is, and in "
        "TOML such text is best put in 'single quotes'"
    )


@dataclass(frozen=True, slots=True)
class HeaderCondition:
    """A header's name, the field of Signals that keeps it, and what must be found in it."""

    name: str
    field: str
    pattern: Pattern

    @property
    def said(self) -> str:
        """What it says of a visit, in the operator's own words: what the visitor sent may be
        personal, and is not repeated.
        """
        text = self.pattern.text
        quoted = text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
        what = "the user agent" if self.name == "user-agent" else f"the header {self.name}"
        return f'{what} matches "{quoted}"'


def read_header(text: str) -> HeaderCondition:
    """Read `name: regular expression`; raises ValueError with the mend."""
    name, colon, pattern = text.partition(":")
    name = name.strip().lower()
    if not colon or not pattern.strip():
        raise ValueError('must be a name, a colon and what to look for, like "referer: example"')
    if name not in HEADERS:
        raise ValueError(f"names a header that is not kept; these are: {', '.join(HEADERS)}")
    return HeaderCondition(name, HEADERS[name], Pattern(pattern.strip()))


def read_network(text: str) -> Network:
    """Read an address or a range of addresses; raises ValueError with the mend."""
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            'is not an address range; write it like "203.0.113.0/24", "203.0.113.7" or '
            '"2001:db8::/32"'
        ) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # Signals undress such addresses, so that the range has to be undressed as well.
        low = network.network_address.ipv4_mapped
        assert low is not None
        network = IPv4Network((low, network.prefixlen - 96))
    if network.prefixlen == 0:
        raise ValueError("is the whole internet; name the networks that are meant")
    return network


class NetworkSet:
    """Networks, however many, in which an address is looked up in the same few steps."""

    def __init__(self, networks: Iterable[Network]) -> None:
        starts: dict[tuple[int, int], dict[int, Network]] = {}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            of_one_size = starts.setdefault((network.version, shift), {})
            of_one_size[int(network.network_address) >> shift] = network
        # The narrowest network first: it tells most.
        self._sizes = sorted((version, shift, found) for (version, shift), found in starts.items())

    def find(self, address: str) -> Network | None:
        """The narrowest network that holds `address`; None for junk, and for no address."""
        version, number = _number(address)
        for of_version, shift, networks in self._sizes:
            if of_version == version and (found := networks.get(number >> shift)) is not None:
                return found
        return None


@lru_cache(maxsize=16_384)
def _number(address: str) -> tuple[int, int]:
    try:
        parsed = ip_address(address)
    except ValueError:
        return 0, 0
    return parsed.version, int(parsed)


@dataclass(frozen=True, slots=True)
class OwnRule:
    """One rule of the operator's: all the conditions that it has must hold.

    `agent` is searched for in the user agent; `header` is `name: regular expression`; one of
    `networks` must hold the address. Raises ValueError, with the mend, for a rule that can't be
    meant.
    """

    name: str
    says: Says
    kind: Kind | None = None
    agent: str | None = None
    networks: tuple[Network, ...] = ()
    header: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        pattern = Pattern(self.agent) if self.agent is not None else None
        header = read_header(self.header) if self.header is not None else None
        if not (pattern or header or self.networks):
            raise ValueError("has no condition; give it agent, header, networks or networks_file")
        if self.kind is not None and self.says is not Says.AUTOMATED:
            raise ValueError('has a kind, which only a machine has; remove it, or say "automated"')
        tells_agent = pattern is not None and not pattern.found_in_browsers()
        tells_header = header is not None and not header.pattern.found_in_anything()
        if self.says is Says.AUTOMATED and not (tells_agent or tells_header):
            # Law: nobody is locked out; people browse through scanners' networks.
            raise ValueError(
                "would call people machines: a network alone, or what every browser sends, makes "
                'a suspect at most; say "suspect", or add an agent or a header that only the '
                "machine sends"
            )


def own_rule(own: OwnRule) -> Rule:
    """The rule that judges as `own` says, named `own:...` in evidence.

    Source: the operator's configuration. Wrong about people: as far as the operator is.
    """
    name = PREFIX + own.name
    conditions = _header_conditions(own)
    words = [condition.said for condition in conditions]
    networks = NetworkSet(own.networks)

    def finding(where: str = "") -> Finding:
        said = " and ".join([*words, where] if where else words)
        note = f" ({own.note})" if own.note else ""
        return Finding(_POINTS_TO[own.says], f"your rule {own.name}: {said}{note}", own.kind)

    def in_headers(headers: Shape | Signals) -> bool:
        return all(c.pattern.found_in(getattr(headers, c.field)) for c in conditions)

    def examine_shape(shape: Shape, agent: UserAgent) -> Finding | None:
        return finding() if in_headers(shape) else None

    def examine_visit(scene: Scene) -> Finding | None:
        signals = scene.signals
        if not own.networks:
            return finding() if in_headers(signals) else None
        # Where the address may be an untold proxy's, everybody would be in its network, and a rule
        # that allows would let every machine in.
        network = networks.find(signals.address) if signals.address_known else None
        if network is None or not in_headers(signals):
            return None
        return finding(_in_network(network))

    if own.networks or not {condition.field for condition in conditions} <= set(Shape._fields):
        return VisitRule(name, examine_visit, Authority.OPERATOR)
    return HeaderRule(name, examine_shape, Authority.OPERATOR)


def _header_conditions(own: OwnRule) -> list[HeaderCondition]:
    conditions = [read_header(own.header)] if own.header is not None else []
    if own.agent is not None:
        conditions.insert(0, HeaderCondition("user-agent", "user_agent", Pattern(own.agent)))
    return conditions


def _in_network(network: Network) -> str:
    # Evidence is stored, and addresses are stored truncated: to /24 and /48.
    wide = network.prefixlen <= (24 if network.version == 4 else 48)
    return f"the address is in {network}" if wide else "the address is in one of its networks"
