"""The dated tables in data/*.toml, and the two public lists, compiled once and lazily.

Most user agents name nothing, so that each group of entries is tried as one expression first; only
where that hits are its entries looked at one by one.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from linkgate.detection.verdict import Kind

TABLES = ("scanners", "previewers", "monitors", "tools", "headless", "words")

# Tags of crawler-user-agents, and what they are in our words. Anything else is a crawler.
_TAGS = {
    "scanner": Kind.SCANNER,
    "social-preview": Kind.PREVIEW,
    "monitoring": Kind.MONITOR,
    "http-library": Kind.TOOL,
    "browser-automation": Kind.TOOL,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One known thing that a user agent can name, and the table that knows it."""

    table: str
    name: str
    kind: Kind
    pattern: re.Pattern[str]
    ordinary: bool = False
    """A word that an app may be called by, and so not asked of a phone's browser."""
    shared: str = ""
    """Where people's programs bear the name too, so that it merely makes a suspect: in the names of
    apps on a "phone", or in any whole "browser". Empty if nowhere.
    """


class Table:
    """Groups of entries, each with one expression that matches wherever one of its entries does."""

    def __init__(self, groups: Iterable[tuple[str, Sequence[Entry]]]) -> None:
        self._groups = tuple((re.compile(expression), entries) for expression, entries in groups)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for _, entries in self._groups for entry in entries)

    def find(self, text: str) -> list[Entry]:
        """Every entry that `text` names."""
        return [
            entry
            for expression, entries in self._groups
            if expression.search(text)
            for entry in entries
            if entry.pattern.search(text)
        ]


