"""The configuration: sources, what is valid, how problems are told, and what is written out."""

import errno
import json
import os
import re
import runpy
import stat
import sys
import tomllib
import traceback
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from linkgate.config import Config, Stripe, document, example, load, parse, write_new
from linkgate.config.fields import About
from linkgate.config.sections import SECTIONS
from linkgate.errors import ConfigError
from linkgate.pages.brand import Brand as PageBrand

ROOT = Path(__file__).parent.parent
KEY = "k3y-with-enough-Random-looking-letters-0123456789"
OTHER_KEY = "0ther-k3y-with-enough-Random-looking-letters-98765"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20

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


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def with_settings(**settings: Any) -> dict[str, dict[str, Any]]:
    """What is required, and `section__key` on top."""
    values = {section: dict(keys) for section, keys in ENOUGH.items()}
    for name, value in settings.items():
        section, _, key = name.partition("__")
        values.setdefault(section, {})[key] = value
    return values


def problems_of(error: ConfigError) -> dict[str, str]:
    return {problem.field: problem.message for problem in error.problems}


def refused(**settings: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse(with_settings(**settings))
    return problems_of(caught.value)


def refused_env(env: dict[str, str], path: Path | None = None) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(path, env)
    return problems_of(caught.value)


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


TOML = f"""
[server]
public_url = "https://go.example.com"
port = 9000

[signing]
keys = ["{KEY}"]

[stripe]
api_key = "sk_test_abc"
"""


class TestSources:
    def test_the_environment_alone_is_enough(self) -> None:
        config = load(None, ENV)
        assert config.server.public_url == "https://go.example.com"
        assert [key.get_secret_value() for key in config.signing.keys] == [KEY]
        assert config.store.url == "embedded:./linkgate-data"

    def test_the_file_in_the_working_folder_is_read(self) -> None:
        write("linkgate.toml", TOML)
        assert load(None, {}).server.port == 9000

    def test_a_variable_names_another_file(self) -> None:
        write("linkgate.toml", TOML)
        write("other.toml", TOML.replace("9000", "9001"))
        assert load(None, {"LINKGATE_CONFIG": "other.toml"}).server.port == 9001

    def test_the_argument_wins_over_the_variable(self) -> None:
        write("a.toml", TOML)
        assert load(Path("a.toml"), {"LINKGATE_CONFIG": "missing.toml"}).server.port == 9000

    def test_the_environment_wins_over_the_file(self) -> None:
        path = write("a.toml", TOML)
        assert load(path, {"LINKGATE_SERVER__PORT": "9002"}).server.port == 9002

    def test_a_value_file_wins_over_the_file_and_loses_its_last_line_end(self) -> None:
        path = write("a.toml", TOML)
        write("secret", "sk_test_from_file\r\n")
        config = load(path, {"LINKGATE_STRIPE__API_KEY_FILE": "secret"})
        assert config.stripe.api_key.get_secret_value() == "sk_test_from_file"

    def test_a_value_file_may_hold_a_list_one_to_a_line(self) -> None:
        write("keys", f"{KEY}\n{OTHER_KEY}\n")
        env = {name: ENV[name] for name in ENV if "KEYS" not in name}
        config = load(None, {**env, "LINKGATE_SIGNING__KEYS_FILE": "keys"})
        assert [key.get_secret_value() for key in config.signing.keys] == [KEY, OTHER_KEY]

    @pytest.mark.parametrize(
        "text",
        ["10.0.0.0/8,192.168.1.1", '["10.0.0.0/8", "192.168.1.1"]', "10.0.0.0/8\n192.168.1.1"],
    )
    def test_a_list_is_json_or_parted_by_commas_or_lines(self, text: str) -> None:
        config = load(None, {**ENV, "LINKGATE_SERVER__TRUSTED_PROXIES": text})
        expected = (ip_network("10.0.0.0/8"), ip_network("192.168.1.1/32"))
        assert config.server.trusted_proxies == expected

    @pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False), ("no", False)])
    def test_a_switch_is_read_from_text(self, text: str, value: bool) -> None:
        config = load(None, {**ENV, "LINKGATE_SERVER__ALLOW_HTTP": text})
        assert config.server.allow_http is value

    def test_an_empty_variable_counts_as_unset(self) -> None:
        path = write("a.toml", TOML)
        env = {"LINKGATE_SERVER__PORT": "", "LINKGATE_STRIPE__API_KEY_FILE": ""}
        assert load(path, env).server.port == 9000

    def test_paths_in_a_file_are_relative_to_the_file(self, tmp_path: Path) -> None:
        path = write("etc/a.toml", TOML + '[brand]\nlogo = "l.png"\n[store]\nurl = "embedded:data"')
        (tmp_path / "etc/l.png").write_bytes(PNG)
        config = load(path, {})
        assert config.brand.logo == tmp_path / "etc/l.png"
        assert config.store.url == f"embedded:{tmp_path}/etc/data"

    def test_paths_in_the_environment_are_relative_to_the_working_folder(self) -> None:
        path = write("etc/a.toml", TOML)
        config = load(path, {"LINKGATE_STORE__URL": "embedded:data"})
        assert config.store.url == "embedded:data"

    def test_a_byte_order_mark_does_no_harm(self) -> None:
        path = Path("a.toml")
        path.write_bytes(b"\xef\xbb\xbf" + TOML.encode())
        assert load(path, {}).server.port == 9000

    def test_files_with_secrets_are_remembered(self) -> None:
        path = write("a.toml", TOML)
        write("whsec", "whsec_abc")
        write("name", "Example Shop")
        env = {
            "LINKGATE_STRIPE__WEBHOOK_SECRETS_FILE": "whsec",
            "LINKGATE_BRAND__NAME_FILE": "name",
        }
        assert load(path, env).secret_files == (path, Path("whsec"))

    def test_a_file_without_secrets_is_not_among_them(self) -> None:
        path = write("a.toml", "[server]\nport = 9000\n")
        assert load(path, ENV).secret_files == ()

    def test_a_store_password_counts_as_a_secret(self) -> None:
        path = write("a.toml", '[store]\nurl = "redis://:hunter2@127.0.0.1/0"\n')
        assert load(path, ENV).secret_files == (path,)


