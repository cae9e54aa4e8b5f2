"""A real mail server on loopback: aiosmtpd, with STARTTLS or TLS, a login, and moods."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD = "linkgate", "correct horse battery"


@dataclass
class Mailman:
    """What the server does with what it is given; each list is used up, then all is well."""

    port: int = 0
    rcpt: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    #: Close the connection instead of the answer to the message, or say nothing at all.
    cut: bool = False
    hang: bool = False
    logins: int = 0
    tls: list[str] = field(default_factory=list)
    envelopes: list[Any] = field(default_factory=list)
    servers: list[SMTP] = field(default_factory=list)

    def authenticate(self, server: Any, session: Any, envelope: Any, kind: str, data: Any) -> Any:
        assert isinstance(data, LoginPassword)
        self.logins += 1
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        answer = self.rcpt.pop(0) if self.rcpt else "250 fine"
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self.data.pop(0) if self.data else "250 taken"
        if answer.startswith("2"):
            self.envelopes.append(envelope)
            self.tls.append("tls" if server.transport.get_extra_info("sslcontext") else "plain")
        if self.cut:
            server.transport.abort()
        if self.hang:
            await asyncio.Event().wait()
        return answer

    @property
    def messages(self) -> list[EmailMessage]:
        """What was taken, read as a mail program would."""
        return [
            message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default)
            for envelope in self.envelopes
        ]


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own, and a server's certificate for 127.0.0.1."""

    ca: trustme.CA
    folder: Path

    @property
    def bundle(self) -> Path:
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(path)
        return path

    def context(self, name: str = "127.0.0.1") -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        return context


@contextlib.asynccontextmanager
async def open_for(
    mailman: Mailman,
    authority: Authority,
    *,
    security: str = "starttls",
    name: str = "127.0.0.1",
    login: bool = True,
) -> AsyncIterator[Mailman]:
    """Serve in this event loop; a login is required, and only on an encrypted connection."""
    loop = asyncio.get_running_loop()
    context = authority.context(name)

    def answer() -> SMTP:
        server = SMTP(
            mailman,
            loop=loop,
            hostname="mail.example.com",
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            auth_required=login and security == "starttls",
            auth_require_tls=security == "starttls",
            authenticator=mailman.authenticate,
        )
        mailman.servers.append(server)
        return server

    server = await loop.create_server(
        answer, "127.0.0.1", 0, ssl=context if security == "tls" else None
    )
    mailman.port = server.sockets[0].getsockname()[1]
    try:
        yield mailman
    finally:
        server.close()
        for session in mailman.servers:
            if session.transport:
                session.transport.abort()
            if task := session._handler_coroutine:
                task.cancel()
        await server.wait_closed()
