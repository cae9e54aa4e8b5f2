"""Handing a message to a real mail server: taken, not taken, refused, or nobody knows."""

import asyncio
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from linkgate.smtp import Away, NotSent, PostOffice, Refused, Server, Unclear
from tests.reminders.post import PASSWORD, USER, Authority, Mailman, open_for

MESSAGE = b"Subject: hello\r\nTo: anna@example.com\r\n\r\n.\r\n..two\r\nend\r\n"


def office(mailman: Mailman, authority: Authority, **more: Any) -> PostOffice:
    values = {
        "host": "127.0.0.1",
        "port": mailman.port,
        "security": "starttls",
        "hello": "go.example.com",
        "username": USER,
        "password": PASSWORD,
        "timeout_s": 5.0,
        "ca_file": authority.bundle,
    }
    return PostOffice(Server(**{**values, **more}))


async def yes() -> bool:
    return True


async def deliver(office: PostOffice, to: str = "anna@example.com", ready: Any = yes) -> bool:
    return await office.deliver(MESSAGE, sender="shop@example.com", recipient=to, ready=ready)


async def test_a_message_goes_over_starttls_behind_a_login(
    mailman: Mailman, authority: Authority
) -> None:
    assert await deliver(office(mailman, authority))
    [envelope] = mailman.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.com", ["anna@example.com"])
    # Byte by byte, lines of dots as well.
    assert envelope.content == MESSAGE
    assert (mailman.tls, mailman.logins) == (["tls"], 1)


async def test_a_message_goes_over_tls_from_the_start(authority: Authority) -> None:
    async with open_for(Mailman(), authority, security="tls", login=False) as mailman:
        assert await deliver(office(mailman, authority, security="tls", username=None))
        assert mailman.tls == ["tls"]


async def test_without_encryption_only_where_that_is_said(authority: Authority) -> None:
    async with open_for(Mailman(), authority, security="none", login=False) as mailman:
        with pytest.raises(Away, match="no way to the mail server"):
            await deliver(office(mailman, authority, username=None))
        assert await deliver(office(mailman, authority, security="none", username=None))
        assert mailman.tls == ["plain"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_has_to_be_good(
    authority: Authority, tmp_path: Path, security: str
) -> None:
    other = Authority(trustme.CA(), tmp_path)
    async with open_for(Mailman(), authority, security=security) as mailman:
        for wrong in (other.bundle, None):
            with pytest.raises(Away, match="certificate is not good"):
                await deliver(office(mailman, authority, security=security, ca_file=wrong))
    async with open_for(Mailman(), authority, security=security, name="b.example") as mailman:
        with pytest.raises(Away, match=r"certificate is not good: .*not valid for '127\.0\.0\.1'"):
            await deliver(office(mailman, authority, security=security))
    assert mailman.logins == 0


async def test_a_wrong_password(mailman: Mailman, authority: Authority) -> None:
    with pytest.raises(Away, match=r"refuses the login: 535 5\.7\.8") as caught:
        await deliver(office(mailman, authority, password="wrong"))
    assert "wrong" not in str(caught.value).replace("is wrong", "")
    assert mailman.envelopes == []


async def test_no_server(authority: Authority) -> None:
    with closing(socket.socket()) as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        mailman = Mailman(port=taken.getsockname()[1])
        with pytest.raises(Away, match="no way to the mail server"):
            await deliver(office(mailman, authority))


async def test_a_server_that_says_nothing(authority: Authority) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    mailman = Mailman(port=server.sockets[0].getsockname()[1])
    with pytest.raises(Away, match="too slow"):
        await deliver(office(mailman, authority, timeout_s=0.05))
    server.close()


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        ("550 5.1.1 <anna@example.com>: no", Refused, "550 5.1.1 (there is no such mailbox)"),
        ("554 anna@example.com", Refused, "554"),
        ("450 4.2.1 anna@example.com: greylisted", NotSent, "450 4.2.1"),
        ("421 bye", NotSent, "421"),
    ],
)
async def test_a_refused_recipient_is_told_by_codes_alone(
    mailman: Mailman, authority: Authority, answer: str, kind: type[Exception], told: str
) -> None:
    mailman.rcpt = [answer]
    asked = []

    async def ready() -> bool:
        asked.append(True)
        return True

    with pytest.raises(kind) as caught:
        await deliver(office(mailman, authority), ready=ready)
    assert (type(caught.value), str(caught.value), asked) == (kind, told, [])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("554 5.7.1 spam", Refused), ("451 later", NotSent), ("354 what?", Unclear)],
)
async def test_a_refused_message(
    mailman: Mailman, authority: Authority, answer: str, kind: type[Exception]
) -> None:
    mailman.data = [answer]
    with pytest.raises(kind) as caught:
        await deliver(office(mailman, authority))
    assert type(caught.value) is kind


async def test_nothing_goes_when_it_is_taken_back_at_the_last_moment(
    mailman: Mailman, authority: Authority
) -> None:
    async def no() -> bool:
        return False

    assert not await deliver(office(mailman, authority), ready=no)
    assert mailman.envelopes == []


async def test_a_connection_that_breaks_before_the_message_is_no_doubt(
    mailman: Mailman, authority: Authority
) -> None:
    async def too_long() -> bool:
        for server in mailman.servers:
            server.transport.abort()
        await asyncio.sleep(0.05)
        return True

    with pytest.raises(NotSent, match="before the message"):
        await deliver(office(mailman, authority), ready=too_long)


async def test_a_connection_that_breaks_behind_the_message_is_one(
    mailman: Mailman, authority: Authority
) -> None:
    mailman.cut = True
    with pytest.raises(Unclear):
        await deliver(office(mailman, authority))
    assert len(mailman.envelopes) == 1


async def test_a_server_that_keeps_its_answer_to_itself(
    mailman: Mailman, authority: Authority
) -> None:
    mailman.hang = True
    with pytest.raises(Unclear):
        await deliver(office(mailman, authority, timeout_s=0.3))
    assert len(mailman.envelopes) == 1


@pytest.mark.parametrize("to", ["anna@example.com> SIZE=1", "a\r\nRCPT TO:<eve@x.de>", "ü@x.de"])
async def test_an_address_is_no_command(mailman: Mailman, authority: Authority, to: str) -> None:
    with pytest.raises(Refused):
        await deliver(office(mailman, authority), to=to)
    assert mailman.envelopes == []
