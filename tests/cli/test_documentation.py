"""docs/cli.md describes every command and every option, and none that isn't there."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from linkgate.cli import app
from tests.cli.processes import ROOT

TEXT = (ROOT / "docs" / "cli.md").read_text()
SECTIONS = dict(re.findall(r"^## (linkgate .*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    if command.invoke_without_command:
        yield name, command
    for word, child in inner.items():
        yield from walk(child, f"{name} {word}")


COMMANDS = dict(walk(typer.main.get_command(app), "linkgate"))


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described(name: str) -> None:
    options = {
        option
        for parameter in COMMANDS[name].params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--") and option != "--help"
    }
    described = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", SECTIONS[name]))
    # The page also shows options of the root command and of other programs.
    assert options <= described
    assert described - options <= {"--config"}
