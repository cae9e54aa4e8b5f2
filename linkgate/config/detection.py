"""The settings of [detection]: thresholds, which rules are asked, and the shadow."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from linkgate.config import checks
from linkgate.config.fields import About, Seconds, Section, Table, Whole
from linkgate.config.own_rules import RULE_EXAMPLE, OwnRules
from linkgate.detection.assembly import Choice, check_off
from linkgate.detection.history import Limits
from linkgate.detection.own import OwnRule

_DEFAULTS = Limits()

TwinSeconds = Annotated[Seconds, Field(ge=0.1, le=60)]
BurstSeconds = Annotated[Seconds, Field(ge=0.1, le=60)]
BurstLinks = Annotated[Whole, Field(ge=2, le=50), About("number")]
DecoySeconds = Annotated[Seconds, Field(ge=1, le=3600)]
DecoyBeforeSeconds = Annotated[Seconds, Field(ge=0, le=600)]
# Longer than this, and people who know the page are taken for scripts.
PressSeconds = Annotated[Seconds, Field(ge=0, le=5)]
RulesOff = Annotated[
    tuple[Annotated[str, AfterValidator(check_off)], ...],
    About("list of rules' names", '["agent-editor"]'),
]


class Shadow(Table):
    """A changed rule set, judged beside the one in force and recorded without effect. It takes the
    thresholds, `rules_off` and `rules` of [detection]; what it doesn't set is as there. Its own
    `rules` stand in place of all of [detection]'s.
    """

    twin_seconds: TwinSeconds | None = None
    burst_seconds: BurstSeconds | None = None
    burst_links: BurstLinks | None = None
    burst_network_links: BurstLinks | None = None
    decoy_seconds: DecoySeconds | None = None
    decoy_before_seconds: DecoyBeforeSeconds | None = None
    press_seconds: PressSeconds | None = None
    dwell_seconds: PressSeconds | None = None
    rules_off: RulesOff | None = None
    rules: Annotated[
        OwnRules | None,
        About("list of tables", RULE_EXAMPLE.format(heading="detection.shadow.rules")),
    ] = None


class Detection(Section):
    """How visits are judged; docs/detection.md says what each rule is, and why."""

    twin_seconds: TwinSeconds = Field(
        default=_DEFAULTS.twin_seconds,
        description="Two visits of one link within this time are a machine's, or a double click.",
    )
    burst_seconds: BurstSeconds = Field(
        default=_DEFAULTS.burst_seconds,
        description="The time within which several links from one place are a burst.",
    )
    burst_links: BurstLinks = Field(
        default=_DEFAULTS.burst_links,
        description="How many different links from one address make a burst.",
    )
    burst_network_links: BurstLinks = Field(
        default=_DEFAULTS.burst_network_links,
        description="The same from one network (/24 or /64), where many people may be.",
    )
    decoy_seconds: DecoySeconds = Field(
        default=_DEFAULTS.decoy_seconds,
        description="How long the opening of a decoy counts against its link and its address.",
    )
    decoy_before_seconds: DecoyBeforeSeconds = Field(
        default=_DEFAULTS.decoy_before_seconds,
        description="How far back it counts, against visits that came before it.",
    )
    press_seconds: PressSeconds = Field(
        default=_DEFAULTS.press_seconds,
        description="A page that was visible for less than this was not read before the press.",
    )
    dwell_seconds: PressSeconds = Field(
        default=_DEFAULTS.dwell_seconds,
        description="The same without JavaScript, from when the page was made.",
    )
    scan_minutes: Annotated[Whole, Field(ge=0, le=1440), About("minutes")] = Field(
        default=10,
        description="How long after sending a link's visits are held for a scanner's, and people "
        "press once. A campaign may say otherwise; 0 holds none.",
    )
    asn_database: Annotated[
        Annotated[Path, AfterValidator(checks.asn_database)] | None,
        About("file", '"./GeoLite2-ASN.mmdb"'),
    ] = Field(
        default=None,
        description="A database in MaxMind's format that tells who owns a network. Without one, "
        "linkgate goes by its own lists.",
    )
    rules_off: RulesOff = Field(
        default=(),
        description="linkgate's own rules that are not asked, by their names in docs/detection.md. "
        "The rules of the laws (HEAD, prefetch, decoy) can't be switched off.",
    )
    rules: Annotated[
        OwnRules,
        About("list of tables", RULE_EXAMPLE.format(heading="detection.rules")),
    ] = Field(
        default=(),
        description="Rules of your own, each under a [[detection.rules]] heading; 100 at most. "
        "They overrule linkgate's, but for HEAD, prefetch and decoys.",
    )
    shadow: Annotated[
        Shadow | None,
        About("table", '[detection.shadow]\nburst_links = 2\nrules_off = ["agent-editor"]'),
    ] = Field(
        default=None,
        description="A changed rule set to try first: every visit is judged by it too, and what it "
        "would have said is recorded without effect.",
    )

    @property
    def limits(self) -> Limits:
        """The thresholds in force."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})

    @property
    def own_rules(self) -> tuple[OwnRule, ...]:
        """The operator's own rules in force."""
        return tuple(rule.own for rule in self.rules)

    @property
    def in_force(self) -> Choice:
        """What decides."""
        return Choice(self.limits, self.own_rules, self.rules_off)

    @property
    def in_shadow(self) -> Choice | None:
        """What is judged beside it; None if nothing is to be tried."""
        if self.shadow is None or not self.shadow.model_fields_set:
            return None
        tried = self.model_copy(
            update={
                key: getattr(self.shadow, key)
                for key in self.shadow.model_fields_set
                if getattr(self.shadow, key) is not None
            }
        )
        return tried.in_force
