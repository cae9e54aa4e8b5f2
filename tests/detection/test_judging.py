"""How evidence becomes a verdict, and what the rule set keeps."""

import random
import tomllib
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkgate import detection
from linkgate.addresses import TrustedProxies
from linkgate.detection import (
    RULES,
    Evidence,
    Finding,
    HeaderRule,
    History,
    Kind,
    Ruleset,
    Scene,
    Shape,
    Standing,
    UserAgent,
    Verdict,
    VisitRule,
    conclude,
    judge,
    read_agent,
)
from linkgate.detection import agents as agents_module
from linkgate.detection import rules as rules_module
from linkgate.signals import Signals, gather
from tests.detection.corpus import CASES, judged, visit

AUTOMATED = Evidence("a", Standing.AUTOMATED, "a machine")
SCANNER = Evidence("b", Standing.AUTOMATED, "a scanner", Kind.SCANNER)
CRAWLER = Evidence("c", Standing.AUTOMATED, "a crawler", Kind.CRAWLER)
DOUBT = Evidence("d", Standing.SUSPECT, "odd")
PERSON = Evidence("e", Standing.HUMAN, "a browser")


@pytest.mark.parametrize(
    ("evidence", "value", "kind"),
    [
        ((), "suspect", None),
        ((PERSON,), "human", None),
        ((DOUBT,), "suspect", None),
        ((PERSON, DOUBT), "suspect", None),
        ((AUTOMATED,), "automated", Kind.TOOL),
        ((PERSON, DOUBT, AUTOMATED), "automated", Kind.TOOL),
        ((AUTOMATED, CRAWLER), "automated", Kind.CRAWLER),
        ((CRAWLER, SCANNER, PERSON), "automated", Kind.SCANNER),
    ],
)
def test_conclusion(evidence: tuple[Evidence, ...], value: str, kind: Kind | None) -> None:
    verdict = conclude(evidence)
    assert (verdict.value, verdict.kind) == (value, kind)
    assert sorted(verdict.evidence, key=repr) == sorted(evidence, key=repr)


def test_conclusion_ignores_the_order_of_evidence() -> None:
    evidence = [AUTOMATED, SCANNER, CRAWLER, DOUBT, PERSON]
    verdicts = set()
    for seed in range(20):
        random.Random(seed).shuffle(evidence)
        verdicts.add(conclude(evidence))
    assert len(verdicts) == 1


@pytest.mark.parametrize("seed", range(5))
def test_order_of_rules_does_not_matter(seed: int) -> None:
    shuffled = list(RULES.rules)
    random.Random(seed).shuffle(shuffled)
    other = Ruleset(shuffled)
    for case in CASES:
        assert judged(case, other) == judged(case), case["who"]


def test_all_rules_run_whatever_one_of_them_finds() -> None:
    signals = Signals(method="HEAD", user_agent="curl/8", sec_purpose="prefetch", decoy=True)
    found = {evidence.rule for evidence in judge(signals).evidence}
    assert {"method", "prefetch", "agent-tool", "agent-no-browser", "decoy"} <= found


def test_two_rules_of_one_name_are_refused() -> None:
    rule = RULES.rules[0]
    with pytest.raises(ValueError, match=rule.name):
        Ruleset([rule, rule])


def test_visit_rules_see_history_and_time_and_are_never_remembered() -> None:
    seen: list[tuple[History, float]] = []

    def note(scene: Scene) -> Finding | None:
        seen.append((scene.history, scene.now))
        return Finding(Standing.SUSPECT, "odd second") if scene.now % 2 else None

    rules = Ruleset([*RULES.rules, VisitRule("note", note)])
    signals = visit(CASES[0])
    assert judge(signals, History(), 1.0, rules).value is Standing.SUSPECT
    assert judge(signals, History(), 2.0, rules).value is Standing.HUMAN
    assert [now for _, now in seen] == [1.0, 2.0]


def test_header_rules_run_once_for_the_same_headers_and_again_for_others() -> None:
    calls: list[Shape] = []

    def note(shape: Shape, agent: UserAgent) -> Finding | None:
        calls.append(shape)
        return None

    rules = Ruleset([HeaderRule("note", note)])
    first = Signals(user_agent="x", address="192.0.2.1", referer="https://a.example/", cookie="1")
    again = Signals(user_agent="x", address="192.0.2.2", referer="https://b.example/", cookie="2")
    other = Signals(user_agent="x", accept="*/*")
    for signals in (first, again, other, first):
        rules.judge(signals, History(), 0.0)
    assert len(calls) == 2


