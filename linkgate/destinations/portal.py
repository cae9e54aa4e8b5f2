"""The portal destination: Stripe's billing portal, made when a person visits.

A portal session lives for minutes, belongs to a customer, and takes no payment by itself; so each
visit gets one of its own.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from linkgate.destinations.base import (
    Deadline,
    DestinationSettings,
    Going,
    Gone,
    Kind,
    Means,
    SpentKey,
)
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.validation import WebAddress

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign


class PortalDestination(DestinationSettings):
    """Stripe's billing portal for the link's customer."""

    kind: Literal["portal"] = "portal"
    return_url: WebAddress | None = Field(
        default=None,
        description="Where the portal's way back leads; the portal configuration's own if null",
    )
    configuration: str | None = Field(
        default=None,
        pattern=r"^bpc_[A-Za-z0-9]{1,250}$",
        description="The id of a portal configuration at Stripe; its default one if null",
    )
    locale: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]{2,4})?$",
        description="The portal's language; the browser's if null",
    )
    flow_data: dict[str, Any] | None = Field(
        default=None,
        description="Where in the portal people begin, as Stripe's flow_data has it; in its texts "
        "{subscription} stands for the customer's one subscription",
    )

    @field_validator("flow_data")
    @classmethod
    def _flow(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and not isinstance(value.get("type"), str):
            raise ValueError('must have a type, such as {"type": "payment_method_update"}')
        return value


class Portal:
    """Leads a customer to the billing portal."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def lead(self, going: Going, deadline: Deadline) -> str:
        """Return the address of a fresh portal session; see the base."""
        wanted = _settings(going.campaign)
        if not going.customer:
            raise DestinationMisconfigured(
                "the billing portal needs a customer: create the campaign's links with `customer`",
                settled=True,
                param="customer",
            )
        params: dict[str, Any] = {"customer": going.customer}
        for name in ("return_url", "configuration", "locale", "flow_data"):
            if (value := getattr(wanted, name)) is not None:
                params[name] = value
        return await open_portal(self._means, params, going, deadline)


async def open_portal(
    means: Means, params: Mapping[str, Any], going: Going, deadline: Deadline
) -> str:
    """Return the address of a fresh portal session; raises as `PerVisit.lead`."""
    try:
        made = await means.stripe.create_portal(
            dict(params), f"linkgate-portal-{going.visit}", deadline
        )
    except Gone as error:
        raise DestinationMisconfigured(str(error), settled=True, param="customer") from error
    except SpentKey as error:
        raise DestinationBusy(str(error)) from error
    return str(made["url"])


def _settings(campaign: "Campaign") -> PortalDestination:
    assert isinstance(campaign.destination, PortalDestination)
    return campaign.destination


KIND = Kind("portal", PortalDestination, Portal)
