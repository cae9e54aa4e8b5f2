"""`linkgate links` and `linkgate keys`."""

import json
import re

import msgspec
import pytest
from redis import Redis

from linkgate.decision import Action, Decision
from linkgate.detection import Authority, Evidence, Kind, Standing, conclude
from linkgate.payments import Session, SessionState
from linkgate.record import describe, reconsider
from linkgate.signals import Signals
from linkgate.store import keys
from tests.cli.conftest import Invoke
from tests.cli.test_campaigns import SPRING


@pytest.fixture
def spring(linkgate: Invoke) -> Invoke:
    """The command line, with a campaign in the store."""
    assert linkgate("campaigns", "create", *SPRING).exit_code == 0
    return linkgate


def test_a_link_s_url_stands_alone_on_standard_output(spring: Invoke, valkey_url: str) -> None:
    with Redis.from_url(valkey_url) as client:
        before = client.dbsize()
        result = spring("links", "create", "spring", "r-1001")
        assert client.dbsize() == before
    assert result.exit_code == 0
    assert re.fullmatch(r"https://go\.example\.com/l/[\w-]+\.[\w-]{43}\n", result.stdout)
    assert "good until" in result.stderr


def test_a_link_takes_what_the_api_takes(spring: Invoke) -> None:
    result = spring(
        *("links", "create", "spring", "r-1001", "--json", "--customer", "cus_abc"),
        *("--email", "someone@example.com", "--metadata", "order=7=7", "--metadata", "note="),
        *("--sent-at", "2026-05-01T08:00:00Z", "--expires-at", "2026-12-31T00:00:00Z"),
    )
    assert result.exit_code == 0, result.stderr
    issued = json.loads(result.stdout)
    assert issued["expires_at"] == "2026-12-31T00:00:00Z"
    assert issued["sent_at"] == "2026-05-01T08:00:00Z"


def test_a_link_s_reminder_is_shown(spring: Invoke, valkey_url: str) -> None:
    token = spring("links", "create", "spring", "r-1001").stdout.strip()
    link_id = json.loads(spring("links", "show", token, "--json").stdout)["id"]
    assert "reminder" not in spring("links", "show", token).stdout
    kept = {"reminded_at": "2208988800000", "reminder": "refused: 550 5.1.1"}
    with Redis.from_url(valkey_url) as client:
        client.hset(keys.link(link_id), mapping=kept)
    said = spring("links", "show", token).stdout
    assert re.search(r"^reminder +refused, 2040-01-01 00:00:00 UTC: 550 5\.1\.1$", said, re.M)


def test_every_wrong_field_of_a_link_is_named(spring: Invoke) -> None:
    result = spring(
        *("links", "create", "spring", "someone@example.com", "--customer", "x", "--email", "x"),
        *("--expires-at", "2020-01-01T00:00:00Z", "--metadata", "linkgate_link=x"),
    )
    assert result.exit_code == 2
    said = result.stderr
    assert all(f"{field}: " in said for field in ("recipient", "customer", "email"))
    assert "metadata.linkgate_link" in said


def test_metadata_needs_its_sign(spring: Invoke) -> None:
    result = spring("links", "create", "spring", "r-1", "--metadata", "order")
    assert result.exit_code == 2
    assert result.stderr.startswith("--metadata: 'order' has no =")


def test_a_link_of_no_campaign_is_refused(linkgate: Invoke) -> None:
    result = linkgate("links", "create", "none", "r-1")
    assert result.exit_code == 2
    assert result.stderr.startswith("campaign: ")


def test_a_link_is_shown_by_token_and_by_url(spring: Invoke) -> None:
    url = spring("links", "create", "spring", "r-1001").stdout.strip()
    for name in (url, url.rpartition("/")[2], f"{url}."):
        result = spring("links", "show", name, "--json")
        assert result.exit_code == 0, result.stderr
        picture = json.loads(result.stdout)
        assert (picture["state"], picture["recipient"]) == ("issued", "r-1001")
    text = spring("links", "show", url).stdout
    assert re.search(r"^state +issued$", text, re.MULTILINE)


