"""The settings of [outbound]: who is told what happened, and how that is signed."""

import base64
import binascii
import difflib
import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from linkgate.addresses import is_private
from linkgate.config import checks
from linkgate.config.fields import About, Section, Table

#: Every type of message there is; docs/webhooks.md says what each one holds.
TYPES = (
    "link.visited",
    "session.minted",
    "session.expired",
    "payment.succeeded",
    "payment.failed",
    "payment.refunded",
    "payment.disputed",
    "subscription.started",
    "subscription.ended",
    "access.granted",
    "access.revoked",
)

# No full stop: it parts a message's id from the endpoint's name.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PREFIX = "whsec_"
#: What a secret has at least and at most, decoded.
#: Source: the Standard Webhooks specification 1.0, "Signature scheme".
SECRET_BYTES = (24, 64)
_MEND = 'make one with `echo "whsec_$(openssl rand -base64 32)"`'


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            "must be 1 to 40 small letters, digits and hyphens, and begin with no hyphen, like shop"
        )
    return value


def _url(value: str) -> str:
    """An https address; http only on this machine, where nobody is on the way."""
    example = "https://shop.example.com/hooks/linkgate"
    value = value.strip()
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a URL; write it like {example}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"must be a full https URL, like {example}")
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise ValueError("must be plain ASCII without spaces or backslashes")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or a password; the signature is the proof")
    if "#" in value:
        raise ValueError(f"must not have a # part; write it like {example}")
    if parts.scheme == "http" and not checks.is_loopback(parts.hostname):
        raise ValueError("may use http only for this machine; use https")
    return value


def _secret(value: SecretStr) -> SecretStr:
    """A secret as Standard Webhooks writes it: whsec_ and base64 of 24 to 64 bytes."""
    text = value.get_secret_value()
    if not text.startswith(_PREFIX):
        raise ValueError(f"must begin with {_PREFIX}; {_MEND}")
    encoded = text.removeprefix(_PREFIX)
    if "..." in encoded or "…" in encoded:
        raise ValueError(f"is still the placeholder; {_MEND}")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is not base64 after {_PREFIX}; {_MEND}") from None
    least, most = SECRET_BYTES
    if not least <= len(key) <= most:
        raise ValueError(f"has {len(key)} bytes and needs {least} to {most}; {_MEND}")
    return value


def _some_secrets(values: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not values:
        raise ValueError(f"is empty; {_MEND}")
    return checks.no_duplicates(values)


def _type(value: str) -> str:
    if value not in TYPES:
        near = difflib.get_close_matches(value, TYPES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TYPES)}"
        raise ValueError(f"is no type of message; {hint}")
    return value


class EndpointTable(Table):
    """One receiver of messages. Each gets every message of the types that it wants, in order for
    each link, signed with its own secrets.
    """

    name: Annotated[
        Annotated[str, AfterValidator(_name)],
        About("name", '"shop"', "give the endpoint a name, to find its deliveries by"),
    ] = Field(
        description="What deliveries are listed under. Small letters, digits and hyphens. What "
        "still waits when a name is taken away or changed is parked."
    )
    # Not shown by repr: many services put a secret into the address.
    url: Annotated[
        Annotated[str, AfterValidator(_url)],
        About(
            "URL",
            '"https://shop.example.com/hooks/linkgate"',
            "say where to send the messages",
        ),
    ] = Field(
        repr=False,
        description="Where messages are POSTed to. https; http only for this machine. Redirects "
        "are not followed.",
    )
    secrets: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_secret)], ...],
        Field(max_length=10),
        AfterValidator(_some_secrets),
        About("list of secrets", '["whsec_..."]', _MEND),
    ] = Field(
        description="`whsec_` and base64 of 24 to 64 random bytes, as Standard Webhooks has them. "
        "Every one of them signs every message, so to rotate, add the new one, let the receiver "
        "take it over, and remove the old one.",
    )
    events: Annotated[
        tuple[Annotated[str, AfterValidator(_type)], ...],
        About("list of types", '["payment.succeeded", "access.granted", "access.revoked"]'),
    ] = Field(
        default=(),
        description="The types of messages that it gets; without any, all of them, those of later "
        "versions too. docs/webhooks.md lists them.",
    )
    allow_private_network: Annotated[bool, About("true or false")] = Field(
        default=False,
        description="Allow an address in a private network or on this machine. Otherwise they are "
        "refused, whatever the name resolves to.",
    )

    def wants(self, kind: str) -> bool:
        """Whether this endpoint gets messages of a type."""
        return not self.events or kind in self.events

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        host = urlsplit(self.url).hostname or ""
        if not self.allow_private_network and (checks.is_loopback(host) or is_private(f"[{host}]")):
            raise ValueError(
                "has a url on this machine or in a private network; set allow_private_network to "
                "true if that is meant"
            )
        return self


def _names_differ(endpoints: tuple[EndpointTable, ...]) -> tuple[EndpointTable, ...]:
    names = [endpoint.name for endpoint in endpoints]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'has two endpoints named "{name}"; give one of them another name')
    return endpoints


#: Every process asks for each endpoint's work once a second, and has up to ten connections to it.
ENDPOINTS_MAX = 20

_EXAMPLE = """\
[[outbound.endpoints]]
name = "shop"
url = "https://shop.example.com/hooks/linkgate"
secrets = ["whsec_..."]
events = ["payment.succeeded", "access.granted", "access.revoked"]\
"""


class Outbound(Section):
    """Who is told what happened, by signed webhooks in the Standard Webhooks format;
    docs/webhooks.md says what is told, and what a receiver has to do.
    """

    endpoints: Annotated[
        tuple[EndpointTable, ...],
        Field(max_length=ENDPOINTS_MAX),
        AfterValidator(_names_differ),
        About("list of tables", _EXAMPLE),
    ] = Field(
        default=(),
        description="The receivers, each under an [[outbound.endpoints]] heading; 20 at most. "
        "With secrets in a file: LINKGATE_OUTBOUND__ENDPOINTS_FILE names one that holds the whole "
        "list as JSON.",
    )
