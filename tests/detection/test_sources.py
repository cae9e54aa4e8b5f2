"""Where the data files have their facts from: every entry says something that can be looked up."""

import re
from collections import defaultdict
from datetime import date
from functools import cache
from typing import Any

import crawleruseragents
import pytest
from ua_parser_builtins.matchers import MATCHERS

from linkgate.detection import Standing, judge
from linkgate.detection.tables import TABLES, any_word, on_a_phone, read_data
from linkgate.signals import Signals

Entry = dict[str, Any]

ENTRIES = [(table, entry) for table in (*TABLES, "people") for entry in read_data(table)["entry"]]
EXCEPTIONS = [
    (what, entry) for what in ("drop", "ordinary") for entry in read_data("exceptions")[what]
]
THE_LIST = {item["pattern"]: item for item in crawleruseragents.CRAWLER_USER_AGENTS_DATA}
LISTED = "crawler-user-agents 1.67.0"
PARSED = "ua-parser, as of ua-parser-builtins 202610"
UNFOUND = "no document found"

# What one can look up: a list and its version, a file at a commit, an issue, a paragraph of an RFC,
# a page with its path, a user agent; or the plain word that there is nothing.
CHECKABLE = re.compile(
    rf"{LISTED}|{PARSED}|github\.com/[\w.-]+/[\w.-]+(?:, [\w./]+ at [0-9a-f]{{10}}|/issues/\d+|"
    rf", as of crawlerdetect [\d.]+)|RFC \d{{4}}, [\d.]+\d"
    rf"|(?<![\w./])(?!github)(?:[a-z0-9-]+\.)+(?:com|dev|net|org|se)/[\w./-]*\w"
    rf"|(?:seen|still caught|not automated): `[^`]+`|{UNFOUND}(?:;| of | for )"
)


def title(case: tuple[str, Entry]) -> str:
    return f"{case[0]}: {case[1].get('name') or case[1]['pattern']}"


def quoted(after: str, source: str) -> list[str]:
    """The user agents that follow a word in a source."""
    found = re.search(rf"{after}: ((?:`[^`]+`(?:, )?)+)", source)
    return re.findall("`([^`]+)`", found[1]) if found else []


def expressions(entry: Entry) -> list[str]:
    """One for each word, and the pattern."""
    words = [any_word([word]) for word in entry.get("words", ())]
    return [*words, *([entry["pattern"]] if "pattern" in entry else [])]


@cache
def in_the_list() -> str:
    agents = [agent for item in THE_LIST.values() for agent in item.get("instances", ())]
    patterns = [re.sub(r"[\\^]", "", pattern) for pattern in THE_LIST]
    return "\n".join((*agents, *patterns)).lower()


@cache
def in_the_parser() -> str:
    compiled = [re.compile(matcher.pattern) for group in MATCHERS for matcher in group]
    patterns = [expression.pattern for expression in compiled]
    plain = (re.sub(r"\\[A-Za-z]", " ", pattern).replace("\\", "") for pattern in patterns)
    return "\n".join(plain).lower()


@pytest.mark.parametrize("case", [*ENTRIES, *EXCEPTIONS], ids=title)
def test_every_entry_has_a_date_and_a_source_that_can_be_looked_up(case: tuple[str, Entry]) -> None:
    _, entry = case
    assert CHECKABLE.search(entry["source"]), entry["source"]
    assert date(2026, 1, 1) <= entry["date"]


@pytest.mark.parametrize(
    "vague",
    [
        "words by which robots name themselves",
        "each product's default user agent",
        "default user agents of each library (its own documentation)",
        "the services' help pages",
        "learn.microsoft.com (WinHTTP, BITS, PowerShell)",
        "in-app browsers",
        "RFC 9309 asks crawlers to name themselves",
        "github.com/matomo-org/device-detector",
        "",
    ],
)
def test_what_is_no_source(vague: str) -> None:
    assert not CHECKABLE.search(vague)


def test_entries_of_different_names_share_no_source_but_a_list() -> None:
    # What is in a list can be looked up there by its name, and what wasn't found nowhere.
    names = defaultdict(set)
    for _, entry in ENTRIES:
        if not re.match(rf"{LISTED}|{PARSED}|github\.com/|{UNFOUND}", entry["source"]):
            names[entry["source"]].add(entry["name"])
    assert {source: who for source, who in names.items() if len(who) > 1} == {}


def test_exceptions_share_neither_source_nor_an_apps_reason() -> None:
    sources = [entry["source"] for _, entry in EXCEPTIONS]
    assert len(sources) == len(set(sources))
    reasons = [entry["reason"] for what, entry in EXCEPTIONS if what == "ordinary"]
    assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize(
    "case", [case for case in ENTRIES if case[1]["source"] == LISTED], ids=title
)
def test_what_is_said_to_be_in_the_list_is_there(case: tuple[str, Entry]) -> None:
    for expression in expressions(case[1]):
        assert re.search(expression, in_the_list(), re.MULTILINE), expression


@pytest.mark.parametrize(
    "case", [case for case in ENTRIES if case[1]["source"] == PARSED], ids=title
)
def test_what_is_said_to_be_in_the_parser_is_there(case: tuple[str, Entry]) -> None:
    for word in case[1].get("words", ()):
        assert re.search(rf"(?<![a-z]){re.escape(word.lstrip('^'))}", in_the_parser()), word


@pytest.mark.parametrize(
    "case", [case for case in ENTRIES if quoted("seen", case[1]["source"])], ids=title
)
def test_what_was_seen_is_found_and_each_word_was_seen(case: tuple[str, Entry]) -> None:
    table, entry = case
    agents = [agent.lower() for agent in quoted("seen", entry["source"])]
    for agent in agents:
        assert any(re.search(expression, agent) for expression in expressions(entry)), agent
    for expression in expressions(entry) if table != "people" else ():
        assert any(re.search(expression, agent) for agent in agents), expression


@pytest.mark.parametrize("case", EXCEPTIONS, ids=title)
def test_exceptions_quote_the_lists_own(case: tuple[str, Entry]) -> None:
    what, entry = case
    ours = {
        word: [
            agent
            for quote in quoted(word, entry["source"])
            for agent in THE_LIST[entry["pattern"]]["instances"]
            if quote in agent
        ]
        for word in ("still caught", "not automated")
    }
    assert any(ours.values())
    assert what == "drop" or not ours["not automated"]
    for word, agents in ours.items():
        for agent in agents:
            caught = judge(Signals(user_agent=agent, method="GET")).value is Standing.AUTOMATED
            assert caught == (word == "still caught"), agent
            assert what == "drop" or not on_a_phone(agent)
    for agent in quoted("seen", entry["source"]):
        assert re.search(entry["pattern"], agent), agent
