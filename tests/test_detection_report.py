"""The report on how well visits are judged: what it counts, and what it makes of bad files."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linkgate.addresses import TrustedProxies
from linkgate.detection import Standing, judge
from linkgate.signals import gather
from tests.detection_report import main, perfect_headers

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)
EDGE = CHROME + " Edg/156.0.0.0"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Safari/605.1.15"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Mobile Safari/537.36"
)
WEBVIEW = (
    "Mozilla/5.0 (Linux; Android 15; SM-S918B; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/155.0.0.0 Mobile Safari/537.36"
)
# 2026-11-20, when these were the newest versions: a report of later years must find them the same.
AT = 1_795_132_800

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Write the lines to a file, and return the status, the output and the complaints."""

    def run(lines: list[Any], *options: str) -> tuple[int, str, str]:
        file = tmp_path / "visits.jsonl"
        texts = [line if isinstance(line, str) else json.dumps({"at": AT} | line) for line in lines]
        file.write_text("\n".join(texts) + "\n", "utf-8")
        status = main([str(file), *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def report(run: Run, lines: list[Any], *options: str) -> dict[str, Any]:
    status, out, _ = run(lines, "--json", *options)
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_it_counts_verdicts_by_label(run: Run) -> None:
    found = report(
        run,
        [
            {"ua": "curl/8.16.0", "label": "bot"},
            {"ua": "Zorblebot/1.0", "label": "bot"},
            {"ua": CHROME, "label": "bot"},
            {"ua": CHROME, "label": "human"},
            {"ua": "curl/8.16.0", "label": "human"},
            {"ua": CHROME, "label": "human", "headers": {"Accept": "*/*"}},
            {"ua": FIREFOX, "label": "human"},
        ],
    )
    assert found["lines"] == {"bot": 3, "human": 4, "bad": 0, "repeated": 0}
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["bots_given_a_session"] == pytest.approx(1 / 3)
    assert found["people_asked_to_press"] == found["people_refused"] == 0.25
    assert found["verdicts"]["automated"] == {"bot": 2, "human": 1}
    assert found["kinds"] == {"tool": {"bot": 1, "human": 1}, "crawler": {"bot": 1, "human": 0}}
    assert found["rules"]["agent-tool"] == {"bot": 1, "human": 1}
    assert [miss["line"] for miss in found["misses"]["bot judged human"]] == [3]
    assert [miss["line"] for miss in found["misses"]["human judged automated"]] == [5]
    assert [miss["line"] for miss in found["misses"]["human judged suspect"]] == [6]
    assert "accept-no-page" in found["misses"]["human judged suspect"][0]["rules"]


def test_the_tables_say_the_same(run: Run) -> None:
    status, out, _ = run([{"ua": "curl/8", "label": "bot"}, {"ua": CHROME, "label": "bot"}])
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert rows[:2] == [["bots", "2"], ["automated", "(recall)", "1", "50.000%"]]
    assert ["people", "0"] in rows
    assert ["tool", "1", "0"] in rows
    assert ["agent-tool", "1", "0"] in rows
    assert "bot judged human (1 of 1)" in out
    assert f"  line 2: {CHROME!r}" in out


def test_misses_are_bounded(run: Run) -> None:
    lines = [{"ua": f"{CHROME} ", "label": "bot"}] * 5
    assert len(report(run, lines, "--misses", "2")["misses"]["bot judged human"]) == 2
    assert "(2 of 5)" in run(lines, "--misses", "2")[1]
    assert "line" not in run(lines, "--misses", "0")[1]


def test_a_user_agent_is_counted_once_if_wished(run: Run) -> None:
    lines = [{"ua": "curl/8", "label": "bot"}] * 3 + [{"ua": "curl/8", "label": "human"}]
    assert report(run, lines)["lines"]["bot"] == 3
    assert report(run, lines, "--unique")["lines"] == {
        "bot": 1,
        "human": 1,
        "bad": 0,
        "repeated": 2,
    }


@pytest.mark.parametrize("agent", [CHROME, EDGE, FIREFOX, SAFARI, ANDROID, WEBVIEW])
def test_without_headers_a_browsers_own_are_taken(run: Run, agent: str) -> None:
    line = {"ua": agent, "label": "human"}
    assert report(run, [line])["verdicts"] == {"human": {"bot": 0, "human": 1}}
    assert report(run, [line], "--headers", "none")["people_asked_to_press"] == 1


def test_headers_are_the_lines_own_or_as_chosen(run: Run) -> None:
    line = {"ua": CHROME, "label": "bot", "headers": {"accept": "*/*"}}
    assert report(run, [line])["bots_given_a_session"] == 0
    assert report(run, [line], "--headers", "chrome")["bots_given_a_session"] == 1
    assert report(run, [line], "--headers", "none")["bots_given_a_session"] == 0


def test_chromes_headers_fit_the_user_agent_in_their_hints_alone() -> None:
    assert perfect_headers(ANDROID)["sec-ch-ua-mobile"] == "?1"
    assert perfect_headers(ANDROID)["sec-ch-ua-platform"] == '"Android"'
    assert "Microsoft Edge" in perfect_headers(EDGE)["sec-ch-ua"]
    assert "sec-ch-ua" not in perfect_headers("curl/8")
    assert "signed-exchange" in perfect_headers(FIREFOX, own=False)["accept"]
    assert "signed-exchange" not in perfect_headers(FIREFOX)["accept"]
    assert "sec-fetch-user" in perfect_headers(SAFARI, own=False)


def test_the_judging_is_the_gateways_own() -> None:
    headers = {"user-agent": CHROME} | perfect_headers(CHROME)
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    signals = gather("GET", raw, "203.0.113.7", "https", TrustedProxies())
    assert judge(signals, now=AT).value is Standing.HUMAN


def test_method_scheme_and_times_are_taken_from_the_line(run: Run) -> None:
    human = {"ua": CHROME, "label": "human"}
    headers = {k: v for k, v in perfect_headers(CHROME).items() if k[:4] != "sec-"}
    assert report(run, [human | {"method": "HEAD"}])["people_refused"] == 1
    assert report(run, [human | {"sent_at": AT - 60}])["people_asked_to_press"] == 1
    assert report(run, [human | {"sent_at": AT - 86_400}])["people_asked_to_press"] == 0
    assert report(run, [human | {"headers": headers}])["people_asked_to_press"] == 1
    plain = human | {"headers": headers, "secure": False}
    assert report(run, [plain])["people_asked_to_press"] == 0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ('"curl"', "not an object"),
        ('{"label": "bot"}', "no ua"),
        ('{"ua": 7, "label": "bot"}', "ua is not a string"),
        ('{"ua": "x", "label": "robot"}', 'label is neither "bot" nor "human"'),
        ('{"ua": "x", "label": ["bot"]}', 'label is neither "bot" nor "human"'),
        ('{"ua": "x", "label": "bot", "headers": []}', "headers is not an object"),
        ('{"ua": "x", "label": "bot", "headers": {"a": 1}}', "a value in headers is not a string"),
        ('{"ua": "x", "label": "bot", "secure": 1}', "secure is not true or false"),
        ('{"ua": "x", "label": "bot", "at": true}', "at is not a number"),
    ],
)
def test_a_bad_line_is_named_and_skipped(run: Run, line: str, why: str) -> None:
    good = {"ua": "curl/8", "label": "bot"}
    status, out, err = run([good, "", line, good], "--json")
    assert (status, err) == (0, f"line 3: {why}\n")
    assert json.loads(out)["lines"] == {"bot": 2, "human": 0, "bad": 1, "repeated": 0}


