"""How old a browser may be: by the data file's date, and never by the clock."""

from datetime import date, timedelta
from typing import Any

import pytest

from linkgate.detection import History, Standing, judge, read_agent
from linkgate.detection.freshness import overdue, read_freshness, released, stale_browser
from linkgate.detection.rules import Shape
from linkgate.detection.tables import read_data
from tests.detection.test_corpus import CASES, visit
from tests.detection.test_rules import CHROME

DATA = {
    "date": date(2026, 1, 1),
    "tolerance": {"plain-chromium": 730, "safari": 2192},
    "chromium": {"source": "x", "100": date(2023, 1, 1), "110": date(2024, 1, 1)},
    "firefox": {"source": "x", "1": date(2026, 1, 1)},
    "safari": {"source": "x", "17": date(2023, 1, 1)},
}
RELEASES = read_freshness(DATA).releases["chromium"]


@pytest.mark.parametrize(
    ("major", "day"),
    [
        (1, date(2023, 1, 1)),
        (100, date(2023, 1, 1)),
        (105, date(2023, 7, 2)),
        (110, date(2024, 1, 1)),
        (111, None),
        (9999, None),
    ],
)
def test_versions_between_two_known_ones_are_spread_evenly(major: int, day: date | None) -> None:
    assert released(RELEASES, major) == day


def test_a_version_is_overdue_once_it_is_older_than_the_tolerance() -> None:
    at_its_date = read_freshness(DATA | {"date": date(2024, 1, 1) + timedelta(730)})
    a_day_later = read_freshness(DATA | {"date": date(2024, 1, 1) + timedelta(731)})
    assert overdue(at_its_date, "chromium", "plain-chromium", 110) is None
    assert overdue(a_day_later, "chromium", "plain-chromium", 110) == date(2024, 1, 1)
    assert overdue(a_day_later, "chromium", "plain-chromium", 111) is None


def test_years_later_the_same_file_is_no_stricter() -> None:
    years = [0.0, 1.8e9, 2.2e9, 4e9]
    for case in CASES:
        verdicts = {judge(visit(case), History(), now).value for now in years}
        assert len(verdicts) == 1, case["who"]


@pytest.mark.parametrize("version", [158, 200, 300, 9999])
def test_a_version_newer_than_the_file_is_never_stale(version: int) -> None:
    text = CHROME.replace("156.0.0.0", f"{version}.0.0.0")
    assert stale_browser(Shape(user_agent=text), read_agent(text)) is None


def test_what_was_found_says_the_version_and_the_year() -> None:
    text = CHROME.replace("156.0.0.0", "125.0.0.0")
    finding = stale_browser(Shape(user_agent=text), read_agent(text))
    assert finding is not None
    assert finding.points_to is Standing.SUSPECT
    assert "Chrome 125, from 2024" in finding.reason


def test_the_data_file_is_in_order() -> None:
    data: dict[str, Any] = read_data("browsers")
    freshness = read_freshness(data)
    for name, releases in freshness.releases.items():
        assert data[name]["source"]
        assert len(releases) >= 12
        days = [day for _, day in releases]
        assert days == sorted(days)
        assert days[-1] <= freshness.day
    assert all(timedelta(365) < days for days in freshness.tolerance.values())
