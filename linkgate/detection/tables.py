"""The dated tables in data/*.toml, and the two public lists, compiled once and lazily.

A table's entries are tried as one alternation first; only a hit is looked at entry by entry.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from linkgate.detection.verdict import Kind

# Tags of crawler-user-agents, and what they are in our words. Anything else is a crawler.
_TAGS = {
    "scanner": Kind.SCANNER,
    "social-preview": Kind.PREVIEW,
    "monitoring": Kind.MONITOR,
    "http-library": Kind.TOOL,
    "browser-automation": Kind.TOOL,
}
_CHUNK = 25


@dataclass(frozen=True, slots=True)
class Entry:
    """One known thing that a user agent can name."""

    name: str
    kind: Kind | None
    pattern: re.Pattern[str]
    source: str
    date: str


class Table:
    """Entries that are looked for together."""

    def __init__(self, entries: tuple[Entry, ...], chunk: int) -> None:
        self.entries = entries
        chunks = [entries[i : i + chunk] for i in range(0, len(entries), chunk)]
        self._chunks = tuple(
            (re.compile("|".join(f"(?:{entry.pattern.pattern})" for entry in part)), part)
            for part in chunks
        )

    def find(self, text: str) -> list[Entry]:
        """Every entry that `text` names, in the table's order."""
        return [
            entry
            for combined, part in self._chunks
            if combined.search(text)
            for entry in part
            if entry.pattern.search(text)
        ]


def read_toml(name: str) -> dict[str, object]:
    """A data file of this package."""
    text = files("linkgate.detection").joinpath("data", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def table(name: str) -> Table:
    """data/<name>.toml. Its patterns are matched against the lower-cased user agent."""
    entries: list[Entry] = []
    listed = read_toml(name)["entry"]
    assert isinstance(listed, list)
    for item in listed:
        entries.append(
            Entry(
                name=item["name"],
                kind=Kind(item["kind"]) if "kind" in item else None,
                pattern=re.compile(item["pattern"]),
                source=item["source"],
                date=str(item["date"]),
            )
        )
    return Table(tuple(entries), chunk=max(len(entries), 1))


@cache
def people_pattern() -> re.Pattern[str]:
    """What to take out of a user agent before it is looked up anywhere (data/people.toml)."""
    patterns = (entry.pattern.pattern for entry in table("people").entries)
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


@cache
def crawler_list() -> Table:
    """crawler-user-agents, without what data/exceptions.toml drops from it."""
    import crawleruseragents  # noqa: PLC0415 - 15 ms that a start need not wait for

    dropped = read_toml("exceptions")["drop"]
    assert isinstance(dropped, list)
    patterns = {item["pattern"] for item in dropped}
    entries = [
        Entry(
            name=plain_name(item["pattern"]),
            kind=next((_TAGS[tag] for tag in item.get("tags", ()) if tag in _TAGS), Kind.CRAWLER),
            pattern=re.compile(item["pattern"]),
            source="crawler-user-agents",
            date=item.get("addition_date", ""),
        )
        for item in crawleruseragents.CRAWLER_USER_AGENTS_DATA
        if item["pattern"] not in patterns
    ]
    return Table(tuple(entries), chunk=_CHUNK)


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
