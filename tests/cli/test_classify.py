"""`linkgate classify`: visits described by options, curl, HAR files and logs."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from linkgate.classifying import Circumstances, Unreadable, judge_described, read_curl, read_line
from linkgate.cli import app, reading
from linkgate.detection import RULES
from linkgate.detection.rules import Finding, HeaderRule, Ruleset, VisitRule
from linkgate.detection.verdict import Standing
from tests.cli.conftest import CONFIG
from tests.stack import BROWSER

CHROME = BROWSER["User-Agent"]
OLD_CHROME = CHROME.replace("156.", "72.")
LINE = '{address} - - [20/Nov/2026:11:00:00 +0000] "{request} HTTP/1.1" 200 5 "-" "{agent}"'


@pytest.fixture(autouse=True)
def nowhere(elsewhere: Path) -> None:
    """No configuration is at hand."""


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, ["classify", *arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result
    return result


def told(*arguments: str, stdin: str | bytes | None = None) -> Any:
    result = run("--json", *arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def one(*arguments: str) -> Any:
    [visit] = told(*arguments)["visits"]
    return visit


def browser() -> list[str]:
    return [word for name, value in BROWSER.items() for word in ("-H", f"{name}: {value}")]


def log_line(agent: str = CHROME, request: str = "GET /l/x", address: str = "192.0.2.7") -> str:
    return LINE.format(agent=agent, request=request, address=address)


def rules(visit: Any) -> set[str]:
    return {evidence["rule"] for evidence in visit["evidence"]}


# Options.


def test_a_tool_is_automated_under_every_policy() -> None:
    visit = one("--agent", "Barracuda Sentinel (EE)")
    assert (visit["verdict"], visit["kind"]) == ("automated", "scanner")
    assert {d["action"] for d in visit["decisions"].values()} == {"interstitial"}
    assert set(visit["decisions"]) == {"adaptive", "confirm", "direct"}
    found = next(e for e in visit["evidence"] if e["rule"] == "agent-scanner")
    assert (found["points_to"], found["authority"]) == ("automated", "rule")
    assert found["reason"]


def test_a_browser_is_a_person_and_each_policy_differs() -> None:
    visit = one(*browser())
    assert visit["verdict"] == "human"
    actions = {policy: d["action"] for policy, d in visit["decisions"].items()}
    assert actions == {"adaptive": "mint", "confirm": "interstitial", "direct": "mint"}


def test_headers_decide() -> None:
    assert one(*browser(), "-H", "Sec-Purpose: prefetch")["decisions"]["direct"]["action"] == (
        "refuse"
    )
    assert one(*browser(), "-X", "head")["verdict"] == "automated"
    assert one(*browser(), "--decoy")["kind"] == "scanner"


def test_the_scan_window_is_counted_from_the_sending() -> None:
    sent = ["--sent-at", "2026-05-01T08:00:00Z"]
    early = one(*browser(), *sent, "--at", "2026-05-01T08:00:40Z")
    late = one(*browser(), *sent, "--at", "2026-05-01T09:00:00Z")
    assert (early["verdict"], late["verdict"]) == ("suspect", "human")
    assert "scan-window" in rules(early)
    assert early["at"] == "2026-05-01T08:00:40.000+00:00"


def test_the_scan_window_can_be_a_campaigns() -> None:
    times = ["--sent-at", "2026-05-01T08:00:00Z", "--at", "2026-05-01T08:15:00Z"]
    assert one(*browser(), *times)["verdict"] == "human"
    assert one(*browser(), *times, "--scan-minutes", "20")["verdict"] == "suspect"
    soon = [*times[:3], "2026-05-01T08:05:00Z"]
    assert one(*browser(), *soon)["verdict"] == "suspect"
    assert one(*browser(), *soon, "--scan-minutes", "0")["verdict"] == "human"


def test_plain_http_asks_for_no_sec_fetch() -> None:
    words = ["-A", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"]
    words += ["-H", "Accept: text/html", "-H", "Accept-Language: en", "-H", "Accept-Encoding: gzip"]
    assert "fetch-metadata-missing" in rules(one(*words))
    assert "fetch-metadata-missing" not in rules(one(*words, "--http"))


def test_a_post_is_taken_for_a_press() -> None:
    visit = one(*browser(), "-X", "POST")
    assert visit["decisions"]["confirm"]["action"] == "mint"
    assert any("taken for the button's press" in note for note in visit["notes"])
    result = run(*browser(), "-X", "POST")
    assert (
        "adaptive, confirm and direct: a session, if the press was a person's: presses can't be "
        "described here.\n"
    ) in result.stdout
    assert "A POST is taken for the button's press" in result.stderr
    # Of what is no press, or mints nothing, it is not said.
    assert "if the press" not in run(*browser()).stdout + run("-A", "curl/8", "-X", "POST").stdout


def test_one_visit_is_shown_in_full() -> None:
    result = run("--agent", "curl/8.0")
    assert result.exit_code == 0
    assert result.stdout.startswith("automated (tool)\n")
    assert "agent-tool" in result.stdout
    assert "adaptive, confirm and direct: the page with the button" in result.stdout


def test_what_a_law_outranks_is_marked_and_decides_nothing() -> None:
    shown = run("-A", "", "-H", "Accept: */*", "-X", "HEAD").stdout
    assert "there is no user agent [outranked]" in shown
    assert "opens no page [outranked]" not in shown
    text = "\n".join(
        log_line(agent=agent, request=f"{method} /l/x")
        for agent, method in (("-", "HEAD"), ("curl/8.0", "GET"))
    )
    _, _, head, get, *_ = run("--log", "-", stdin=text).stdout.splitlines()
    assert head.split()[:6] == ["1", "HEAD", "192.0.2.7", "automated", "(tool)", "method"]
    assert "agent-tool" in get


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "classify: no visit is described"),
        (["-A", "x", "--scan-minutes", "5"], "--scan-minutes: counts from --sent-at"),
        (["-A", "x", "--at", "0001-01-01T00:00:00+14:00"], "--at: "),
        (["-A", "x", "-H", "junk"], "--header: 'junk' is no header"),
        (["-A", "x", "-H", "User-Agent: y"], "--agent: and a User-Agent header"),
        (["-A", "x", "-X", "GET /"], "--method: 'GET /' is no method"),
        (["-A", "x", "--address", "here"], "--address: 'here' is no IP address"),
        (["-A", "x", "--at", "noon"], "--at: 'noon' is no time with a zone"),
        (["-A", "x", "--sent-at", "2026-05-01T08:00:00"], "--sent-at: "),
        (["-A", "x", "--all"], "--all: goes with --har"),
        (["-A", "x", "--curl", "curl x"], "--agent: can't be added to what --curl describes"),
        (["--har", "x", "--log", "y"], "--log: and --har can't be given together"),
        (["--log", "x", "--at", "2026-05-01T08:00:00Z"], "--at: the times stand in the file"),
        (["--log", "nowhere.log"], "--log: nowhere.log can't be read: No such file"),
        (["--curl", "wget x"], "--curl: must begin with curl"),
        (["--curl", "curl 'https://x"], "--curl: ends within a quotation"),
        (["--curl", "curl --compressed"], "--curl: names no URL"),
        (["--curl", "curl ftp://x/"], "--curl: asks by ftp"),
    ],
)
def test_misuse_names_the_option(words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(message)


# curl.


def sent(command: str) -> dict[str, str]:
    described = read_curl(command)
    return {"": described.method} | {name.lower(): value for name, value in described.headers}


def test_curl_sends_its_own_headers() -> None:
    assert sent("curl go.example.com/l/x") == {
        "": "GET",
        "host": "go.example.com",
        "user-agent": "curl/8.16.0",
        "accept": "*/*",
    }
    assert one("--curl", "curl https://go.example.com/l/x")["kind"] == "tool"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-I", {"": "HEAD"}),
        ("-d a=b", {"": "POST", "content-type": "application/x-www-form-urlencoded"}),
        ("--data-raw $'a=\\u0021'", {"": "POST"}),
        ("-d a=b -G", {"": "GET"}),
        ("-XOPTIONS", {"": "OPTIONS"}),
        ("--json '{}'", {"accept": "application/json", "content-type": "application/json"}),
        ("-A me", {"user-agent": "me"}),
        ("-sSLkA me", {"user-agent": "me"}),
        ("-A one -H 'User-Agent: two'", {"user-agent": "two"}),
        ("-e https://mail.example.com/", {"referer": "https://mail.example.com/"}),
        ("-b 'a=b; c=d'", {"cookie": "a=b; c=d"}),
        ("--compressed", {"accept-encoding": "deflate, gzip, br, zstd"}),
        ("-H 'accept:  text/html '", {"accept": "text/html"}),
        ("-H 'X-Empty;'", {"x-empty": ""}),
        ("-o /dev/null -w '%{http_code}' --max-time 3", {"": "GET"}),
        ("-H $'x: it\\'s \\x41'", {"x": "it's A"}),
        ('-H "x: \\"a\\" \\$b \\n"', {"x": '"a" $b \\n'}),
        ("--frob", {"host": "go.example.com"}),
        ("--frob value", {"host": "go.example.com"}),
    ],
)
def test_curls_options(options: str, expected: dict[str, str]) -> None:
    for command in (
        f"curl https://go.example.com/l/x {options}",
        f"curl {options} -k \\\n 'https://go.example.com/l/x'",
    ):
        found = sent(command)
        assert {name: found.get(name) for name in expected} == expected


def test_curl_leaves_out_what_it_is_told_to() -> None:
    assert "accept" not in sent("curl https://go.example.com/ -H Accept:")
    assert "user-agent" not in sent("curl https://go.example.com/ -A ''")


def test_a_command_line_of_windows() -> None:
    command = (
        'curl ^"https://go.example.com/l/x?a=1^&b=2^" ^\r\n'
        '  -H ^"accept: text/html^" ^\r\n'
        '  -H ^"sec-ch-ua: ^\\^"Chromium^\\^";v=^\\^"156^\\^"^"'
    )
    found = sent(command)
    assert (found["accept"], found["sec-ch-ua"]) == ("text/html", '"Chromium";v="156"')
    assert read_curl(command).url == "https://go.example.com/l/x?a=1&b=2"


def test_a_browser_copied_as_curl_is_a_person() -> None:
    headers = " ".join(f"-H '{name}: {value}'" for name, value in BROWSER.items())
    command = f"curl 'https://go.example.com/l/x' {headers} -H ':authority: x' --compressed --new"
    result = run("--curl", command)
    assert result.stdout.startswith("human\n")
    assert "The option --new is not known" in result.stderr


def test_an_unreadable_url_is_told() -> None:
    with pytest.raises(Unreadable, match="can't be read"):
        read_curl("curl 'https://[/'")


# HAR.


def har(*entries: dict[str, Any]) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries)}})


def entry(headers: dict[str, str], url: str = "https://go.example.com/l/x", **more: Any) -> Any:
    listed = [{"name": name, "value": value} for name, value in headers.items()]
    request = {"method": "GET", "url": url, "headers": listed}
    return {"startedDateTime": "2026-05-01T08:00:40.000Z", "request": request, **more}


def test_a_har_is_judged_by_its_pages(tmp_path: Path) -> None:
    file = tmp_path / "visit.har"
    style = dict(BROWSER) | {"Sec-Fetch-Mode": "no-cors", "Accept": "text/css"}
    file.write_text(har(entry({":authority": "x", **BROWSER}), entry(style)))
    assert [visit["verdict"] for visit in told("--har", str(file))["visits"]] == ["human"]
    data = told("--har", str(file), "--all", "--sent-at", "2026-05-01T08:00:00Z")
    assert [visit["verdict"] for visit in data["visits"]] == ["suspect", "automated"]
    assert data["counts"] == {"human": 0, "suspect": 1, "automated": 1, "undecided": 0}
    assert (
        "2 visits: 1 suspect, 1 automated (tool)."
        in run("--har", str(file), "--all", "--sent-at", "2026-05-01T08:00:00Z").stdout
    )


def test_chromiums_word_on_what_opened_a_page_comes_first() -> None:
    text = har(entry(dict(BROWSER), _resourceType="document"), entry({}, _resourceType="image"))
    assert len(told("--har", "-", stdin=text)["visits"]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("junk", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "no log.entries"),
        ('{"log": {"entries": 3}}', "no log.entries"),
        (har(), "holds no request"),
        (har({"request": 3}, entry({"Accept": "image/png"})), "--all judges"),
        ("", "standard input is empty"),
        ("\0\1", "standard input is binary"),
    ],
)
def test_what_is_no_har(text: str, message: str) -> None:
    result = run("--har", "-", stdin=text)
    assert result.exit_code == 2
    assert result.stderr.startswith("--har: ")
    assert message in result.stderr


# Logs.


def test_a_log_is_judged_by_what_it_tells() -> None:
    text = "\n".join(
        [
            log_line(agent="curl/8.0"),
            log_line(request="HEAD /l/x", agent="-"),
            log_line(),
            "junk",
            log_line(agent=OLD_CHROME),
        ]
    )
    data = told("--log", "-", stdin=text)
    verdicts = [(v["verdict"], v["kind"], v["complete"]) for v in data["visits"]]
    assert verdicts == [
        ("automated", "tool", False),
        ("automated", "tool", False),
        (None, None, False),
        ("suspect", None, False),
    ]
    assert data["visits"][2]["decisions"] == {}
    assert data["skipped"]["lines"] == 1
    assert data["skipped"]["first"].startswith("line 4 ")
    assert data["visits"][0]["address"] == "192.0.2.7"
    shown = run("--log", "-", stdin=text)
    assert "4 visits: 2 automated (tool), 1 undecided, 1 suspect." in shown.stdout
    assert "only the rules that look at nothing else were asked" in shown.stdout
    assert "1 line was not read; the first: line 4 " in shown.stderr


def test_a_line_is_judged_at_its_own_time() -> None:
    text = log_line()
    early = told("--log", "-", "--sent-at", "2026-11-20T10:59:20Z", stdin=text)["visits"][0]
    late = told("--log", "-", "--sent-at", "2026-11-20T09:00:00Z", stdin=text)["visits"][0]
    assert rules(early) == {"scan-window"}
    assert late["verdict"] is None


@pytest.mark.parametrize(
    ("line", "method", "agent"),
    [
        ('::1 - - [20/Nov/2026:11:00:00 +0000] "GET / HTTP/1.1" 200 5', "GET", ""),
        ("go.example.com:443 " + log_line(agent="x"), "GET", "x"),
        (log_line(agent=r"a \"b\" \x22c\x22") + ' "192.0.2.9" 0.003', "GET", 'a "b" "c"'),
        (log_line(request=r"\x16\x03\x01"), "", CHROME),
        ('{"request": "HEAD /l/x HTTP/2.0", "http_user_agent": "x", "msec": "1.5"}', "HEAD", "x"),
        (
            '{"RequestMethod": "GET", "ClientHost": "192.0.2.7", "request_User-Agent": "x"}',
            "GET",
            "x",
        ),
        ('{"ts": 1.5, "request": {"method": "GET", "headers": {"User-Agent": ["x"]}}}', "GET", "x"),
    ],
)
def test_forms_of_a_line(line: str, method: str, agent: str) -> None:
    described = read_line(line)
    assert (described.method, described.header("user-agent")) == (method, agent)


@pytest.mark.parametrize("line", ["", "junk", "{", '{"a": 1}', '{"request": {"headers": 3}}'])
def test_what_is_no_line(line: str) -> None:
    with pytest.raises(Unreadable):
        read_line(line)


@pytest.mark.parametrize("at", ["1e300", "NaN", "-Infinity", "-1e12", "1" + "0" * 400, "true"])
def test_what_is_no_time_is_as_good_as_none(at: str) -> None:
    line = f'{{"http_user_agent": "curl/8.0", "msec": {at}}}'
    assert read_line(line).at is None
    assert told("--log", "-", stdin=line)["counts"]["automated"] == 1


def test_a_har_from_before_all_time_is_judged() -> None:
    text = har(entry(dict(BROWSER)) | {"startedDateTime": "0001-01-01T00:00:00+14:00"})
    assert told("--har", "-", stdin=text)["visits"][0]["verdict"] == "human"


ESCAPES = "\x1b[2J\x9b31m\u202e [red]x[/red]"
WRITTEN_OUT = r"\x1b[2J\x9b31m\u202e [red]x[/red]"


def described_with(agent: str) -> dict[str, tuple[list[str], str | None]]:
    """Every way to describe a visit with that user agent: arguments, and standard input."""
    line = json.dumps({"request_method": f"G{ESCAPES}", "http_user_agent": agent})
    pages = har(entry({"User-Agent": agent}), entry({"User-Agent": agent}))
    return {
        "option": (["-A", agent], None),
        "curl": (["--curl", f"curl 'https://x.example/{agent}' -H @{agent} --{agent}"], None),
        "no curl": (["--curl", f"curl 'gopher{agent}://x'"], None),
        "log": (["--log", "-"], f"{line}\n{line}\n{log_line(agent=agent)}"),
        "no log": (["--log", "-"], agent),
        "har": (["--har", "-", "--all"], pages),
        "no file": (["--har", f"no{agent}file"], None),
    }


@pytest.mark.parametrize("way", described_with(""))
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_no_description_steers_the_terminal(way: str, as_json: list[str]) -> None:
    words, stdin = described_with(f"Mozilla/5.0 {ESCAPES}")[way]
    result = run(*words, *as_json, stdin=stdin)
    said = result.stdout + result.stderr
    assert said.replace("\n", "").isprintable()
    assert "\x1b" not in said
    if way in {"log", "har"} and not as_json:
        assert WRITTEN_OUT in said


def test_half_a_character_spoils_nothing() -> None:
    # JSON can hold it, and no terminal's encoding has it.
    text = har(entry({"User-Agent": "a\ud800"}), entry({"User-Agent": "b\udfff"}))
    assert r"a\ud800" in run("--har", "-", "--all", stdin=text).stdout
    assert told("--har", "-", "--all", stdin=text)["visits"][0]["user_agent"] == "a\ud800"


def test_caddys_lines_hold_all_headers() -> None:
    headers = {name: [value] for name, value in BROWSER.items()}
    line = json.dumps({"ts": 1.5, "request": {"method": "GET", "headers": headers}})
    [visit] = told("--log", "-", stdin=line)["visits"]
    assert (visit["verdict"], visit["complete"]) == ("human", True)


def test_a_common_log_holds_nothing_against_a_missing_agent() -> None:
    line = '192.0.2.7 - - [20/Nov/2026:11:00:00 +0000] "GET / HTTP/1.1" 200 5'
    assert told("--log", "-", stdin=line)["visits"][0]["verdict"] is None


def test_a_rule_that_looks_at_what_was_not_logged_is_not_asked() -> None:
    """Whatever rule comes: what counts is what it looks at, not what it is called."""

    def by_language(shape: Any, agent: Any) -> Finding:
        return Finding(Standing.SUSPECT, f"{shape.accept_language}")

    def by_cookie(scene: Any) -> Finding:
        return Finding(Standing.SUSPECT, f"{scene.signals.cookie}")

    def by_address(scene: Any) -> Finding:
        return Finding(Standing.SUSPECT, f"{scene.signals.address}")

    own = Ruleset(
        [
            HeaderRule("language", by_language),
            VisitRule("cookie", by_cookie),
            VisitRule("address", by_address),
        ]
    )
    judged = judge_described(read_line(log_line()), Circumstances(now=0), own)
    assert judged.verdict
    assert [evidence.rule for evidence in judged.verdict.evidence] == ["address"]


def test_every_rule_can_be_asked_about_a_line() -> None:
    """No rule needs more of its input than a line's stand-in for it gives."""
    for agent in (CHROME, OLD_CHROME, "curl/8.0", "", "Mozilla/4.0 (compatible; MSIE 8.0)"):
        for method in ("GET", "POST", "HEAD"):
            described = read_line(log_line(agent=agent, request=f"{method} /l/x"))
            around = Circumstances(now=0, sent_at=0.0, decoy=True)
            judged = judge_described(described, around, RULES)
            assert judged.verdict
            assert judged.verdict.value is Standing.AUTOMATED


