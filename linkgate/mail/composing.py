"""A reminder as a message: plain text and HTML with the same words, and headers to be trusted.

Nothing in it loads from anywhere: no picture, no pixel. What an operator or a campaign's name puts
in can't begin a header of its own.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import EmailPolicy
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from linkgate.mail.addresses import mail_address
from linkgate.mail.settings import Reminder
from linkgate.mail.wording import fill, fill_parts, one_line, own_words, paragraphs
from linkgate.pages.brand import dark_shades, light_shades

#: A subject that a campaign's name makes longer is cut.
_SUBJECT_LIMIT: Final = 250


class _Addresses(UnstructuredHeader):
    """A list of addresses in angle brackets, each whole on a line of its own (RFC 2369).

    The library would break a long one up into encoded words, which no mail program undoes here.
    """

    def fold(self, *, policy: EmailPolicy) -> str:
        sep = policy.linesep
        return f"{self.name}: " + str(self).replace(", ", f",{sep} ") + sep  # type: ignore[attr-defined]


_REGISTRY: Final = HeaderRegistry()
_REGISTRY.map_to_type("list-unsubscribe", _Addresses)  # type: ignore[arg-type]
#: Seven bits: a server on the way needn't know more.
_POLICY: Final = policy.SMTP.clone(header_factory=_REGISTRY, cte_type="7bit")

_ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Whom a reminder is from. `address` and `reply_to` are bare; `colour` is `#rrggbb`."""

    address: str
    name: str
    brand: str
    colour: str
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """What differs from one reminder to the next. `now` is in Unix seconds; `key` is random, in
    letters and digits, and names the message.
    """

    to: str
    campaign: str
    link: str
    unsubscribe: str
    now: float
    key: str


def compose(reminder: Reminder, head: Letterhead, letter: Letter) -> EmailMessage:
    """Write one reminder; raises ValueError if its address can't be one."""
    own = own_words(reminder.language)
    brand, campaign = one_line(head.brand), one_line(letter.campaign)
    values = {"brand": brand, "campaign": campaign}
    subject = one_line(fill(reminder.subject or own["subject"], values))
    why = fill(own["why"], values)
    text = paragraphs(reminder.text or own["text"])
    sender = mail_address(head.address)

    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(one_line(head.name), addr_spec=sender)
    message["To"] = Address(addr_spec=mail_address(letter.to))
    if head.reply_to:
        message["Reply-To"] = Address(addr_spec=mail_address(head.reply_to))
    message["Subject"] = _shorten(subject)
    message["Date"] = datetime.fromtimestamp(int(letter.now), UTC)
    message["Message-ID"] = f"<{letter.key}@{sender.rpartition('@')[2]}>"
    # RFC 3834: nobody's out-of-office answers it.
    message["Auto-Submitted"] = "auto-generated"
    _offer_a_way_out(message, head, letter)
    message.set_content(_plain(text, values, own, why, letter), cte=None)
    html = _html(text, values, own, letter, head, reminder.language, subject, why)
    message.add_alternative(html, subtype="html")
    return message


def encode(message: EmailMessage) -> bytes:
    """Return a message as it goes to a server: 7-bit lines that end in CRLF, dots not doubled."""
    return message.as_bytes(policy=_POLICY)


def _offer_a_way_out(message: EmailMessage, head: Letterhead, letter: Letter) -> None:
    ways = [f"<{letter.unsubscribe}>"]
    if head.reply_to:
        ways.append(f"<mailto:{quote(mail_address(head.reply_to), safe='@')}?subject=unsubscribe>")
    message["List-Unsubscribe"] = ", ".join(ways)
    # RFC 8058, section 3.1: one click is for https alone.
    if letter.unsubscribe.startswith("https://"):
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _plain(text: Sequence[str], values: dict[str, str], own: Any, why: str, letter: Letter) -> str:
    filled = {**values, "link": letter.link}
    parts = [
        f"{own['button']}:\n{letter.link}" if part == "{link}" else fill(part, filled)
        for part in text
    ]
    # "-- ", as mail programs part what belongs to the sender.
    return "\n\n".join(map(_writable, parts)) + (
        f"\n\n-- \n{_writable(why)}\n{own['stop']}:\n{letter.unsubscribe}\n"
    )


def _html(
    text: Sequence[str],
    values: dict[str, str],
    own: Any,
    letter: Letter,
    head: Letterhead,
    language: str,
    subject: str,
    why: str,
) -> str:
    marked = {name: Markup("<bdi>{}</bdi>").format(value) for name, value in values.items()}
    marked["link"] = Markup('<a href="{0}">{0}</a>').format(letter.link)
    shown = [
        # An empty one is the button's place.
        None if part == "{link}" else Markup().join(fill_parts(part, marked, _broken))
        for part in text
    ]
    return _writable(
        _ENVIRONMENT.get_template("reminder.html").render(
            lang=language,
            subject=subject,
            brand=values["brand"],
            paragraphs=shown,
            link=letter.link,
            button=own["button"],
            why=why,
            stop=own["stop"],
            unsubscribe=letter.unsubscribe,
            light=asdict(light_shades(head.colour)),
            dark=asdict(dark_shades(head.colour)),
        )
    )


def _broken(text: str) -> Markup:
    return Markup("<br>\n").join(escape(line) for line in text.split("\n"))


def _writable(text: str) -> str:
    # A lone surrogate in a name becomes a question mark instead of no mail at all.
    return text.encode("utf-8", "replace").decode()


def _shorten(text: str) -> str:
    return text if len(text) <= _SUBJECT_LIMIT else text[: _SUBJECT_LIMIT - 1].rstrip() + "…"
