"""`linkgate init`, `doctor` and `sandbox`'s options."""

import json
import re
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from linkgate.cli import app
from linkgate.config import load
from linkgate.errors import ConfigError


def test_init_writes_a_private_configuration_with_a_key(elsewhere: Path) -> None:
    result = CliRunner().invoke(app, ["init", "--public-url", "https://go.example.com/"])
    assert result.exit_code == 0
    file = elsewhere / "linkgate.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "linkgate doctor" in result.stdout
    assert "linkgate webhooks install" in result.stdout
    assert "https://go.example.com/webhooks/stripe" in result.stdout
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert [problem.field for problem in caught.value.problems] == ["stripe.api_key"]
    config = load(file, {"LINKGATE_STRIPE__API_KEY": "sk_test_abc"})
    assert config.server.public_url == "https://go.example.com"
    assert config.signing.keys[0].get_secret_value() not in result.stdout


def test_init_writes_where_it_is_told(elsewhere: Path) -> None:
    result = CliRunner().invoke(app, ["init", "--config", "other.toml"])
    assert result.exit_code == 0
    assert (elsewhere / "other.toml").exists()
    assert "linkgate --config other.toml serve" in result.stdout


def test_init_says_how_events_get_to_this_machine(elsewhere: Path) -> None:
    result = CliRunner().invoke(app, ["init"])
    assert "stripe listen --forward-to http://localhost:8080/webhooks/stripe" in result.stdout
    assert "webhooks install" not in result.stdout


def test_init_overwrites_nothing(elsewhere: Path) -> None:
    (elsewhere / "linkgate.toml").write_text("precious")
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 2
    assert result.stderr.startswith("linkgate.toml: exists already")
    assert (elsewhere / "linkgate.toml").read_text() == "precious"


def test_init_refuses_an_address_that_would_not_load(elsewhere: Path) -> None:
    result = CliRunner().invoke(app, ["init", "--public-url", "go.example.com"])
    assert result.exit_code == 2
    assert result.stderr.startswith("server.public_url: ")
    assert not (elsewhere / "linkgate.toml").exists()


def test_doctor_tells_problems_with_their_mends(config_file: Path, elsewhere: Path) -> None:
    # Nothing listens where the configuration says that Stripe is.
    config_file.write_text(config_file.read_text().replace("go.example.com", "localhost:9"))
    config_file.write_text(config_file.read_text().replace("https:", "http:"))
    result = CliRunner().invoke(app, ["--config", str(config_file), "doctor"])
    assert result.exit_code == 1
    # In columns, as wide as the longest word in them.
    problem = (
        r"^(PROBLEM  stripe +)http://127\.0\.0\.1:9 can't be reached.*\n( +)-> check the network"
    )
    found = re.search(problem, result.stdout, re.MULTILINE)
    assert found, result.stdout
    assert len(found[1]) == len(found[2])
    assert "ok       store" in result.stdout
    as_json = CliRunner().invoke(app, ["--config", str(config_file), "doctor", "--json"])
    assert as_json.exit_code == 1
    levels = {finding["level"] for finding in json.loads(as_json.stdout)["findings"]}
    assert levels >= {"ok", "problem"}


def test_doctor_without_a_configuration_is_misuse(elsewhere: Path) -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 2
    assert "server.public_url: is missing" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--api-key", "sk_live_x"], "--api-key: must start with sk_test_"),
        (["--webhook", "localhost/x"], "--webhook: must be a full"),
        (["--public-url", "ftp://x"], "--public-url: must be a full"),
        (["--webhook-secret", "whsec_x"], "--webhook: is missing"),
        (
            ["--webhook", "http://localhost/", "--webhook-secret", "x"],
            "--webhook-secret: must start with whsec_",
        ),
    ],
)
def test_the_sandbox_refuses_what_it_can_t_use(words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["sandbox", *words])
    assert result.exit_code == 2
    assert result.stderr.startswith(said)
