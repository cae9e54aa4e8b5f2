"""The portal destination: Stripe's billing portal, made when a person visits.

A portal session lives for minutes, belongs to a customer, and takes no payment by itself; so each
visit gets one of its own.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from linkgate.destinations import portal_flows
from linkgate.destinations.base import (
    Deadline,
    DestinationSettings,
    Going,
    Gone,
    Instead,
    Kind,
    Means,
    SpentKey,
)
from linkgate.destinations.checkout_items import Shaped
from linkgate.destinations.checkout_rules import LOCALES
from linkgate.destinations.fields import Configuration, Locale
from linkgate.destinations.location import header_value, misleading
from linkgate.destinations.portal_flows import FlowData
from linkgate.errors import DestinationBusy, DestinationMisconfigured, Problem
from linkgate.validation import WebAddress

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign

log = logging.getLogger(__name__)

#: The portal speaks what Stripe's checkout does but Hindi, and more of English.
PORTAL_LOCALES: Final = LOCALES - {"hi-IN"} | {"en-AU", "en-CA", "en-IE", "en-IN", "en-NZ"}


class PortalDestination(DestinationSettings):
    """Stripe's billing portal for the link's customer."""

    kind: Literal["portal"] = "portal"
    return_url: WebAddress | None = Field(
        default=None,
        description="Where the portal's way back leads; the portal configuration's own if null",
    )
    configuration: Configuration | None = Field(
        default=None,
        description="The id of a portal configuration at Stripe; its default one if null",
    )
    locale: Locale | None = Field(
        default=None,
        description="The portal's language; the customer's or the browser's if null",
    )
    flow_data: Annotated[dict[str, Any], Shaped(FlowData)] | None = Field(
        default=None,
        description="Where in the portal people begin, as Stripe's flow_data has it; in its texts "
        "{subscription} stands for the customer's one subscription, {subscription_item} for its "
        "one item",
    )
    login_url: WebAddress | None = Field(
        default=None,
        description="Where people go whose link names no customer that Stripe knows, such as the "
        "portal's login page; a page that asks them to get in touch if null",
    )

    @field_validator("flow_data")
    @classmethod
    def _flow(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and not isinstance(value.get("type"), str):
            raise ValueError('must have a type, such as {"type": "payment_method_update"}')
        return value

    def problems(self) -> Iterable[Problem]:
        """Yield what Stripe is certain to refuse, and what would lead people elsewhere."""
        yield from portal_flows.problems(self.flow_data)
        if self.locale is not None and self.locale not in PORTAL_LOCALES:
            yield Problem("locale", f"must be one of {', '.join(sorted(PORTAL_LOCALES))}")
        if wrong := misleading(self.login_url):
            yield Problem("login_url", wrong)


class Portal:
    """Leads a customer to the billing portal."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def lead(self, going: Going, deadline: Deadline) -> str | Instead:
        """Return the address of a fresh portal session; see the base.

        Where a flow can't be begun, the portal opens at its front page: everything is found there.
        """
        wanted = _settings(going.campaign)
        if not going.customer:
            return _unknown(
                wanted,
                "the billing portal needs a customer: create the campaign's links with `customer`",
            )
        params: dict[str, Any] = {"customer": going.customer}
        for name in ("return_url", "configuration", "locale"):
            if (value := getattr(wanted, name)) is not None:
                params[name] = value
        try:
            if flow := await self._flow(wanted, going, deadline):
                return await self._begin(params, flow, going, deadline)
            return await open_portal(self._means, params, going, deadline)
        except DestinationMisconfigured as error:
            if error.param != "customer":
                raise
            return _unknown(wanted, str(error))

    async def _flow(
        self, wanted: PortalDestination, going: Going, deadline: Deadline
    ) -> Mapping[str, Any] | None:
        flow = wanted.flow_data
        if flow is None or not portal_flows.needs_subscription(flow):
            return flow
        assert going.customer
        try:
            known = await self._means.stripe.subscriptions(going.customer, deadline)
        except Gone as error:
            raise DestinationMisconfigured(str(error), settled=True, param="customer") from error
        except SpentKey as error:
            raise DestinationBusy(str(error)) from error
        return portal_flows.filled(flow, known)

    async def _begin(
        self, params: Mapping[str, Any], flow: Mapping[str, Any], going: Going, deadline: Deadline
    ) -> str:
        try:
            return await open_portal(
                self._means, {**params, "flow_data": flow}, going, deadline, name="flow"
            )
        except DestinationMisconfigured as error:
            if error.param is not None and not error.param.startswith("flow_data"):
                raise
            log.warning("campaign %s: the portal without its flow: %s", going.campaign.slug, error)
        return await open_portal(self._means, params, going, deadline)


async def open_portal(
    means: Means,
    params: Mapping[str, Any],
    going: Going,
    deadline: Deadline,
    *,
    name: str = "portal",
) -> str:
    """Return the address of a fresh portal session; raises as `PerVisit.lead`.

    `name` tells one visit's requests apart: other parameters take another idempotency key.
    """
    try:
        made = await means.stripe.create_portal(
            dict(params), f"linkgate-{name}-{going.visit}", deadline
        )
    except Gone as error:
        raise DestinationMisconfigured(
            str(error), settled=True, param=error.param or "customer"
        ) from error
    except SpentKey as error:
        raise DestinationBusy(str(error)) from error
    return str(made["url"])


def _unknown(wanted: PortalDestination, why: str) -> Instead:
    if wanted.login_url:
        try:
            return Instead("no customer: login", url=header_value(wanted.login_url))
        except ValueError as error:
            why = f"{why}; login_url can't be used: {error}"
    raise DestinationMisconfigured(why, settled=True, param="customer")


def _settings(campaign: "Campaign") -> PortalDestination:
    assert isinstance(campaign.destination, PortalDestination)
    return campaign.destination


KIND = Kind("portal", PortalDestination, Portal)
