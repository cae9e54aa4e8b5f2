"""The pages for those who come back, who wait their turn, or who want no more reminders."""

import re

import pytest

from linkgate.pages import Brand, Pages
from linkgate.pages.money import written
from linkgate.pages.returns import Way
from tests.test_pages import (
    ACTION,
    CHALLENGE,
    LANGUAGES,
    PRESS_SCRIPT,
    TRAP,
    Outline,
    busy,
    confirmed,
    header,
    stopped,
    waiting,
)


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(Brand("Fernhill Books", "#0b7a5b", "/brand/logo", "help@fernhill.example"))


# Amounts


@pytest.mark.parametrize(
    ("amount", "currency", "lang", "text"),
    [
        (4900, "eur", "en", "€49.00"),
        (4900, "eur", "de", "49,00\u00a0€"),
        (4900, "eur", "fr", "49,00\u00a0€"),
        (4900, "eur", "es", "49,00\u00a0€"),
        (4900, "eur", "pt", "49,00\u00a0€"),
        (4900, "eur", "ja", "€49.00"),
        (123456789, "usd", "en", "US$1,234,567.89"),
        (123456789, "usd", "fr", "1\u202f234\u202f567,89\u00a0US$"),
        (5, "gbp", "en", "£0.05"),
        (0, "gbp", "en", "£0.00"),
        (4990, "brl", "pt", "R$\u00a049,90"),
        (4900, "jpy", "ja", "4,900円"),
        (4900, "jpy", "en", "4,900\u00a0JPY"),
        (4900, "KRW", "de", "4.900\u00a0KRW"),
        (49000, "kwd", "en", "49.000\u00a0KWD"),
        (1050, "chf", "de", "10,50\u00a0CHF"),
        (4900, "eur", "xx", "49.00\u00a0€"),
    ],
)
def test_amounts_are_written_as_people_write_them(
    amount: int, currency: str, lang: str, text: str
) -> None:
    assert written(amount, currency, lang) == text


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        (None, "eur"),
        (100, None),
        (100, ""),
        (100, "e"),
        (100, "euro"),
        (100, "<b>"),
        (-1, "eur"),
        (100, "ugx"),
    ],
)
def test_no_amount_is_better_than_a_wrong_one(amount: int | None, currency: str | None) -> None:
    assert written(amount, currency, "en") == ""


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_confirmation_names_the_amount_once_it_is_known(pages: Pages, lang: str) -> None:
    amount = written(4900, "eur", lang).replace("\u00a0", " ")
    assert amount in Outline(confirmed(pages, lang)).text
    unknown = pages.returns.confirmed(lang=lang, campaign="x", amount=None, currency="eur")
    assert not re.search(r"[€\d]", Outline(unknown).text)


# Waiting


@pytest.mark.parametrize("name", ["confirming", "pending", "away"])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_page_that_waits_renews_itself_without_script_and_by_hand(
    pages: Pages, name: str, lang: str
) -> None:
    page = waiting(pages, name, lang)
    outline = Outline(page)
    (refresh,) = (meta for meta in outline.all("meta") if "http-equiv" in meta)
    assert refresh == {"http-equiv": "refresh", "content": "3;url=?since=1800000000"}
    assert outline.all("a")[0] == {"href": "?since=1800000000"}
    assert not outline.all("script")
    assert not outline.all("form")
    assert 'class="sign wait"' in page.body.decode()


def test_nothing_else_renews_itself(pages: Pages) -> None:
    for page in (
        confirmed(pages),
        stopped(pages, "failed"),
        stopped(pages, "cancelled", way=Way.LINK),
        pages.simple("pending", lang="en"),
        pages.unsubscribe(lang="en", action="/unsubscribe/ref"),
        busy(pages, crowded=True),
    ):
        assert b"http-equiv" not in page.body


# Cancelled, failed


