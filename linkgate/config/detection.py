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
BurstCloseSeconds = Annotated[Seconds, Field(ge=0, le=60)]
BurstLinks = Annotated[Whole, Field(ge=2, le=50), About("number")]
# A person without JavaScript, whose press can't be seen to be one by hand, waits it out.
DecoySeconds = Annotated[Seconds, Field(ge=1, le=300)]
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
    burst_close_seconds: BurstCloseSeconds | None = None
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
        description="A visit that comes within this time after another to the same link is "
        "suspect, and gets the button.",
    )
    burst_seconds: BurstSeconds = Field(
        default=_DEFAULTS.burst_seconds,
        description="Several links that are opened from one address or network within this time "
        "are a burst; its visits are suspect, and get the button.",
    )
    burst_close_seconds: BurstCloseSeconds = Field(
        default=_DEFAULTS.burst_close_seconds,
        description="When all links of a burst from one address come within this time, the "
        "sessions that its first visits got are closed as well; people there lose theirs only if "
        "they are as quick. 0 closes none.",
    )
    burst_links: BurstLinks = Field(
        default=_DEFAULTS.burst_links,
        description="So many different links from one address within burst_seconds are a burst; "
        "its visits are suspect, and get the button.",
    )
    burst_network_links: BurstLinks = Field(
        default=_DEFAULTS.burst_network_links,
        description="So many different links from one network (/24 or /64), where many people may "
        "be, within burst_seconds are a burst; its visits are suspect, and get the button.",
    )
    decoy_seconds: DecoySeconds = Field(
        default=_DEFAULTS.decoy_seconds,
        description="For so long after a decoy was opened, visits to its link and from the address "
        "that opened it are automated, and get the button; at that link, a press without "
        "JavaScript gets it again until the time is over.",
    )
    decoy_before_seconds: DecoyBeforeSeconds = Field(
        default=_DEFAULTS.decoy_before_seconds,
        description="Visits to a decoy's link, and from the address that opens it, that came "
        "within this time before are found automated afterwards, and get the button when they come "
        "again.",
    )
    press_seconds: PressSeconds = Field(
        default=_DEFAULTS.press_seconds,
        description="A press of the button on a page that was in sight for less than this is "
        "automated, and gets the button again.",
    )
    dwell_seconds: PressSeconds = Field(
        default=_DEFAULTS.dwell_seconds,
        description="A press without JavaScript that comes sooner than this after the page was "
        "made is automated, and gets the button again.",
    )
    scan_minutes: Annotated[Whole, Field(ge=0, le=1440), About("minutes")] = Field(
        default=10,
        description="For so long after the e-mail was sent, when scanners are at work, a link's "
        "visits are suspect, and get the button. A campaign may set its own; 0 switches the window "
        "off.",
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
        description="Rules of your own, each under a [[detection.rules]] heading; 50 at most. "
        "What they allow or call automated outranks what linkgate finds, but for HEAD, prefetch "
        "and decoys.",
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