class TestSourceProblems:
    def test_a_named_file_that_is_missing(self) -> None:
        problems = refused_env({"LINKGATE_CONFIG": "nowhere.toml"})
        assert list(problems) == ["nowhere.toml"]
        assert "linkgate init" in problems["nowhere.toml"]

    def test_invalid_toml_is_told_by_line_and_column(self) -> None:
        path = write("a.toml", "[server]\npublic_url = https://go.example.com\n")
        assert "line 2, column 14" in refused_env({}, path)["a.toml"]

    def test_text_that_is_not_utf_8(self) -> None:
        Path("a.toml").write_bytes('[brand]\nname = "Käse"'.encode("latin-1"))
        assert "UTF-8" in refused_env({}, Path("a.toml"))["a.toml"]

    def test_a_folder_in_place_of_the_file(self) -> None:
        Path("a.toml").mkdir()
        assert "can't be read" in refused_env({}, Path("a.toml"))["a.toml"]

    def test_a_bad_file_does_not_hide_a_bad_variable(self) -> None:
        path = write("a.toml", "[server")
        assert set(refused_env({"LINKGATE_SERVR__PORT": "1"}, path)) == {
            "a.toml",
            "LINKGATE_SERVR__PORT",
        }

    def test_a_variable_and_a_file_for_the_same_setting(self) -> None:
        write("secret", "sk_test_from_file")
        problem = refused_env({**ENV, "LINKGATE_STRIPE__API_KEY_FILE": "secret"})["stripe.api_key"]
        assert "LINKGATE_STRIPE__API_KEY and LINKGATE_STRIPE__API_KEY_FILE" in problem

    @pytest.mark.parametrize(
        ("content", "expected"),
        [(None, "can't be read"), (b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "UTF-8")],
    )
    def test_a_value_file_that_holds_none(self, content: bytes | None, expected: str) -> None:
        if content is not None:
            Path("secret").write_bytes(content)
        env = {name: ENV[name] for name in ENV if "STRIPE" not in name}
        problems = refused_env({**env, "LINKGATE_STRIPE__API_KEY_FILE": "secret"})
        assert list(problems) == ["stripe.api_key"], "told once, and not as missing as well"
        assert expected in problems["stripe.api_key"]
        assert "LINKGATE_STRIPE__API_KEY_FILE" in problems["stripe.api_key"]

    def test_a_huge_value_file_is_refused(self) -> None:
        write("name", "x" * 70_000)
        assert (
            "too large" in refused_env({**ENV, "LINKGATE_BRAND__NAME_FILE": "name"})["brand.name"]
        )

    @pytest.mark.parametrize(
        ("variable", "hint"),
        [
            ("LINKGATE_STRIPE__APIKEY", "LINKGATE_STRIPE__API_KEY"),
            ("LINKGATE_STRPE__API_KEY", "LINKGATE_STRIPE__API_KEY"),
            ("LINKGATE_STRIPE__API_KEYS_FILE", "LINKGATE_STRIPE__API_KEY_FILE"),
            ("LINKGATE_SERVER__API_KEY", "LINKGATE_STRIPE__API_KEY"),
            ("LINKGATE_STRIPE_API_KEY", "two underscores"),
            ("LINKGATE_STRIPE_API_KEY_FILE", "LINKGATE_STRIPE__API_KEY_FILE"),
            ("LINKGATE_SERVER__ZZZZZZ", "public_url"),
            ("LINKGATE_ZZZZZZ__ZZZZZZ", "server, signing"),
        ],
    )
    def test_a_misspelt_variable_gets_a_hint(self, variable: str, hint: str) -> None:
        assert hint in refused_env({**ENV, variable: "sk_test_value"})[variable]

    def test_what_container_runtimes_put_there_is_left_alone(self) -> None:
        service = {
            "LINKGATE_PORT": "tcp://10.0.0.1:8080",
            "LINKGATE_SERVICE_HOST": "10.0.0.1",
            "LINKGATE_SERVER_PORT": "tcp://10.0.0.1:8080",
            "LINKGATE_PORT_8080_TCP_ADDR": "10.0.0.1",
        }
        assert load(None, {**ENV, **service}).server.port == 8080

    @pytest.mark.parametrize(
        ("toml", "field", "hint"),
        [
            ("[sevrer]\nport = 1", "sevrer", "[server]"),
            ("[zzzzzz]\nport = 1", "zzzzzz", "server, signing"),
            ("[server]\nprot = 1", "server.prot", "server.port"),
            ('[server]\napi_key = "x"', "server.api_key", "stripe.api_key"),
            ("port = 1", "port", "[server]"),
            ("server = 1", "server", "[server]"),
            ("zzzzzz = 1", "zzzzzz", "server, signing"),
            ("[[brand]]\nname = 'x'", "brand", "[brand]"),
        ],
    )
    def test_a_misplaced_name_in_the_file_gets_a_hint(
        self, toml: str, field: str, hint: str
    ) -> None:
        assert hint in refused_env(ENV, write("a.toml", toml))[field]

    def test_a_problem_names_the_variable_that_it_came_from(self) -> None:
        problem = refused_env({**ENV, "LINKGATE_SERVER__PORT": "http"})["server.port"]
        assert "LINKGATE_SERVER__PORT" in problem


