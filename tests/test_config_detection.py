"""The section [detection]: thresholds, own rules, rules that are off, and the shadow."""

import dataclasses
import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from linkgate.config import load, parse
from linkgate.config.detection import Detection, Shadow
from linkgate.config.own_rules import NETWORKS_FILE_MAX_BYTES, RULES_MAX
from linkgate.detection import Kind, Limits
from linkgate.detection.assembly import Choice
from linkgate.detection.own import OwnRule, Says
from linkgate.errors import ConfigError

KEY = "k3y-with-enough-Random-looking-letters-0123456789"
ENOUGH: dict[str, dict[str, Any]] = {
    "server": {"public_url": "https://go.example.com"},
    "signing": {"keys": [KEY]},
    "stripe": {"api_key": "sk_test_abc"},
}
ENV = {
    "LINKGATE_SERVER__PUBLIC_URL": "https://go.example.com",
    "LINKGATE_SIGNING__KEYS": KEY,
    "LINKGATE_STRIPE__API_KEY": "sk_test_abc",
}
LIMITS = [field.name for field in dataclasses.fields(Limits)]
OFFICE = {"name": "office", "says": "suspect", "networks": ["203.0.113.0/24"]}
MARK = b"\xab\xcd\xefMaxMind.com"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def detection(**settings: Any) -> Detection:
    return parse({**ENOUGH, "detection": settings}).detection


def problems(error: ConfigError) -> dict[str, str]:
    return {problem.field: problem.message for problem in error.problems}


def refused(**settings: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        detection(**settings)
    return problems(caught.value)


def from_env(**variables: str) -> Detection:
    names = {f"LINKGATE_DETECTION__{name}": value for name, value in variables.items()}
    return load(None, {**ENV, **names}).detection


def from_file(text: str, folder: str = ".") -> Detection:
    path = Path(folder) / "a.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return load(path, ENV).detection


class TestThresholds:
    def test_every_threshold_is_a_setting_with_the_same_default(self) -> None:
        assert detection().limits == Limits()
        assert set(LIMITS) <= set(Detection.model_fields)

    def test_every_threshold_can_be_tried_in_the_shadow(self) -> None:
        assert set(Shadow.model_fields) == {*LIMITS, "rules", "rules_off"}

    @pytest.mark.parametrize("name", LIMITS)
    def test_each_reaches_its_limit(self, name: str) -> None:
        limits = detection(**{name: 5}).limits
        assert getattr(limits, name) == 5
        assert limits == dataclasses.replace(Limits(), **{name: 5})

    @pytest.mark.parametrize(
        ("name", "low", "high"),
        [
            ("twin_seconds", 0.1, 60),
            ("burst_seconds", 0.1, 60),
            ("burst_links", 2, 50),
            ("burst_network_links", 2, 50),
            ("decoy_seconds", 1, 300),
            ("decoy_before_seconds", 0, 600),
            ("press_seconds", 0, 5),
            ("dwell_seconds", 0, 5),
            ("scan_minutes", 0, 1440),
        ],
    )
    def test_each_has_its_bounds(self, name: str, low: float, high: float) -> None:
        assert refused(**{name: low - 1})[f"detection.{name}"] == f"must be at least {low:g}"
        assert refused(**{name: high + 1})[f"detection.{name}"] == f"must be at most {high:g}"

    @pytest.mark.parametrize("value", [True, "soon", float("nan"), [1]])
    def test_each_is_a_number(self, value: Any) -> None:
        assert "number" in refused(twin_seconds=value)["detection.twin_seconds"]

    def test_a_burst_of_a_network_is_no_smaller_than_one_of_an_address(self) -> None:
        told = refused(burst_links=6)["detection.burst_links"]
        assert "must not be more than detection.burst_network_links, which is 5" in told

    def test_the_environment_sets_one(self) -> None:
        assert from_env(TWIN_SECONDS="2.5").limits.twin_seconds == 2.5

    def test_the_scan_window_is_ten_minutes_unless_set(self) -> None:
        assert detection().scan_minutes == 10
        assert from_env(SCAN_MINUTES="0").scan_minutes == 0


class TestAsnDatabase:
    def test_it_is_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        folder = tmp_path / "etc"
        folder.mkdir()
        (folder / "asn.mmdb").write_bytes(b"\0" * 200_000 + MARK + b"\0" * 300)
        kept = from_file('[detection]\nasn_database = "asn.mmdb"', "etc").asn_database
        assert kept == folder / "asn.mmdb"

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (None, "can't be read (No such file or directory): asn.mmdb"),
            (b"", "is no database in MaxMind's format (.mmdb): asn.mmdb"),
            (MARK + b"\0" * 200_000, "is no database in MaxMind's format (.mmdb): asn.mmdb"),
        ],
    )
    def test_other_files_are_refused(self, content: bytes | None, told: str) -> None:
        if content is not None:
            Path("asn.mmdb").write_bytes(content)
        assert refused(asn_database="asn.mmdb") == {"detection.asn_database": told}


