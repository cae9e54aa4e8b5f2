"""A page as it goes out: its bytes, its headers, and the form that differs from visit to visit."""

import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from linkgate.errors import Invalid, Problem

Headers = tuple[tuple[bytes, bytes], ...]

_SAFE = re.compile(r"(?!//)[A-Za-z0-9._~/-]*")  # `//` at the start would name another host
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

#: On every answer of a link route, errors included. A link's address is a secret of its recipient:
#: no cache, referrer or index may keep it.
LAWS: Final[Headers] = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow"),
)
_ALWAYS: Final[Headers] = (
    (b"content-type", b"text/html; charset=utf-8"),
    *LAWS,
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"vary", b"accept-language"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A complete answer: `headers` is the whole ASGI list, names in lower case."""

    status: int
    body: bytes
    headers: Headers

    @classmethod
    def of(cls, status: int, body: bytes, headers: Headers) -> Self:
        """A page of `body`, with its content-length added to `headers`."""
        return cls(status, body, (*headers, (b"content-length", b"%d" % len(body))))


@dataclass(frozen=True, slots=True)
class FormPage:
    """A rendered page around the two values that differ from visit to visit."""

    status: int
    headers: Headers
    before: bytes
    between: bytes
    after: bytes

    @classmethod
    def cut(cls, status: int, headers: Headers, render: Callable[[str, str], str]) -> Self:
        """Render once, with marks for action and challenge, in this order, and cut at them."""
        # Random, so that no campaign's name can hold a mark and pull the challenge to itself.
        action, challenge = secrets.token_hex(16), secrets.token_hex(16)
        before, rest = render(action, challenge).split(action)
        between, after = rest.split(challenge)
        return cls(status, headers, encode(before), encode(between), encode(after))

    def fill(self, action: str, challenge: str) -> Page:
        """The page for one visit. Raises `ValueError` if either value isn't URL-safe."""
        # Both are ours; the check keeps a caller's slip from becoming an injection.
        if not _SAFE.fullmatch(action):
            raise ValueError("action: give a path on this host, in URL-safe characters")
        if not _SAFE.fullmatch(challenge):
            raise ValueError("challenge: give the signed challenge, in URL-safe characters")
        parts = (self.before, action.encode(), self.between, challenge.encode(), self.after)
        return Page.of(self.status, b"".join(parts), self.headers)


def encode(html: str) -> bytes:
    """UTF-8; a lone surrogate in a name becomes `?` rather than an error page for a person."""
    return html.encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the pages of one brand may load and where their form may lead (CSP level 3).

    `form_origins` are those besides our own and `https:`; raises `Invalid` if one isn't an origin.
    """

    css: str
    logo: bool
    form_origins: tuple[str, ...]

    def __post_init__(self) -> None:
        # An origin goes into a header: whatever isn't one could end it and begin another.
        wrong = [origin for origin in self.form_origins if not _ORIGIN.fullmatch(origin)]
        if wrong:
            mend = "write scheme, host and port only, for example http://127.0.0.1:9000"
            raise Invalid([Problem("form_origins", f"{origin!r}: {mend}") for origin in wrong])

    def directives(self, *, form: bool, script: bool) -> str:
        """The header's value for a page with or without a form and a script."""
        digest = b64encode(sha256(self.css.encode()).digest()).decode()
        parts = ["default-src 'none'", f"style-src 'sha256-{digest}'"]
        if self.logo:
            parts.append("img-src 'self'")
        if script:
            parts.append("script-src 'self'")
        # Chromium holds the redirect that answers the POST to form-action too, so 'self' alone
        # would stop the 303 to Stripe.
        targets: Sequence[str] = ("'self'", "https:", *self.form_origins) if form else ("'none'",)
        parts.append(f"form-action {' '.join(targets)}")
        parts += ["base-uri 'none'", "frame-ancestors 'none'"]
        return "; ".join(parts)

    def headers(
        self, lang: str, *, form: bool = False, script: bool = False, retry_after: int | None = None
    ) -> Headers:
        """All headers of a page but its length; `retry_after` is in seconds."""
        csp = self.directives(form=form, script=script)
        own = [(b"content-language", lang.encode()), (b"content-security-policy", csp.encode())]
        if retry_after is not None:
            own.append((b"retry-after", b"%d" % retry_after))
        return (*_ALWAYS, *own)
