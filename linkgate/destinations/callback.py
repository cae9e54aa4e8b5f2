"""The callback destination: the operator's own service says, for each visit, where its person goes.

Magic logins, password resets, invitations, other payment providers: whatever has to be made afresh
for a person, and never for a machine. linkgate asks by a signed POST; see docs/destinations.md.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from linkgate import proofs
from linkgate.destinations.base import (
    Deadline,
    DestinationSettings,
    Going,
    Instead,
    Kind,
    Means,
    Reply,
    Unreachable,
)
from linkgate.destinations.fields import SecretNumber
from linkgate.destinations.location import Target, ascii_address, read_target
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.tokens import Purpose

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign

log = logging.getLogger(__name__)

#: Of an answer; the address in it has 5,000 characters at most, which may be written as \uXXXX.
ANSWER_BYTES: Final = 32_768
#: Which of our pages a service's word shows.
MESSAGES: Final[Mapping[str, str]] = {
    "already_done": "complete",
    "revoked": "revoked",
    "ended": "ended",
    "gone": "gone",
}
#: 4xx that say "not now", not "never": RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4.
_NOT_NOW: Final = frozenset({408, 425, 429})
_PAUSE_SECONDS: Final = 0.25
#: No second try is begun with less time than this.
_LEAST_SECONDS: Final = 0.5


class CallbackDestination(DestinationSettings):
    """Wherever your own service says, for each visit."""

    secret_purpose: ClassVar[Purpose | None] = Purpose.CALLBACK

    kind: Literal["callback"] = "callback"
    url: Target = Field(
        description="Your service: linkgate POSTs who comes, and it answers where they go"
    )
    timeout_seconds: Annotated[float, Field(ge=1, le=8)] = Field(
        default=4, description="How long one request to it may take"
    )
    secret_number: SecretNumber = Field(
        default=1, description="Raised to change the secret that requests are signed with"
    )


class _Junk(Exception):
    """The answer says nothing, or not now."""


class Callback:
    """Asks the campaign's service where a person goes."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def lead(self, going: Going, deadline: Deadline) -> str | Instead:
        """Return where the service sends the person; see the base.

        It is asked once more, by the same request, if it fails and there is time.
        """
        wanted = _settings(going.campaign)
        body = _body(going)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            **proofs.sign_request(
                self._means.keyring,
                going.link.campaign,
                number=wanted.secret_number,
                name=going.visit,
                at=int(going.now),
                body=body,
            ),
        }
        url = ascii_address(wanted.url)
        try:
            return await self._ask(url, body, headers, wanted.timeout_seconds, deadline)
        except (Unreachable, _Junk) as error:
            if deadline.left < _PAUSE_SECONDS + _LEAST_SECONDS:
                raise DestinationBusy(f"the callback failed: {error}") from None
            log.info("campaign %s: asking the callback again: %s", going.campaign.slug, error)
        await asyncio.sleep(_PAUSE_SECONDS)
        try:
            return await self._ask(url, body, headers, wanted.timeout_seconds, deadline)
        except (Unreachable, _Junk) as error:
            raise DestinationBusy(f"the callback failed twice: {error}") from None

    async def _ask(
        self, url: str, body: bytes, headers: Mapping[str, str], seconds: float, deadline: Deadline
    ) -> str | Instead:
        try:
            reply = await self._means.outside.post(
                url,
                body,
                headers,
                allow_private=self._means.allow_private,
                timeout=max(min(seconds, deadline.left), 0.01),
            )
        except Unreachable as error:
            if error.forbidden:
                off = " (destinations.allow_private_networks is off)"
                raise _refused(error.why + ("" if self._means.allow_private else off)) from None
            raise
        return _read(reply)


def _body(going: Going) -> bytes:
    at = datetime.fromtimestamp(int(going.now), UTC).isoformat().replace("+00:00", "Z")
    link = going.link
    data: dict[str, Any] = {
        "link": {"id": link.id, "campaign": link.campaign, "recipient": link.recipient},
        "visit": {"id": going.visit, "at": at},
        "customer": going.customer,
        "email": going.private.get("email"),
        "metadata": going.private.get("metadata") or {},
    }
    return json.dumps({"type": "link.opened", "timestamp": at, "data": data}).encode()


def _read(reply: Reply) -> str | Instead:
    """Return what a service's answer says; raises _Junk or DestinationMisconfigured.

    Nothing of it is put into words: an answer may hold a login.
    """
    status = reply.status
    if 300 <= status < 400:
        raise _refused(f"it answered {status}, and redirects are not followed: give its final url")
    if 400 <= status < 500 and status not in _NOT_NOW:
        raise _refused(f"it answered {status}")
    if not 200 <= status < 300:
        raise _Junk(f"it answered {status}")
    if len(reply.body) > ANSWER_BYTES:
        raise _Junk(f"its answer is longer than {ANSWER_BYTES} bytes")
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise _Junk("its answer is no JSON") from None
    if not isinstance(answer, dict) or ("url" in answer) == ("message" in answer):
        raise _refused("its answer has to be an object with either url or message")
    if "message" in answer:
        message = answer["message"]
        if not isinstance(message, str) or message not in MESSAGES:
            raise _refused("message in its answer must be one of " + ", ".join(MESSAGES))
        return Instead(f"the callback says {message}", page=MESSAGES[message])
    try:
        return read_target(answer["url"])
    except ValueError as error:
        raise _refused(f"url in its answer {error}") from None


def _refused(why: str) -> DestinationMisconfigured:
    return DestinationMisconfigured(f"the callback can't be used: {why}", settled=True)


def _settings(campaign: "Campaign") -> CallbackDestination:
    assert isinstance(campaign.destination, CallbackDestination)
    return campaign.destination


KIND = Kind("callback", CallbackDestination, Callback)