@pytest.mark.parametrize("name", ["cancelled", "failed"])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_way_back_is_the_links_own_form(pages: Pages, name: str, lang: str) -> None:
    outline = Outline(stopped(pages, name, lang))
    assert outline.all("form") == [{"method": "post", "action": ACTION}]
    assert outline.all("button") == [TRAP, {"type": "submit"}]
    assert outline.all("input") == [
        {"type": "hidden", "name": "challenge", "value": CHALLENGE},
        {"type": "hidden", "name": "gesture"},
    ]
    assert outline.all("script") == [{"src": PRESS_SCRIPT, "defer": None}]


NOTHING_CHARGED = {
    "de": "nichts abgebucht",
    "en": "nothing was charged",
    "es": "no se ha cobrado nada",
    "fr": "rien n’a été débité",
    "ja": "料金は請求されていません",
    "pt": "nada foi cobrado",
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_is_said_that_nothing_was_charged(pages: Pages, lang: str) -> None:
    for name, way in (
        ("cancelled", Way.BUTTON),
        ("cancelled", Way.LINK),
        *(("failed", way) for way in Way),
    ):
        text = Outline(stopped(pages, name, lang, way=way)).text
        assert NOTHING_CHARGED[lang] in text.lower(), (name, way)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_way_on_has_its_own_words(pages: Pages, lang: str) -> None:
    for name, ways in (("failed", tuple(Way)), ("cancelled", (Way.BUTTON, Way.LINK))):
        said = {Outline(stopped(pages, name, lang, way=way)).text for way in ways}
        assert len(said) == len(ways)


# The crowd


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "about 1 second."),
        (2, "about 2 seconds."),
        (90, "about 90 seconds."),
        (91, "about 2 minutes."),
        (120.5, "about 3 minutes."),
        (3600, "about 60 minutes."),
    ],
)
def test_a_turn_is_told_in_the_unit_that_people_use(
    pages: Pages, seconds: float, text: str
) -> None:
    outline = Outline(busy(pages, retry_after=seconds, crowded=True))
    assert f"Your turn is in {text}" in outline.text
    assert "Many people are here right now" in outline.text


def test_a_turn_is_kept_to_the_second_and_a_retry_is_spread(pages: Pages) -> None:
    """Everybody has a turn of their own: waiting longer would only leave it unused."""
    (turn,) = Outline(busy(pages, retry_after=240, crowded=True)).all("form")
    assert turn["data-retry-after"] == "240"
    assert turn["data-spread"] == "1"
    assert turn["data-left"] == "240"
    (retry,) = Outline(busy(pages, retry_after=240)).all("form")
    assert not {"data-spread", "data-left"} & retry.keys()
    assert header(busy(pages, retry_after=240, crowded=True), "retry-after") == "240"


@pytest.mark.parametrize(
    ("left", "said", "text"),
    [(400.2, "401", "7 minutes"), (100, "200", "4 minutes"), (1e9, "86400", "1440 minutes")],
)
def test_whoever_is_to_look_in_early_reads_of_their_turn(
    pages: Pages, left: float, said: str, text: str
) -> None:
    page = pages.busy(
        campaign="Spring sale",
        lang="en",
        action=ACTION,
        challenge=CHALLENGE,
        retry_after=200,
        crowded=True,
        left=left,
    )
    outline = Outline(page)
    (turn,) = outline.all("form")
    assert (turn["data-retry-after"], turn["data-left"]) == ("200", said)
    assert f"Your turn is in about {text}." in outline.text


# No more reminders


@pytest.mark.parametrize("lang", LANGUAGES)
def test_stopping_reminders_takes_one_press_and_no_proof(pages: Pages, lang: str) -> None:
    page = pages.unsubscribe(lang=lang, action="/unsubscribe/lnk_0.sig", campaign="Spring sale")
    outline = Outline(page)
    assert page.status == 200
    assert outline.all("form") == [{"method": "post", "action": "/unsubscribe/lnk_0.sig"}]
    assert outline.all("button") == [{"type": "submit"}]
    assert not outline.all("input")
    assert not outline.all("script")
