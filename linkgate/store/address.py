"""What `store.url` may say, as data. Nothing connects here, so the configuration can check it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from linkgate.errors import ConfigError, Problem

FIELD = "store.url"
DEFAULT_PORT = 6379
FORMS = (
    "embedded:<folder>, redis://host:port/db, rediss://host:port/db, unix:///path/to.sock "
    "or redis+cluster://host:port,host:port"
)

Kind = Literal["embedded", "tcp", "unix", "cluster"]
_KINDS: Mapping[str, tuple[Kind, bool]] = {
    "redis": ("tcp", False),
    "rediss": ("tcp", True),
    "unix": ("unix", False),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
# The query options that redis-py's TLS connection takes, under redis-py's own names.
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")
_CERT_REQS = ("required", "optional", "none")


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed `store.url`. The password is left out of the repr, because reprs end in logs."""

    kind: Kind
    path: Path | None = None
    nodes: tuple[tuple[str, int], ...] = ()
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The address without its credentials, for messages."""
        if self.path is not None:
            return f"{self.kind}:{self.path}"
        return ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes
        )


def parse_address(url: str) -> Address:
    """Read `store.url`. Relative embedded folders are taken from the working directory.

    Raises ConfigError that names `store.url` and the mend; the message never repeats the URL,
    which may hold a password.
    """
    scheme, separator, rest = url.partition(":")
    if scheme == "embedded" and separator:
        return _embedded(rest)
    if scheme not in _KINDS or not rest.startswith("//"):
        raise _bad(f"not a store address; write one of: {FORMS}")
    kind, tls = _KINDS[scheme]
    try:
        parts = urlsplit(f"//{rest[2:]}")
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _bad(f"can't be read; write one of: {FORMS}") from None
    return _server(kind, tls, parts, {name: values[-1] for name, values in options.items()})


def _embedded(folder: str) -> Address:
    if not folder or "\0" in folder:
        raise _bad("names no folder; write embedded:<folder>, such as embedded:./data")
    if folder.startswith("//"):
        raise _bad(
            "has // after embedded:; write embedded:<folder>, such as embedded:/var/lib/linkgate"
        )
    return Address(kind="embedded", path=Path(folder).expanduser().resolve())


def _server(kind: Kind, tls: bool, parts: SplitResult, options: dict[str, str]) -> Address:
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    db = _db(options.pop("db", "") or ("" if kind == "unix" else parts.path.strip("/")))
    if kind == "cluster" and db:
        raise _bad(
            "asks for a numbered database, which a cluster doesn't have; leave the number out"
        )
    path = None
    nodes: tuple[tuple[str, int], ...] = ()
    if kind == "unix":
        if hosts or not parts.path.strip("/"):
            raise _bad("names no socket; write unix:///path/to.sock (three slashes)")
        path = Path(unquote(parts.path))
    else:
        nodes = tuple(_node(host) for host in hosts.split(","))
        if kind == "tcp" and len(nodes) > 1:
            raise _bad("names several hosts; write redis+cluster:// for a cluster")
    return Address(
        kind=kind,
        path=path,
        nodes=nodes,
        db=db,
        username=unquote(username) or None,
        password=unquote(password) or None,
        tls=tls,
        tls_options=_tls_options(tls, options),
    )


def _node(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        # Not the error's text: with an unescaped / in the password, that is what it repeats.
        raise _bad(
            "has a host or port that can't be read; write host:port, "
            "and in a password write %2F for /, %3F for ?, %23 for #, %40 for @"
        ) from None
    if not host:
        raise _bad("names no host, or has an empty one in its list; write host:port")
    return unquote(host), DEFAULT_PORT if port is None else port


def _db(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise _bad("has a database that is not a number; write it as in redis://host:port/0")
    return int(text or 0)


def _tls_options(tls: bool, options: dict[str, str]) -> tuple[tuple[str, str], ...]:
    known = _TLS_OPTIONS if tls else ()
    for name, value in options.items():
        if name not in known:
            raise _bad(f"has an unknown option after the ?; known are {', '.join(('db', *known))}")
        if not value:
            raise _bad(f"gives {name} no value; fill it in or leave it out")
    if options.get("ssl_cert_reqs", "required") not in _CERT_REQS:
        raise _bad(f"has an unknown ssl_cert_reqs; write one of {', '.join(_CERT_REQS)}")
    return tuple(sorted(options.items()))


def _bad(message: str) -> ConfigError:
    return ConfigError([Problem(FIELD, message)])
