"""What is printed is plain, whoever had a say in it: a visitor, a log, a gateway."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from linkgate.cli import printing

#: Clears the screen, sets the title, C1's own CSI, turns the direction of writing, fakes a line.
HOSTILE = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202e\r\nlinkgate: all is well\x7f\ud800\t[red]z[/red]"
PLAIN = r"a\x1b[2J\x1b]0;title\x07\x9b31m\u202e\r\nlinkgate: all is well\x7f\ud800\t[red]z[/red]"
WAYS: dict[str, Callable[[str], None]] = {
    "line": printing.line,
    "note": printing.note,
    "item": lambda text: printing.item(text, 4),
    "table": lambda text: printing.table(("column",), [(text,)]),
    "facts": lambda text: printing.facts({"fact": text}),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_but_plain_characters_is_printed(
    way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    WAYS[way](HOSTILE)
    said = "".join(capsys.readouterr())
    assert PLAIN in said
    assert said.replace("\n", "").isprintable()


def test_at_a_terminal_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Console(force_terminal=True, width=300, color_system=None, record=True, highlight=False)
    monkeypatch.setattr(printing, "console", lambda: out)
    WAYS["table"](HOSTILE)
    WAYS["facts"](HOSTILE)
    assert out.export_text().count(PLAIN) == 2


def test_a_long_item_goes_on_below_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = Console(force_terminal=True, width=20)
    monkeypatch.setattr(printing, "console", lambda: narrow)
    printing.item(f"  - one two three four\x1b {'x' * 30} five", 4)
    assert capsys.readouterr().out.splitlines() == [
        "  - one two three",
        r"    four\x1b",
        f"    {'x' * 30}",
        "    five",
    ]


@pytest.mark.parametrize("text", ["caf\u00e9", "\u65e5\u672c\u8a9e", "\u0639\u0631\u0628\u064a"])
def test_writing_of_any_language_is_left_as_it_is(text: str) -> None:
    assert printing.visible(f"{text} \U0001f600") == f"{text} \U0001f600"


anything = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.dictionaries(anything, st.lists(anything | st.none()), max_size=3))
def test_json_says_the_same_in_plain_characters(
    value: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    printing.as_json(value)
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert json.loads(said) == value
