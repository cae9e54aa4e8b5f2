"""Rule sets put together: whose word counts, and what can be switched off."""

import itertools
from ipaddress import ip_network

import msgspec
import pytest

from linkgate.detection import RULES, Limits, Standing, Verdict
from linkgate.detection.assembly import assemble, check_off
from linkgate.detection.history import History
from linkgate.detection.own import OwnRule, Says
from linkgate.signals import Press, Signals

PERSON = Signals(
    user_agent="Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    accept="text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    accept_language="en-US,en;q=0.5",
    accept_encoding="gzip, deflate, br, zstd",
    sec_fetch_site="none",
    sec_fetch_mode="navigate",
    sec_fetch_dest="document",
    sec_fetch_user="?1",
    secure=True,
    address="203.0.113.9",
)
CURL = Signals(user_agent="curl/8.16.0", address="203.0.113.9")
ODD = Signals(user_agent=PERSON.user_agent, address="203.0.113.9", accept="*/*", secure=True)
OFFICE = (ip_network("203.0.113.0/24"),)

ALLOW = OwnRule("in", Says.ALLOW, networks=OFFICE)
SUSPECT = OwnRule("ask", Says.SUSPECT, networks=OFFICE)
AUTOMATED = OwnRule("out", Says.AUTOMATED, agent=r"rv:145\.0.*Firefox")


NOTHING_KNOWN = History()


def judged(
    signals: Signals,
    *own: OwnRule,
    off: tuple[str, ...] = (),
    history: History = NOTHING_KNOWN,
) -> Verdict:
    return assemble(own=own, off=off).judge(signals, history, 1_800_000_000.0)


def pressed(**how: bool) -> Signals:
    """A press of the button after four seconds, by hand unless told otherwise."""
    by_hand = Press(dwell=4.0, ran=True, pressed=True, trusted=True, visible=3.0)
    return msgspec.structs.replace(
        PERSON,
        method="POST",
        sec_fetch_site="same-origin",
        press=msgspec.structs.replace(by_hand, **how),
    )


class TestWhoseWordCounts:
    def test_without_own_rules_nothing_changes(self) -> None:
        assert judged(PERSON).value is Standing.HUMAN
        assert judged(ODD).value is Standing.SUSPECT
        assert judged(CURL).value is Standing.AUTOMATED

    @pytest.mark.parametrize("signals", [PERSON, ODD, CURL])
    def test_allow_wins_over_what_linkgate_says(self, signals: Signals) -> None:
        verdict = judged(signals, ALLOW)
        assert verdict.value is Standing.HUMAN
        assert verdict.kind is None
        assert set(judged(signals).evidence) < set(verdict.evidence), "all of it is kept"

    @pytest.mark.parametrize("signals", [PERSON, ODD, pressed()])
    def test_suspect_asks_a_person_for_a_press(self, signals: Signals) -> None:
        assert judged(signals, SUSPECT).value is Standing.SUSPECT

    @pytest.mark.parametrize(
        ("signals", "history"),
        [
            (CURL, NOTHING_KNOWN),
            (pressed(trusted=False), NOTHING_KNOWN),
            (pressed(pressed=False), NOTHING_KNOWN),
            (pressed(driven=True), NOTHING_KNOWN),
            (pressed(second=True), NOTHING_KNOWN),
            (PERSON, History(link_decoy=5.0)),
        ],
        ids=["curl", "untrusted press", "script's submit", "driven", "second button", "decoy-link"],
    )
    def test_suspect_makes_no_machine_less_of_one(self, signals: Signals, history: History) -> None:
        assert judged(signals, history=history).value is Standing.AUTOMATED
        verdict = judged(signals, SUSPECT, history=history)
        assert verdict.value is Standing.AUTOMATED
        assert "own:ask" in [evidence.rule for evidence in verdict.evidence]

    def test_automated_wins_over_what_linkgate_says(self) -> None:
        assert judged(PERSON, AUTOMATED).value is Standing.AUTOMATED

    @pytest.mark.parametrize(
        "law", [{"method": "HEAD"}, {"sec_purpose": "prefetch"}, {"decoy": True}]
    )
    def test_no_own_rule_wins_over_a_law(self, law: dict[str, object]) -> None:
        signals = msgspec.structs.replace(PERSON, **law)
        for own in (ALLOW, SUSPECT):
            assert judged(signals, own).value is Standing.AUTOMATED

    @pytest.mark.parametrize(
        ("rules", "value"),
        [
            ((ALLOW, SUSPECT), Standing.HUMAN),
            ((ALLOW, AUTOMATED), Standing.AUTOMATED),
            ((SUSPECT, AUTOMATED), Standing.AUTOMATED),
            ((ALLOW, SUSPECT, AUTOMATED), Standing.AUTOMATED),
        ],
    )
    def test_among_themselves_automated_wins_and_allow_settles_doubts_in_any_order(
        self, rules: tuple[OwnRule, ...], value: Standing
    ) -> None:
        verdicts = {judged(PERSON, *order) for order in itertools.permutations(rules)}
        assert {verdict.value for verdict in verdicts} == {value}
        assert len(verdicts) == 1

    def test_the_evidence_tells_the_operators_rule_from_linkgates(self) -> None:
        names = [evidence.rule for evidence in judged(CURL, ALLOW).evidence]
        assert "own:in" in names
        assert "agent-tool" in names
        assert not any(rule.name.startswith("own:") for rule in RULES.rules)


class TestSwitchingOff:
    def test_a_rule_that_is_off_is_not_asked(self) -> None:
        assert any(e.rule == "accept-no-page" for e in judged(ODD).evidence)
        without = judged(ODD, off=("accept-no-page",))
        assert not any(e.rule == "accept-no-page" for e in without.evidence)

    @pytest.mark.parametrize("name", ["method", "prefetch", "decoy"])
    def test_a_law_cannot_be(self, name: str) -> None:
        with pytest.raises(ValueError, match="can't be switched off: what it finds must never"):
            assemble(off=(name,))

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("agent-scaner", "did you mean agent-scanner"),
            ("zzzz", "docs/detection.md lists them"),
            ("own:in", "is not the name of a rule"),
        ],
    )
    def test_an_unknown_name_gets_a_hint(self, name: str, hint: str) -> None:
        with pytest.raises(ValueError, match=hint):
            check_off(name)


class TestPuttingTogether:
    def test_two_own_rules_of_one_name_are_refused(self) -> None:
        with pytest.raises(ValueError, match="own:in"):
            assemble(own=(ALLOW, ALLOW))

    def test_thresholds_are_handed_on_and_others_stay_linkgates(self) -> None:
        limits = Limits(burst_links=9)
        assert assemble(limits).limits is limits
        assert assemble().limits is RULES.limits
        assert assemble().networks is RULES.networks
        assert [rule.name for rule in assemble().rules] == [rule.name for rule in RULES.rules]
