"""One visit as something describes it: a command line, a HAR's entry, a log's line."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from linkgate.errors import LinkgateError

#: 9999-12-31, the last day that can be written as a date.
_LAST_SECOND = 253_402_300_799


class Unreadable(LinkgateError):
    """It is not what it was said to be; the message says what is wrong, and the mend."""


@dataclass(frozen=True, slots=True)
class Described:
    """A visit's request. `at` is in seconds since the epoch, None if it isn't told.

    `known` names the headers that the description would hold if they had been sent, in lower case;
    None where it holds all of them. `secure` is None where the description doesn't tell.
    """

    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    url: str = ""
    address: str = ""
    secure: bool | None = None
    at: float | None = None
    known: frozenset[str] | None = None
    notes: tuple[str, ...] = ()

    def header(self, name: str) -> str:
        """The value of the first header of that (lower-case) name, "" if there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def with_host(headers: list[tuple[str, str]], url: str) -> tuple[tuple[str, str], ...]:
    """Headers with the Host that the address implies, where they name none."""
    if any(name.lower() == "host" for name, _ in headers):
        return tuple(headers)
    host = host_of(url)
    return (("host", host), *headers) if host else tuple(headers)


def host_of(url: str) -> str:
    """Host and port of an address, without what comes before an @; "" if it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def moment(seconds: float) -> float | None:
    """Seconds since the epoch as they are; None for what is no time since then, like NaN."""
    return float(seconds) if 0 <= seconds <= _LAST_SECOND else None
