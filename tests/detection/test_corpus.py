"""Recorded visits are the specification: people pass, machines are caught, for these reasons."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from linkgate.detection import RULES, HeaderRule, Standing, judge
from linkgate.signals import Signals, TrustedProxies, gather

HERE = Path(__file__).parent
PROFILES: dict[str, dict[str, str]] = tomllib.loads((HERE / "profiles.toml").read_text("utf-8"))
CASES: list[dict[str, Any]] = tomllib.loads((HERE / "corpus.toml").read_text("utf-8"))["case"]
NO_PROXIES = TrustedProxies()


VENDORS = {
    "Edg/": "Microsoft Edge",
    "EdgA/": "Microsoft Edge",
    "OPR/": "Opera",
    "YaBrowser/": "YaBrowser",
    "SamsungBrowser/": "Samsung Internet",
}
SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "Macintosh": "macOS",
    "CrOS": "Chrome OS",
    "Linux": "Linux",
}


def client_hints(agent: str) -> dict[str, str]:
    """The client hints that a Chromium with this user agent sends; none if it isn't one."""
    version = re.search(r"Chrome/(\d+)", agent)
    system = next((name for word, name in SYSTEMS.items() if word in agent), None)
    if not version or not system:
        return {}
    vendor = next((name for token, name in VENDORS.items() if token in agent), "Google Chrome")
    brands = ("Chromium", version[1]), (vendor, version[1]), ("Not/A)Brand", "8")
    return {
        "sec-ch-ua": ", ".join(f'"{name}";v="{number}"' for name, number in brands),
        "sec-ch-ua-mobile": "?1" if "Mobile" in agent else "?0",
        "sec-ch-ua-platform": f'"{system}"',
    }


def visit(case: Mapping[str, Any]) -> Signals:
    """The case's visit. A profile with client hints sends those that fit the user agent; what the
    case says in `extra` goes before.
    """
    headers = {"host": "go.example.com", "user-agent": case["agent"]} | PROFILES[case["headers"]]
    if "sec-ch-ua" in headers:
        headers |= client_hints(case["agent"])
    headers |= case.get("extra", {})
    return gather(
        case.get("method", "GET"),
        [(k.encode(), v.encode("latin-1", "replace")) for k, v in headers.items() if v],
        "198.51.100.7",
        "https" if case.get("secure", True) else "http",
        NO_PROXIES,
        decoy=case.get("decoy", False),
    )


def title(case: Mapping[str, Any]) -> str:
    return f"{case['verdict']}: {case['who']}"


@pytest.mark.parametrize("case", CASES, ids=title)
def test_verdict_and_reasons(case: dict[str, Any]) -> None:
    verdict = judge(visit(case))
    found = sorted(evidence.rule for evidence in verdict.evidence)
    assert verdict.value == case["verdict"], found
    if verdict.value is Standing.AUTOMATED:
        assert verdict.kind is not None
        assert verdict.kind == case.get("kind", verdict.kind), found
        assert set(case["rules"]) <= set(found)
    else:
        assert verdict.kind is None
        assert found == sorted(case["rules"])


def test_corpus_is_large_and_names_each_visit_once() -> None:
    names = [case["who"] for case in CASES]
    assert len(names) == len(set(names)) >= 120


def test_every_header_rule_finds_something_in_the_corpus() -> None:
    named = {rule for case in CASES for rule in case["rules"]}
    found = {evidence.rule for case in CASES for evidence in judge(visit(case)).evidence}
    assert {rule.name for rule in RULES.rules if isinstance(rule, HeaderRule)} <= found
    assert named <= {rule.name for rule in RULES.rules}