def test_input_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST_BYTES", 1000)
    result = run("--log", "-", stdin=log_line() * 10)
    assert result.exit_code == 2
    assert "is larger than" in result.stderr


def test_a_packed_log_is_told_how_to_unpack(tmp_path: Path) -> None:
    file = tmp_path / "access.log.gz"
    file.write_bytes(gzip.compress(log_line().encode()))
    result = run("--log", str(file))
    assert result.exit_code == 2
    assert "zcat" in result.stderr


def test_odd_bytes_and_long_lines_spoil_nothing() -> None:
    text = log_line(agent="caf\xe9 bot").encode("latin-1") + b"\n" + b"x" * 100_000
    data = told("--log", "-", stdin=text)
    assert [visit["verdict"] for visit in data["visits"]] == ["automated"]
    assert data["skipped"]["lines"] == 1


def test_a_long_log_is_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(log_line(agent="curl/8.0") for _ in range(250))
    shown = run("--log", "-", stdin=text).stdout
    assert "The first 200 of 250; --json prints all of them." in shown
    assert "250 visits: 250 automated (tool)." in shown
    assert len(told("--log", "-", stdin=text)["visits"]) == 250


# The configuration.

OWN_RULE = """
[detection]
scan_minutes = 1
rules_off = ["agent-spider"]
[[detection.rules]]
name = "our-monitor"
says = "automated"
agent = 'our-checker'
"""