class TestEverythingAtOnce:
    def test_nothing_set_tells_exactly_what_is_required(self) -> None:
        assert set(refused_env({})) == {"server.public_url", "signing.keys", "stripe.api_key"}

    def test_problems_of_all_sections_and_kinds_come_together(self) -> None:
        path = write(
            "a.toml",
            """
            [server]
            public_url = "http://shop.example.com"
            port = 70000
            [signing]
            keys = ["short"]
            [links]
            default_days = 500
            [log]
            level = "loud"
            unknown = 1
            """,
        )
        assert set(refused_env({"LINKGATE_BRAND__COLUR": "red"}, path)) == {
            "server.public_url",
            "server.port",
            "signing.keys.0",
            "stripe.api_key",
            "links.default_days",
            "log.level",
            "log.unknown",
            "LINKGATE_BRAND__COLUR",
        }

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("stripe__api_key", "pk_live_hunter2hunter2"),
            ("stripe__api_key", "hunter2 hunter2"),
            ("stripe__api_key", ["hunter2"]),
            ("stripe__api_key", {"hunter2": "hunter2"}),
            ("signing__keys", ["hunter2"]),
            ("signing__keys", "hunter2"),
            ("signing__keys", ["hunter2" * 10, "hunter2" * 10]),
            ("stripe__webhook_secrets", ["hunter2", "whsec_hunter2"]),
            ("stripe__webhook_secrets", ["whsec_hunter2", "whsec_hunter2"]),
            ("store__url", "http://user:hunter2@127.0.0.1"),
            ("server__public_url", "https://user:hunter2@go.example.com"),
            ("server__public_url", "https://hunter2@go.example.com:99999999"),
            ("stripe__api_base", "https://user:hunter2@api.stripe.com"),
        ],
    )
    def test_no_error_repeats_a_secret(self, setting: str, value: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            parse(with_settings(**{setting: value}))
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.problems)
        assert setting.replace("__", ".") in told
        # Names of settings and of unknown things inside them are fine; the value is not.
        assert "hunter2" not in told

    def test_even_a_section_by_itself_repeats_no_secret(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Stripe.model_validate({"api_key": "hunter2", "webhook_secrets": "hunter2"})
        assert "hunter2" not in str(caught.value)

    def test_a_section_knows_its_own_settings_alone_and_keeps_them(self) -> None:
        with pytest.raises(ValidationError):
            Stripe.model_validate({"api_key": "sk_test_abc", "apikey": "x"})
        with pytest.raises(ValidationError):
            parse(ENOUGH).stripe.api_base = "https://evil.example"

    def test_no_repr_shows_a_secret(self) -> None:
        config = parse(
            with_settings(
                stripe__webhook_secrets=["whsec_hunter2"],
                stripe__api_key="sk_test_hunter2",
                signing__keys=[KEY],
                store__url="redis://:hunter2@127.0.0.1/0",
            )
        )
        assert "hunter2" not in repr(config) + str(config)
        assert KEY not in repr(config) + str(config)


class TestServer:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("https://go.example.com", "https://go.example.com"),
            ("https://go.example.com/", "https://go.example.com"),
            (" https://GO.Example.com:443/ ", "https://go.example.com"),
            ("https://go.example.com:8443", "https://go.example.com:8443"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
            ("http://shop.localhost:8080", "http://shop.localhost:8080"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ],
    )
    def test_the_public_url_is_kept_as_a_browser_writes_an_origin(
        self, given: str, kept: str
    ) -> None:
        assert parse(with_settings(server__public_url=given)).server.public_url == kept

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ("", "full http or https URL"),
            ("go.example.com", "full http or https URL"),
            ("ftp://go.example.com", "full http or https URL"),
            ("javascript:alert(1)", "full http or https URL"),
            ("https://", "full http or https URL"),
            ("https://go.example.com/links", "path"),
            ("https://go.example.com?x=1", "? or #"),
            ("https://go.example.com#x", "? or #"),
            ("https://user@go.example.com", "user name"),
            ("https://go.example.com:99999", "not a URL"),
            ("https://go.example.com:0", "full http or https URL"),
            ("https://[::1", "not a URL"),
            ("https://go example.com", "host name"),
            ("https://go..example.com", "host name"),
            ("https://bücher.example", "xn--bcher-kva.example"),
            ("http://go.example.com", "https"),
            ("http://127.0.0.1.example.com", "https"),
            ("http://notlocalhost", "https"),
            ("http://10.0.0.5:8080", "server.allow_http"),
            (8080, "text"),
        ],
    )
    def test_other_public_urls_are_refused(self, given: Any, told: str) -> None:
        assert told in refused(server__public_url=given)["server.public_url"]

    def test_http_can_be_allowed_for_a_closed_network(self) -> None:
        values = with_settings(server__public_url="http://10.0.0.5:8080", server__allow_http=True)
        assert parse(values).server.public_url == "http://10.0.0.5:8080"

    @pytest.mark.parametrize("url", ["http://10.0.0.5:8080", "http://localhost:8080"])
    def test_a_live_key_needs_https_even_then(self, url: str) -> None:
        problems = refused(
            server__public_url=url, server__allow_http=True, stripe__api_key="rk_live_abc"
        )
        assert "live key" in problems["server.public_url"]

    @pytest.mark.parametrize(
        ("setting", "value", "told"),
        [
            ("port", 65536, "at most 65535"),
            ("port", -1, "at least 0"),
            ("port", True, "not true or false"),
            ("port", 1.5, "whole number"),
            ("port", "http", "whole number"),
            ("workers", 0, "at least 1"),
            ("host", "", "empty"),
            ("allow_http", "maybe", "true or false"),
            ("max_body_bytes", 100, "at least 16384"),
            ("trusted_proxies", "10.0.0.0/8", "list"),
        ],
    )
    def test_values_out_of_range_are_refused(self, setting: str, value: Any, told: str) -> None:
        assert told in refused(**{f"server__{setting}": value})[f"server.{setting}"]

    @pytest.mark.parametrize("given", ["0.0.0.0/0", "::/0", "1.2.3.4/0"])
    def test_trusting_everyone_as_a_proxy_is_refused(self, given: str) -> None:
        problems = refused(server__trusted_proxies=["10.0.0.1", given])
        assert "whole internet" in problems["server.trusted_proxies.1"]

    @pytest.mark.parametrize("given", ["*", "proxy.example.com", 10, "10.0.0.0/33"])
    def test_a_proxy_is_an_address_or_a_range(self, given: Any) -> None:
        assert "10.0.0.0/8" in refused(server__trusted_proxies=[given])["server.trusted_proxies.0"]


