"""docs/cli.md describes every command and every option, and none that isn't there."""

import re
from collections.abc import Iterator
from pathlib import Path
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


PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
#: `linkgate` and what follows it on the line, and what is in backticks in a sentence.
IN_BLOCKS = re.compile(r"(?:^ *|\| |\$\()(linkgate [^#\n|)]*)", re.M)
IN_SENTENCES = re.compile(r"`(linkgate [^`]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_is_one(page: Path) -> None:
    text = page.read_text().replace("\\\n", " ")
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S)
    shown = [words for block in blocks for words in IN_BLOCKS.findall(block)]
    shown += IN_SENTENCES.findall(re.sub(r"\s+", " ", text))
    for words in map(str.split, shown):
        if "COMMAND" in words or words[1] == "listens":
            continue
        named = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert named <= known_options(words[1:]), words


def known_options(words: list[str]) -> set[str]:
    """The options of the command that `words` begin with, and of the root command."""
    root: Any = typer.main.get_command(app)
    while words[0] == "--config":
        words = words[2:]
    command = root
    for word in words:
        if not hasattr(command, "commands"):
            break
        if word in command.commands:
            command = command.commands[word]
            continue
        # What has commands below it takes no other words.
        assert word.startswith("-") or word == "...", words
        break
    parameters = [*root.params, *command.params]
    return {"--help"}.union(*(one.opts + one.secondary_opts for one in parameters))
