"""A pasted command line as words, by the quoting of bash or of Windows' cmd.exe."""

import re
from collections.abc import Iterator

from linkgate.classifying.described import Unreadable

# Source: the Bash manual, 3.1.2; cmd.exe writes ^ before what it is not to read itself.
_WORD = re.compile(
    r"""
    (?P<space>(?:\s|\\\r?\n)+)
    | \$'(?P<ansi>(?:[^'\\]|\\.)*)'
    | '(?P<single>[^']*)'
    | "(?P<double>(?:[^"\\]|\\.)*)"
    | \\(?P<escaped>.)
    | (?P<bare>[^\s'"\\$]+|\$)
    """,
    re.VERBOSE | re.DOTALL,
)
_ANSI = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f"}


def words(text: str) -> Iterator[str]:
    """Yield the words of a command line. Raises Unreadable."""
    text = _without_carets(text)
    word: str | None = None
    place = 0
    while place < len(text):
        found = _WORD.match(text, place)
        if found is None:
            raise Unreadable("ends within a quotation; copy the command line whole")
        place = found.end()
        kind, part = found.lastgroup, found[found.lastgroup or 0]
        if kind == "space":
            if word is not None:
                yield word
            word = None
            continue
        if kind == "ansi":
            part = _ANSI.sub(_ansi, part)
        elif kind == "double":
            part = re.sub(r"\\(\r?\n|.)", _in_double_quotes, part, flags=re.DOTALL)
        word = (word or "") + part
    if word is not None:
        yield word


def _ansi(found: re.Match[str]) -> str:
    if number := found[1] or found[2]:
        return chr(int(number, 16))
    if found[3]:
        return chr(int(found[3], 8) & 0xFF)
    return _LETTERS.get(found[4], found[4])


def _in_double_quotes(found: re.Match[str]) -> str:
    sign = found[1]
    if sign in {"\n", "\r\n"}:
        return ""
    return sign if sign in '"\\$`' else f"\\{sign}"


def _without_carets(text: str) -> str:
    """The command line for cmd.exe without its carets; one for bash as it is."""
    if not re.search(r'\^"|\^\r?\n', text):
        return text
    return re.sub(r"\^(\r?\n|.)", lambda m: " " if m[1] in {"\n", "\r\n"} else m[1], text)
