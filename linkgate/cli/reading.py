"""What `linkgate classify` is given: files and standard input, bounded, and read as what they are
said to be.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from linkgate.classifying import Described, Unreadable, read_curl, read_har, read_line
from linkgate.errors import Invalid, Problem

T = TypeVar("T")

#: Of a file or of standard input; a quarter of a million lines of a log.
LARGEST_BYTES = 64 * 1024 * 1024
LONGEST_LINE = 65_536

_COMPRESSED = {b"\x1f\x8b": "zcat", b"BZh": "bzcat", b"\xfd7zXZ": "xzcat", b"(\xb5/\xfd": "zstdcat"}


@dataclass(frozen=True, slots=True)
class Options:
    """The options that describe visits; None or empty where one wasn't given."""

    agent: str | None
    headers: tuple[str, ...]
    method: str | None
    curl: str | None
    har: str | None
    log: str | None
    every: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """Lines of a log that could not be read: how many, and why the first one."""

    lines: int = 0
    first: str = ""


def read(options: Options) -> tuple[list[Described], Skipped]:
    """Return the visits that the options describe. Raises Invalid, naming the option."""
    if options.curl is not None:
        text = options.curl
        return [_named("--curl", lambda: read_curl(text))], Skipped()
    if options.har is not None:
        text = _text("--har", options.har)
        return _named("--har", lambda: read_har(text, every=options.every)), Skipped()
    if options.log is not None:
        return _lines(_text("--log", options.log))
    return [_by_hand(options)], Skipped()


def _named(option: str, reading: Callable[[], T]) -> T:
    try:
        return reading()
    except Unreadable as error:
        raise Invalid([Problem(option, str(error))]) from None


def _by_hand(options: Options) -> Described:
    headers: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for line in options.headers:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or " " in name.strip():
            problems.append(
                Problem("--header", f"{line!r} is no header; write 'Accept-Language: en'")
            )
        headers.append((name.strip(), value.strip()))
    if options.agent is not None:
        if any(name.lower() == "user-agent" for name, _ in headers):
            problems.append(Problem("--agent", "and a User-Agent header can't both be given"))
        headers.insert(0, ("user-agent", options.agent))
    method = options.method or "GET"
    if not method.isascii() or not method.isalpha() or len(method) > 16:
        problems.append(Problem("--method", f"{method!r} is no method; write GET or HEAD"))
    if problems:
        raise Invalid(problems)
    return Described(method.upper(), tuple(headers))


def _lines(text: str) -> tuple[list[Described], Skipped]:
    found: list[Described] = []
    unread, first = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            if len(line) > LONGEST_LINE:
                raise Unreadable(f"is longer than {LONGEST_LINE} characters")
            found.append(read_line(line))
        except Unreadable as error:
            unread += 1
            first = first or f"line {number} {error}"
    if not found:
        raise Invalid([Problem("--log", first or "is empty; there is no line to judge")])
    return found, Skipped(unread, first)


def _text(option: str, name: str) -> str:
    """A file's text, or standard input's. Raises Invalid."""
    try:
        if name == "-":
            data = _bounded(sys.stdin.buffer)
        else:
            with Path(name).open("rb") as stream:
                data = _bounded(stream)
        return _decoded(data)
    except OSError as error:
        raise Invalid([Problem(option, f"{name} can't be read: {error.strerror}")]) from None
    except Unreadable as error:
        called = "standard input" if name == "-" else name
        raise Invalid([Problem(option, f"{called} {error}")]) from None


def _bounded(stream: BinaryIO) -> bytes:
    data = stream.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        size = LARGEST_BYTES // (1024 * 1024)
        raise Unreadable(f"is larger than {size} MB; give a part of it, like `tail -n 100000 FILE`")
    return data


def _decoded(data: bytes) -> str:
    for magic, tool in _COMPRESSED.items():
        if data.startswith(magic):
            raise Unreadable(
                f"is compressed; give it unpacked: `{tool} FILE | linkgate classify ...`"
            )
    if b"\0" in data:
        raise Unreadable("is binary, not text")
    if not data.strip():
        raise Unreadable("is empty")
    # A log holds whatever visitors sent; one odd byte spoils no line.
    return data.decode("utf-8-sig", "replace")