class TestSecrets:
    @pytest.mark.parametrize(
        ("keys", "field", "told"),
        [
            ([], "signing.keys", "linkgate init"),
            (["short"], "signing.keys.0", "5 characters and needs 32"),
            ([KEY, "changeme" * 8], "signing.keys.1", "guessed"),
            ([KEY, OTHER_KEY, KEY], "signing.keys", "twice"),
            ([KEY + " "], "signing.keys.0", "white space"),
            (KEY, "signing.keys", "list"),
            ([1], "signing.keys.0", "text"),
        ],
    )
    def test_weak_signing_keys_are_refused(self, keys: Any, field: str, told: str) -> None:
        assert told in refused(signing__keys=keys)[field]

    @pytest.mark.parametrize("key", ["sk_test_a", "sk_live_a", "rk_test_a", "rk_live_a"])
    def test_secret_and_restricted_keys_are_accepted(self, key: str) -> None:
        stripe = parse(with_settings(stripe__api_key=key)).stripe
        assert stripe.api_key.get_secret_value() == key
        assert stripe.is_live is ("live" in key)

    @pytest.mark.parametrize(
        ("key", "told"),
        [
            ("pk_test_abc", "publishable"),
            ("whsec_abc", "stripe.webhook_secrets"),
            ("sk_test_...", "placeholder"),
            ("sk_abc", "sk_test_"),
            ('"sk_test_abc"', "quotes"),
            ("sk_test_abc\nX-Header: 1", "spaces"),
            ("sk_test_", "sk_test_"),
        ],
    )
    def test_other_keys_are_refused_with_the_mend(self, key: str, told: str) -> None:
        assert told in refused(stripe__api_key=key)["stripe.api_key"]

    @pytest.mark.parametrize(
        ("secret", "told"),
        [
            ("sk_test_abc", "API key"),
            ("whsec_...", "placeholder"),
            ("abc", "whsec_"),
            ("whsec_a b", "spaces"),
        ],
    )
    def test_webhook_secrets_are_checked(self, secret: str, told: str) -> None:
        problems = refused(stripe__webhook_secrets=["whsec_abc", secret])
        assert told in problems["stripe.webhook_secrets.1"]


