"""The pages as bytes: what they say, what they carry, and what can't get into them."""

import re
import string
import tomllib
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from linkgate.errors import Invalid
from linkgate.pages import SIMPLE, Brand, Page, Pages, wording
from linkgate.pages.brand import contrast, dark_shades, distinct, ink, light_shades
from linkgate.pages.returns import Way

LANGUAGES = ("de", "en", "es", "fr", "ja", "pt")
TEXTS = Path(wording.__file__).parent / "texts"
ACTION = "/l/eyJjIjoic3ByaW5nIn0.aBcDeF-g_h.i~j"
CHALLENGE = "c2lnbmVk.aBcDeF.g-h_i"
HOSTILE = '"><script>alert(1)</script><a href="/l/x">\'&{brand}{{ 7*7 }}'
COLOURS = ("#0b5fff", "#ffffff", "#000000", "#ffd400", "#0a1a3f", "#767676", "#808080", "#e0461f")


class Outline(HTMLParser):
    """Every tag with its attributes, and the text around them."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.style = ""
        self._open: list[str] = []
        self.feed(page.body.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.style += data
        elif "title" not in self._open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def seen_buttons(outline: Outline) -> list[dict[str, str | None]]:
    return [button for button in outline.all("button") if "hidden" not in button]


def brand(
    name: str = "Fernhill Books",
    colour: str = "#0b7a5b",
    logo_url: str | None = "/brand/logo",
    contact: str | None = "help@fernhill.example",
) -> Brand:
    return Brand(name=name, colour=colour, logo_url=logo_url, contact=contact)


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(brand())


def interstitial(
    pages: Pages,
    lang: str = "en",
    minutes: int = 30,
    *,
    campaign: str = "Spring sale",
    action: str = ACTION,
    challenge: str = CHALLENGE,
    again: bool = False,
) -> Page:
    return pages.interstitial(
        campaign=campaign,
        lang=lang,
        action=action,
        challenge=challenge,
        session_minutes=minutes,
        again=again,
    )


def busy(
    pages: Pages,
    lang: str = "en",
    retry_after: float = 5,
    *,
    campaign: str = "Spring sale",
    action: str = ACTION,
    challenge: str = CHALLENGE,
    crowded: bool = False,
) -> Page:
    return pages.busy(
        campaign=campaign,
        lang=lang,
        action=action,
        challenge=challenge,
        retry_after=retry_after,
        crowded=crowded,
    )


#: The pages with a button: what they may load and where their form may lead.
BUTTONS = {"interstitial", "busy", "crowded", "cancelled", "failed", "unsubscribe"}
#: Of those, the ones with the link's own form, and so with a second button for programs.
PRESSED = {"interstitial", "cancelled", "failed"}
SCRIPTED = BUTTONS - {"unsubscribe"}


def waiting(pages: Pages, name: str, lang: str = "en", campaign: str = "Spring sale") -> Page:
    return pages.returns.waiting(name, lang=lang, campaign=campaign, seconds=3, since=1_800_000_000)


def stopped(
    pages: Pages,
    name: str,
    lang: str = "en",
    *,
    campaign: str = "Spring sale",
    way: Way = Way.BUTTON,
    action: str = ACTION,
    challenge: str = CHALLENGE,
) -> Page:
    return pages.returns.stopped(
        name, lang=lang, campaign=campaign, way=way, action=action, challenge=challenge
    )


def confirmed(
    pages: Pages, lang: str = "en", amount: int = 4900, campaign: str = "Spring sale"
) -> Page:
    return pages.returns.confirmed(lang=lang, campaign=campaign, amount=amount, currency="eur")


def returned(pages: Pages, lang: str, campaign: str) -> Iterator[tuple[str, Page]]:
    yield "confirmed", confirmed(pages, lang, campaign=campaign)
    yield "finished", pages.returns.finished(lang=lang, campaign=campaign)
    for name in ("confirming", "pending", "away"):
        yield name if name != "pending" else "on its way", waiting(pages, name, lang, campaign)
    for name in ("cancelled", "failed"):
        yield name, stopped(pages, name, lang, campaign=campaign)
        yield f"{name}, link", stopped(pages, name, lang, campaign=campaign, way=Way.LINK)
    yield "failed, closed", stopped(pages, "failed", lang, campaign=campaign, way=Way.CLOSED)


def every_page(pages: Pages, campaign: str = "Spring sale") -> Iterator[tuple[str, str, Page]]:
    for lang in LANGUAGES:
        yield "interstitial", lang, interstitial(pages, lang, campaign=campaign)
        yield "busy", lang, busy(pages, lang, campaign=campaign)
        yield "crowded", lang, busy(pages, lang, campaign=campaign, crowded=True)
        action = "/unsubscribe/ref"
        yield "unsubscribe", lang, pages.unsubscribe(lang=lang, action=action, campaign=campaign)
        for name, page in returned(pages, lang, campaign):
            yield name, lang, page
        for name in SIMPLE:
            yield name, lang, pages.simple(name, lang=lang, campaign=campaign)


def header(page: Page, name: str) -> str | None:
    values = [value.decode() for key, value in page.headers if key.decode() == name]
    assert len(values) < 2, f"{name} is sent twice"
    return values[0] if values else None


# Statuses and headers


def test_every_page_has_its_status_and_tells_when_to_come_back(pages: Pages) -> None:
    expected = {
        "interstitial": (200, None),
        "busy": (503, "5"),
        "crowded": (503, "5"),
        "away": (503, "3"),
        "expired": (410, None),
        "revoked": (410, None),
        "ended": (410, None),
        "paused": (503, "3600"),
        "already_paid": (200, None),
        "complete": (200, None),
        "pending": (200, None),
        "subscribed": (200, None),
        "back": (200, None),
        "unheard": (200, None),
        "unsubscribed": (200, None),
        "gone": (410, None),
        "unknown": (404, None),
        "misconfigured": (503, "600"),
        "problem": (500, None),
    }
    for name, _, page in every_page(pages):
        assert (page.status, header(page, "retry-after")) == expected.get(name, (200, None)), name


def test_every_page_carries_the_headers_of_a_link_route(pages: Pages) -> None:
    for name, lang, page in every_page(pages):
        sent = {key.decode(): value.decode() for key, value in page.headers}
        assert len(sent) == len(page.headers), name
        assert all(key == key.lower() for key in sent)
        assert sent["content-type"] == "text/html; charset=utf-8"
        assert sent["content-length"] == str(len(page.body))
        assert sent["cache-control"] == "no-store"
        assert sent["referrer-policy"] == "no-referrer"
        assert sent["x-robots-tag"].startswith("noindex")
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["x-frame-options"] == "DENY"
        assert sent["content-language"] == lang
        assert sent["vary"] == "accept-language"
        assert "cross-origin-opener-policy" not in sent


def test_another_status_can_be_given(pages: Pages) -> None:
    assert [pages.simple("problem", lang="en", status=s).status for s in (405, 413)] == [405, 413]
    assert pages.simple("problem", lang="en").status == 500


def directives(page: Page) -> dict[str, str]:
    policy = header(page, "content-security-policy")
    assert policy is not None
    parts = (part.partition(" ") for part in policy.split("; "))
    return {name: value for name, _, value in parts}


def test_the_policy_allows_the_page_its_own_style_and_nothing_foreign(pages: Pages) -> None:
    for name, _, page in every_page(pages):
        policy = directives(page)
        style = Outline(page).style
        digest = b64encode(sha256(style.encode()).digest()).decode()
        assert style
        assert policy.pop("style-src") == f"'sha256-{digest}'"
        assert policy.pop("default-src") == "'none'"
        assert policy.pop("base-uri") == "'none'"
        assert policy.pop("frame-ancestors") == "'none'"
        assert policy.pop("img-src") == "'self'"
        allowed = "'self' https:" if name in BUTTONS else "'none'"
        assert policy.pop("form-action") == allowed, name
        assert policy == ({"script-src": "'self'"} if name in SCRIPTED else {}), name


def test_the_form_may_lead_to_the_given_origins_too() -> None:
    pages = Pages(brand(logo_url=None), form_origins=["http://127.0.0.1:9000", "http://[::1]:9"])
    policy = directives(interstitial(pages))
    assert policy["form-action"] == "'self' https: http://127.0.0.1:9000 http://[::1]:9"
    assert "img-src" not in policy


@pytest.mark.parametrize(
    "origin",
    ["http://a;script-src *", "http://a/path", "javascript:alert(1)", "*", "http://a\r\nx: y", ""],
)
def test_what_is_no_origin_does_not_get_into_the_header(origin: str) -> None:
    with pytest.raises(Invalid) as caught:
        Pages(brand(), form_origins=["http://127.0.0.1:9000", origin])
    assert [problem.field for problem in caught.value.problems] == ["form_origins"]
    assert "scheme, host and port" in caught.value.problems[0].message


# What the pages hold


@pytest.mark.parametrize("letter", ["🌷", '"', "w"])
def test_every_page_is_small_even_with_the_longest_name(letter: str) -> None:
    long = letter * 5000
    for name, lang, page in every_page(Pages(brand(name=long)), campaign=long):
        assert len(page.body) < 10_000, (name, lang)


def test_every_page_is_one_accessible_document(pages: Pages) -> None:
    for name, lang, page in every_page(pages):
        outline = Outline(page)
        assert page.body.startswith(b"<!doctype html>")
        assert outline.all("html") == [{"lang": lang}]
        assert len(outline.all("main")) == len(outline.all("h1")) == 1, name
        metas = {meta["name"]: meta["content"] for meta in outline.all("meta") if "name" in meta}
        assert metas["viewport"] == "width=device-width, initial-scale=1"
        assert (metas["robots"] or "").startswith("noindex")
        title = re.search(r"<title>(.*)</title>", page.body.decode())
        assert title is not None
        assert "Spring sale" in title[1]
        assert "Fernhill Books" in title[1]
        assert "Spring sale" in outline.text
        (logo,) = outline.all("img")
        assert {"alt", "width", "height"} <= logo.keys()
        # An inline style would need unsafe-inline.
        assert not any("style" in attributes for _, attributes in outline.tags), name
        assert not re.search(r"[{}]", outline.text), "a place was left unfilled"


def test_no_page_asks_another_host_for_anything(pages: Pages) -> None:
    for _, _, page in every_page(pages):
        html = page.body.decode()
        assert not re.search(r"https?:|//|url\(|@import", html.partition("<form")[0])
        assert not any(
            tag in {"link", "iframe", "object", "embed"} for tag, _ in Outline(page).tags
        )


PRESS_SCRIPT = "/static/press.js"
OWN_FILES = {("img", "/brand/logo"), ("script", PRESS_SCRIPT)}
# The second button, for programs: out of sight, out of the keyboard's way and unspoken.
TRAP = {
    "type": "submit",
    "name": "also",
    "value": "1",
    "hidden": None,
    "tabindex": "-1",
    "aria-hidden": "true",
}
MINTING = {"href", "formaction", "src", "srcset", "data", "ping", "background", "poster"}


@pytest.mark.parametrize(
    "contact", [None, "help@fernhill.example", "https://fernhill.example/help"]
)
def test_law_2_nothing_on_the_interstitial_mints_by_get(contact: str | None) -> None:
    pages = Pages(brand(contact=contact))
    for lang in LANGUAGES:
        for again in (False, True):
            page = interstitial(pages, lang, again=again)
            outline = Outline(page)
            (form,) = outline.all("form")
            assert form == {"method": "post", "action": ACTION}
            assert outline.all("button") == [TRAP, {"type": "submit"}]
            assert outline.all("input") == [
                {"type": "hidden", "name": "challenge", "value": CHALLENGE},
                {"type": "hidden", "name": "gesture"},
            ]
            assert outline.all("script") == [{"src": PRESS_SCRIPT, "defer": None}]
            assert not any("http-equiv" in meta for meta in outline.all("meta"))
            for tag, attributes in outline.tags:
                assert not any(key.startswith("on") for key in attributes)
                for key in MINTING & attributes.keys():
                    value = attributes[key] or ""
                    assert value.startswith("mailto:") or (tag, value) in OWN_FILES


def test_the_interstitial_says_what_it_opens_why_and_for_how_long(pages: Pages) -> None:
    text = Outline(interstitial(pages)).text
    assert "The button opens your checkout at Fernhill Books." in text
    assert "stays open for 30 minutes" in text
    assert "use the same link again" in text
    assert "Mail security programs open links before people do" in text
    assert "help@fernhill.example" in text
    assert "once more" not in text


@pytest.mark.parametrize(
    ("lang", "minutes", "time"),
    [
        ("en", 1, "1 minute."),
        ("en", 45, "45 minutes."),
        ("en", 60, "1 hour."),
        ("en", 90, "90 minutes."),
        ("de", 1440, "24 Stunden lang"),
        ("fr", 60, "1 heure."),
        ("es", 30, "30 minutos."),
        ("pt", 120, "2 horas."),
        ("ja", 30, "30分ご利用"),
    ],
)
def test_the_time_reads_as_people_say_it(pages: Pages, lang: str, minutes: int, time: str) -> None:
    assert time in Outline(interstitial(pages, lang, minutes)).text


def test_a_destination_that_is_no_checkout_is_not_called_one(pages: Pages) -> None:
    text = Outline(interstitial(pages, minutes=0)).text
    assert "checkout" not in text
    assert "takes you on to Fernhill Books" in text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("contact", "key", "shown", "linked"),
    [
        (None, "again_sender", "", []),
        ("help@a.example", "again_contact", "help@a.example", [{"href": "mailto:help@a.example"}]),
        # Read, not followed: whoever follows links could take it for the way on.
        ("https://a.example/help", "again_contact", "a.example/help", []),
    ],
)
def test_a_second_press_is_asked_for_kindly(
    lang: str, contact: str | None, key: str, shown: str, linked: list[dict[str, str]]
) -> None:
    pages = Pages(brand(contact=contact))
    toml = (TEXTS / f"{lang}.toml").read_text().replace("\\u00a0", " ")
    texts = tomllib.loads(toml)["interstitial"]
    outline = Outline(interstitial(pages, lang, campaign="x", again=True))
    assert texts["again"] in outline.text
    assert texts[key].format(brand="Fernhill Books", contact=shown) in outline.text
    assert outline.all("a") == linked, "told once: here, and not in the footer too"
    first = Outline(interstitial(pages, lang, campaign="x")).text
    assert texts["again"] not in first


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_first_button_says_whom_it_is_for(pages: Pages, lang: str) -> None:
    """A text browser shows both buttons."""
    html = interstitial(pages, lang).body.decode()
    labels = re.findall(r"<button[^>]*>(.*?)</button>", html)
    texts = tomllib.loads((TEXTS / f"{lang}.toml").read_text())["interstitial"]
    assert labels == [texts["also"], texts["button_checkout"]]


def test_busy_retries_by_post_and_by_hand(pages: Pages) -> None:
    for lang in LANGUAGES:
        page = busy(pages, lang, retry_after=2.2)
        outline = Outline(page)
        assert header(page, "retry-after") == "3"
        assert outline.all("form") == [
            {"method": "post", "action": ACTION, "data-retry-after": "3"}
        ]
        assert outline.all("button") == [{"type": "submit"}]
        assert outline.all("script") == [{"src": "/static/retry.js", "defer": None}]
        (count,) = (p for p in outline.all("p") if p.get("class") == "count")
        assert "{time}" in (count["data-auto"] or "")
        assert "{count}" in (count["data-one"] or "")
        assert "{count}" in (count["data-other"] or "")
        assert any(p.get("aria-live") == "polite" for p in outline.all("p"))


CHARGES_NOTHING = {
    "de": "Durch das Öffnen dieser Seite wurde nichts abgebucht.",
    "en": "Opening this page has charged nothing.",
    "es": "Abrir esta página no ha supuesto ningún cobro.",
    "fr": "L’ouverture de cette page n’a donné lieu à aucun débit.",
    "ja": "このページを開いたことで料金が発生することはありません。",
    "pt": "Abrir esta página não gerou nenhuma cobrança.",
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_only_the_opening_of_the_page_is_said_to_cost_nothing(pages: Pages, lang: str) -> None:
    """The link may have just been paid, with the webhook still on its way."""
    for page in (
        busy(pages, lang),
        busy(pages, lang, crowded=True),
        pages.simple("misconfigured", lang=lang),
        pages.simple("subscribed", lang=lang),
    ):
        assert CHARGES_NOTHING[lang].casefold() in Outline(page).text.casefold()


PAYING = re.compile(
    r"\bpa(?:y|id)|charge|(?:be)?zahl|abgebucht|\bpag[aou]|cobr|\bpai|débit|支払|料金|請求",
    re.IGNORECASE,
)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_complete_without_a_payment_speaks_of_none(lang: str) -> None:
    pages = Pages(brand(contact=None))
    said = {
        name: " ".join(tomllib.loads((TEXTS / f"{lang}.toml").read_text())[name].values())
        for name in ("complete", "finished", "already_paid")
    }
    assert PAYING.search(said["already_paid"]), "the words to look for are these"
    assert not PAYING.search(said["complete"])
    assert not PAYING.search(said["finished"])
    assert 'class="sign done"' in pages.simple("complete", lang=lang).body.decode()


@pytest.mark.parametrize(("asked", "sent"), [(0, "1"), (-5, "1"), (0.1, "1"), (1e9, "3600")])
def test_the_wait_is_kept_within_reason(pages: Pages, asked: float, sent: str) -> None:
    assert header(busy(pages, retry_after=asked), "retry-after") == sent


def test_only_the_forms_have_a_script_and_one_button_to_see(pages: Pages) -> None:
    for name, _, page in every_page(pages):
        outline = Outline(page)
        assert len(outline.all("script")) == (name in SCRIPTED), name
        assert len(seen_buttons(outline)) == (name in BUTTONS), name
        assert len(outline.all("button")) - len(seen_buttons(outline)) == (name in PRESSED), name


def test_nothing_shows_what_is_hidden(pages: Pages) -> None:
    """The stylesheet's own display for buttons would win over the attribute."""
    assert "[hidden]{display:none!important}" in Outline(interstitial(pages)).style


