"""What one visit shows, read once from the request into a frozen, length-clamped value.

Everything here is total: junk in a header yields an empty or clamped field, never an error, because
a scanner's worst request still has to get an answer.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from linkgate.addresses import TrustedProxies, is_private, normalise, through

USER_AGENT_LIMIT = 512
HEADER_LIMIT = 256
COOKIE_LIMIT = 4096
#: So much of a purpose header is looked at for the words that make a prefetch of a visit.
PURPOSE_LIMIT = 8192
#: As `device.COOKIE` has it.
_OWN_COOKIE = re.compile(rb"(?<![^; ])lg_device=")
_PURPOSES = ("prefetch", "prerender", "preview")


class Press(msgspec.Struct, frozen=True, gc=False):
    """How the interstitial's form was sent, as the page's own script and the challenge tell it.

    The challenge is signed; what the script says is the visitor's own word, and only good against
    him.
    """

    dwell: float | None = None
    """Seconds from the page's making to its sending; None without a good challenge."""
    ran: bool = False
    """The page's script ran. If it did not, the following say nothing."""
    pressed: bool = False
    """The button was pressed, rather than the form sent by a script."""
    trusted: bool = False
    """The browser says that a person's input caused the press (`isTrusted`)."""
    driven: bool = False
    """The browser says that a program drives it (`navigator.webdriver`)."""
    visible: float = 0.0
    """Seconds for which the page was visible before the press."""
    second: bool = False
    """The second button was used, which no person can see."""
    repeat: bool = False
    """It comes from the busy page, which sends by itself for somebody who was let in before."""
    unpressed: bool = False
    """It repeats a visit that was let in without a press, and proves no more than that one did."""


# A msgspec.Struct is made in a tenth of the time that a frozen dataclass of this size takes.
class Signals(msgspec.Struct, frozen=True, gc=False):
    """One visit, as far as a request shows it. A header that was not sent is the empty string."""

    method: str = "GET"
    user_agent: str = ""
    accept: str = ""
    accept_language: str = ""
    accept_encoding: str = ""
    sec_fetch_site: str = ""
    sec_fetch_mode: str = ""
    sec_fetch_dest: str = ""
    sec_fetch_user: str = ""
    sec_purpose: str = ""
    purpose: str = ""
    x_purpose: str = ""
    x_moz: str = ""
    sec_ch_ua: str = ""
    sec_ch_ua_mobile: str = ""
    sec_ch_ua_platform: str = ""
    x_requested_with: str = ""
    referer: str = ""
    origin: str = ""
    cookie: str = ""
    content_type: str = ""
    host: str = ""
    secure: bool = False
    """The visitor spoke https to the outermost trusted hop."""
    address: str = ""
    """The visitor's address after trusted proxies; empty when no trusted hop names one."""
    address_known: bool = True
    """The address is the visitor's own: a trusted proxy named it, or it is on the public internet.
    A private peer may be a proxy nobody told us of, or a container's bridge, with everybody behind
    it: nothing may be counted by it."""
    decoy: bool = False
    """The visit opened a decoy, a link that no person can see."""
    sent_at: float | None = None
    """When the e-mail went out, in Unix seconds: the link's time, else the campaign's."""
    scan_seconds: float = 600.0
    """How long after that scanners are at work; the campaign's."""
    known_device: bool = False
    """The visit carries a good cookie of a browser that confirmed before."""
    press: Press | None = None
    """How the interstitial's form was sent; None for anything but a POST."""


# Header name -> field of Signals and the most bytes that are kept of it.
_WANTED: dict[bytes, tuple[str, int]] = {
    b"user-agent": ("user_agent", USER_AGENT_LIMIT),
    b"cookie": ("cookie", COOKIE_LIMIT),
    # Not cut before the word that makes a prefetch of it.
    b"sec-purpose": ("sec_purpose", PURPOSE_LIMIT),
    b"purpose": ("purpose", PURPOSE_LIMIT),
    b"x-purpose": ("x_purpose", PURPOSE_LIMIT),
    b"x-moz": ("x_moz", PURPOSE_LIMIT),
} | {
    name: (name.decode().replace("-", "_"), HEADER_LIMIT)
    for name in (
        b"accept",
        b"accept-language",
        b"accept-encoding",
        b"sec-fetch-site",
        b"sec-fetch-mode",
        b"sec-fetch-dest",
        b"sec-fetch-user",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"x-requested-with",
        b"referer",
        b"origin",
        b"content-type",
        b"host",
    )
}
#: The name of every header that is kept -> the field of Signals that keeps it.
HEADER_FIELDS = {name.decode(): field for name, (field, _) in _WANTED.items()}
_CHAINS = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"})


def gather(
    method: str,
    headers: Iterable[tuple[bytes, bytes]],
    peer: str,
    scheme: str,
    proxies: TrustedProxies,
    *,
    decoy: bool = False,
    sent_at: float | None = None,
    scan_seconds: float = 600.0,
) -> Signals:
    """Read a visit from ASGI's raw headers (lower-case names).

    Lines of one header are joined (RFC 9110, 5.3): a second line must not hide what it says.
    `peer` is the address at the other end of the connection, `scheme` what the server spoke; the
    others are what is known of the link (see `Signals`).
    """
    found: dict[str, Any] = {}
    chains: dict[bytes, bytes] = {}
    trusted = proxies.trusts(normalise(peer)) if proxies else False
    for name, value in headers:
        wanted = _WANTED.get(name)
        if wanted is not None:
            field, limit = wanted
            text = value[:limit].decode("latin-1")
            if limit == COOKIE_LIMIT < len(value):
                text = _cookies(value)
            if limit == PURPOSE_LIMIT:
                text = _purpose(text)
            if field not in found:
                found[field] = text
            elif text != found[field]:  # a proxy that repeats a header changes nothing
                found[field] = _joined(field, found[field], text, limit)
        elif trusted and name in _CHAINS:
            # Each line continues the one before (RFC 9110, 5.3): a visitor who sends a line of his
            # own must not push out the one that the proxy added below it.
            chains[name] = chains[name] + b"," + value if name in chains else value
    if chains:
        address, secure = through(chains, normalise(peer), scheme, proxies)
    else:
        address, secure = normalise(peer), scheme == "https"
    return Signals(
        method=method[:16],
        secure=secure,
        address=address,
        address_known=_is_own(address, peer, proxies),
        decoy=decoy,
        sent_at=sent_at,
        scan_seconds=scan_seconds,
        **found,
    )


def _cookies(value: bytes) -> str:
    """What fits of very many cookies; ours must not be among what doesn't."""
    ours = _OWN_COOKIE.search(value)
    start = ours.start() if ours else 0
    return value[start : start + COOKIE_LIMIT].decode("latin-1")


def _purpose(text: str) -> str:
    """A purpose header without what nobody asks for, so that a long one costs no memory."""
    if len(text) <= HEADER_LIMIT:
        return text
    return " ".join(word for word in _PURPOSES if word in text.lower())


def _joined(field: str, first: str, second: str, limit: int) -> str:
    if field == "cookie":
        return f"{first}; {second}"[: 2 * limit]
    if limit == PURPOSE_LIMIT:
        return _purpose(f"{first}, {second}")
    return f"{first}, {second}"[:limit]


def _is_own(address: str, peer: str, proxies: TrustedProxies) -> bool:
    """Whether an address is the visitor's own, and not that of a hop with others behind it."""
    if not address or proxies.trusts(address):
        return False
    return address != normalise(peer) or not is_private(address)