def test_the_configurations_rules_are_in_force(elsewhere: Path) -> None:
    (elsewhere / "linkgate.toml").write_text(
        CONFIG.format(store="redis://127.0.0.1:9/0") + OWN_RULE
    )
    agent = ["-H", f"User-Agent: {CHROME} our-checker"]
    visit = one(*agent)
    assert ("own:our-monitor", "operator") in {
        (evidence["rule"], evidence["authority"]) for evidence in visit["evidence"]
    }
    assert told(*agent)["rules"] == "configuration"
    without = told(*agent, "--no-config")
    assert without["rules"] == "built-in"
    assert "own:our-monitor" not in rules(without["visits"][0])
    times = ["--sent-at", "2026-05-01T08:00:00Z", "--at", "2026-05-01T08:02:00Z"]
    assert "scan-window" not in rules(one(*agent, *times))
    assert "scan-window" in rules(one(*agent, *times, "--no-config"))


def test_own_rules_hold_for_a_log_only_by_what_it_tells(elsewhere: Path) -> None:
    by_header = (
        OWN_RULE
        + """
[[detection.rules]]
name = "no-language"
says = "automated"
header = 'accept-language: ^$'
"""
    )
    file = elsewhere / "linkgate.toml"
    file.write_text(CONFIG.format(store="redis://127.0.0.1:9/0") + by_header)
    text = log_line() + "\n" + log_line(agent="our-checker")
    plain, ours = told("--log", "-", stdin=text)["visits"]
    assert plain["verdict"] is None
    assert "own:our-monitor" in rules(ours)
    assert "own:no-language" not in rules(ours)
    assert "own:no-language" in rules(one("-A", CHROME))


def test_a_broken_configuration_is_told_with_the_way_round_it(elsewhere: Path) -> None:
    (elsewhere / "linkgate.toml").write_text("[server]\nport = 1\n")
    result = run("-A", "x")
    assert result.exit_code == 2
    assert "signing.keys: is missing" in result.stderr
    assert "--no-config: judges by linkgate's own rules" in result.stderr
    assert run("-A", "x", "--no-config").exit_code == 0


def test_variables_are_a_configuration_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINKGATE_SERVER__PORT", "1")
    assert run("-A", "x").exit_code == 2