@pytest.mark.parametrize(
    ("contact", "href", "label"),
    [
        ("help@fernhill.example", "mailto:help@fernhill.example", "help@fernhill.example"),
        (
            "mailto:help@fernhill.example?subject=Link",
            "mailto:help@fernhill.example?subject=Link",
            "help@fernhill.example",
        ),
        ("https://fernhill.example/help/?a=1&b=2", None, "fernhill.example/help"),
    ],
)
def test_the_sender_can_be_reached(contact: str, href: str | None, label: str) -> None:
    pages = Pages(brand(contact=contact))
    for name in SIMPLE:
        outline = Outline(pages.simple(name, lang="en"))
        assert outline.all("a") == [{"href": href or contact}]
        assert label in outline.text
    without = Outline(Pages(brand(contact=None)).simple("misconfigured", lang="en"))
    assert not without.all("a")


@pytest.mark.parametrize("campaign", ["", "  "])
def test_the_button_is_there_when_the_campaign_can_not_be_read(pages: Pages, campaign: str) -> None:
    for page in (interstitial(pages, campaign=campaign), busy(pages, campaign=campaign)):
        outline = Outline(page)
        assert len(seen_buttons(outline)) == 1
        assert b"None" not in page.body
        assert b"<bdi></bdi>" not in page.body
        assert b" \xc2\xb7  \xc2\xb7" not in page.body
    title = re.search(r"<title>(.*)</title>", interstitial(pages, campaign=campaign).body.decode())
    assert title is not None
    assert title[1] == "Fernhill Books"


