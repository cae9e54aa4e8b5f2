"""A page as it goes out: its bytes, its headers, and what differs in it from visit to visit."""

import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
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
class Blank:
    """A rendered page around the values that differ from visit to visit, in their order."""

    status: int
    headers: Headers
    names: tuple[str, ...]
    parts: tuple[bytes, ...]

    @classmethod
    def cut(
        cls,
        status: int,
        headers: Headers,
        names: Sequence[str],
        render: Callable[[Mapping[str, str]], str],
    ) -> Self:
        """Render once, with a mark for each of `names`, and cut at the marks."""
        # Random, so that no campaign's name can hold a mark and pull the challenge to itself.
        marks = {name: secrets.token_hex(16) for name in names}
        parts, rest = [], render(marks)
        for mark in marks.values():
            before, rest = rest.split(mark)
            parts.append(encode(before))
        return cls(status, headers, tuple(names), (*parts, encode(rest)))

    def fill(self, *values: str) -> Page:
        """The page for one visit. Raises `ValueError` if a value isn't URL-safe."""
        body = [self.parts[0]]
        for name, value, after in zip(self.names, values, self.parts[1:], strict=True):
            # All are ours; the check keeps a caller's slip from becoming an injection.
            if not _SAFE.fullmatch(value):
                raise ValueError(f"{name}: give it in URL-safe characters, and no other host")
            body += (value.encode(), after)
        return Page.of(self.status, b"".join(body), self.headers)


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
