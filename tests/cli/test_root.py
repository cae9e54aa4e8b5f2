"""The root command: help, version, where the configuration comes from, what errors look like."""

import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import linkgate as package
from linkgate.cli import app
from tests.cli.conftest import CONFIG, Invoke
from tests.cli.processes import command, run

COMMANDS = tuple(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_it_shows_its_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"linkgate {package.__version__}\n")


def test_it_lists_its_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert {"demo", "init", "serve", "doctor", "campaigns", "links", "reconcile"} <= {*COMMANDS}
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_on_the_list(name: str) -> None:
    listed = CliRunner().invoke(app, ["--help"]).stdout
    line = next(line for line in listed.splitlines() if line.startswith(f"  {name} "))
    assert line.endswith("."), line
    assert not line.endswith("..."), line


def test_help_waits_for_no_library() -> None:
    heavy = {"stripe", "litestar", "redis", "pydantic", "uvicorn", "user_agents", "aiohttp"}
    script = f"import sys, linkgate.cli; print(sorted({heavy!r} & set(sys.modules)))"
    done = run([sys.executable, "-c", script])
    assert done.stdout == "[]\n", done.stderr


def test_the_module_is_the_command(elsewhere: Path) -> None:
    done = run(command("campaigns", "list"))
    assert done.returncode == 2
    assert "signing.keys: is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_problem_of_the_configuration_is_told(elsewhere: Path) -> None:
    (elsewhere / "linkgate.toml").write_text('[server]\nport = "many"\n[stipe]\nx = 1\n')
    result = CliRunner().invoke(app, ["keys", "list"])
    assert result.exit_code == 2
    fields = {line.partition(":")[0] for line in result.stderr.splitlines()}
    assert fields >= {"server.port", "stipe", "server.public_url", "signing.keys", "stripe.api_key"}
    assert result.stdout == ""


def test_a_configuration_that_is_not_there_is_told(elsewhere: Path) -> None:
    result = CliRunner().invoke(app, ["--config", "nowhere.toml", "keys", "list"])
    assert result.exit_code == 2
    assert result.stderr.startswith("nowhere.toml: there is no such file")


def test_the_configuration_is_also_named_behind_the_command(
    config_file: Path, elsewhere: Path
) -> None:
    for words in (["--config", str(config_file)], [f"--config={config_file}"]):
        result = CliRunner().invoke(app, ["keys", "list", "--json", *words])
        assert (result.exit_code, json.loads(result.stdout)) == (0, {"keys": []})


def test_the_configuration_is_named_by_the_environment(config_file: Path, elsewhere: Path) -> None:
    result = CliRunner().invoke(app, ["keys", "list"], env={"LINKGATE_CONFIG": str(config_file)})
    assert result.exit_code == 0


def test_a_config_without_a_value_is_misuse(elsewhere: Path) -> None:
    result = CliRunner().invoke(app, ["keys", "list", "--config"])
    assert result.exit_code == 2


def test_words_after_two_dashes_are_no_options(linkgate: Invoke) -> None:
    result = linkgate("links", "create", "--", "spring", "--config")
    assert result.exit_code == 2
    assert "recipient" not in result.stderr
    assert "campaign" in result.stderr


def test_a_store_that_is_away_is_a_failure(tmp_path: Path, elsewhere: Path) -> None:
    file = tmp_path / "away.toml"
    file.write_text(CONFIG.format(store="redis://127.0.0.1:9/0"))
    result = CliRunner().invoke(app, ["--config", str(file), "campaigns", "list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("linkgate: the store could not")


@pytest.mark.parametrize("words", [["serve", "--port", "x"], ["nonsense"], ["keys", "--nonsense"]])
def test_wrong_words_are_misuse(words: list[str], linkgate: Invoke) -> None:
    assert linkgate(*words).exit_code == 2