def test_pages_work_without_a_campaign_and_without_a_logo() -> None:
    pages = Pages(brand(logo_url=None, contact=None))
    for name in SIMPLE:
        page = pages.simple(name, lang="en")
        assert not Outline(page).all("img")
        assert b"None" not in page.body
        assert b"<title></title>" not in page.body


# What must not get in


def test_names_are_text_wherever_they_stand() -> None:
    for name, lang, page in every_page(Pages(brand(name=HOSTILE)), campaign=HOSTILE):
        outline = Outline(page)
        assert b"<script>" not in page.body, (name, lang)
        (contact,) = (a for a in outline.all("a") if a["href"] != "?since=1800000000")
        assert contact == {"href": "mailto:help@fernhill.example"}
        assert HOSTILE in outline.text, "shown as it was given"


def test_a_name_can_not_pull_the_challenge_to_itself(pages: Pages) -> None:
    for campaign in ("challenge", "{challenge}", "action", ACTION, "\x00", "%s", "{0}"):
        page = interstitial(pages, campaign=campaign)
        assert page.body.count(CHALLENGE.encode()) == 1
        (form,) = Outline(page).all("form")
        assert form["action"] == ACTION


@pytest.mark.parametrize(
    "name", ["تخفيضات \u202e الربيع", "春のセール 🌷👩‍👩‍👧", "a" * 5000, "\ud800"]
)
def test_unusual_names_are_shown(pages: Pages, name: str) -> None:
    outline = Outline(interstitial(pages, campaign=name))
    shown = name.encode("utf-8", "replace").decode()
    assert shown[:100] in outline.text
    # Isolated, or a name from right to left would turn the sentence around it.
    assert outline.all("bdi")


