"""Addresses that people are sent to: read, completed, and fit for a Location header. Pure."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote, unquote_plus, urlsplit

import idna
from pydantic import AfterValidator, TypeAdapter, ValidationError

from linkgate.validation import WebAddress

# Everything that is ASCII stays as the operator wrote it: "%2F" and "/" may differ for the target.
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_PORTS = {"https": 443, "http": 80}


def _without_user(value: str) -> str:
    # A password in settings is shown to everyone who may read campaigns; and "https://shop@evil/"
    # reads like a shop's address.
    if "@" in urlsplit(value).netloc:
        raise ValueError("must not hold a user name or a password")
    try:
        ascii_address(value)
    except ValueError:
        raise ValueError("has a host or a port that can't be one") from None
    return value


#: Where people or requests are sent: a web address without a user's name in it.
Target = Annotated[WebAddress, AfterValidator(_without_user)]

_TARGET: TypeAdapter[str] = TypeAdapter(Target)


def read_target(value: object) -> str:
    """Return a `Target` as ASCII; raises ValueError, in words, if it is none."""
    try:
        return ascii_address(_TARGET.validate_python(value, strict=True))
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def misleading(address: str | None) -> str | None:
    """Say what is wrong with an optional address as a `Target`; None if nothing is.

    For addresses that were kept before anybody asked: asked when people write one.
    """
    try:
        if address is not None:
            read_target(address)
    except ValueError as error:
        return str(error)
    return None


def header_value(address: str) -> str:
    """Return any address as a header can carry it, and as it is if one can; raises ValueError."""
    return address if address.isascii() else ascii_address(address)


def ascii_address(address: str) -> str:
    """Return an address as a Location header can carry it; raises ValueError if it can't be."""
    parts = urlsplit(address)
    # For browsers a backslash ends the host, and what is before an "@" is no part of it.
    if "\\" in parts.netloc or "@" in parts.netloc:
        raise ValueError("names two hosts")
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port is not None else ""
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(str(error)) from error
    host = f"[{host}]" if ":" in host else host
    rest = address.partition("//")[2][len(parts.netloc) :]
    return f"{parts.scheme}://{host}{port}{quote(rest, safe=_ASCII)}"


def origin(address: str) -> str:
    """Return scheme, host and port of an ASCII address, as a browser calls its origin."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port
    return f"{parts.scheme}://{host}" + (
        f":{port}" if port and port != _PORTS[parts.scheme] else ""
    )


def merged(address: str, params: Mapping[str, str]) -> str:
    """Return the address with query parameters set; others, and the fragment, stay as they are."""
    if not params:
        return address
    front, mark, fragment = address.partition("#")
    front, _, query = front.partition("?")
    kept = [
        part
        for part in query.split("&")
        if part and unquote_plus(part.partition("=")[0]) not in params
    ]
    added = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params.items()]
    return f"{front}?{'&'.join([*kept, *added])}{mark}{fragment}"
