"""Addresses that mail can be sent to, in the form that every server reads."""

from email.errors import MessageError
from email.headerregistry import Address
from typing import Final

import idna

#: Of what may stand before an @, what would need quoting.
_BARRED: Final = frozenset(' "(),:;<>@[\\]')


def mail_address(text: str) -> str:
    """Return an address with its domain in ASCII; raises ValueError if it can't be written so.

    What stands before the @ has to be ASCII itself: anything else takes a server that knows
    SMTPUTF8 at both ends.
    """
    local, at, domain = text.rpartition("@")
    if not (at and local and local.isascii() and local.isprintable() and not set(local) & _BARRED):
        raise ValueError("is not an address that mail can be sent to")
    try:
        # Not Python's own codec: it would write straße.de as strasse.de, which is someone else's.
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
        return Address(addr_spec=f"{local}@{ascii_domain}").addr_spec
    except (MessageError, ValueError, LookupError):
        raise ValueError("is not an address that mail can be sent to") from None