@pytest.mark.parametrize(
    "value", ['"', "a b", "a&b", "<", "a\n", "é", "//evil.example", "a?b", "a#b"]
)
def test_only_url_safe_values_enter_the_form(pages: Pages, value: str) -> None:
    with pytest.raises(ValueError, match=r"^action: "):
        interstitial(pages, action=value)
    with pytest.raises(ValueError, match=r"^challenge: "):
        interstitial(pages, challenge=value)
    with pytest.raises(ValueError, match=r"^action: "):
        busy(pages, action=value)
    with pytest.raises(ValueError, match=r"^challenge: "):
        busy(pages, challenge=value)
    with pytest.raises(ValueError, match=r"^action: "):
        stopped(pages, "cancelled", action=value)
    with pytest.raises(ValueError, match=r"^challenge: "):
        stopped(pages, "failed", challenge=value)
    with pytest.raises(ValueError, match=r"^action: "):
        pages.unsubscribe(lang="en", action=value)


def test_an_unknown_page_is_refused_by_name(pages: Pages) -> None:
    with pytest.raises(ValueError, match=r"no page 'away'.*expired"):
        pages.simple("away", lang="en")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", ["", "  "]),
        ("colour", ["red", "#fff", "#12345g", "#123456;}", "#123456\n"]),
        ("logo_url", ["//evil.example/x", "https://evil.example/x", 'x"', "/a b", "/", ""]),
        (
            "contact",
            [
                "javascript:alert(1)",
                "http://a.example",
                "me",
                "a@b@c",
                "https://",
                "https://a@b",
                "",
            ],
        ),
    ],
)
def test_a_wrong_brand_is_refused_by_field(field: str, wrong: list[str]) -> None:
    for value in wrong:
        values: dict[str, str] = {"name": "Fernhill", "colour": "#0b7a5b", field: value}
        with pytest.raises(Invalid) as caught:
            Brand(**values)
        assert [problem.field for problem in caught.value.problems] == [f"brand.{field}"], value


