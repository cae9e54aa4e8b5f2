"""What a campaign says of its checkout, and what makes that valid."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from linkgate.destinations import checkout_rules
from linkgate.destinations.base import DestinationSettings
from linkgate.destinations.checkout_items import LineItem
from linkgate.destinations.fields import Currency, Locale
from linkgate.errors import Problem
from linkgate.validation import WebAddress

#: What linkgate sets itself on every Checkout Session: passing it through would break a law.
OWN_PARAMETERS = frozenset(
    {"mode", "expires_at", "client_reference_id", "customer", "success_url", "cancel_url"}
    | {"line_items", "ui_mode", "return_url"}
    # A recovered session is a second one: `recovery` sees to it that it is found and closed.
    | {"after_expiration"}
)

#: Parameters that linkgate adds its own metadata to, each an object with `metadata` in it.
_DATA_PARAMETERS = ("payment_intent_data", "subscription_data", "setup_intent_data")


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
    currency: Currency | None = Field(
        default=None,
        description="Three lower-case letters, such as eur; mode setup needs it, elsewhere the "
        "prices say it",
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
    locale: Locale | None = Field(
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

    @property
    def renewable(self) -> bool:
        """Whether what was bought may be bought again by the same link, once it has ended."""
        return self.mode == "subscription" and self.existing_customer != "page"

    @property
    def returns_here(self) -> bool:
        """Whether people come back to a page of linkgate's."""
        return not (self.success_url and self.cancel_url)

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

    def problems(self) -> Iterable[Problem]:
        """Yield what Stripe is certain to refuse."""
        return checkout_rules.problems(self)


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
