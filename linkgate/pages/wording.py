"""What the pages say, by language, and which language a browser asks for.

One TOML file per language in texts/; English is the yardstick for keys and {placeholders}.
"""

import math
import re
import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape

DEFAULT_LANGUAGE: Final = "en"
_TEXTS: Final = Path(__file__).parent / "texts"

_RANGE = re.compile(r"([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*(?:\s*;\s*[qQ]\s*=\s*([0-9.]{1,8}))?")
_QUALITY = re.compile(r"0?\.[0-9]+|[01]|[01]\.0*")


@dataclass(frozen=True, slots=True)
class Language:
    """One language's texts, and its way to count."""

    code: str
    texts: Mapping[str, Mapping[str, str]]

    def say(self, section: str, key: str, **values: str) -> Markup:
        """One text, escaped for HTML, with `values` (escaped too, unless Markup) in its places."""
        return escape(self.texts[section][key]).format(**values)

    def counted(self, unit: str, count: int) -> Markup:
        """`count` with its unit: "1 hour", "30 minutes". Units: seconds, minutes, hours.

        Singular and plural are all that these languages need for whole numbers from 1.
        """
        return self.say(
            "common", f"{unit}_one" if count == 1 else f"{unit}_other", count=str(count)
        )

    def waiting(self, seconds: int) -> Markup:
        """A wait as people would say it: in seconds, and in minutes where it is over 90 of them.

        web/static/retry.js counts down the same way.
        """
        if seconds > 90:
            return self.counted("minutes", math.ceil(seconds / 60))
        return self.counted("seconds", seconds)

    def lasting(self, minutes: int) -> Markup:
        """A duration in the unit that people would use: hours if they are whole, else minutes."""
        hours, rest = divmod(minutes, 60)
        return (
            self.counted("hours", hours) if hours and not rest else self.counted("minutes", minutes)
        )


def read_languages() -> Mapping[str, Language]:
    """Every language that has a file, by its code, in alphabetical order."""
    return {
        path.stem: Language(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
        for path in sorted(_TEXTS.glob("*.toml"))
    }


def negotiate(header: str, offered: Container[str]) -> str:
    """The best of `offered` for an Accept-Language header (RFC 9110, 12.5.4), else English.

    A regional wish (`pt-BR`) gets its language. `*` says nothing that the default doesn't, and what
    can't be read is passed over.
    """
    best, best_quality = DEFAULT_LANGUAGE, 0.0
    for item in header.split(","):
        wish = _RANGE.fullmatch(item.strip())
        if wish is None or (code := wish[1].lower()) not in offered:
            continue
        weight = wish[2] or "1"
        quality = float(weight) if _QUALITY.fullmatch(weight) else 0.0
        if quality > best_quality:
            best, best_quality = code, quality
    return best