class TestStripe:
    def test_the_sandbox_may_be_reached_over_http_on_this_machine(self) -> None:
        stripe = parse(with_settings(stripe__api_base="http://127.0.0.1:12111/")).stripe
        assert stripe.api_base == "http://127.0.0.1:12111"

    def test_http_to_elsewhere_would_show_the_key(self) -> None:
        assert "https" in refused(stripe__api_base="http://stripe.internal")["stripe.api_base"]

    @pytest.mark.parametrize(
        "base", ["https://evil.example", "https://notstripe.com", "http://127.0.0.1:1"]
    )
    def test_a_live_key_goes_to_stripe_alone(self, base: str) -> None:
        problems = refused(stripe__api_base=base, stripe__api_key="sk_live_abc")
        assert "live key" in problems["stripe.api_base"]

    @pytest.mark.parametrize(
        ("setting", "value", "told"),
        [
            ("api_version", "latest", "2025-03-31.basil"),
            ("timeout_seconds", 0, "at least 0.1"),
            ("timeout_seconds", float("nan"), "finite"),
            ("timeout_seconds", 11, "stripe.person_deadline_seconds, which is 8"),
            ("person_deadline_seconds", float("inf"), "finite"),
            ("timeout_seconds", "soon", "a number"),
        ],
    )
    def test_other_values_are_refused(self, setting: str, value: Any, told: str) -> None:
        assert told in refused(**{f"stripe__{setting}": value})[f"stripe.{setting}"]