def read_data(name: str) -> dict[str, Any]:
    """data/<name>.toml."""
    text = files("linkgate.detection").joinpath("data", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def known_names() -> Table:
    """All of `TABLES`, to be matched against a lower-cased user agent.

    `words` are literals that no letter may precede, or that stand at the beginning if they start
    with ^; `pattern` is a regular expression.
    """
    worded: list[Entry] = []
    patterned: list[Entry] = []
    words: list[str] = []
    patterns: list[str] = []
    for name in TABLES:
        for item in read_data(name)["entry"]:
            kind = Kind(item["kind"])
            if "words" in item:
                expression = any_word(item["words"])
                worded.append(_entry(name, item, kind, expression))
                words.extend(item["words"])
            if "pattern" in item:
                patterned.append(_entry(name, item, kind, item["pattern"]))
                patterns.append(item["pattern"])
    return Table(((any_word(words), worded), (joined(patterns), patterned)))


def _entry(table: str, item: dict[str, Any], kind: Kind, expression: str) -> Entry:
    return Entry(
        table,
        item["name"],
        kind,
        re.compile(expression),
        item.get("ordinary", False),
        item.get("shared", ""),
    )


# Phones' and tablets' browsers. Before Android's name may stand a processor, a language or a model;
# KaiOS names itself behind Firefox; HarmonyOS says what device it is (developer.huawei.com,
# harmonyos-guides/web-default-useragent). An iPad calls itself a Macintosh, and an app's view on it
# leaves Safari's name out. Where one says "compatible", it is no app.
_PHONE = re.compile(
    r"Mozilla/5\.0 \((?!.*compatible;)(?:(?:(?:Linux|Mobile|SMART-TV);(?:[^();]*;)* ?)?"
    r"(?:Android|iPhone|iPad|iPod|Windows Phone|Tizen)\b.*(?:AppleWeb[Kk]it|Gecko)/"
    r"|Mobile; [^()]*\) Gecko/\S+ Firefox/\S+ KAIOS/"
    r"|(?:Phone|Tablet|2in1|PC); OpenHarmony\b[^()]*\) AppleWebKit/"
    r"|Macintosh; Intel Mac OS X [\d_.]+\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\)"
    r"(?!.* (?:Safari|Chrome)/))"
)


def on_a_phone(text: str) -> bool:
    """Whether this is the user agent of a phone's or tablet's browser, or of an app's on one: apps
    add their own names there, which may be any word.
    """
    return _PHONE.match(text) is not None


# An app's name and version: up to four words, outside of brackets, that are no browser's.
_BRACKETS_OR_APP = re.compile(
    r"(\([^()]*\))|(?<!\S)(?:[^\s();,/]+ ){0,3}(?!(?:Version|Chrome|Mobile|Safari|Firefox)/)"
    r"[^\s();,/]+/v?\d[\w.]*"
)


def without_apps(own: str) -> str:
    """A phone's user agent without the names of apps, as far as they are followed by a version."""
    return _BRACKETS_OR_APP.sub(r"\1", own)


def names_in(own: str, browser: bool) -> tuple[list[Entry], list[Entry]]:
    """What `TABLES` and crawler-user-agents know of a user agent's own words: what machines alone
    are called, and what people's programs are called too, if it names a `browser`'s engine.
    """
    found = known_names().find(own.lower()) + crawler_list().find(own)
    phone = on_a_phone(own)
    if phone:
        found = [entry for entry in found if not entry.ordinary]
    rest = without_apps(own).lower() if found and phone else own
    shared = [
        entry
        for entry in found
        if (entry.shared == "browser" and browser)
        or (entry.shared == "phone" and phone and not entry.pattern.search(rest))
    ]
    return [entry for entry in found if entry not in shared], shared


# How an alternative begins: what must come before its first letter, and that letter for certain.
_BEGINNING = re.compile(r"(\\b|\(\?<=\.\)|\(\?<!\[a-z\]\))?([A-Za-z])(?![?*+{])(.*)", re.DOTALL)


def joined(patterns: Iterable[str]) -> str:
    """One expression for any of the patterns. Alternatives that begin alike are put together: some
    hundred of them side by side would each be tried at every letter, in a millisecond.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    others: list[str] = []
    for part in (part for pattern in patterns for part in _alternatives(pattern)):
        if found := _BEGINNING.fullmatch(part):
            groups.setdefault(found[1] or "", {}).setdefault(found[2], []).append(found[3])
        else:
            others.append(part)
    branches = []
    for before, letters in groups.items():
        parts = (f"{letter}(?:{'|'.join(rest)})" for letter, rest in letters.items())
        branches.append(f"{before}(?:{'|'.join(parts)})")
    return "|".join([*others, *branches])


def _alternatives(pattern: str) -> list[str]:
    """A pattern cut at its bars, but for those within brackets."""
    parts, depth, bracketed = [""], 0, False
    for piece in re.findall(r"\\.|.", pattern, re.DOTALL):
        if piece in {"[", "]"}:
            bracketed = piece == "["
        elif not bracketed:
            depth += (piece == "(") - (piece == ")")
        if piece == "|" and not depth and not bracketed:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def any_word(words: Iterable[str]) -> str:
    """An expression for any of the words, factored by their beginnings: some 400 alternatives side
    by side would each be tried at every letter.
    """
    anchored = [word[1:] for word in words if word.startswith("^")]
    free = [word for word in words if not word.startswith("^")]
    parts = [f"^{_factored(anchored)}"] if anchored else []
    return "|".join([*parts, f"(?<![a-z]){_factored(free)}"] if free else parts)


def _factored(words: Iterable[str]) -> str:
    by_letter: dict[str, list[str]] = {}
    for word in words:
        if not word:  # a shorter word ends here, and whatever follows makes no difference
            return ""
        by_letter.setdefault(word[0], []).append(word[1:])
    branches = [re.escape(letter) + _factored(rest) for letter, rest in sorted(by_letter.items())]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


@cache
def people_names() -> re.Pattern[str]:
    """What people's own browsers and apps call themselves (data/people.toml), in lower case."""
    return re.compile(joined(entry["pattern"] for entry in read_data("people")["entry"]))


def names_people(text: str) -> bool:
    """Whether a user agent holds the name of an app that people read in."""
    return people_names().search(text.lower()) is not None


def without_people(text: str) -> str:
    """A user agent without such names, to be looked up in the lists."""
    lower = text.lower()
    if len(lower) != len(text):  # not a header: a letter outside of Latin-1 that grows
        text = lower
    kept, end = [], 0
    for found in people_names().finditer(lower):
        kept.append(text[end : found.start()])
        end = found.end()
    return "".join(kept) + text[end:] if kept else text


@cache
def crawler_list() -> Table:
    """crawler-user-agents, without what data/exceptions.toml drops from it."""
    import crawleruseragents  # noqa: PLC0415 - 15 ms that a start need not wait for

    exceptions = read_data("exceptions")
    dropped = {item["pattern"] for item in exceptions["drop"]}
    ordinary = {item["pattern"] for item in exceptions["ordinary"]}
    entries = [
        Entry(
            table="crawler-user-agents",
            name=plain_name(item["pattern"]),
            kind=next((_TAGS[tag] for tag in item.get("tags", ()) if tag in _TAGS), Kind.CRAWLER),
            pattern=re.compile(item["pattern"]),
            ordinary=item["pattern"] in ordinary,
        )
        for item in crawleruseragents.CRAWLER_USER_AGENTS_DATA
        if item["pattern"] not in dropped
    ]
    # All that begin with one letter make one expression, which is searched for by that letter.
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        beginning = _BEGINNING.fullmatch(entry.pattern.pattern)
        single = beginning and not beginning[1] and len(_alternatives(beginning[0])) == 1
        groups.setdefault(beginning[2] if beginning and single else "", []).append(entry)
    return Table((joined(e.pattern.pattern for e in group), group) for group in groups.values())


def plain_name(pattern: str) -> str:
    """A pattern as an operator would write the name: `Googlebot\\/` is Googlebot."""
    return re.sub(r"[\\^$()\[\]?*+]", "", pattern).strip(" /-") or pattern


def names_spider(text: str) -> bool:
    """Whether user-agents would call `text` a bot (its device family is Spider).

    Asked of the parser beneath it directly: user-agents reads browser and system as well, which
    doubles the cost of a user agent that was not seen before.
    """
    from ua_parser.user_agent_parser import ParseDevice  # noqa: PLC0415 - 130 ms, see above

    family = ParseDevice(text)["family"]  # type: ignore[no-untyped-call]
    return bool(family == "Spider")
