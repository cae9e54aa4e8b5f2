"""The checkout destination: a Stripe Checkout Session, made when a person visits."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from linkgate.destinations.base import (
    Attempt,
    Deadline,
    DestinationSettings,
    Going,
    Gone,
    Instead,
    Kind,
    Means,
    NotNow,
    SpentKey,
)
from linkgate.destinations.checkout_parameters import CLOCK_MARGIN_SECONDS, parameters
from linkgate.destinations.portal import open_portal
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.payments import Session, SessionState
from linkgate.references import References
from linkgate.tokens import Link
from linkgate.validation import Model, WebAddress

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign

log = logging.getLogger(__name__)

#: What linkgate sets itself on every Checkout Session: passing it through would break a law.
OWN_PARAMETERS = frozenset(
    {"mode", "expires_at", "client_reference_id", "customer", "success_url", "cancel_url"}
    | {"line_items", "ui_mode", "return_url"}
    # A recovered session is a second one: `recovery` sees to it that it is found and closed.
    | {"after_expiration"}
)

#: Parameters that linkgate adds its own metadata to, each an object with `metadata` in it.
_DATA_PARAMETERS = ("payment_intent_data", "subscription_data", "setup_intent_data")


class LineItem(Model):
    """One thing to buy: a price at Stripe, or `price_data` that describes one inline."""

    price: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    price_data: dict[str, Any] | None = None
    quantity: Annotated[int, Field(ge=1, le=999_999)] | None = 1
    adjustable_quantity: dict[str, Any] | None = None
    tax_rates: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.price is None) == (self.price_data is None):
            raise ValueError("give exactly one of price and price_data")
        return self


class CheckoutDestination(DestinationSettings):
    """A Stripe Checkout Session, made when a person visits."""

    default_payments: ClassVar[int | None] = 1
    is_checkout: ClassVar[bool] = True

    kind: Literal["checkout"] = "checkout"
    mode: Literal["payment", "subscription", "setup"] = "payment"
    line_items: Annotated[tuple[LineItem, ...], Field(max_length=100)] = ()
    success_url: WebAddress | None = Field(
        default=None,
        description="Where Stripe sends people who have paid; linkgate's own page, which tells "
        "whether the payment is confirmed, if null",
    )
    cancel_url: WebAddress | None = Field(
        default=None,
        description="Where people go who turn back; linkgate's own page, which lets them start "
        "afresh, if null",
    )
    allow_promotion_codes: bool | None = Field(
        default=None, description="Whether people may enter promotion codes"
    )
    automatic_tax: bool | None = Field(
        default=None, description="Whether Stripe Tax works out the tax"
    )
    trial_days: Annotated[int, Field(ge=1, le=730)] | None = Field(
        default=None, description="Days before a subscription's first payment; mode subscription"
    )
    locale: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]{2,4})?$")] | None
    ) = Field(
        default=None,
        description="The language of Stripe's page, such as \"de\"; the browser's if null",
    )
    customer_update: (
        dict[Literal["address", "name", "shipping"], Literal["auto", "never"]] | None
    ) = Field(
        default=None,
        description="Whether what people enter is saved on their customer; for links with one",
    )
    existing_customer: Literal["portal", "checkout", "page"] = Field(
        default="portal",
        description="Where a customer goes who already has the subscription: to Stripe's billing "
        "portal, to a checkout all the same, or to a page that says so",
    )
    recovery: bool = Field(
        default=False,
        description="Whether Stripe makes a recovery link when a session expires "
        "(after_expiration); events of the recovered session count for the same link",
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Further parameters of Stripe's POST /v1/checkout/sessions, passed as they are",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mode != "setup" and not self.line_items:
            raise ValueError(f"mode {self.mode} needs line_items; setup is the mode without")
        if self.mode == "setup" and self.line_items:
            raise ValueError("mode setup takes no line_items: nothing is bought")
        if self.trial_days and self.mode != "subscription":
            raise ValueError("trial_days needs mode subscription; nothing else has a trial")
        owned = sorted(OWN_PARAMETERS & self.params.keys())
        if owned:
            raise ValueError(f"params must not set {', '.join(owned)}: linkgate sets these itself")
        _check_names("params", self.params)
        _check_metadata("params.metadata", self.params)
        for name in _DATA_PARAMETERS:
            data = self.params.get(name)
            if data is not None and not isinstance(data, dict):
                raise ValueError(f"params.{name} must be an object")
            _check_metadata(f"params.{name}.metadata", data or {})
        return self


def _check_names(place: str, value: Any) -> None:
    # "after_expiration[recovery][enabled]" is on the wire what the nested objects are.
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not name or "[" in name or "]" in name:
                raise ValueError(f"{place}: write {name!r} as nested objects, without brackets")
            _check_names(f"{place}.{name}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_names(place, inner)


def _check_metadata(name: str, holder: Mapping[str, Any]) -> None:
    # Stripe's limits (https://docs.stripe.com/api/metadata), less linkgate's own four keys.
    metadata = holder.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict) or len(metadata) > 46:
        raise ValueError(f"{name} must be an object of at most 46 keys")
    for key, value in metadata.items():
        if not isinstance(value, str | int | float | bool) or len(str(value)) > 500:
            raise ValueError(f"{name}.{key} must be a text of at most 500 characters")
        if not 0 < len(key) <= 40:
            raise ValueError(f"{name}: keys have 1 to 40 characters")


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
        except SpentKey as error:
            raise DestinationBusy(str(error)) from error
        if not any(_sells(wanted, each) for each in known):
            return None
        if wanted.existing_customer == "page":
            return Instead("has the subscription already", page="subscribed")
        params = {
            "customer": going.customer,
            "return_url": self._back(going.link.id),
        }
        url = await open_portal(self._means, params, going, deadline)
        return Instead("has the subscription already: portal", url=url)

    async def strays(
        self, going: Going, known: Sequence[Session], deadline: Deadline
    ) -> list[Session]:
        """Return the link's recovered sessions that are open; see the base."""
        if going.recovery_until <= going.now:
            return []
        # Stripe keeps a recovery link for 30 days, and a session for 24 hours at most:
        # https://docs.stripe.com/payments/checkout/abandoned-carts
        since = int(going.now) - 25 * 3600
        try:
            found = await self._api.open_sessions(
                going.link.id, going.link.customer, since, deadline
            )
        except (SpentKey, Gone) as error:
            raise DestinationBusy(str(error)) from error
        ids = {session.id for session in known}
        return [session for session in found if session.id not in ids]

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


def _settings(campaign: "Campaign") -> CheckoutDestination:
    assert isinstance(campaign.destination, CheckoutDestination)
    return campaign.destination


#: Subscriptions that a person has, as Stripe calls their states; an incomplete one is not had yet.
#: https://docs.stripe.com/api/subscriptions/object#subscription_object-status
_HAD = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})


def _sells(wanted: CheckoutDestination, subscription: Mapping[str, Any]) -> bool:
    """Say whether a customer's subscription is to one of the things that the campaign sells."""
    if subscription.get("status") not in _HAD:
        return False
    prices = {item.price for item in wanted.line_items if item.price}
    products = {item.price_data.get("product") for item in wanted.line_items if item.price_data} - {
        None
    }
    for item in (subscription.get("items") or {}).get("data", ()):
        price = item.get("price") or {}
        if price.get("id") in prices or price.get("product") in products:
            return True
    return False


KIND = Kind("checkout", CheckoutDestination, Checkout)
