"""The trusted-device cookie: a browser that confirmed once goes straight through afterwards.

It holds a random id and its expiry, signed; nothing in it points to a recipient.
"""

from linkgate.cookies import values
from linkgate.errors import BadSignature
from linkgate.tokens import Keyring, Purpose

COOKIE = "lg_device"


def issue(keyring: Keyring, device: str, expires_at: float) -> str:
    """Return the cookie's value for the random id `device`, good until `expires_at` (Unix s)."""
    return keyring.sign(Purpose.DEVICE, f"{device}~{int(expires_at):x}".encode())


def read(keyring: Keyring, cookies: str, now: float) -> str | None:
    """Return the device id from a Cookie header, or None if there is no good one in it."""
    for value in values(cookies, COOKIE):
        try:
            device, expires = keyring.verify(Purpose.DEVICE, value).decode("ascii").split("~")
            if now < int(expires, 16):
                return device
        except (BadSignature, ValueError):
            continue
    return None
