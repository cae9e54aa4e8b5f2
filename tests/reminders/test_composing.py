"""A reminder as a message: its headers, its words, and what nobody can smuggle into it."""

import re
import tomllib
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linkgate.mail.wording as wording
from linkgate.mail.addresses import mail_address
from linkgate.mail.composing import Letter, Letterhead, compose, encode
from linkgate.mail.settings import Reminder
from linkgate.mail.wording import Language, own_words

LINK = "https://go.example.com/l/" + "a" * 170
WAY_OUT = "https://go.example.com/unsubscribe/lnk_" + "0" * 32 + "." + "s" * 43
HEAD = Letterhead("shop@example.com", "Example Shop", "Example Shop", "#1f5eff", "help@example.com")
LANGUAGES = get_args(Language)


def letter(**changes: Any) -> Letter:
    values = {"to": "anna@example.com", "campaign": "Spring sale", "link": LINK}
    rest = {"unsubscribe": WAY_OUT, "now": 1_800_000_000.5, "key": "k3y"}
    return Letter(**{**values, **rest, **changes})


def received(
    reminder: Reminder | None = None, head: Letterhead = HEAD, **changes: Any
) -> EmailMessage:
    """Compose, and read what goes over the wire as a mail program does."""
    raw = encode(compose(reminder or Reminder(), head, letter(**changes)))
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    return message_from_bytes(raw, _class=EmailMessage, policy=policy.default)


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found
    return str(found.get_content()).replace("\r\n", "\n")


class _Words(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._quiet = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self._quiet += tag in {"style", "title"}
        if tag == "br":
            self.seen.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= tag in {"style", "title"}

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.seen.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.seen).split())

    @property
    def links(self) -> list[str | None]:
        return [attrs.get("href") for tag, attrs in self.tags if tag == "a"]


def test_headers() -> None:
    message = received()
    assert {name: str(message[name]) for name in message if name != "Content-Type"} == {
        "From": "Example Shop <shop@example.com>",
        "To": "anna@example.com",
        "Reply-To": "help@example.com",
        "Subject": "You can still finish your checkout at Example Shop",
        "Date": "Fri, 15 Jan 2027 08:00:00 +0000",
        "Message-ID": "<k3y@example.com>",
        "Auto-Submitted": "auto-generated",
        "List-Unsubscribe": f"<{WAY_OUT}>, <mailto:help@example.com?subject=unsubscribe>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "MIME-Version": "1.0",
    }
    assert message.get_content_type() == "multipart/alternative"


def test_the_way_out_is_whole_on_one_line() -> None:
    raw = encode(compose(Reminder(), HEAD, letter(unsubscribe=WAY_OUT + "x" * 300)))
    assert f"List-Unsubscribe: <{WAY_OUT}{'x' * 300}>,\r\n <mailto:".encode() in raw


def test_one_click_is_for_https_alone_and_mail_for_an_address_to_answer_to() -> None:
    plain = received(head=Letterhead("a@example.com", "A", "A", "#000000"), unsubscribe="http://x/")
    assert plain["List-Unsubscribe"] == "<http://x/>"
    assert plain["List-Unsubscribe-Post"] is None
    assert plain["Reply-To"] is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_parts_say_the_same_and_lead_to_the_same(language: Language) -> None:
    message = received(Reminder(language=language))
    plain, html = part(message, "plain"), _Words(part(message, "html"))
    assert html.links == [LINK, WAY_OUT]
    assert plain.count(LINK) == plain.count(WAY_OUT) == 1
    words = plain.replace(f":\n{LINK}", "").replace(f":\n{WAY_OUT}", "").replace("\n-- \n", "\n")
    assert html.text == " ".join(["Example Shop", *words.split()])
    assert html.tags[0] == ("html", {"lang": language})
    for place in ("{", "}"):
        assert place not in plain + html.text


def test_nothing_loads_from_anywhere() -> None:
    html = part(received(), "html")
    assert {tag for tag, _ in _Words(html).tags}.isdisjoint({"img", "link", "script", "iframe"})
    assert "url(" not in html
    assert "@import" not in html
    assert re.findall(r"https?://[^/\"<]+", html) == ["https://go.example.com"] * 2


def test_both_schemes_of_colour_are_readable() -> None:
    html = part(received(head=Letterhead("a@example.com", "A", "A", "#ffff00")), "html")
    assert "prefers-color-scheme:dark" in html
    assert "color:#000000" in html  # black on a yellow button