class TestStoreAndLinks:
    @pytest.mark.parametrize(
        "url",
        [
            "embedded:/var/lib/linkgate",
            "redis://127.0.0.1:6379/0",
            "rediss://:pw@store.example.com/0",
            "unix:///run/valkey.sock",
            "redis+cluster://a:1,b:2,c:3",
            "rediss+cluster://a:1",
        ],
    )
    def test_every_way_to_run_the_store_is_accepted(self, url: str) -> None:
        assert parse(with_settings(store__url=url)).store.url == url

    @pytest.mark.parametrize(
        ("url", "told"),
        [
            ("", "must begin with"),
            ("localhost:6379", "must begin with"),
            ("postgres://x", "must begin with"),
            ("embedded:", "folder"),
            ("embedded://data", "folder"),
            ("redis:127.0.0.1", "//"),
            ("redis://", "//"),
        ],
    )
    def test_other_store_urls_are_refused(self, url: str, told: str) -> None:
        assert told in refused(store__url=url)["store.url"]

    def test_a_default_beyond_the_maximum_is_refused(self) -> None:
        problems = refused(links__default_days=100, links__max_days=99)
        assert "links.max_days, which is 99" in problems["links.default_days"]

    def test_cookies_cannot_outlast_what_browsers_allow(self) -> None:
        assert "at most 400" in refused(links__device_days=401)["links.device_days"]