def test_all_wrong_fields_of_a_brand_are_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        Brand(name="", colour="", logo_url="x", contact="x")
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["brand.name", "brand.colour", "brand.logo_url", "brand.contact"]


# Languages


def leaves(texts: dict[str, dict[str, str]]) -> dict[str, str]:
    return {f"{section}.{key}": text for section in texts for key, text in texts[section].items()}


def places(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def test_every_language_has_every_key_with_the_same_places(pages: Pages) -> None:
    assert pages.languages == LANGUAGES
    english = leaves(tomllib.loads((TEXTS / "en.toml").read_text()))
    for lang in LANGUAGES:
        own = leaves(tomllib.loads((TEXTS / f"{lang}.toml").read_text()))
        assert own.keys() == english.keys(), lang
        for key, text in own.items():
            assert set(places(text)) == set(places(english[key])), (lang, key)
            assert text == text.strip() != "", (lang, key)


def test_no_text_was_left_in_english() -> None:
    english = leaves(tomllib.loads((TEXTS / "en.toml").read_text()))
    for lang in set(LANGUAGES) - {"en"}:
        own = leaves(tomllib.loads((TEXTS / f"{lang}.toml").read_text()))
        same = {key for key in own if own[key] == english[key]}
        assert not {key for key in same if not key.startswith("common.")}, lang


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, "en"),
        ("", "en"),
        ("de", "de"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
        ("zh-Hant-TW, ja;q=0.7, en;q=0.3", "ja"),
        ("en;q=0.5, fr;q=0.9", "fr"),
        ("DE-at", "de"),
        ("fr;q=0, es;q=0.1", "es"),
        ("fr;q=0", "en"),
        ("*", "en"),
        ("nl, *;q=0.5", "en"),
        ("de, fr", "de"),
        ("fr ; q=0.4 , es ; Q=.6", "es"),
        ("de;q=nan, fr;q=0.1", "fr"),
        ("de;q=9, fr;q=0.1", "fr"),
        ("de;level=1, fr;q=0.1", "fr"),
        (",,;;=,\x00,fr", "fr"),
        ("../../etc/passwd", "en"),
        ("x" * 100_000, "en"),
        ("en;q=0.1," * 100_000 + "de", "en"),
        ("d" + "\ud800", "en"),
    ],
)
def test_the_language_that_was_asked_for_is_given(
    pages: Pages, asked: str | None, given: str
) -> None:
    assert pages.language(asked) == given


