"""Judging a visit: signals, history and the time in; a verdict with all its evidence out.

One function per rule, one line per rule below. Every rule runs on every visit, none sees another's
finding, and their order doesn't matter. docs/detection.md says of each what, why and from where.
"""

from linkgate.detection import (
    consistency,
    declared,
    freshness,
    hints,
    person,
    pressing,
    timing,
    traps,
    whereabouts,
)
from linkgate.detection.agents import UserAgent, read_agent
from linkgate.detection.declared import prefetching
from linkgate.detection.hindsight import Doubt, hindsight
from linkgate.detection.history import History, Limits, Sighting
from linkgate.detection.networks import Networks
from linkgate.detection.rules import Finding, HeaderRule, Rule, Ruleset, Scene, Shape, VisitRule
from linkgate.detection.verdict import Authority, Evidence, Kind, Standing, Verdict, conclude
from linkgate.signals import Signals

__all__ = [
    "NOTHING_KNOWN",
    "RULES",
    "Authority",
    "Doubt",
    "Evidence",
    "Finding",
    "HeaderRule",
    "History",
    "Kind",
    "Limits",
    "Networks",
    "Rule",
    "Ruleset",
    "Scene",
    "Shape",
    "Sighting",
    "Standing",
    "UserAgent",
    "Verdict",
    "VisitRule",
    "conclude",
    "hindsight",
    "judge",
    "prefetching",
    "read_agent",
    "warm",
]

RULES = Ruleset(
    (
        HeaderRule("method", declared.method, Authority.LAW),
        HeaderRule("prefetch", declared.prefetch, Authority.LAW),
        HeaderRule("preview", declared.preview),
        HeaderRule("agent-missing", declared.agent_missing),
        HeaderRule("agent-absurd", declared.agent_absurd),
        HeaderRule("agent-overlong", declared.agent_overlong),
        HeaderRule("agent-scanner", declared.agent_scanner),
        HeaderRule("agent-previewer", declared.agent_previewer),
        HeaderRule("agent-monitor", declared.agent_monitor),
        HeaderRule("agent-tool", declared.agent_tool),
        HeaderRule("agent-headless", declared.agent_headless),
        HeaderRule("agent-crawler-list", declared.agent_crawler_list),
        HeaderRule("agent-spider", declared.agent_spider),
        HeaderRule("agent-words", declared.agent_words),
        HeaderRule("agent-editor", declared.agent_editor),
        HeaderRule("agent-shared-name", declared.agent_shared_name),
        HeaderRule("agent-no-browser", declared.agent_no_browser),
        HeaderRule("hints-headless", declared.hints_headless),
        HeaderRule("hints-missing", hints.hints_missing),
        HeaderRule("hints-unexpected", hints.hints_unexpected),
        HeaderRule("hints-version", hints.hints_version),
        HeaderRule("hints-platform", hints.hints_platform),
        HeaderRule("hints-mobile", hints.hints_mobile),
        HeaderRule("hints-brand", hints.hints_brand),
        HeaderRule("hints-unbranded", hints.hints_unbranded),
        HeaderRule("accept-missing", consistency.accept_missing),
        HeaderRule("accept-no-page", consistency.accept_no_page),
        HeaderRule("accept-not-its-own", consistency.accept_not_its_own),
        HeaderRule("language-missing", consistency.language_missing),
        HeaderRule("encoding-missing", consistency.encoding_missing),
        HeaderRule("fetch-metadata-missing", consistency.fetch_metadata_missing),
        HeaderRule("fetch-metadata-no-page", consistency.fetch_metadata_no_page),
        HeaderRule("fetch-metadata-frame", consistency.fetch_metadata_frame),
        HeaderRule("fetch-metadata-early", consistency.fetch_metadata_early),
        HeaderRule("stale-browser", freshness.stale_browser),
        HeaderRule("navigation", person.navigation),
        HeaderRule("plain-navigation", person.plain_navigation),
        VisitRule("network-mail-security", whereabouts.network_mail_security),
        VisitRule("network-hosting", whereabouts.network_hosting),
        VisitRule("decoy", traps.decoy, Authority.LAW),
        VisitRule("decoy-link", traps.decoy_link),
        VisitRule("decoy-address", traps.decoy_address),
        VisitRule("scan-window", timing.scan_window),
        VisitRule("twin", timing.twin),
        VisitRule("burst-address", timing.burst_address),
        VisitRule("burst-network", timing.burst_network),
        VisitRule("press-second-control", pressing.second_control),
        VisitRule("press-scripted", pressing.scripted),
        VisitRule("press-driven", pressing.driven),
        VisitRule("press-unseen", pressing.unseen),
        VisitRule("press-too-fast", pressing.too_fast),
        VisitRule("press-unread", pressing.unread),
        VisitRule("press-real", pressing.real),
        VisitRule("known-device", person.known_device),
    )
)

NOTHING_KNOWN = History()


def judge(
    signals: Signals, history: History = NOTHING_KNOWN, now: float = 0.0, rules: Ruleset = RULES
) -> Verdict:
    """What a visit is, and why. `now` is in seconds since the epoch. Total: no input raises."""
    return rules.judge(signals, history, now)


def warm() -> None:
    """Compile the tables and lists now (about a second), rather than in the first visit."""
    read_agent("linkgate warm-up")
    Networks().owners("192.0.2.1")