class TestBrand:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("l.png", PNG),
            ("l.PNG", PNG),
            ("l.jpg", b"\xff\xd8\xff\xe0"),
            ("l.webp", b"RIFF\x00\x00\x00\x00WEBP"),
            ("l.svg", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
        ],
    )
    def test_a_logo_is_a_small_picture(self, name: str, content: bytes) -> None:
        Path(name).write_bytes(content)
        assert parse(with_settings(brand__logo=name)).brand.logo == Path(name)

    @pytest.mark.parametrize(
        ("name", "content", "told"),
        [
            ("l.gif", b"GIF89a", ".png"),
            ("l", PNG, ".png"),
            ("l.png", None, "can't be read"),
            ("l.png", PNG + b"\0" * 100_000, "100 kB"),
            ("l.png", b"<svg/>", "format of its name"),
            ("l.svg", PNG, "format of its name"),
            ("l.webp", b"RIFF\x00\x00\x00\x00WAVE", "format of its name"),
        ],
    )
    def test_other_logos_are_refused(self, name: str, content: bytes | None, told: str) -> None:
        if content is not None:
            Path(name).write_bytes(content)
        assert told in refused(brand__logo=name)["brand.logo"]

    def test_a_folder_is_no_logo(self) -> None:
        Path("l.png").mkdir()
        assert "can't be read" in refused(brand__logo="l.png")["brand.logo"]

    @pytest.mark.parametrize(
        "contact", ["help@example.com", "https://example.com/help?a=1", "https://example.com"]
    )
    def test_a_contact_is_one_that_the_pages_can_show(self, contact: str) -> None:
        kept = parse(with_settings(brand__contact=f" {contact} ")).brand.contact
        assert kept == contact
        PageBrand(name="Example", colour="#1f5eff", contact=kept)

    @pytest.mark.parametrize(
        "contact",
        [
            "help",
            "http://example.com",
            "javascript:alert(1)",
            "https://",
            "https://[",
            "a@b",
            "a@b.c?cc=x@y.z",
            "https://user@example.com",
            'https://example.com/"x',
            "a b@c.d",
        ],
    )
    def test_other_contacts_are_refused(self, contact: str) -> None:
        assert "e-mail address" in refused(brand__contact=contact)["brand.contact"]

    @pytest.mark.parametrize("colour", ["red", "#fff", "#12345g", "#123456;x:y", "url(#123456)"])
    def test_only_a_plain_colour_reaches_the_style_sheet(self, colour: str) -> None:
        assert "#1f5eff" in refused(brand__colour=colour)["brand.colour"]

    def test_a_colour_is_kept_in_lower_case(self) -> None:
        assert parse(with_settings(brand__colour="#ABCDEF")).brand.colour == "#abcdef"

    @pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\u202eb", "x" * 81])
    def test_a_name_is_one_visible_line(self, name: str) -> None:
        assert "brand.name" in refused(brand__name=name)

    def test_without_a_name_the_host_stands_in(self) -> None:
        assert parse(ENOUGH).brand_name == "go.example.com"
        assert parse(with_settings(brand__name=" Example Shop ")).brand_name == "Example Shop"


class TestLog:
    def test_a_level_may_be_in_capitals(self) -> None:
        assert parse(with_settings(log__level="WARNING")).log.level == "warning"

    def test_a_format_is_one_of_two(self) -> None:
        assert "'text' or 'json'" in refused(log__format="xml")["log.format"]


class TestWriteNew:
    def test_it_lacks_nothing_but_the_stripe_key(self, tmp_path: Path) -> None:
        path = tmp_path / "linkgate.toml"
        write_new(path, "https://go.example.com")
        assert set(refused_env({}, path)) == {"stripe.api_key"}
        config = load(path, {"LINKGATE_STRIPE__API_KEY": "sk_test_abc"})
        keys = tomllib.loads(path.read_text())["signing"]["keys"]
        assert config.model_dump() == parse(with_settings(signing__keys=keys)).model_dump()

    def test_only_its_owner_can_read_it(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            write_new(tmp_path / "a.toml", "https://go.example.com")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "a.toml").stat().st_mode) == 0o600

    def test_every_file_gets_its_own_key(self, tmp_path: Path) -> None:
        keys = []
        for name in ("a.toml", "b.toml"):
            write_new(tmp_path / name, "https://go.example.com")
            keys += tomllib.loads((tmp_path / name).read_text())["signing"]["keys"]
        assert len(set(keys)) == 2
        assert all(len(key) >= 43 for key in keys)

    def test_it_never_overwrites(self, tmp_path: Path) -> None:
        path = write("a.toml", "precious")
        with pytest.raises(ConfigError, match="exists already"):
            write_new(path, "https://go.example.com")
        assert path.read_text() == "precious"

    def test_it_does_not_write_through_a_dangling_link(self) -> None:
        Path("a.toml").symlink_to("elsewhere.toml")
        with pytest.raises(ConfigError, match="exists already"):
            write_new(Path("a.toml"), "https://go.example.com")
        assert not Path("elsewhere.toml").exists()

    def test_a_missing_folder_is_told(self) -> None:
        with pytest.raises(ConfigError, match="can't be written"):
            write_new(Path("no/such/a.toml"), "https://go.example.com")

    def test_half_a_file_is_not_left_behind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(handle: int, *_: Any, **__: Any) -> None:
            os.close(handle)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fdopen", full)
        with pytest.raises(ConfigError, match="No space left"):
            write_new(Path("a.toml"), "https://go.example.com")
        assert not Path("a.toml").exists()

    def test_what_would_not_load_is_not_written(self) -> None:
        with pytest.raises(ConfigError) as caught:
            write_new(Path("a.toml"), "http://go.example.com", {"brand.colour": "red"})
        assert set(problems_of(caught.value)) == {"server.public_url", "brand.colour"}
        assert not Path("a.toml").exists()

    def test_a_wrong_stripe_key_is_not_taken_for_a_missing_one(self) -> None:
        with pytest.raises(ConfigError, match="publishable"):
            write_new(Path("a.toml"), "https://go.example.com", {"stripe.api_key": "pk_test_a"})

    def test_further_settings_are_written_safely(self) -> None:
        name = 'O\'Brien "& Söhne" \\ [x]'
        values: dict[str, str | int] = {
            "brand.name": name,
            "stripe.api_key": "sk_test_a",
            "server.port": 9000,
        }
        write_new(Path("a.toml"), "https://go.example.com", {**values})
        config = load(Path("a.toml"), {})
        assert config.brand.name == name
        assert config.server.port == 9000


