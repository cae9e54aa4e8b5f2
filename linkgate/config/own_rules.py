"""The tables below [[detection.rules]]: one rule of the operator's each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    StringConstraints,
    model_validator,
)

from linkgate.addresses import Network
from linkgate.config import checks
from linkgate.config.fields import About, Table
from linkgate.detection.own import OwnRule, Pattern, Says, read_header, read_network
from linkgate.detection.verdict import Kind

NETWORKS_FILE_MAX_BYTES = 5_000_000
_BAD_LINES_TOLD = 3


@dataclass(frozen=True, slots=True)
class NetworksFile:
    """A file with one network a line, as it was when the configuration was read."""

    path: Path
    networks: tuple[Network, ...]


def _network(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError('must be text, like "203.0.113.0/24"')
    return read_network(value)


def _networks_file(value: Any) -> Any:
    """Read the file; every line that can't be read is counted, the first few are told."""
    if not isinstance(value, str) or not value:
        raise ValueError('must be the name of a file, like "./networks.txt"')
    path = Path(value)
    try:
        with path.open("rb") as file:
            data = file.read(NETWORKS_FILE_MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"can't be read ({error.strerror}): {path}") from None
    except UnicodeDecodeError:
        raise ValueError(f"is not UTF-8 text: {path}") from None
    if len(data) > NETWORKS_FILE_MAX_BYTES:
        raise ValueError(f"is larger than {NETWORKS_FILE_MAX_BYTES // 1_000_000} MB: {path}")
    networks, bad = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if written := line.partition("#")[0].strip():
            try:
                networks.append(read_network(written))
            except ValueError as error:
                bad.append(f"{path}, line {number}: {written[:60]!r} {error}")
    if bad:
        more = len(bad) - _BAD_LINES_TOLD
        told = [*bad[:_BAD_LINES_TOLD], *([f"and {more} more such lines"] if more > 0 else [])]
        raise ValueError(f"has lines that can't be read: {'; '.join(told)}")
    if not networks:
        raise ValueError(f"holds no network; write one on each line: {path}")
    return NetworksFile(path, tuple(networks))


def _agent(value: str) -> str:
    return Pattern(value).text


def _header(value: str) -> str:
    read_header(value)
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class OwnRuleTable(Table):
    """One rule of your own. All the conditions that it has must hold; it needs at least one."""

    name: Annotated[
        Annotated[str, AfterValidator(checks.rule_name)],
        About("name", '"office-scanner"', "give the rule a name, to find it in the evidence by"),
    ] = Field(
        description="How the evidence names it, after `own:`. Small letters, digits and hyphens."
    )
    says: Annotated[
        Says,
        BeforeValidator(_lower),
        About("allow, suspect or automated", '"suspect"', "say allow, suspect or automated"),
    ] = Field(
        description="`allow` lets the visit through as a person's, whatever linkgate finds; "
        "`suspect` asks a person for a press; `automated` calls it a machine's, and needs an agent "
        "or a header that people's browsers don't send. Of rules that disagree, automated wins "
        "over allow, and allow over suspect.",
    )
    kind: Annotated[
        Annotated[Kind, BeforeValidator(_lower)] | None,
        About("scanner, preview, prefetch, monitor, tool or crawler", '"scanner"'),
    ] = Field(default=None, description="Which kind of machine, where the rule says automated.")
    agent: Annotated[
        Annotated[str, AfterValidator(_agent)] | None, About("regular expression", "'^Acme'")
    ] = Field(
        default=None,
        description="Searched for in the user agent, capitals and small letters alike.",
    )
    header: Annotated[
        Annotated[str, AfterValidator(_header)] | None,
        About("header: regular expression", "'referer: intranet'"),
    ] = Field(
        default=None,
        description="Searched for in another header, which is empty if it wasn't sent: "
        "`referer: .` asks whether there is one, `referer: ^$` whether there is none.",
    )
    networks: Annotated[
        tuple[Annotated[Network, BeforeValidator(_network)], ...],
        About("list of addresses or ranges", '["203.0.113.0/24"]'),
    ] = Field(default=(), description="One of them, or of the file's, holds the visitor's address.")
    networks_file: Annotated[
        Annotated[InstanceOf[NetworksFile], BeforeValidator(_networks_file)] | None,
        About("file", '"./networks.txt"'),
    ] = Field(
        default=None,
        description="A file with more of them, one a line; what follows a # is ignored. It is read "
        "when linkgate starts.",
    )
    note: Annotated[
        str,
        StringConstraints(max_length=200),
        AfterValidator(lambda value: checks.plain_text(value) if value else value),
        About("text", '"the scanner in front of our own mail"'),
    ] = Field(default="", description="Why there is such a rule; shown with the evidence.")

    @property
    def own(self) -> OwnRule:
        """The rule as detection knows it."""
        from_file = self.networks_file.networks if self.networks_file else ()
        return OwnRule(
            name=self.name,
            says=self.says,
            kind=self.kind,
            agent=self.agent,
            networks=(*self.networks, *from_file),
            header=self.header,
            note=self.note,
        )

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        _ = self.own  # it raises what is wrong with the rule as a whole
        return self


def _names_differ(rules: tuple[OwnRuleTable, ...]) -> tuple[OwnRuleTable, ...]:
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'has two rules named "{name}"; give one of them another name')
    return rules


# With so many, whatever they look at, a new visitor in a known browser is judged within the 60 us
# that it may take. Only if all of them find something in one visit, it takes 100.
RULES_MAX = 50

OwnRules = Annotated[
    tuple[OwnRuleTable, ...], Field(max_length=RULES_MAX), AfterValidator(_names_differ)
]

RULE_EXAMPLE = """\
[[{heading}]]
name = "office-scanner"
says = "automated"
kind = "scanner"
agent = '^Acme Link Guard/\\d'
networks = ["203.0.113.0/24"]
note = "the scanner in front of our own mail"\
"""