def test_shape_holds_the_fields_of_signals_and_tells_local_hosts() -> None:
    names = [name for name in Shape._fields if name != "local"]
    assert all(name in Signals.__struct_fields__ for name in names)
    assert [rules_module.is_local(h) for h in LOCAL] == [True] * len(LOCAL)
    assert [rules_module.is_local(h) for h in ELSEWHERE] == [False] * len(ELSEWHERE)


LOCAL = ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:80", "[::1]:8080", "a.localhost"]
ELSEWHERE = ["go.example.com", "localhost.example.com", "127.example.com", "", "[", "128.0.0.1"]


def test_each_field_of_a_shape_is_read_into_its_own_place() -> None:
    seen: list[Shape] = []

    def note(shape: Shape, agent: UserAgent) -> Finding | None:
        seen.append(shape)
        return None

    texts = [name for name in Shape._fields if name not in {"secure", "local"}]
    signals = Signals(**{name: name for name in texts}, secure=True, host="localhost")  # type: ignore[arg-type]
    Ruleset([HeaderRule("note", note)]).judge(signals, History(), 0.0)
    assert tuple(seen[0]) == (*texts, True, True)


def test_caches_are_bounded() -> None:
    assert read_agent.cache_info().maxsize == agents_module.AGENTS_KEPT
    assert RULES._read_shape.cache_info().maxsize == rules_module.SHAPES_KEPT
    small = lru_cache(maxsize=4)(read_agent.__wrapped__)
    for number in range(20):
        small(f"zorble/{number}")
    assert small.cache_info().currsize == 4


TEXT = st.binary(max_size=700)
NAMES = st.sampled_from([b"user-agent", b"accept", b"sec-fetch-mode", b"sec-ch-ua", b"host"])


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES | TEXT, TEXT), max_size=12), st.text(max_size=30), st.text())
def test_junk_never_raises(headers: list[tuple[bytes, bytes]], method: str, peer: str) -> None:
    signals = gather(method, headers, peer, "https", TrustedProxies())
    verdict = judge(signals)
    assert isinstance(verdict, Verdict)
    assert (verdict.kind is None) is (verdict.value is not Standing.AUTOMATED)


def test_a_plain_browser_is_in_no_list() -> None:
    # Such user agents are not looked up: this holds only while no list names one.
    plain = 0
    for case in CASES:
        own = agents_module._own_words(case["agent"])
        if agents_module._PLAIN.fullmatch(own):
            plain += 1
            assert agents_module._declarations(own) == [], own
    assert plain > 40


def test_user_agents_and_its_parser_agree() -> None:
    import user_agents

    for case in CASES[::7]:
        text = case["agent"]
        assert detection.tables.names_spider(text) == user_agents.parse(text).is_bot, text


def test_data_files_say_where_from_and_when() -> None:
    from linkgate.detection.tables import TABLES, read_data

    for name in (*TABLES, "people"):
        for entry in read_data(name)["entry"]:
            assert entry["source"], entry["name"]
            assert entry["date"].year >= 2026, entry["name"]
            assert entry.get("words") or entry.get("pattern"), entry["name"]
            for word in entry.get("words", ()):
                assert word == word.lower(), word
    for entry in read_data("exceptions")["drop"]:
        assert entry["reason"]
        assert entry["date"].year >= 2026


def test_exceptions_name_patterns_that_are_there() -> None:
    import crawleruseragents

    from linkgate.detection.tables import read_data

    there = {item["pattern"] for item in crawleruseragents.CRAWLER_USER_AGENTS_DATA}
    dropped = {entry["pattern"] for entry in read_data("exceptions")["drop"]}
    assert dropped <= there


def test_no_data_file_is_left_out_of_the_package() -> None:
    from importlib.resources import files

    names = {item.name for item in files("linkgate.detection").joinpath("data").iterdir()}
    others = ("people", "exceptions", "browsers", "networks", "asns")
    expected = {f"{name}.toml" for name in (*detection.tables.TABLES, *others)}
    assert names == expected
    for name in names:
        tomllib.loads(files("linkgate.detection").joinpath("data", name).read_text("utf-8"))
