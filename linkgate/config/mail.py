"""The settings of [mail]: the server that reminders go out through, and whom they are from."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from linkgate.config.checks import is_loopback, plain_text
from linkgate.config.fields import About, Seconds, Section, Whole
from linkgate.errors import Problem
from linkgate.mail.addresses import mail_address

_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]+)>")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]+\]?")


def _host(value: str) -> str:
    value = value.strip()
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name or an address alone, like smtp.example.com")
    return value.strip("[]")


def _address(value: str) -> str:
    try:
        return mail_address(value.strip())
    except ValueError:
        raise ValueError("must be an e-mail address, like shop@example.com") from None


def _sender(value: str) -> str:
    value = plain_text(value)
    named = _NAMED.fullmatch(value)
    if named is None:
        return _address(value)
    name = named["name"].strip().strip('"').strip()
    return f"{name} <{_address(named['address'])}>" if name else _address(named["address"])


def _authorities(path: Path) -> Path:
    try:
        ssl.create_default_context().load_verify_locations(path)
    except ssl.SSLError:
        raise ValueError(f"holds no certificate in PEM format: {path}") from None
    except OSError as error:
        raise ValueError(f"can't be read ({error.strerror}): {path}") from None
    return path


class Mail(Section):
    """The mail server for reminders: one e-mail to a person whose checkout closed unpaid, where the
    campaign wants it. Without a host, linkgate sends none.
    """

    host: Annotated[
        Annotated[str, AfterValidator(_host)] | None, About("host", '"smtp.example.com"')
    ] = Field(default=None, description="The mail server. Its certificate has to be good for it.")
    port: Annotated[Whole, About("number")] = Field(
        default=587, ge=1, le=65535, description="587 with starttls, usually 465 with tls."
    )
    security: Annotated[Literal["starttls", "tls", "none"], About("starttls, tls or none")] = Field(
        default="starttls",
        description="How the connection is encrypted: after a greeting, from the start, or not at "
        "all, which only a server on this machine may be reached by.",
    )
    username: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=320), AfterValidator(plain_text)]
        | None,
        About("text", '"apikey"'),
    ] = Field(default=None, description="The name to log in with; unset, linkgate does not log in.")
    password: Annotated[SecretStr | None, About("secret", '"..."')] = Field(
        default=None,
        description="The password to log in with; it only ever goes over an encrypted "
        "connection, or to this machine.",
    )
    sender: Annotated[
        Annotated[str, StringConstraints(max_length=400), AfterValidator(_sender)] | None,
        About("e-mail address, with or without a name", '"Example Shop <shop@example.com>"'),
    ] = Field(
        default=None,
        description="Whom reminders are from. Without a name, the brand's stands there. What comes "
        "back undelivered goes to this address.",
    )
    reply_to: Annotated[
        Annotated[str, StringConstraints(max_length=320), AfterValidator(_address)] | None,
        About("e-mail address", '"help@example.com"'),
    ] = Field(
        default=None,
        description="Where answers go, and where people may write who want no more reminders.",
    )
    timeout_seconds: Annotated[Seconds, Field(ge=1, le=600)] = Field(
        default=30,
        description="How long one step with the server may take. A server that takes longer to say "
        "that it has a message leaves that unknown, and the message is not sent again.",
    )
    ca_bundle: Annotated[
        Annotated[Path, AfterValidator(_authorities)] | None, About("file", '"./mail-ca.pem"')
    ] = Field(
        default=None,
        description="Certificates in PEM format to trust for the mail server beside the system's.",
    )
    per_minute: Annotated[Whole, About("number")] = Field(
        default=60,
        ge=1,
        le=6000,
        description="How many reminders go out in a minute at most, from all processes together.",
    )

    @property
    def sender_parts(self) -> tuple[str, str]:
        """The sender's name ("" if there is none) and address."""
        named = _NAMED.fullmatch(self.sender or "")
        if named is None:
            return "", self.sender or ""
        return named["name"].strip(), named["address"]


def check_mail(valid: Mapping[str, Any]) -> list[Problem]:
    """Judge the settings of [mail] that are valid by themselves by one another."""
    host = valid.get("mail.host")
    if not host:
        return []
    problems = []
    if valid.get("mail.sender", "") is None:
        problems.append(
            Problem(
                "mail.sender",
                "is missing; set it to whom reminders are from, like "
                '"Example Shop <shop@example.com>"',
            )
        )
    if valid.get("mail.security") == "none" and not is_loopback(host):
        # Anyone on the way could read the password and everybody's link.
        message = "may be none only for a server on this machine; use starttls or tls"
        problems.append(Problem("mail.security", message))
    names = {"mail.username", "mail.password"}
    unset = {name for name in names if valid.get(name, "") is None}
    if len(unset) == 1:
        [name] = unset
        [other] = names - unset
        problems.append(Problem(name, f"is missing, and {other} is set; set both or neither"))
    return problems
