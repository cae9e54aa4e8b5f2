"""Sec-CH-UA as browsers write it, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkgate.detection.hints import BRANDS_KEPT, read_brands


@pytest.mark.parametrize(
    ("text", "chromium", "vendors"),
    [
        (
            '"Google Chrome";v="147", "Not.A/Brand";v="8", "Chromium";v="146"',
            146,
            {"Google Chrome"},
        ),
        ('"Not_A Brand";v="99", "Chromium";v="142"', 142, set()),
        ('" Not;A Brand";v="24", "Chromium";v="125"', 125, set()),
        ('".Not/A)Brand";v="99", "Opera";v="89", "Chromium";v="103"', 103, {"Opera"}),
        (r'"\\Not\"A;Brand";v="99", "Chromium";v="88"', 88, set()),
        ('"Chromium"; v="156", "Brave"; v="156"', 156, {"Brave"}),
        ('"Chromium";v="156.0.1", "Brave";v="1.84"', 156, {"Brave"}),
        ('"Chromium";v="", "Brave";v="x"', 0, {"Brave"}),
        ("", 0, set()),
        ("Chromium 156", 0, set()),
        ('"Chromium";v="156', 156, set()),
        ('"' * 256, 0, set()),
        ("\\" * 256, 0, set()),
    ],
)
def test_brands(text: str, chromium: int, vendors: set[str]) -> None:
    assert read_brands(text) == (chromium, vendors)


@given(st.text(alphabet='"\\;v=, ChromiuNotABrd156\n\u0663\xb2', max_size=256))
def test_junk_names_no_brand_and_never_raises(text: str) -> None:
    brands = read_brands(text)
    assert brands.chromium >= 0


def test_what_is_kept_is_bounded() -> None:
    assert read_brands.cache_parameters()["maxsize"] == BRANDS_KEPT