class TestRulesOff:
    def test_they_are_named(self) -> None:
        assert detection(rules_off=["agent-editor"]).in_force.off == ("agent-editor",)
        assert from_env(RULES_OFF="agent-editor,accept-missing").rules_off == (
            "agent-editor",
            "accept-missing",
        )

    def test_a_wrong_name_and_a_law_are_told_together(self) -> None:
        told = refused(rules_off=["acept-missing", "accept-missing", "decoy"])
        assert set(told) == {"detection.rules_off.0", "detection.rules_off.2"}
        hint = "is not the name of a rule; did you mean accept-missing"
        assert told["detection.rules_off.0"].startswith(hint)
        law = "can't be switched off: what it finds must never cost a session; remove it"
        assert told["detection.rules_off.2"] == law


class TestOwnRules:
    def test_they_are_read_from_tables(self) -> None:
        rules = from_file(
            """
            [[detection.rules]]
            name = "acme"
            says = "Automated"
            kind = "Scanner"
            agent = '^Acme/\\d'
            header = 'accept: \\*/\\*'
            networks = ["203.0.113.9/24"]
            note = "in front of our mail"

            [[detection.rules]]
            name = "office"
            says = "allow"
            networks = ["2001:db8::/32"]
            """
        ).own_rules
        assert rules == (
            OwnRule(
                "acme",
                Says.AUTOMATED,
                Kind.SCANNER,
                agent=r"^Acme/\d",
                networks=(ip_network("203.0.113.0/24"),),
                header=r"accept: \*/\*",
                note="in front of our mail",
            ),
            OwnRule("office", Says.ALLOW, networks=(ip_network("2001:db8::/32"),)),
        )

    def test_the_environment_has_them_as_json(self) -> None:
        assert from_env(RULES=json.dumps([OFFICE])).own_rules == detection(rules=[OFFICE]).own_rules

    @pytest.mark.parametrize(
        ("change", "setting", "told"),
        [
            ({"name": "My Rule"}, ".name", "must be 1 to 40 small letters, digits and hyphens"),
            ({"name": 3}, ".name", 'must be text in quotes, like "office-scanner"'),
            ({"says": "deny"}, ".says", "must be 'allow', 'suspect' or 'automated'"),
            ({"kind": "robot"}, ".kind", "must be 'scanner', 'preview', 'prefetch', 'monitor'"),
            ({"agent": "("}, ".agent", "is no regular expression here: unclosed group; "),
            ({"agent": "(a)\\1"}, ".agent", "backreferences are not supported"),
            ({"agent": ".*"}, ".agent", "is found in any text"),
            ({"agent": 3}, ".agent", "must be text in quotes, like '^Acme'"),
            ({"header": "x-mail: y"}, ".header", "names a header that is not kept; these are: "),
            ({"header": "referer"}, ".header", "must be a name, a colon and what to look for"),
            ({"header": "referer: ["}, ".header", "is no regular expression here"),
            (
                {"networks": "203.0.113.0/24"},
                ".networks",
                'must be a list, like ["203.0.113.0/24"]',
            ),
            ({"networks": ["office"]}, ".networks.0", "is not an address range; write it like"),
            ({"networks": [7]}, ".networks.0", 'must be text, like "203.0.113.0/24"'),
            ({"networks": ["203.0.113.7", "::/0"]}, ".networks.1", "is the whole internet"),
            ({"networks_file": 3}, ".networks_file", "must be the name of a file"),
            ({"note": "a\nb"}, ".note", "must be one line of visible text"),
            ({"note": "x" * 201}, ".note", "must have at most 200 characters"),
            ({"agnet": "x"}, ".agnet", "there is no such setting; did you mean agent?"),
            ({"zzzz": "x"}, ".zzzz", "there is no such setting; there are name, says, kind,"),
            ({"networks": []}, "", "has no condition; give it agent, header, networks or"),
            ({"kind": "scanner"}, "", "has a kind, which only a machine has; remove it, or say"),
            ({"says": "automated"}, "", "would call people machines, such as Chrome that"),
        ],
    )
    def test_what_is_wrong_is_told_by_its_place_and_its_rules_name(
        self, change: dict[str, Any], setting: str, told: str
    ) -> None:
        fine = {"name": "fine", "says": "suspect", "agent": "acme"}
        found = refused(rules=[fine, {**OFFICE, **change}])
        place = f"detection.rules.1{setting}"
        assert set(found) == {place}
        assert found[place].startswith(told) or told in found[place]
        if "name" not in change:
            assert found[place].endswith('(in "office")')

    @pytest.mark.parametrize("missing", ["name", "says"])
    def test_what_is_missing_is_told(self, missing: str) -> None:
        rule = {key: value for key, value in OFFICE.items() if key != missing}
        assert "is missing; " in refused(rules=[rule])[f"detection.rules.0.{missing}"]

    def test_every_problem_of_every_rule_is_told_at_once(self) -> None:
        first = {"name": "A", "says": "no", "agent": "("}
        assert set(refused(rules=[first, {"name": "b"}], rules_off=["zzzz"], burst_links=1)) == {
            "detection.rules.0.name",
            "detection.rules.0.says",
            "detection.rules.0.agent",
            "detection.rules.1.says",
            "detection.rules_off.0",
            "detection.burst_links",
        }

    def test_two_of_one_name_are_refused(self) -> None:
        told = refused(rules=[OFFICE, OFFICE])["detection.rules"]
        assert told == 'has two rules named "office"; give one of them another name'

    def test_so_many_are_refused(self) -> None:
        rules = [{**OFFICE, "name": f"r{number}"} for number in range(RULES_MAX + 1)]
        assert refused(rules=rules)["detection.rules"] == "must have at most 50 entries"

    @pytest.mark.parametrize("rules", [OFFICE, "x", 3])
    def test_a_single_bracket_is_told(self, rules: Any) -> None:
        told = refused(rules=rules)["detection.rules"]
        assert told == "must be a list of tables, each below [[detection.rules]]"

    def test_a_list_of_something_else_is_told(self) -> None:
        told = refused(rules=["x"])["detection.rules.0"]
        assert told == "must be a table, with its settings below [[detection.rules]]"

    def test_a_variable_that_is_no_json_is_told_with_its_name(self) -> None:
        with pytest.raises(ConfigError) as caught:
            from_env(RULES="office", SHADOW="{burst_links: 2}")
        told = problems(caught.value)
        assert told["detection.rules"].endswith("(set by LINKGATE_DETECTION__RULES)")
        assert told["detection.shadow"].endswith("(set by LINKGATE_DETECTION__SHADOW)")


