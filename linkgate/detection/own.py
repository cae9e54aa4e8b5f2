"""Rules of the operator's own: whom to let through, whom to ask, what to call a machine.

They come from the configuration, and are rules like any other from there on: all of them run, their
order makes no difference, and their evidence is kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

from linkgate import addresses
from linkgate.addresses import Network, RangeMap
from linkgate.detection.agents import UserAgent
from linkgate.detection.networks import ADDRESSES_KEPT
from linkgate.detection.rules import Finding, HeaderRule, Rule, Scene, Shape, VisitRule
from linkgate.detection.samples import LANGUAGES, SAMPLES
from linkgate.detection.verdict import Authority, Kind, Standing
from linkgate.signals import HEADER_FIELDS, Signals

#: What the names of these rules begin with in evidence, so that no rule of linkgate's has one.
PREFIX = "own:"
PATTERN_LIMIT = 500

_QUOTED = 80
_PLACES_KEPT = 4096
# Two texts with no character in common: what is found in both is found in any.
_UNLIKE = ("~" * 80, "Wq5 " * 20)


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
# Doubt outranks nothing: a press that was scripted stays scripted, whatever network it is from.
_AUTHORITY = {
    Says.ALLOW: Authority.OPERATOR,
    Says.SUSPECT: Authority.RULE,
    Says.AUTOMATED: Authority.OPERATOR,
}


class Pattern:
    """A regular expression that is searched for in a text, capitals and small letters alike.

    It is matched by Rust's engine, in time that grows with the text's length and no faster:
    Python's can be made to take minutes by a header that was written for it. Look-around and
    back-references don't exist there. Raises ValueError with the mend.
    """

    __slots__ = ("found_in", "text")

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("is empty; leave it out, or write what to look for")
        if len(text) > PATTERN_LIMIT:
            raise ValueError(f"has more than {PATTERN_LIMIT} characters; make two rules of it")
        _compile(text)  # as it was written, so that what is told of it fits what stands there
        self.text = text
        self.found_in: Callable[[str], bool] = _compile(f"(?i){text}").isinstance_python
        """Whether some part of a text matches."""
        if self.found_in("") and self.found_in_anything():
            raise ValueError("is found in any text; write . for a header that is sent, ^$ for none")

    def found_in_anything(self) -> bool:
        """Whether any text but the empty one matches."""
        return all(map(self.found_in, _UNLIKE))


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

    def holds(self, headers: Shape | Signals) -> bool:
        """Whether it is found in what was sent."""
        return self.pattern.found_in(getattr(headers, self.field))

    def may_hold(self, sample: Signals) -> bool:
        """Whether it is found in what a person like this one may send."""
        if self.field == "host":  # a person goes where the link leads, whatever its host is called
            return True
        if self.field == "accept_language":
            return any(map(self.pattern.found_in, (sample.accept_language, *LANGUAGES)))
        return self.holds(sample)


def read_header(text: str) -> HeaderCondition:
    """Read `name: regular expression`; raises ValueError with the mend."""
    name, colon, pattern = text.partition(":")
    name = name.strip().lower()
    if not colon or not pattern.strip():
        raise ValueError('must be a name, a colon and what to look for, like "referer: example"')
    if name not in HEADER_FIELDS:
        raise ValueError(f"names a header that is not kept; these are: {', '.join(HEADER_FIELDS)}")
    return HeaderCondition(name, HEADER_FIELDS[name], Pattern(pattern.strip()))


def read_network(text: str) -> Network:
    """Read an address or a range of addresses; raises ValueError with the mend."""
    try:
        network = addresses.read_network(text)
    except ValueError:
        raise ValueError(
            'is not an address range; write it like "203.0.113.0/24", "203.0.113.7" or '
            '"2001:db8::/32"'
        ) from None
    if network.prefixlen == 0:
        raise ValueError("is the whole internet; name the networks that are meant")
    return network


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
        conditions = self.header_conditions()
        if not (conditions or self.networks):
            raise ValueError("has no condition; give it agent, header, networks or networks_file")
        if self.kind is not None and self.says is not Says.AUTOMATED:
            raise ValueError('has a kind, which only a machine has; remove it, or say "automated"')
        # Law: nobody is locked out; people browse through scanners' networks.
        person = _whom_it_hits(conditions) if self.says is Says.AUTOMATED else None
        if person is not None:
            raise ValueError(
                f'would call people machines, such as {person}; say "suspect", or add an agent or '
                "a header that only the machine sends: a network alone, or what browsers send too, "
                "makes a suspect at most"
            )

    def header_conditions(self) -> tuple[HeaderCondition, ...]:
        """Its conditions but for the networks; raises ValueError with the mend."""
        conditions = []
        if self.agent is not None:
            conditions.append(HeaderCondition("user-agent", "user_agent", Pattern(self.agent)))
        if self.header is not None:
            conditions.append(read_header(self.header))
        return tuple(conditions)


def _whom_it_hits(conditions: Sequence[HeaderCondition]) -> str | None:
    """The first person for whom all of the conditions hold."""
    for who, visit in SAMPLES:
        if all(condition.may_hold(visit) for condition in conditions):
            return who
    return None


Conditions = tuple[HeaderCondition, ...]


def own_rules(owns: Iterable[OwnRule]) -> list[Rule]:
    """The rules that judge as `owns` say, each named `own:...` in evidence.

    An address is looked up once for all of them. Source: the operator's configuration. Wrong about
    people: as far as the operator is.
    """
    parts = [(own, own.header_conditions()) for own in owns]
    at = _by_address(parts)
    return [_rule(own, conditions, place, at) for place, (own, conditions) in enumerate(parts)]


def _rule(
    own: OwnRule,
    conditions: Conditions,
    place: int,
    at: Callable[[str], Mapping[int, Finding]],
) -> Rule:
    name, authority = PREFIX + own.name, _AUTHORITY[own.says]
    found = _finding(own, conditions)

    # Dozens of such rules may run on every visit: nothing is done here that can be done before.
    looks = [(condition.field, condition.pattern.found_in) for condition in conditions]

    def in_headers(headers: Shape | Signals) -> bool:
        for field, found_in in looks:  # noqa: SIM110 - a generator costs more than the search
            if not found_in(getattr(headers, field)):
                return False
        return True

    def examine_shape(shape: Shape, agent: UserAgent) -> Finding | None:
        return found if in_headers(shape) else None

    def examine_signals(scene: Scene) -> Finding | None:
        return found if in_headers(scene.signals) else None

    def examine_address(scene: Scene) -> Finding | None:
        signals = scene.signals
        # Where the address may be an untold proxy's, everybody would be in its network, and a rule
        # that allows would let every machine in.
        there = at(signals.address).get(place) if signals.address_known else None
        return there if there is not None and in_headers(signals) else None

    if own.networks:
        return VisitRule(name, examine_address, authority)
    if {condition.field for condition in conditions} <= set(Shape._fields):
        return HeaderRule(name, examine_shape, authority)
    return VisitRule(name, examine_signals, authority)


def _by_address(
    parts: Sequence[tuple[OwnRule, Conditions]],
) -> Callable[[str], Mapping[int, Finding]]:
    """What the rules with networks find at an address, by their places; their headers aside."""
    held = [(place, net) for place, (own, _) in enumerate(parts) for net in own.networks]
    # Numbers stand for the networks, of which there may be very many and which are slow to hash.
    ranges = RangeMap((network, number) for number, (_, network) in enumerate(held))

    # What is said at one address is said at its neighbours', and kept once.
    @lru_cache(maxsize=_PLACES_KEPT)
    def findings(numbers: tuple[int, ...]) -> Mapping[int, Finding]:
        around = sorted((held[number] for number in numbers), key=lambda one: one[1].prefixlen)
        # The narrowest network comes last and stays: it tells most.
        return {place: _finding(*parts[place], _in_network(net)) for place, net in around}

    return lru_cache(maxsize=ADDRESSES_KEPT)(lambda address: findings(ranges.find(address)))


def _finding(own: OwnRule, conditions: Conditions, where: str = "") -> Finding:
    words = [condition.said for condition in conditions]
    said = " and ".join([*words, where] if where else words)
    note = f" ({own.note})" if own.note else ""
    return Finding(_POINTS_TO[own.says], f"your rule {own.name}: {said}{note}", own.kind)


def _in_network(network: Network) -> str:
    # Evidence is stored, and addresses are stored truncated: to /24 and /48.
    wide = network.prefixlen <= (24 if network.version == 4 else 48)
    return f"the address is in {network}" if wide else "the address is in one of its networks"
