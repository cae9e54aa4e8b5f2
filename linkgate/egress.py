"""The one way out to addresses that other people chose: webhooks' receivers, callbacks.

Whoever may choose an address must not reach what only this machine can: a database on loopback, a
cloud's metadata service, the router's own page. So the address is judged where the socket is made,
after every name, spelling and answer of DNS has become the address that is connected to.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

import linkgate
from linkgate import addresses
from linkgate.destinations.base import Unreachable

__all__ = ["Egress", "Reply", "Unreachable", "is_public"]

USER_AGENT = f"linkgate/{linkgate.__version__}"
#: Of an answer's body; what is beyond isn't read.
BODY_BYTES = 65_536
TIMEOUT_SECONDS = 10.0
#: Of one host, from one process. One that doesn't answer takes no connection from another.
CONNECTIONS_A_HOST = 50
#: Names are looked up in threads of their own: DNS that hangs for one host must not hold up
#: Stripe's, which is looked up in the event loop's.
_LOOKUPS = 16

# What is nobody's on the internet, beside what is private. The standard library's is_global differs
# from one patch of Python to the next.
# Source: IANA's special-purpose address registries (RFC 6890), and RFC 4291, 2.4, and 5771.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
            *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
            # Azure's host on every virtual network, with an address like the internet's.
            # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
            "168.63.129.16/32",
        ),
    )
)
#: The only IPv6 addresses that are given out.
_UNICAST = ipaddress.IPv6Network("2000::/3")


class _Forbidden(OSError):
    """The address is not one to connect to."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Its headers are found whatever their case; `complete` is False for a body that was
    cut off: larger than BODY_BYTES, too slow, or ended early.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    complete: bool = True


def is_public(address: str) -> bool:
    """Whether an address is one that anybody could reach: not this machine's, not a private or
    special network's, not multicast, in IPv6 clothing or not.
    """
    plain = addresses.normalise(f"[{address}]" if ":" in address else address)
    if not plain or addresses.is_private(plain):
        return False
    parsed = ipaddress.ip_address(plain)
    if parsed.version == 6 and parsed not in _UNICAST:
        return False
    return not any(parsed in network for network in _SPECIAL)


class Egress:
    """Sends requests out. Belongs to one event loop; connections are kept and used again."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver
        # Two, so that a connection that one caller was allowed is never used again for another.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        allow_private: bool = False,
        timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 - of the whole exchange
    ) -> Reply:
        """POST `body`; `timeout` is in seconds, for everything from the look-up to the last byte.

        Redirects are answers like others. Plain http takes `allow_private`. Raises Unreachable if
        no answer's head came.
        """
        try:
            target = URL(url)
        except ValueError:
            raise Unreachable("the address can't be read") from None
        if target.scheme != "https" and not (target.scheme == "http" and allow_private):
            raise Unreachable("the address is not https", forbidden=True)
        if not target.host or target.user is not None or target.password is not None:
            raise Unreachable("the address can't be used", forbidden=True)
        try:
            async with self._session(allow_private).post(
                target,
                data=body,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as answer:
                text, complete = await _read(answer)
                return Reply(answer.status, text, answer.headers, complete)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(_why(error, timeout), forbidden=_is_forbidden(error)) from None

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        if self._resolver is not None:
            await self._resolver.close()
            self._resolver = None

    def _session(self, allow_private: bool) -> aiohttp.ClientSession:
        if allow_private not in self._sessions:
            self._resolver = self._resolver or _Names()
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                socket_factory=_any_socket if allow_private else _public_socket,
                limit=0,
                limit_per_host=CONNECTIONS_A_HOST,
            )
            self._sessions[allow_private] = aiohttp.ClientSession(
                connector=connector,
                # Nobody's cookies are kept, and a small answer can't unfold into a large one.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._sessions[allow_private]


def _any_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = info
    return socket.socket(family, kind, protocol)


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    if not is_public(str(info[4][0])):
        raise _Forbidden("not a public address")
    return _any_socket(info)


async def _read(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """Read a body as far as it may go; whoever answered has answered, however the rest goes."""
    taken = bytearray()
    complete = False
    try:
        while len(taken) <= BODY_BYTES:
            part = await answer.content.read(BODY_BYTES + 1 - len(taken))
            if not part:
                complete = True
                break
            taken += part
    except (aiohttp.ClientError, OSError):
        pass
    if not complete:
        answer.close()
    return bytes(taken[:BODY_BYTES]), complete


def _is_forbidden(error: Exception) -> bool:
    # An odd spelling of an address (2130706433, 0177.0.0.1) is as bad as the address.
    return isinstance(error, aiohttp.InvalidURL) or (
        isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _Forbidden)
    )


def _why(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} seconds"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate can't be trusted"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no TLS connection could be made"
    if isinstance(error, aiohttp.ClientConnectorError):
        if _is_forbidden(error):
            return "the address is in a private network, which isn't allowed"
        return "no connection could be made"
    if isinstance(error, aiohttp.InvalidURL):
        return "the address can't be used"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return "the connection was lost"
    return "the answer can't be read"


class _Names(AbstractResolver):
    """Looks names up as the system does."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="linkgate-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return a name's addresses; raises OSError."""
        ask = partial(
            socket.getaddrinfo,
            *(host, port, family),
            type=socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host,
                host=str(place[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, place in found
        ]

    async def close(self) -> None:
        """Wait for no look-up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
