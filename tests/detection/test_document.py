"""docs/detection.md and the registry of rules say the same."""

import re
from pathlib import Path

import pytest

from linkgate.detection import RULES, HeaderRule, Kind, Rule, Standing
from tests.detection.test_rules import DOUBT, PERSON

TEXT = (Path(__file__).parents[2] / "docs" / "detection.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^### `([\w-]+)`\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE))
PARTS = ["What", "Why", "Source", "Wrong about people", "Evidence"]


def test_document_has_exactly_the_rules_in_their_order() -> None:
    assert list(SECTIONS) == [
        rule.name for rule in sorted(RULES.rules, key=lambda r: not isinstance(r, HeaderRule))
    ]


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_each_rule_says_what_why_from_where_and_whether_it_errs(rule: Rule) -> None:
    section = SECTIONS[rule.name]
    assert re.findall(r"^- ([\w ]+): \S", section, re.MULTILINE) == PARTS


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_each_rule_says_what_it_makes_of_a_visit(rule: Rule) -> None:
    name: str = rule.name
    stated = re.search(r"^- Evidence: (\w+)", SECTIONS[name], re.MULTILINE)
    assert stated is not None
    expected = Standing.HUMAN if name in PERSON else Standing.AUTOMATED
    assert stated[1] == (Standing.SUSPECT if name in DOUBT else expected)


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_each_function_says_its_source_and_whether_it_errs(rule: Rule) -> None:
    doc = rule.examine.__doc__ or ""
    assert "Source: " in doc
    assert "Wrong about" in re.sub(r"\s+", " ", doc) or rule.name in PERSON


def test_order_of_kinds_is_the_documented_one() -> None:
    order = re.search(r"evidence names: ([\w, ]+), in this order", TEXT.replace("\n   ", " "))
    assert order is not None
    assert order[1].split(", ") == [kind.value for kind in Kind]
