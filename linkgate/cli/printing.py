"""How commands print: tables and facts for people, JSON for scripts, notes on standard error.

Visitors, logs and gateways have a say in much of what is printed. What of it is no plain character
is written out, so that it can neither steer the terminal nor pass for a line of linkgate's own.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Of output that isn't a terminal's: wide enough that no ordinary row is broken.
PIPED_COLUMNS = 200


def console() -> Console:
    """Return where people's output goes: as wide as the terminal, plain and wide in a pipe."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=PIPED_COLUMNS)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns. Nothing is cut off: ids are there to copy."""
    grid = Table(*(), box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(visible(_cell(value))) for value in row))
    console().print(grid)


def facts(pairs: Mapping[str, object]) -> None:
    """Print one thing's fields, one a line, leaving out those that are not set."""
    known = {name: value for name, value in pairs.items() if value not in (None, "")}
    width = max(map(len, known), default=0)
    out = console()
    for name, value in known.items():
        out.print(Text(f"{name.ljust(width)}  {visible(_cell(value))}"), soft_wrap=True)


def line(text: str = "") -> None:
    """Print a line of text, and flush it for who waits for it through a pipe."""
    typer.echo(visible(text))


def item(text: str, indent: int) -> None:
    """Print a line; where a terminal is too narrow, it goes on below, indented, at a word's end."""
    out, plain = console(), visible(text)
    if not out.is_terminal:
        typer.echo(plain)
        return
    hanging = " " * indent
    # No word is broken: ids are there to copy.
    for part in wrap(
        plain,
        out.width,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        typer.echo(part)


def note(text: str = "") -> None:
    """Tell a person something that is not the command's result."""
    typer.echo(visible(text), err=True)


def as_json(value: Any) -> None:
    """Print `value` as JSON, which means the same with what is not plain escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    typer.echo("\n".join(_written_out(part, _json_escape) for part in text.split("\n")))


def visible(text: str) -> str:
    """Return `text` with everything but plain characters written out: an ESC as \\x1b.

    Not plain are controls (C0, and C1, which terminals heed too), line ends, marks that turn the
    direction of writing, lone surrogates, and whatever else Unicode calls no printable character.
    """
    return _written_out(text, _escape)


def _written_out(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else escape(sign) for sign in text)


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def _json_escape(sign: str) -> str:
    return json.dumps(sign)[1:-1]


def when(at: datetime | None) -> str:
    """Write a time in UTC, to the second."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return when(value)
    return "" if value is None else str(value)
