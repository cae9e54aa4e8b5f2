"""The checkout destination: a Stripe Checkout Session, made when a person visits."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from linkgate.campaigns import Campaign
from linkgate.destinations.stripe_api import Deadline, Gone, NotNow, SpentKey, StripeAPI
from linkgate.errors import DestinationBusy
from linkgate.payments import Session, SessionState
from linkgate.tokens import Link

#: Stripe wants expires_at at least 30 minutes ahead on ITS clock; ours may be behind it.
CLOCK_MARGIN_SECONDS = 120

#: Metadata goes onto the object that later events speak of, or they could not be attributed.
_DATA_OF_MODE = {
    "payment": "payment_intent_data",
    "subscription": "subscription_data",
    "setup": "setup_intent_data",
}


class Checkout:
    """Mints Checkout Sessions, and closes them."""

    def __init__(self, api: StripeAPI) -> None:
        self._api = api

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

    async def mint(
        self,
        link: Link,
        request: Mapping[str, Any],
        *,
        attempt: int,
        attempt_at: float,
        deadline: Deadline,
    ) -> Session:
        """Make the session of an attempt, or find the one that this attempt made already.

        Raises DestinationBusy, DestinationMisconfigured, ExpiryRefused, Gone.
        """
        key = f"linkgate-{link.id}-{attempt}-{int(attempt_at * 1000)}"
        try:
            session = await self._api.create_session(dict(request), key, deadline)
        except SpentKey as error:
            # The key's answer is an error for ever, and there may be a session all the same.
            since = int(attempt_at) - CLOCK_MARGIN_SECONDS
            try:
                found = await self._api.find_session(link.id, attempt, since, deadline)
            except SpentKey as second:
                raise DestinationBusy(str(second)) from second
            if found is None:
                raise DestinationBusy(str(error), settled=True) from error
            session = found
        return replace(session, attempt=attempt)

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
    metadata = {
        **_texts(private.get("metadata")),
        "linkgate_link": link.id,
        "linkgate_campaign": link.campaign,
        "linkgate_recipient": link.recipient,
        "linkgate_attempt": str(attempt),
    }
    params: dict[str, Any] = {
        **wanted.params,
        "mode": wanted.mode,
        "success_url": wanted.success_url,
        "client_reference_id": link.id,
        "expires_at": math.ceil(attempt_at) + campaign.session_minutes * 60 + CLOCK_MARGIN_SECONDS,
        "metadata": {**_texts(wanted.params.get("metadata")), **metadata},
    }
    data = _DATA_OF_MODE[wanted.mode]
    given = wanted.params.get(data) or {}
    params[data] = {**given, "metadata": {**_texts(given.get("metadata")), **metadata}}
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
    elif private.get("email"):
        params["customer_email"] = private["email"]
    return params


def _texts(metadata: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in (metadata or {}).items()}
