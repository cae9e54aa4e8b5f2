"""The checkout destination: a Stripe Checkout Session, made when a person visits."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from linkgate.destinations.base import (
    Attempt,
    Deadline,
    Going,
    Gone,
    Instead,
    Kind,
    Means,
    NotNow,
    SpentKey,
)
from linkgate.destinations.checkout_items import LineItem
from linkgate.destinations.checkout_parameters import parameters
from linkgate.destinations.checkout_settings import OWN_PARAMETERS, CheckoutDestination
from linkgate.destinations.portal import open_portal
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.payments import OWING, Session, SessionState
from linkgate.references import References
from linkgate.tokens import Link

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign

__all__ = ["KIND", "OWN_PARAMETERS", "Checkout", "CheckoutDestination", "LineItem"]

log = logging.getLogger(__name__)

#: How long recovered sessions are looked for: a busy account has thousands of other people's.
STRAYS_SECONDS = 2.0
#: Around an attempt, when its session was made by Stripe's clock: that may be minutes off, and the
#: metadata decides anyway.
SEARCH_MARGIN_SECONDS = 600


class Checkout:
    """Mints Checkout Sessions, and closes them."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._api = means.stripe
        self._references = References(means.keyring)
        # What was sent may be carried out that much later.
        self._wait_seconds = means.wait_seconds

    def request(
        self,
        campaign: "Campaign",
        link: Link,
        private: Mapping[str, Any],
        *,
        attempt: int,
        attempt_at: float,
    ) -> dict[str, Any]:
        """Return the parameters of the session that one attempt makes; see `parameters`."""
        return parameters(
            campaign,
            link,
            private,
            attempt=attempt,
            attempt_at=attempt_at,
            back=self._back(link.id),
        )

    async def instead(self, going: Going, deadline: Deadline) -> Instead | None:
        """Return where a customer goes who has the subscription already; see the base."""
        wanted = _settings(going.campaign)
        if going.owing:
            return await self._owed(wanted, going, deadline)
        if (
            wanted.mode != "subscription"
            or wanted.existing_customer == "checkout"
            or not going.customer
        ):
            return None
        try:
            known = await self._api.subscriptions(going.customer, deadline)
        except Gone:
            return None
        except DestinationMisconfigured as error:
            # A customer whom Stripe doesn't know has nothing. What else it refuses, such as a key
            # that may not read subscriptions, must not sell them a second one.
            if error.param == "customer":
                return None
            raise
        except SpentKey as error:
            raise DestinationBusy(str(error)) from error
        had = {each["status"] for each in known if _sells(wanted, each)}
        if not had:
            return None
        page = "on_hold" if had <= _ON_HOLD else "subscribed"
        if wanted.existing_customer == "page":
            return Instead("has the subscription already", page=page)
        return await self._portal("has the subscription already", going, deadline, page)

    async def _owed(self, wanted: CheckoutDestination, going: Going, deadline: Deadline) -> Instead:
        """Lead to where the open invoice of this link's own subscription is paid."""
        why = "the subscription is not paid"
        # The portal even where the campaign would sell another one: this one goes on collecting.
        if wanted.existing_customer == "page" or not going.customer:
            return Instead(why, page="on_hold")
        return await self._portal(why, going, deadline, "on_hold")

    async def _portal(self, why: str, going: Going, deadline: Deadline, page: str) -> Instead:
        """Lead to the billing portal, or to `page` where there is none."""
        assert going.customer
        params = {
            "customer": going.customer,
            "return_url": self._means.public_url + self._references.portal_path(going.link.id),
        }
        try:
            url = await open_portal(self._means, params, going, deadline)
        except DestinationMisconfigured as error:
            # The account has no portal, say. That is no reason to sell them a second one.
            log.warning("campaign %s: no billing portal: %s", going.campaign.slug, error)
            return Instead(f"{why}; no portal", page=page)
        return Instead(f"{why}: portal", url=url)

    async def strays(
        self, going: Going, known: Sequence[Session], deadline: Deadline
    ) -> list[Session]:
        """Return the link's recovered sessions that are open, or done unheard; see the base."""
        if going.recovery_until <= going.now:
            return []
        # Stripe keeps a recovery link for 30 days, and a session for 24 hours at most:
        # https://docs.stripe.com/payments/checkout/abandoned-carts
        since = int(going.now) - 25 * 3600
        ids = {session.id for session in known}
        found: list[Session] = []
        try:
            async for session in self._api.open_sessions(
                going.link.id,
                going.link.customer,
                since,
                Deadline.after(min(STRAYS_SECONDS, deadline.left)),
                # Where one payment is all, a link that is not done has no session that is, unless
                # its webhook is late or lost.
                done_too=going.campaign.payments_allowed == 1,
            ):
                if session.id not in ids:
                    found.append(session)
        except (SpentKey, Gone, DestinationBusy, DestinationMisconfigured) as error:
            # What is left open is known when it is paid.
            log.warning("link %s: not all recovered sessions found: %s", going.link.id, error)
        return found

    def _back(self, link_id: str) -> str:
        return self._means.public_url + self._references.return_path(link_id)

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
                int(attempt.at) - SEARCH_MARGIN_SECONDS,
                math.ceil(until) + SEARCH_MARGIN_SECONDS,
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


def _settings(campaign: "Campaign") -> CheckoutDestination:
    assert isinstance(campaign.destination, CheckoutDestination)
    return campaign.destination


#: Subscriptions that a person has, as Stripe calls their states; an incomplete one is not had yet.
#: https://docs.stripe.com/api/subscriptions/object#subscription_object-status
_HAD = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
#: Of these, those that wait for the person to pay, or to resume them.
_ON_HOLD = frozenset(state.value for state in OWING)


def _sells(wanted: CheckoutDestination, subscription: Mapping[str, Any]) -> bool:
    """Say whether a customer's subscription is to one of the things that the campaign sells."""
    if subscription.get("status") not in _HAD:
        return False
    prices = {item.price for item in wanted.line_items if item.price}
    products = {item.price_data.get("product") for item in wanted.line_items if item.price_data}
    products.discard(None)
    for item in (subscription.get("items") or {}).get("data", ()):
        price = item.get("price") or {}
        if price.get("id") in prices or price.get("product") in products:
            return True
    return False


KIND = Kind("checkout", CheckoutDestination, Checkout)