def test_many_bad_lines_are_counted(run: Run) -> None:
    status, out, err = run(["{"] * 25)
    assert status == 1
    assert err.count("not JSON") == 20
    assert err.endswith("5 more bad lines\n")
    assert out.startswith("bots ")


def test_hostile_lines_are_judged_all_the_same(run: Run) -> None:
    lines = [
        {"ua": "\x00\ud800" * 9_000, "label": "bot", "method": "\n", "address": "junk"},
        {"ua": "İ Slack/1", "label": "bot", "headers": {"acc\xefpt": "\u2028", "": "x"}},
    ]
    assert report(run, lines, "--unique")["recall"] == 1


def test_the_user_agent_may_stand_in_the_headers(run: Run) -> None:
    assert report(run, [{"label": "bot", "headers": {"User-Agent": "curl/8"}}])["recall"] == 1


def test_gzip_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "visits"
    packed = gzip.compress(b'{"ua": "curl/8", "label": "bot"}\n' * 2)
    file.write_bytes(packed)
    assert main([str(file)]) == 0
    assert "bots                                     2\n" in capsys.readouterr().out
    file.write_bytes(packed[:-9])
    assert main([str(file)]) == 2
    assert "can't be read" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_misuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("can't be read") == 2


def test_it_runs_as_a_command_on_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.detection_report", "-", "--json"],
        input=gzip.compress(b'{"ua": "curl/8", "label": "bot"}'),
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["recall"] == 1
