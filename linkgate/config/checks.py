"""What makes one value valid.

Each check returns the value as linkgate uses it, or raises ``ValueError`` whose message says what
is wrong and the mend, and never repeats a secret.
"""

import re
from ipaddress import ip_address
from os import SEEK_END
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from linkgate.addresses import Network, read_network

LOGO_MAX_BYTES = 100_000
KEY_MIN_CHARACTERS = 32
# A random key of 32 hexadecimal digits has fewer than 8 distinct ones once in some 20 million,
# while "changeme" or "password" over and over always has.
KEY_MIN_DISTINCT = 8

STORE_SCHEMES = ("embedded", "redis", "rediss", "unix", "redis+cluster", "rediss+cluster")

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*\.?")
_EMAIL = re.compile(r"[^@\s<>\"'?&:/]+@[^@\s<>\"'?&:/.]+(\.[^@\s<>\"'?&:/.]+)+")
_WEB_PAGE = re.compile(r"https://[^\s<>\"'@?#/]+[^\s<>\"'@?#]*([?#][^\s<>\"']*)?")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_API_KEY = re.compile(r"(sk|rk)_(test|live)_[!-~]+")
_WEBHOOK_SECRET = re.compile(r"whsec_[!-~]+")
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z0-9_]+)?")
_RULE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# What MaxMind's format has before its metadata, which are in the last 128 kB of a file.
# Source: the MaxMind DB file format, 2.0, "Database Metadata".
_MAXMIND_MARK = b"\xab\xcd\xefMaxMind.com"
_MAXMIND_METADATA_BYTES = 131_072
_IMAGE_STARTS = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".webp": (b"RIFF",),  # and four bytes later, WEBP
}


def number(value: Any) -> Any:
    """Refuse true and false where a number is meant: Python would take them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine: secure to browsers without TLS."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _split(value: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a URL; write it like {example}") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0:
        raise ValueError(f"must be a full http or https URL, like {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"must not hold a user name or a password; write it like {example}")
    if parts.query or parts.fragment:
        raise ValueError(f"must not have a ? or # part; write it like {example}")
    return parts


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if ":" in host:
        try:
            return f"[{ip_address(host)}]"
        except ValueError:
            raise ValueError("has an IPv6 address that can't be read") from None
    if not host.isascii():
        try:
            ascii_form = host.encode("idna").decode()
        except UnicodeError:
            raise ValueError("has a host name that can't be used in a URL") from None
        raise ValueError(f"must name the host in its ASCII form: {ascii_form}")
    if not _HOST.fullmatch(host):
        raise ValueError("has a host name that can't be used in a URL")
    return host


def origin(value: str) -> str:
    """Scheme, host and (when unusual) port, as a browser writes an ``Origin`` header."""
    example = "https://go.example.com"
    parts = _split(value, example)
    if parts.path not in ("", "/"):
        raise ValueError(
            f"must not have a path, because links live at /l/...; write it like {example}"
        )
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{_host(parts)}{port}"


def api_base(value: str) -> str:
    """Where Stripe's API is; over plain http only on this machine, where the sandbox runs."""
    base = origin(value)
    if base.startswith("http://") and not is_loopback(urlsplit(base).hostname or ""):
        # Anyone on the way could read the API key.
        raise ValueError("may use http only for this machine (the sandbox); use https")
    return base


def proxy_range(value: Any) -> Network:
    """One proxy's address or range; a bare address means itself alone."""
    if isinstance(value, Network):
        return value
    if not isinstance(value, str):
        raise ValueError('must be text, like "10.0.0.0/8" or "127.0.0.1"')
    try:
        network = read_network(value)
    except ValueError:
        raise ValueError(
            'is not an address range; write it like "10.0.0.0/8", "127.0.0.1" or "fd00::/8"'
        ) from None
    if network.prefixlen == 0:
        # Anyone could then send X-Forwarded-For and be taken for any address they like.
        raise ValueError("trusts the whole internet; name only your own proxies' addresses")
    return network


def signing_key(value: SecretStr) -> SecretStr:
    """A key that can't be guessed: length, and not one thing over and over."""
    key = value.get_secret_value()
    mend = "make one with `openssl rand -base64 32`"
    if len(key) < KEY_MIN_CHARACTERS:
        raise ValueError(f"has {len(key)} characters and needs {KEY_MIN_CHARACTERS}; {mend}")
    if len(set(key)) < KEY_MIN_DISTINCT:
        raise ValueError(f"repeats the same few characters, so it can be guessed; {mend}")
    if key != key.strip():
        raise ValueError("begins or ends with white space, which gets lost in copying; remove it")
    return value


