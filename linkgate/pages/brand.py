"""The operator's brand as data, and the colours that make it readable.

Contrast is WCAG 2.2's: 4.5:1 for text (1.4.3), 3:1 for the edge of a control (1.4.11); luminance as
defined there (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance).
"""

import re
from dataclasses import dataclass

from linkgate.errors import Invalid, Problem

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LOGO = re.compile(r"/(?!/)[A-Za-z0-9._~/-]+")
_EMAIL = re.compile(r"[^\s@<>\"?&:/]+@[^\s@<>\"?&:/]+")
_MAILTO = re.compile(r"mailto:(?P<address>[^\s@<>\"?&:/]+@[^\s@<>\"?&:/]+)(\?[^\s<>\"]*)?")
_WEB = re.compile(r"https://(?P<label>[^\s/<>\"@?#]+[^\s<>\"@?#]*)([?#][^\s<>\"]*)?")

TEXT_CONTRAST = 4.5
EDGE_CONTRAST = 3.0


@dataclass(frozen=True, slots=True)
class Contact:
    """A way to reach the sender: where the link goes, and what it reads."""

    href: str
    label: str

    @property
    def is_mail(self) -> bool:
        return self.href.startswith("mailto:")


@dataclass(frozen=True, slots=True)
class Brand:
    """Who the pages speak for.

    `colour` is `#rrggbb`; `logo_url` a path on our own host (`/brand/logo`), because no page loads
    anything from another one; `contact` an e-mail address, a `mailto:` or an `https://` address.
    Raises `Invalid` with every wrong field at once.
    """

    name: str
    colour: str
    logo_url: str | None = None
    contact: str | None = None

    def __post_init__(self) -> None:
        problems = []
        if not self.name.strip():
            problems.append(Problem("brand.name", "is empty; give the name that people know"))
        if not _COLOUR.fullmatch(self.colour):
            problems.append(Problem("brand.colour", "write it as #rrggbb, for example #0b5fff"))
        if self.logo_url is not None and not _LOGO.fullmatch(self.logo_url):
            problems.append(
                Problem("brand.logo_url", "must be a path on this host, for example /brand/logo")
            )
        if self.contact is not None and _read_contact(self.contact) is None:
            problems.append(
                Problem("brand.contact", "give an e-mail address or an address with https://")
            )
        if problems:
            raise Invalid(problems)

    @property
    def reach(self) -> Contact | None:
        """The contact as a link, or None if there is none."""
        return None if self.contact is None else _read_contact(self.contact)


def _read_contact(text: str) -> Contact | None:
    if _EMAIL.fullmatch(text):
        return Contact(href=f"mailto:{text}", label=text)
    if mail := _MAILTO.fullmatch(text):
        return Contact(href=text, label=mail["address"])
    if web := _WEB.fullmatch(text):
        return Contact(href=text, label=web["label"].rstrip("/"))
    return None


@dataclass(frozen=True, slots=True)
class Shades:
    """The colours of one scheme, light or dark, that depend on the brand."""

    page: str
    card: str
    fill: str
    on: str
    edge: str


def light_shades(colour: str) -> Shades:
    """Keep the brand's colour; a pale one gets a darker edge, so that the button has a shape."""
    page, card = "#f3f4f6", "#ffffff"
    edge = distinct(colour, card, EDGE_CONTRAST)
    return Shades(page=page, card=card, fill=colour, on=ink(colour), edge=edge)


def dark_shades(colour: str) -> Shades:
    """Lighten a dark brand colour until the button stands out from the dark card."""
    page, card = "#101215", "#1a1d22"
    fill = distinct(colour, card, EDGE_CONTRAST)
    return Shades(page=page, card=card, fill=fill, on=ink(fill), edge=fill)


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two `#rrggbb` colours, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink(background: str) -> str:
    """White where it is readable on `background`, else black; one of them always is."""
    return "#ffffff" if contrast("#ffffff", background) >= TEXT_CONTRAST else "#000000"


def distinct(colour: str, against: str, ratio: float) -> str:
    """`colour`, moved towards black or white only as far as `ratio` against `against` needs."""
    target = ink(against)
    for step in range(101):
        mixed = _mix(colour, target, step / 100)
        if contrast(mixed, against) >= ratio:
            return mixed
    return target


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (value / 255 for value in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mix(colour: str, target: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(target), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