class TestInWriting:
    def test_the_reference_is_up_to_date(self) -> None:
        written = (ROOT / "docs/configuration.md").read_text()
        assert written == document(), "run: python -m linkgate.config > docs/configuration.md"

    def test_the_example_is_up_to_date(self) -> None:
        written = (ROOT / "config.example.toml").read_text()
        assert written == example(), (
            "run: python -m linkgate.config --example > config.example.toml"
        )

    def test_the_example_is_what_init_writes_but_for_the_key(self) -> None:
        write_new(Path("a.toml"), "https://go.example.com")
        without_key = re.sub(
            r'(?m)^keys = \[".{43}"\]$', '#keys = ["..."]', Path("a.toml").read_text()
        )
        assert without_key == example()

    def test_the_example_lacks_only_the_secrets(self) -> None:
        path = write("a.toml", example())
        assert set(refused_env({}, path)) == {"signing.keys", "stripe.api_key"}

    def test_every_commented_setting_of_the_example_is_one(self, tmp_path: Path) -> None:
        (tmp_path / "logo.svg").write_text("<svg/>")
        (tmp_path / "GeoLite2-ASN.mmdb").write_bytes(b"\xab\xcd\xefMaxMind.com")
        trustme.CA().cert_pem.write_to_path(tmp_path / "mail-ca.pem")
        text = re.sub(r"(?m)^#(?=[a-z[])", "", example())
        text = text.replace("whsec_...", "whsec_" + "A" * 43)
        text = text.replace('"..."', json.dumps(KEY)).replace("_...", "_abc")
        path = write("a.toml", text)
        config = load(path, {})
        assert config.brand.name == "Example Shop"
        assert [rule.name for rule in config.detection.own_rules] == ["office-scanner"]
        assert config.detection.in_shadow is not None

    def test_every_setting_is_documented_for_people(self) -> None:
        text = document()
        for name, model in SECTIONS.items():
            section = text.partition(f"## [{name}]")[2].partition("\n## ")[0]
            assert (model.__doc__ or "").split()[0] in section
            for key, info in model.model_fields.items():
                assert f"| `{key}` |" in section
                assert len(info.description or "") > 30, f"{name}.{key}"
                assert any(isinstance(note, About) for note in info.metadata), f"{name}.{key}"
                assert "|" not in (info.description or ""), "would break the table"

    def test_no_setting_is_named_like_a_value_file(self) -> None:
        assert not [
            k for model in SECTIONS.values() for k in model.model_fields if k.endswith("_file")
        ]

    def test_sections_are_named_like_their_models(self) -> None:
        assert {name: model.__name__.lower() for name, model in SECTIONS.items()} == {
            name: name for name in Config.model_fields
        }

    @pytest.mark.parametrize(("arguments", "expected"), [([], document), (["--example"], example)])
    def test_the_module_prints_them(
        self,
        arguments: list[str],
        expected: Any,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["linkgate.config", *arguments])
        runpy.run_module("linkgate.config", run_name="__main__")
        assert capsys.readouterr().out == expected()
