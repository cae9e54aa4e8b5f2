"""The section [outbound]: endpoints, what makes them valid, and that secrets stay secret."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from linkgate.config import load, parse
from linkgate.config.outbound import ENDPOINTS_MAX, TYPES
from linkgate.errors import ConfigError
from tests.outbound.receiving import secret

KEY = "k3y-with-enough-Random-looking-letters-0123456789"
ENOUGH: dict[str, dict[str, Any]] = {
    "server": {"public_url": "https://go.example.com"},
    "signing": {"keys": [KEY]},
    "stripe": {"api_key": "sk_test_abc"},
}
SHOP = {"name": "shop", "url": "https://shop.example.com/hooks?key=hush", "secrets": [secret()]}


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse({**ENOUGH, "outbound": {"endpoints": [{**SHOP, **changes}]}})
    assert secret() not in str(caught.value)
    prefix = "outbound.endpoints.0"
    return {p.field.removeprefix(prefix).lstrip("."): p.message for p in caught.value.problems}


def test_an_endpoint_wants_everything_unless_told_otherwise() -> None:
    [shop] = parse({**ENOUGH, "outbound": {"endpoints": [SHOP]}}).outbound.endpoints
    assert all(shop.wants(kind) for kind in TYPES)
    picky = {**SHOP, "events": ["payment.failed"]}
    [shop] = parse({**ENOUGH, "outbound": {"endpoints": [picky]}}).outbound.endpoints
    assert [kind for kind in TYPES if shop.wants(kind)] == ["payment.failed"]
    assert parse(ENOUGH).outbound.endpoints == ()


def test_nothing_secret_is_shown() -> None:
    shown = repr(parse({**ENOUGH, "outbound": {"endpoints": [SHOP]}}))
    assert "shop" in shown
    assert "hush" not in shown
    assert secret().removeprefix("whsec_") not in shown


def test_the_list_may_come_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    env = {
        "LINKGATE_SERVER__PUBLIC_URL": "https://go.example.com",
        "LINKGATE_SIGNING__KEYS": KEY,
        "LINKGATE_STRIPE__API_KEY": "sk_test_abc",
    }
    text = json.dumps([SHOP])
    (tmp_path / "endpoints").write_text(text)
    (tmp_path / "linkgate.toml").write_text("[outbound]\n")
    for more in (
        {"LINKGATE_OUTBOUND__ENDPOINTS": text},
        {"LINKGATE_OUTBOUND__ENDPOINTS_FILE": str(tmp_path / "endpoints")},
    ):
        [shop] = load(tmp_path / "linkgate.toml", {**env, **more}).outbound.endpoints
        assert shop.secrets[0].get_secret_value() == secret()


@pytest.mark.parametrize("name", ["", "Shop", "a.b", "-a", "a" * 41, "a b", "a/b"])
def test_names_are_plain(name: str) -> None:
    assert "small letters" in refused(name=name)["name"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://x.example", "full https URL"),
        ("shop.example.com", "full https URL"),
        ("https://", "full https URL"),
        ("http://x.example/", "only for this machine"),
        ("https://u:p@x.example/", "user name"),
        ("https://x.example/#a", "# part"),
        ("https://x.example/a b", "without spaces"),
        ("https://x.example\\@y.example/", "without spaces or backslashes"),
        ("https://münchen.example/", "ASCII"),
        ("https://x.example:0/", "full https URL"),
        ("https://x.example:99999/", "not a URL"),
    ],
)
def test_addresses_are_https(url: str, said: str) -> None:
    assert said in refused(url=url)["url"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost/", "https://10.0.0.1/", "https://[::1]/"]
)
def test_private_addresses_have_to_be_meant(url: str) -> None:
    assert "allow_private_network" in refused(url=url)[""]
    meant = {**SHOP, "url": url, "allow_private_network": True}
    assert parse({**ENOUGH, "outbound": {"endpoints": [meant]}}).outbound.endpoints


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("sk_test_abc", "must begin with whsec_"),
        ("whsec_...", "placeholder"),
        ("whsec_!" + "a" * 40, "not base64"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "has 23 bytes and needs 24 to 64"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "has 65 bytes"),
    ],
)
def test_secrets_are_as_the_standard_has_them(value: str, said: str) -> None:
    assert said in refused(secrets=[secret("z"), value])["secrets.1"]


def test_what_can_not_be_meant_is_refused() -> None:
    assert "is empty" in refused(secrets=[])["secrets"]
    assert "twice" in refused(secrets=[secret("z"), secret("z")])["secrets"]
    assert "did you mean payment.succeeded?" in refused(events=["payment.suceeded"])["events.0"]
    for endpoints, said in (
        ([SHOP, SHOP], 'two endpoints named "shop"'),
        ([{**SHOP, "name": f"s{n}"} for n in range(ENDPOINTS_MAX + 1)], "at most 20"),
    ):
        with pytest.raises(ConfigError, match=said):
            parse({**ENOUGH, "outbound": {"endpoints": endpoints}})
