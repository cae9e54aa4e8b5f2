"""How old the claimed browser is. People's browsers update themselves; a scanner's stays as it was
on the day when it was built.

Ages are counted to the date of data/browsers.toml and never to today (see there): what is found
about a user agent depends on the file alone.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from linkgate.detection.agents import UserAgent
from linkgate.detection.declared import suspect
from linkgate.detection.rules import Finding, Shape
from linkgate.detection.tables import read_data

# Engines that nobody develops any more; the last of them was dropped by its maker in 2022.
_GONE = {
    "trident": "Internet Explorer",
    "edgehtml": "the Edge before 2020",
    "presto": "the Opera before 2013",
}
_NAMES = {"chromium": "Chrome", "firefox": "Firefox", "safari": "Safari"}

Releases = Sequence[tuple[int, date]]


class Freshness(NamedTuple):
    """data/browsers.toml: releases by browser, oldest first, and the tolerances by class."""

    day: date
    releases: Mapping[str, Releases]
    tolerance: Mapping[str, timedelta]


def read_freshness(data: Mapping[str, Any]) -> Freshness:
    """Arrange the data file's content."""
    releases = {
        name: sorted((int(major), day) for major, day in data[name].items() if major != "source")
        for name in _NAMES
    }
    tolerance = {name: timedelta(days=days) for name, days in data["tolerance"].items()}
    return Freshness(data["date"], releases, tolerance)


@cache
def _current() -> Freshness:
    return read_freshness(read_data("browsers"))


def knowledge_of() -> date:
    """The date of what is known of browsers' versions."""
    return _current().day


def released(releases: Releases, major: int) -> date | None:
    """About when a version came out; None if it is newer than all that are known. Versions between
    two known ones are spread evenly; one before the first counts as the first.
    """
    at = bisect_left(releases, major, key=itemgetter(0))
    if at == len(releases):
        return None
    known, day = releases[at]
    if known == major or at == 0:
        return day
    earlier, before = releases[at - 1]
    return before + (day - before) * (major - earlier) / (known - earlier)


def overdue(freshness: Freshness, browser: str, kind: str, major: int) -> date | None:
    """When a version came out, if that is longer ago than its class of browsers is allowed."""
    day = released(freshness.releases[browser], major)
    if day is None or freshness.day - day <= freshness.tolerance[kind]:
        return None
    return day


def _classed(agent: UserAgent) -> tuple[str, str] | None:
    """Whose versions the user agent counts in, and which tolerance is its own. None where the
    version says nothing: on a Mac, Chrome for iPad says Version/11.1.1 for ever; a console's and a
    television's Safari has a number of its own.
    """
    if agent.engine == "blink":
        return "chromium", "plain-chromium" if agent.plain else "other-chromium"
    if agent.engine == "gecko":
        return "firefox", "firefox" if agent.vendor == "firefox" else "other-gecko"
    if agent.engine == "webkit" and (agent.system == "iOS" or agent.vendor == "safari"):
        return "safari", "safari"
    return None


def stale_browser(shape: Shape, agent: UserAgent) -> Finding | None:
    """A browser years behind the current one: Chrome and Edge by two, other Chromiums by four,
    Firefox by three and a half, Safari by six; Internet Explorer, the first Edge and Opera's own
    engine always.

    Source: scanners of Microsoft 365 and Google logged with Chrome 42, 64, 72 and 125 and with Edge
    12 (2019-2026); release dates from MDN. Wrong about people: on old machines and phones that get
    no updates, who press once. Opera Mini, whose servers keep Presto alive, is let off.
    """
    if not agent.browser:
        return None
    if agent.engine in _GONE:
        if "Opera Mini/" in shape.user_agent:
            return None
        return suspect(f"it calls itself {_GONE[agent.engine]}, which gets no updates")
    if agent.engine == "webkit" and agent.system == "Android":
        return suspect("it calls itself the browser of Android 4, which gets no updates")
    classed = _classed(agent)
    if classed is None or not agent.major:
        return None
    day = overdue(_current(), *classed, agent.major)
    if day is None:
        return None
    return suspect(
        f"it calls itself {_NAMES[classed[0]]} {agent.major}, from {day.year} or before: "
        "people's browsers update themselves"
    )