class TestNetworksFile:
    def test_it_is_read_from_beside_the_configuration(self) -> None:
        Path("etc").mkdir()
        Path("etc/nets.txt").write_bytes(
            b"\xef\xbb\xbf# ours\n203.0.113.0/24 # the office\r\n\n  2001:db8::/32\n198.51.100.7"
        )
        rule = '[[{}]]\nname = "office"\nsays = "allow"\nnetworks_file = "nets.txt"\n'
        kept = from_file(rule.format("detection.rules"), "etc").own_rules
        assert [str(network) for network in kept[0].networks] == [
            "203.0.113.0/24",
            "2001:db8::/32",
            "198.51.100.7/32",
        ]
        shadow = from_file(rule.format("detection.shadow.rules"), "etc").in_shadow
        assert shadow is not None
        assert shadow.own == kept

    def test_it_adds_to_the_networks_that_are_named(self) -> None:
        Path("nets.txt").write_text("198.51.100.0/24")
        kept = detection(rules=[{**OFFICE, "networks_file": "nets.txt"}]).own_rules[0].networks
        assert [str(network) for network in kept] == ["203.0.113.0/24", "198.51.100.0/24"]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (None, "can't be read (No such file or directory): nets.txt"),
            (b"\xff\xfe", "is not UTF-8 text: nets.txt"),
            (b"# nothing\n", "holds no network; write one on each line: nets.txt"),
            (b"203.0.113.0/24\noffice\n", "nets.txt, line 2: 'office' is not an address range"),
            (b"0.0.0.0/0", "nets.txt, line 1: '0.0.0.0/0' is the whole internet"),
            (b"a\nb\nc\nd\ne\n", "; and 2 more such lines"),
            (b"#" * (NETWORKS_FILE_MAX_BYTES + 1), "is larger than 5 MB: nets.txt"),
        ],
    )
    def test_other_files_are_refused(self, content: bytes | None, told: str) -> None:
        if content is not None:
            Path("nets.txt").write_bytes(content)
        found = refused(rules=[{**OFFICE, "networks_file": "nets.txt"}])
        assert set(found) == {"detection.rules.0.networks_file"}
        assert told in found["detection.rules.0.networks_file"]