PERSON = Evidence("navigation", Standing.HUMAN, "it came as browsers do")
ODD = Evidence("network-hosting", Standing.SUSPECT, "it came from a data centre")
OURS = Evidence("own:ours", Standing.HUMAN, "our own probe", None, Authority.OPERATOR)
BURST = Evidence("burst-address", Standing.SUSPECT, "three links at once")
DECOY = Evidence("decoy-address", Standing.AUTOMATED, "it opened the decoy", Kind.SCANNER)
MINT = Decision(Action.MINT, "a person")
AT = 1_777_622_400.0  # 2026-05-01T08:00:00Z


def visited(spring: Invoke, store: str, body: str, outcome: str = "") -> str:
    """A link with one visit, kept as the gateway keeps it; returns what `links show` says of it."""
    url = spring("links", "create", "spring", "r-1001").stdout.strip()
    link = json.loads(spring("links", "show", url, "--json").stdout)["id"]
    with Redis.from_url(store) as client:
        decision = "mint" if "a person" in body else "interstitial"
        client.lpush(keys.visits(link), f"{decision}\t{outcome}\t{body}")
    result = spring("links", "show", url)
    assert result.exit_code == 0, result.stderr
    return result.stdout.partition("\nvisit ")[2]


@pytest.mark.parametrize(("state", "words"), [("open", "open until"), ("expired", "expired, made")])
def test_only_an_open_session_is_open_until(
    spring: Invoke, valkey_url: str, state: str, words: str
) -> None:
    url = spring("links", "create", "spring", "r-1001").stdout.strip()
    link = json.loads(spring("links", "show", url, "--json").stdout)["id"]
    session = Session("cs_1", "", SessionState(state), 1, int(AT), int(AT) + 10**9)
    with Redis.from_url(valkey_url) as client:
        client.hset(keys.sessions(link), "cs_1", msgspec.json.encode(session))
        client.hset(keys.link(link), "campaign", "spring")
    told = spring("links", "show", url).stdout
    assert words in told
    assert ("open until" in told) == (state == "open")


def test_a_visit_is_shown_with_what_each_finding_points_to(spring: Invoke, valkey_url: str) -> None:
    # Law 8.
    body = describe("v1", Signals(), conclude([PERSON, OURS]), MINT, AT)
    assert visited(spring, valkey_url, body, "minted cs_test_1").splitlines() == [
        "2026-05-01 08:00:00 UTC, GET",
        "  human: mint (a person), minted cs_test_1",
        "  - navigation points to human: it came as browsers do [outranked]",
        "  - own:ours points to human: our own probe",
    ]


def test_a_machine_s_kind_is_told_once(spring: Invoke, valkey_url: str) -> None:
    page = Decision(Action.INTERSTITIAL, "automated (scanner)")
    told = visited(spring, valkey_url, describe("v1", Signals(), conclude([DECOY]), page, AT))
    assert told.splitlines()[1] == "  automated (scanner): interstitial"


def test_a_verdict_that_changed_is_shown_with_what_it_was(spring: Invoke, valkey_url: str) -> None:
    # Law 8: a machine that was sent on would be a riddle without the verdict of that time.
    kept = json.loads(describe("v1", Signals(), conclude([PERSON]), MINT, AT))
    for after, late in ((20, BURST), (61, DECOY)):
        kept = json.loads(json.dumps(reconsider(kept, late, AT + after, lambda _: True)))
    assert visited(spring, valkey_url, json.dumps(kept)).splitlines() == [
        "2026-05-01 08:00:00 UTC, GET",
        "  automated (scanner) now, human when it came: mint (a person)",
        "  human became suspect at 2026-05-01 08:00:20 UTC, by burst-address",
        "  suspect became automated (scanner) at 2026-05-01 08:01:01 UTC, by decoy-address",
        "  - decoy-address points to automated (scanner): it opened the decoy",
        "  - burst-address points to suspect: three links at once",
        "  - navigation points to human: it came as browsers do",
    ]


