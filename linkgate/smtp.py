"""Handing one message to the mail server, and knowing what became of it.

A message is either taken, or not, or nobody knows; what nobody knows must not be sent again. Until
the server has said 354 to DATA, nothing of a message has left this process.

What a server says may hold an address, so only its codes are passed on: a reply code (RFC 5321,
4.2) and an enhanced status code (RFC 3463).
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from linkgate.mail.addresses import mail_address

_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
_LINE_DOT = re.compile(rb"^\.", re.MULTILINE)
#: The server says good-bye, or doesn't: the message is taken already.
_GOODBYE_SECONDS = 2.0
#: Beyond so many steps' time before DATA, a server is dragging its feet.
_STEPS = 4

#: What the commonest codes mean (RFC 3463, section 3; RFC 7505 and RFC 7372 for the null MX and
#: authentication).
_MEANINGS = {
    "5.1.1": "there is no such mailbox",
    "5.1.2": "the address's domain takes no mail",
    "5.1.3": "the address is not one",
    "5.1.6": "the mailbox has moved",
    "5.1.10": "the address's domain takes no mail",
    "5.2.1": "the mailbox is disabled",
    "5.2.2": "the mailbox is full",
    "5.3.4": "the message is too large",
    "5.7.1": "the server's policy forbids it",
    "5.7.8": "the user name or the password is wrong",
    "5.7.23": "SPF does not allow this server to send for the sender's domain",
    "5.7.26": "neither SPF nor DKIM speaks for the sender's domain",
}


@dataclass(frozen=True, slots=True)
class Server:
    """The mail server, and how to get in. `hello` is the name that linkgate goes by there."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    hello: str
    username: str | None = None
    password: str | None = None
    timeout_s: float = 30.0
    ca_file: Path | None = None


class NotSent(Exception):
    """The server has not taken the message; the same may go through later."""


class Away(NotSent):
    """The server takes no message from us now, whomever it is for."""


class Refused(Exception):
    """The server refuses this recipient, or this message, for good."""


class Unclear(Exception):
    """Whether the server has taken the message is unknown."""


class PostOffice:
    """Hands messages over, each by a connection of its own, which is verified and encrypted."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tls = ssl.create_default_context()
        if server.ca_file:
            self._tls.load_verify_locations(server.ca_file)

    @property
    def longest_s(self) -> float:
        """How long one delivery may take at most, in seconds."""
        # Up to DATA, DATA and the message, and the good-bye.
        return self._server.timeout_s * (_STEPS + 2) + _GOODBYE_SECONDS

    async def deliver(
        self,
        message: bytes,
        *,
        sender: str,
        recipient: str,
        ready: Callable[[], Awaitable[bool]],
    ) -> bool:
        """Hand over `message` (lines that end in CRLF); False if `ready` said no.

        `ready` is asked last, when the server is willing to take a message for the recipient.
        Raises NotSent, Refused or Unclear, and what `ready` raises.
        """
        smtp = self._client()
        try:
            try:
                async with asyncio.timeout(self._server.timeout_s * _STEPS):
                    await self._begin(smtp, sender, recipient)
            except TimeoutError as error:  # aiosmtplib's own are of this kind too
                raise Away("the mail server is too slow") from error
            if not await ready():
                return False
            await self._hand_over(smtp, message)
            return True
        except asyncio.CancelledError:
            smtp.close()  # whoever stops has no time for a good-bye
            raise
        finally:
            await self._part(smtp)

    def _client(self) -> SMTP:
        server = self._server
        return SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._tls,
            local_hostname=server.hello,
            timeout=server.timeout_s,
        )

    async def _begin(self, smtp: SMTP, sender: str, recipient: str) -> None:
        """Go as far as a server goes without a message."""
        try:
            await smtp.connect()
            if self._server.username is not None:
                await smtp.login(self._server.username, self._server.password or "")
            # Anything else would be taken apart for an address in it, which may be someone else's.
            await smtp.mail(mail_address(sender))
            await smtp.rcpt(mail_address(recipient))
        except TimeoutError:
            raise
        except SMTPRecipientRefused as error:
            kind = Refused if error.code >= 500 else NotSent
            raise kind(_codes(error)) from None
        except SMTPAuthenticationError as error:
            raise Away(f"the mail server refuses the login: {_codes(error)}") from None
        except SMTPResponseException as error:
            # The sender, or everybody: the operator's to mend, and nothing about the recipient.
            raise Away(f"the mail server refuses to begin: {_codes(error)}") from None
        except ssl.SSLCertVerificationError as error:
            raise Away(_certificate(error)) from None
        except (SMTPException, OSError) as error:
            cause = error.__cause__
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise Away(_certificate(cause)) from None
            # Told by host and port and the system's words at most.
            raise Away(f"no way to the mail server: {_plain(error)}") from None
        except ValueError:
            raise Refused("the address is not one") from None

    async def _hand_over(self, smtp: SMTP, message: bytes) -> None:
        try:
            reply = await smtp.execute_command(b"DATA")
        except (SMTPServerDisconnected, SMTPTimeoutError, SMTPResponseException, OSError):
            raise NotSent("the mail server left before the message") from None
        if reply.code != 354:
            _judge(reply.code, reply.message)
        # Not by its own `data`: that doesn't tell a connection that broke before the message from
        # one that broke behind it.
        protocol = smtp.protocol
        try:
            if protocol is None:
                raise SMTPServerDisconnected("gone")
            protocol.write(_LINE_DOT.sub(b"..", message) + b".\r\n")
        except SMTPException:
            raise NotSent("the mail server left before the message") from None
        try:
            reply = await protocol.read_response(timeout=self._server.timeout_s)
        except (SMTPException, OSError):
            smtp.close()  # no good-bye to whom doesn't answer
            raise Unclear("the mail server never said whether it has the message") from None
        if reply.code // 100 != 2:
            _judge(reply.code, reply.message)

    async def _part(self, smtp: SMTP) -> None:
        if smtp.is_connected:
            with suppress(SMTPException, OSError, ValueError):
                await smtp.quit(timeout=_GOODBYE_SECONDS)
        smtp.close()


def _judge(code: int, message: str) -> None:
    """Raise what a reply that isn't a yes says of the message."""
    told = _told(code, message)
    if 500 <= code < 600:
        raise Refused(told)
    if 400 <= code < 500:
        raise NotSent(told)
    raise Unclear(f"the mail server's answer is none: {told}")


def _codes(error: SMTPResponseException) -> str:
    return _told(error.code, error.message)


def _told(code: int, message: str) -> str:
    enhanced = _ENHANCED.search(message[:64])
    if enhanced is None:
        return str(code)
    meaning = _MEANINGS.get(enhanced[0])
    return f"{code} {enhanced[0]}" + (f" ({meaning})" if meaning else "")


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    return f"the mail server's certificate is not good: {error.verify_message}"


def _plain(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
