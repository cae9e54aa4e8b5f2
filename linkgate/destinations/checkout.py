"""The checkout destination: a Stripe Checkout Session, made when a person visits."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from linkgate.campaigns import Campaign
from linkgate.destinations.stripe_api import Deadline, Gone, NotNow, SpentKey, StripeAPI
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.payments import Session, SessionState
from linkgate.tokens import Link

log = logging.getLogger(__name__)

#: Stripe wants expires_at at least 30 minutes ahead on ITS clock; ours may be behind it.
CLOCK_MARGIN_SECONDS = 120

MAX_METADATA = 50

#: Metadata goes onto the object that later events speak of, or they could not be attributed.
_DATA_OF_MODE = {
    "payment": "payment_intent_data",
    "subscription": "subscription_data",
    "setup": "setup_intent_data",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a session, as it stands when a visit takes it up. Times in Unix seconds."""

    number: int
    at: float
    request: Mapping[str, Any]
    #: Whether the destination may have been asked for it before.
    asked_before: bool
    #: When its idempotency key was found spent; 0 if it wasn't.
    spent_at: float
    now: float


class Checkout:
    """Mints Checkout Sessions, and closes them."""

    def __init__(self, api: StripeAPI, *, wait_seconds: float) -> None:
        """Take the longest that a visit waits: what was sent may be carried out that much later."""
        self._api = api
        self._wait_seconds = wait_seconds

    def request(
        self,
        campaign: Campaign,
        link: Link,
        private: Mapping[str, Any],
        *,
        attempt: int,
        attempt_at: float,
    ) -> dict[str, Any]:
        """Return the parameters of the session that one attempt makes; see `parameters`."""
        return parameters(campaign, link, private, attempt=attempt, attempt_at=attempt_at)

    async def mint(self, link: Link, attempt: Attempt, deadline: Deadline) -> Session:
        """Make the session of an attempt, or find the one that this attempt made already.

        Raises DestinationBusy or DestinationMisconfigured; each says whether something may have
        been made all the same.
        """
        if not attempt.spent_at:
            key = f"linkgate-{link.id}-{attempt.number}-{int(attempt.at * 1000)}"
            try:
                session = await self._api.create_session(
                    dict(attempt.request), key, deadline, asked_before=attempt.asked_before
                )
            except Gone as error:
                raise DestinationMisconfigured(str(error), settled=True) from error
            except SpentKey as error:
                log.info("looking for what became of a session: %s", error)
            else:
                return replace(session, attempt=attempt.number)
        # The key's answer is an error for ever, and there may be a session all the same.
        until = attempt.spent_at or attempt.now + self._wait_seconds
        try:
            found = await self._api.find_session(
                link.id,
                attempt.number,
                int(attempt.at) - CLOCK_MARGIN_SECONDS,
                math.ceil(until) + CLOCK_MARGIN_SECONDS,
                deadline,
            )
        except (SpentKey, Gone, DestinationBusy, DestinationMisconfigured) as error:
            raise DestinationBusy(str(error), spent=True) from error
        if found is None:
            raise DestinationBusy("the session was not made", settled=True)
        return replace(found, attempt=attempt.number)

    async def close(self, session: Session, deadline: Deadline) -> Session:
        """Expire `session` and return it as it then is: expired, or done if it was too late."""
        try:
            return replace(
                await self._api.expire_session(session.id, deadline), attempt=session.attempt
            )
        except NotNow:
            pass
        except SpentKey as error:
            raise DestinationBusy(str(error)) from error
        try:
            now = await self._api.read_session(session.id, deadline)
        except Gone:
            # Another account's key, or a sandbox that was restarted: nobody can pay it.
            return replace(session, state=SessionState.EXPIRED)
        except SpentKey as error:
            raise DestinationBusy(str(error)) from error
        if now.state is SessionState.OPEN:
            raise DestinationBusy(f"Stripe neither expires {session.id} nor calls it done")
        return replace(now, attempt=session.attempt)


def parameters(
    campaign: Campaign,
    link: Link,
    private: Mapping[str, Any],
    *,
    attempt: int,
    attempt_at: float,
) -> dict[str, Any]:
    """Return the parameters of POST /v1/checkout/sessions; the same for the same attempt.

    The campaign's own `params` come first; what linkgate's laws need is laid over them.
    """
    wanted = campaign.destination
    own = {
        "linkgate_link": link.id,
        "linkgate_campaign": link.campaign,
        "linkgate_recipient": link.recipient,
        "linkgate_attempt": str(attempt),
    }
    of_link = private.get("metadata")
    params: dict[str, Any] = {
        **wanted.params,
        "mode": wanted.mode,
        "success_url": wanted.success_url,
        "client_reference_id": link.id,
        "expires_at": math.ceil(attempt_at) + campaign.session_minutes * 60 + CLOCK_MARGIN_SECONDS,
        "metadata": _metadata(own, of_link, wanted.params.get("metadata")),
    }
    data = _DATA_OF_MODE[wanted.mode]
    given = wanted.params.get(data) or {}
    params[data] = {**given, "metadata": _metadata(own, of_link, given.get("metadata"))}
    if wanted.line_items:
        params["line_items"] = [
            item.model_dump(mode="json", exclude_none=True) for item in wanted.line_items
        ]
    if wanted.cancel_url:
        params["cancel_url"] = wanted.cancel_url
    if link.customer:
        params["customer"] = link.customer
        params.pop("customer_email", None)
        params.pop("customer_creation", None)
    else:
        # Stripe refuses it without a customer; a link without one must not be shut out by it.
        params.pop("customer_update", None)
        if private.get("email"):
            params["customer_email"] = private["email"]
    return params


def _metadata(*sources: Mapping[str, Any] | None) -> dict[str, str]:
    """Merge, the first source strongest, as far as Stripe's 50 keys go.

    https://docs.stripe.com/api/metadata: one key too many would turn everyone away.
    """
    merged: dict[str, str] = {}
    for source in sources:
        for name, value in (source or {}).items():
            if len(merged) < MAX_METADATA:
                merged.setdefault(str(name), str(value))
    return merged