def test_an_operators_own_words() -> None:
    text = "Hello <you> & {brand},\r\nsecond line: {link}\n\n{link}\n\n{campaign} {other}"
    with pytest.raises(ValueError, match="no placeholder"):
        Reminder(text=text)
    reminder = Reminder(subject="{campaign}: {brand}!", text=text.replace("{other}", "} {"))
    message = received(reminder)
    assert message["Subject"] == "Spring sale: Example Shop!"
    plain, html = part(message, "plain"), part(message, "html")
    assert plain.startswith(f"Hello <you> & Example Shop,\nsecond line: {LINK}\n\n")
    assert "Spring sale } {" in plain
    assert "Hello &lt;you&gt; &amp; <bdi>Example Shop</bdi>,<br>" in html
    assert _Words(html).links == [LINK, LINK, WAY_OUT]


def test_a_text_without_the_link_gets_it_at_its_end() -> None:
    message = received(Reminder(text="Come back?"))
    assert f"Come back?\n\nContinue to checkout:\n{LINK}\n" in part(message, "plain")
    assert _Words(part(message, "html")).links == [LINK, WAY_OUT]


@pytest.mark.parametrize(
    "name",
    ["Sale\r\nBcc: eve@example.com", "Sale\u2028Bcc: eve@example.com", "a\0b", "\ud800", "🎉" * 90],
)
def test_a_campaigns_name_makes_no_header_of_its_own(name: str) -> None:
    reminder = Reminder(subject="{campaign} at {brand}")
    message = received(
        reminder, head=Letterhead("a@example.com", name, name, "#1f5eff"), campaign=name
    )
    assert message["Bcc"] is None
    assert len(message.get_all("Subject", [])) == 1
    assert "\n" not in message["Subject"]
    assert "\nBcc" not in part(message, "plain")
    assert message["From"].addresses[0].addr_spec == "a@example.com"


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200), st.text(max_size=120))
def test_whatever_stands_in_words_and_names_the_headers_stay_ours(text: str, name: str) -> None:
    head = Letterhead("a@example.com", name, name or "x", "#1f5eff")
    own = Reminder.model_construct(subject=text or "x", text=text or "x", language="en")
    message = received(own, head=head, campaign=name)
    ours = "From To Subject Date Message-ID Auto-Submitted List-Unsubscribe List-Unsubscribe-Post"
    assert sorted(message.keys()) == sorted([*ours.split(), "MIME-Version", "Content-Type"])
    assert message["To"] == "anna@example.com"
    assert LINK in part(message, "plain")


def test_other_scripts_and_domains() -> None:
    head = Letterhead("laden@bücher.example", "Bücher & Söhne, GmbH", "本屋", "#1f5eff")
    message = received(
        Reminder(language="ja"), head=head, to="anna@straße.example", campaign="夏のセール"
    )
    assert message["From"].addresses[0].addr_spec == "laden@xn--bcher-kva.example"
    assert message["From"].addresses[0].display_name == "Bücher & Söhne, GmbH"
    assert message["To"] == "anna@xn--strae-oqa.example"
    assert message["Subject"] == "本屋 でのお手続きを再開いただけます"
    assert "「夏のセール」" in part(message, "plain")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "@x.de",
        "a@",
        "ü@x.de",
        "a b@x.de",
        "a@x.de\nBcc: b@x.de",
        "a@x..de",
        "<a@x.de>",
        '"a b"@x.de',
        "a@b@x.de",
        "a@ü" + "x" * 70 + ".de",
    ],
)
def test_what_is_no_address_to_send_to(address: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        mail_address(address)


@pytest.mark.parametrize(
    ("field", "value", "mend"),
    [
        ("subject", "a\nBcc: b", "one line"),
        ("subject", "a\u2028b", "one line"),
        ("subject", "Go on: {link}", "out of the subject"),
        ("subject", "Dear {name}", "no placeholder {name}"),
        ("text", "Dear {brand.__class__}", "no placeholder {brand.__class__}"),
        ("text", "a\0b", "control characters"),
        ("text", "", "at least 1"),
        ("language", "it", "'de'"),
        ("after_minutes", -1, "greater than or equal to 0"),
        ("after_minutes", 43_201, "less than or equal to 43200"),
        ("subjekt", "x", "not permitted"),
    ],
)
def test_settings_that_cannot_be_kept(field: str, value: Any, mend: str) -> None:
    with pytest.raises(ValueError, match=re.escape(mend)):
        Reminder.model_validate({field: value})


def test_every_language_has_the_same_keys_and_places() -> None:
    files = sorted(path.stem for path in (Path(wording.__file__).parent / "texts").glob("*.toml"))
    assert files == sorted(LANGUAGES)
    english = own_words("en")
    for language in LANGUAGES:
        words = own_words(language)
        assert words.keys() == english.keys()
        for key, text in words.items():
            assert set(re.findall(r"\{.*?\}", text)) == set(re.findall(r"\{.*?\}", english[key]))
        assert Reminder(subject=words["subject"], text=words["text"])
        raw = Path(wording.__file__).parent / "texts" / f"{language}.toml"
        assert tomllib.loads(raw.read_text(encoding="utf-8"))["text"].count("\n{link}\n") == 1
