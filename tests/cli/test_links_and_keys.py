"""`linkgate links` and `linkgate keys`."""

import json
import re

import pytest
from redis import Redis

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