def test_what_the_shadow_says_is_shown_apart(spring: Invoke, valkey_url: str) -> None:
    shadow = conclude([PERSON, ODD])
    body = describe("v1", Signals(), conclude([PERSON]), MINT, AT, shadow=shadow)
    assert visited(spring, valkey_url, body).splitlines()[1:] == [
        "  human: mint (a person)",
        "  - navigation points to human: it came as browsers do",
        "  in shadow, without effect: suspect",
        "    - network-hosting points to suspect: it came from a data centre",
        "    - navigation points to human: it came as browsers do",
    ]


def test_no_visit_steers_the_terminal(spring: Invoke, valkey_url: str) -> None:
    hostile = Evidence("own:ours", Standing.SUSPECT, "says \x1b[2J\x9b31m\nvisit [red]x[/red]")
    body = describe("v1", Signals(method="G\x1b[2J"), conclude([hostile]), MINT, AT)
    shown = visited(spring, valkey_url, body, "busy: \x07")
    assert r"says \x1b[2J\x9b31m\nvisit [red]x[/red]" in shown
    assert shown.replace("\n", "").isprintable()


def test_what_is_no_link_is_told(spring: Invoke) -> None:
    result = spring("links", "show", "nonsense")
    assert result.exit_code == 1
    assert result.stderr.startswith("linkgate: ")


def test_a_link_is_revoked_for_good(spring: Invoke) -> None:
    url = spring("links", "create", "spring", "r-1001").stdout.strip()
    for _ in range(2):
        result = spring("links", "revoke", url)
        assert (result.exit_code, result.stdout.split()[-2:]) == (0, ["is", "revoked."])
    assert json.loads(spring("links", "show", url, "--json").stdout)["state"] == "revoked"
    assert spring("links", "create", "spring", "r-1001").exit_code == 1


def test_a_key_stands_alone_on_standard_output(linkgate: Invoke) -> None:
    result = linkgate("keys", "create", "--name", "ci", "--scope", "links:write")
    assert result.exit_code == 0
    assert re.fullmatch(r"lg_[a-z0-9]{12}_[\w-]{43}\n", result.stdout)
    assert "can't be shown again" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_keys_are_listed_without_their_secrets(linkgate: Invoke) -> None:
    words = ("--scope", "stats:read", "--scope", "links:write")
    key = linkgate("keys", "create", "--name", " ci ", *words).stdout.strip()
    listed = linkgate("keys", "list", "--json").stdout
    [shown] = json.loads(listed)["keys"]
    assert (shown["name"], shown["scopes"]) == ("ci", ["links:write", "stats:read"])
    assert shown["created_at"].endswith("Z")
    secret = key.split("_", 2)[2]
    assert secret not in listed + linkgate("keys", "list").stdout
    assert shown["id"] in linkgate("keys", "list").stdout


@pytest.mark.parametrize("whole", [True, False])
def test_a_key_is_revoked_by_its_id_or_as_a_whole(whole: bool, linkgate: Invoke) -> None:
    key = linkgate("keys", "create", "--name", "ci", "--scope", "admin").stdout.strip()
    name = key if whole else key.split("_")[1]
    assert linkgate("keys", "revoke", name).exit_code == 0
    assert json.loads(linkgate("keys", "list", "--json").stdout) == {"keys": []}
    again = linkgate("keys", "revoke", name)
    assert again.exit_code == 1
    # What was pasted by mistake must not end in a terminal's log as well.
    assert key not in again.stderr


def test_a_key_s_name_and_scope_are_checked_at_once(linkgate: Invoke) -> None:
    result = linkgate("keys", "create", "--name", " ", "--scope", "root")
    assert result.exit_code == 2
    assert "--scope: 'root' is no scope; there are links:write" in result.stderr
    assert "--name: must have" in result.stderr