def at_least_one(values: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Refuse an empty keyring, which could neither sign nor verify."""
    if not values:
        raise ValueError("is empty; run `linkgate init`, or make a key: `openssl rand -base64 32`")
    return values


def no_duplicates(values: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Refuse a key that stands twice: it looks like a rotation and is none."""
    if len({value.get_secret_value() for value in values}) != len(values):
        raise ValueError("holds the same value twice; remove one")
    return values


def stripe_key(value: SecretStr) -> SecretStr:
    """A secret or restricted API key of Stripe's, in test or live mode."""
    key = value.get_secret_value()
    if key.startswith("pk_"):
        raise ValueError(
            "is a publishable key, which can't make sessions; use the secret key (sk_...)"
        )
    if key.startswith("whsec_"):
        raise ValueError("is a webhook secret; that one belongs in stripe.webhook_secrets")
    if "..." in key or "…" in key:
        raise ValueError("is still the placeholder; copy the key from Stripe's dashboard")
    if not _API_KEY.fullmatch(key):
        raise ValueError(
            "is not a Stripe key; it starts with sk_test_, sk_live_, rk_test_ or rk_live_ and has "
            "neither spaces nor quotes"
        )
    return value


def webhook_secret(value: SecretStr) -> SecretStr:
    """The signing secret of one webhook endpoint at Stripe."""
    secret = value.get_secret_value()
    if secret.startswith(("sk_", "rk_", "pk_")):
        raise ValueError("is an API key; the endpoint's signing secret starts with whsec_")
    if "..." in secret or "…" in secret:
        raise ValueError("is still the placeholder; copy the signing secret from Stripe")
    if not _WEBHOOK_SECRET.fullmatch(secret):
        raise ValueError(
            "is not a webhook signing secret; it starts with whsec_ and has neither spaces nor "
            "quotes"
        )
    return value


def api_version(value: str) -> str:
    """A version of Stripe's API: a date, with a release name in newer ones."""
    if not _API_VERSION.fullmatch(value):
        raise ValueError('is not a version of Stripe\'s API; write it like "2025-03-31.basil"')
    return value


def store_url(value: str) -> str:
    """One of the ways to run the store; the rest of the URL is read when it is opened."""
    value = value.strip()
    scheme, colon, rest = value.partition(":")
    if not colon or scheme not in STORE_SCHEMES:
        raise ValueError(
            f"must begin with one of {', '.join(f'{s}:' for s in STORE_SCHEMES)}; for example "
            "embedded:./linkgate-data or redis://127.0.0.1:6379/0"
        )
    if scheme == "embedded":
        if not rest or rest.startswith("//"):
            raise ValueError("must name a folder after embedded:, like embedded:./linkgate-data")
        return value
    if not rest.startswith("//") or not rest[2:]:
        raise ValueError(f"must go on with // after {scheme}:, like redis://127.0.0.1:6379/0")
    return value


def plain_text(value: str) -> str:
    """One line that can be shown: no control characters, no space around it."""
    value = value.strip()
    if not value or not value.isprintable():
        raise ValueError("must be one line of visible text")
    return value


def colour(value: str) -> str:
    """A colour as #rrggbb, in lower case."""
    value = value.strip().lower()
    # It goes into the page's style sheet: anything but this form could carry other rules along.
    if not _COLOUR.fullmatch(value):
        raise ValueError('must be six hexadecimal digits after a #, like "#1f5eff"')
    return value


def contact(value: str) -> str:
    """An e-mail address or an https page where a person can ask for help."""
    value = value.strip()
    if _EMAIL.fullmatch(value):
        return value
    try:
        host = urlsplit(value).hostname
    except ValueError:
        host = None
    # A javascript: or data: URL would run on the pages.
    if not host or not _WEB_PAGE.fullmatch(value) or not value.isprintable():
        raise ValueError(
            "must be an e-mail address or an https URL, like help@example.com or "
            "https://example.com/help"
        )
    return value


def logo(path: Path) -> Path:
    """A small picture that exists and is what its name says."""
    suffix = path.suffix.lower()
    if suffix != ".svg" and suffix not in _IMAGE_STARTS:
        raise ValueError("must be a .png, .svg, .jpg or .webp file")
    try:
        with path.open("rb") as file:
            data = file.read(LOGO_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't be read ({error.strerror}): {path}") from None
    if len(data) > LOGO_MAX_BYTES:
        raise ValueError(
            f"is larger than {LOGO_MAX_BYTES // 1000} kB, which is slow on a phone; make it smaller"
        )
    starts = _IMAGE_STARTS.get(suffix)
    fits = data.startswith(starts) if starts else b"<svg" in data
    if suffix == ".webp":
        fits = fits and data[8:12] == b"WEBP"
    if not fits:
        raise ValueError(f"is not a {suffix} picture inside; save it in the format of its name")
    return path


def rule_name(value: str) -> str:
    """A name that fits into evidence and on a line: small letters, digits, hyphens."""
    if not _RULE_NAME.fullmatch(value):
        raise ValueError(
            "must be 1 to 40 small letters, digits and hyphens, and begin with no hyphen, like "
            "office-scanner"
        )
    return value


def asn_database(path: Path) -> Path:
    """A file in MaxMind's format; what is in it is read where it is used."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, SEEK_END)
            file.seek(max(0, size - _MAXMIND_METADATA_BYTES))
            metadata = file.read()
    except OSError as error:
        raise ValueError(f"can't be read ({error.strerror}): {path}") from None
    if _MAXMIND_MARK not in metadata:
        raise ValueError(f"is no database in MaxMind's format (.mmdb): {path}")
    return path