def test_an_unknown_language_speaks_english(pages: Pages) -> None:
    assert header(pages.simple("unknown", lang="xx"), "content-language") == "en"


# Colours


@pytest.mark.parametrize("colour", COLOURS)
def test_any_brand_colour_gives_a_readable_and_visible_button(colour: str) -> None:
    for shades in (light_shades(colour), dark_shades(colour)):
        assert contrast(shades.on, shades.fill) >= 4.5
        assert contrast(shades.edge, shades.card) >= 3
    assert light_shades(colour).fill == colour
    css = Outline(interstitial(Pages(brand(colour=colour)))).style
    assert f"--fill:{colour};" in css
    assert f"--fill:{dark_shades(colour).fill};" in css


def test_contrast_is_wcags() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert ink("#777777") == "#000000"
    assert ink("#767676") == "#ffffff"
    assert distinct("#0b5fff", "#ffffff", 3) == "#0b5fff"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_texts_are_readable_in_both_schemes(scheme: str) -> None:
    css = Outline(interstitial(Pages(brand()))).style
    light, _, dark = css.partition("@media (prefers-color-scheme:dark)")
    names = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", light if scheme == "light" else dark))
    for text in ("text", "soft"):
        for ground in ("page", "card"):
            assert contrast(names[text], names[ground]) >= 4.5
