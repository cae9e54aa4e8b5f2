"""The words of a reminder: places in an operator's text, and linkgate's own texts by language.

One TOML file for each language in texts/; to add one, add its file and its code to `Language`.
"""

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, TypeVar

S = TypeVar("S", bound=str)

Language = Literal["de", "en", "es", "fr", "ja", "pt"]

#: What may stand in a reminder's words, in braces.
PLACES: Final = ("link", "brand", "campaign")

_TEXTS: Final = Path(__file__).parent / "texts"
_PLACE = re.compile(r"\{([^{}]*)\}")
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")


def check_subject(value: str) -> str:
    """Return a subject that an operator wrote; raises ValueError with the mend."""
    if any(unicodedata.category(character) in _UNSEEN for character in value):
        # A line break in a header begins the next header: Bcc, for example.
        raise ValueError("must be one line without control characters")
    if "link" in _check_places(value):
        raise ValueError("the link belongs into the text; take {link} out of the subject")
    return value


def check_text(value: str) -> str:
    """Return a text that an operator wrote; raises ValueError with the mend."""
    value = value.replace("\r\n", "\n")
    if any(unicodedata.category(c) in _UNSEEN and c not in "\n\t" for c in value):
        raise ValueError("must not contain control characters other than line breaks and tabs")
    _check_places(value)
    return value


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put `values` into their places; braces around anything else stay as they are."""
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), text)


def fill_parts(text: str, values: Mapping[str, S], otherwise: Callable[[str], S]) -> list[S]:
    """Do the same in parts, for what is not text in the end: each is a value or `otherwise` of a
    piece of text.
    """
    parts: list[S] = []
    at = 0
    for place in _PLACE.finditer(text):
        if place[1] in values:
            parts += [otherwise(text[at : place.start()]), values[place[1]]]
            at = place.end()
    return [*parts, otherwise(text[at:])]


def paragraphs(text: str) -> list[str]:
    """Return a text's paragraphs, which blank lines part; the link stands by itself.

    A text without {link} gets it at its end: a reminder without its link would be no use.
    """
    found = [part.strip() for part in _PARAGRAPHS.split(text.strip())]
    if not any("{link}" in part for part in found):
        found.append("{link}")
    return found


def one_line(text: str) -> str:
    """Return `text` as one line that may stand in a header: campaigns' names may hold anything."""
    seen = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in text)
    return " ".join(seen.split())


@lru_cache
def own_words(language: str) -> Mapping[str, str]:
    """Return linkgate's own words in a language, by key."""
    return tomllib.loads((_TEXTS / f"{language}.toml").read_text(encoding="utf-8"))


def _check_places(text: str) -> set[str]:
    found = {place[1] for place in _PLACE.finditer(text)}
    if unknown := sorted(found - set(PLACES)):
        raise ValueError(
            f"there is no placeholder {{{unknown[0]}}}; there are "
            + ", ".join(f"{{{name}}}" for name in PLACES)
        )
    return found


#: Control characters, line and paragraph separators, lone surrogates.
_UNSEEN = frozenset({"Cc", "Zl", "Zp", "Cs"})