class TestShadow:
    def test_there_is_none_unless_something_is_tried(self) -> None:
        assert detection().in_shadow is None
        assert detection(shadow={}).in_shadow is None

    def test_it_inherits_what_it_does_not_set(self) -> None:
        settings = detection(
            burst_links=4,
            twin_seconds=2,
            rules_off=["agent-editor"],
            rules=[OFFICE],
            shadow={"twin_seconds": 3},
        )
        in_force = settings.in_force
        assert in_force == Choice(
            dataclasses.replace(Limits(), burst_links=4, twin_seconds=2.0),
            settings.own_rules,
            ("agent-editor",),
        )
        assert settings.in_shadow == in_force._replace(
            limits=dataclasses.replace(in_force.limits, twin_seconds=3.0)
        )

    def test_its_rules_stand_in_place_of_the_others(self) -> None:
        other = {**OFFICE, "name": "other"}
        settings = detection(rules=[OFFICE], shadow={"rules": [other]})
        assert [rule.name for rule in settings.own_rules] == ["office"]
        assert settings.in_shadow is not None
        assert [rule.name for rule in settings.in_shadow.own] == ["other"]

    def test_it_can_try_without_any(self) -> None:
        shadow = detection(
            rules=[OFFICE], rules_off=["agent-editor"], shadow={"rules": [], "rules_off": []}
        ).in_shadow
        assert shadow == Choice()

    def test_what_is_in_force_is_untouched(self) -> None:
        settings = detection(shadow={"burst_links": 2, "rules": [OFFICE]})
        assert settings.in_force == Choice()

    def test_it_is_read_from_a_table_and_from_json(self) -> None:
        from_table = from_file("[detection.shadow]\nburst_links = 2").in_shadow
        assert from_table is not None
        assert from_table.limits.burst_links == 2
        assert from_env(SHADOW='{"burst_links": 2}').in_shadow == from_table

    @pytest.mark.parametrize(
        ("shadow", "setting", "told"),
        [
            ({"twin_seconds": 0}, "twin_seconds", "must be at least 0.1"),
            ({"burst_links": "x"}, "burst_links", "must be a whole number"),
            ({"rules_off": ["method"]}, "rules_off.0", "can't be switched off"),
            ({"rules": [{**OFFICE, "agent": "("}]}, "rules.0.agent", '(in "office")'),
            ({"rules": OFFICE}, "rules", "each below [[detection.shadow.rules]]"),
            ({"burst_link": 2}, "burst_link", "did you mean burst_links?"),
            ({"scan_minutes": 2}, "scan_minutes", "there is no such setting"),
            ({"burst_links": 6}, "burst_links", "detection.shadow.burst_network_links, which is 5"),
            (
                {"burst_network_links": 2},
                "burst_links",
                "is 3 and must not be more than detection.shadow.burst_network_links, which is 2",
            ),
        ],
    )
    def test_what_is_wrong_is_told_by_its_place(
        self, shadow: dict[str, Any], setting: str, told: str
    ) -> None:
        found = refused(shadow=shadow)
        assert set(found) == {f"detection.shadow.{setting}"}
        assert told in found[f"detection.shadow.{setting}"]

    @pytest.mark.parametrize("shadow", [3, "x", [OFFICE]])
    def test_it_is_a_table(self, shadow: Any) -> None:
        told = refused(shadow=shadow)["detection.shadow"]
        assert told == "must be a table, with its settings below [detection.shadow]"
