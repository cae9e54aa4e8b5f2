"""The rules in force and those in their shadow, as the configuration has them."""

from dataclasses import dataclass
from typing import Self

from linkgate.asn import AsnDatabase
from linkgate.config import Detection
from linkgate.detection import RULES, Networks, Ruleset
from linkgate.detection.assembly import Choice, assemble


@dataclass(frozen=True, slots=True)
class Bench:
    """The rules that judge, and those that are only tried beside them, without effect."""

    rules: Ruleset = RULES
    shadow: Ruleset | None = None

    @classmethod
    def of(cls, settings: Detection) -> Self:
        """Return what the configuration says; raises ConfigError for an unusable ASN database."""
        asns = AsnDatabase(settings.asn_database) if settings.asn_database else None
        networks = Networks(asns)
        tried = settings.in_shadow
        return cls(
            _assembled(settings.in_force, networks),
            _assembled(tried, networks) if tried else None,
        )

    @property
    def remembered_seconds(self) -> float:
        """How long a sighting is of use to either."""
        return max(rules.limits.remembered_seconds for rules in self._sets)

    @property
    def decoy_seconds(self) -> float:
        """How long a decoy's opening is of use to either."""
        return max(rules.limits.decoy_seconds for rules in self._sets)

    @property
    def _sets(self) -> tuple[Ruleset, ...]:
        return (self.rules, self.shadow) if self.shadow else (self.rules,)


def _assembled(choice: Choice, networks: Networks) -> Ruleset:
    return assemble(choice.limits, networks, choice.own, choice.off)
