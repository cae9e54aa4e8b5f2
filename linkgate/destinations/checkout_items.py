"""What a Checkout Session sells: line items, and prices described inline.

What is nested in a line item is kept as it was written. It is held to its shape when people write a
campaign, not when a stored one is read; see `DestinationSettings.problems`.
Source of shapes and limits: https://docs.stripe.com/api/checkout/sessions/create.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, GetJsonSchemaHandler, StringConstraints, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from linkgate.destinations.fields import Currency, Decimals
from linkgate.errors import Invalid, Problem
from linkgate.validation import Model, validated

#: Stripe's longest billing interval, three years.
LONGEST_INTERVAL = {"day": 3 * 365, "week": 156, "month": 36, "year": 3}

Quantity = Annotated[int, Field(ge=1, le=999_999)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=5000)]


@dataclass(frozen=True, slots=True)
class Shaped:
    """Describes an object in the API's document by the model that it is held to later."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(self.model.__pydantic_core_schema__)


class AdjustableQuantity(Model):
    """Whether people may change the quantity on Stripe's page, and between which bounds."""

    enabled: bool
    minimum: Annotated[int, Field(ge=0, le=999_999)] | None = None
    maximum: Annotated[int, Field(ge=1, le=999_999)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        # Stripe's own maximum is 99.
        if (self.minimum or 0) > (self.maximum or 99):
            raise ValueError("minimum must not be above maximum, which is 99 if it isn't given")
        return self


class Recurring(Model):
    """How often a price is due."""

    interval: Literal["day", "week", "month", "year"]
    interval_count: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _at_most_three_years(self) -> Self:
        if self.interval_count > LONGEST_INTERVAL[self.interval]:
            raise ValueError("must be three years at most")
        return self


class TaxDetails(Model):
    """How a product is taxed."""

    tax_code: str | None = None
    performance_location: str | None = None


class ProductData(Model):
    """A product described inline."""

    name: Text
    description: Annotated[str, StringConstraints(min_length=1, max_length=40_000)] | None = None
    images: Annotated[tuple[Text, ...], Field(max_length=8)] | None = None
    metadata: dict[str, str] | None = None
    tax_code: Text | None = None
    tax_details: TaxDetails | None = None
    unit_label: Text | None = None


class PriceData(Model):
    """A price described inline."""

    currency: Currency
    unit_amount: Annotated[int, Field(ge=0, le=999_999_999_999)] | None = Field(
        default=None, description="In the currency's smallest unit: 4900 is 49.00 euros"
    )
    unit_amount_decimal: Decimals | None = Field(
        default=None, description="The same with decimals, as a text"
    )
    product: Text | None = None
    product_data: ProductData | None = None
    recurring: Recurring | None = None
    tax_behavior: Literal["inclusive", "exclusive", "unspecified"] | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.unit_amount is None) == (self.unit_amount_decimal is None):
            raise ValueError("give exactly one of unit_amount and unit_amount_decimal")
        if (self.product is None) == (self.product_data is None):
            raise ValueError("give exactly one of product and product_data")
        return self


class LineItem(Model):
    """One thing to buy: a price at Stripe, or `price_data` that describes one inline."""

    price: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    price_data: Annotated[dict[str, Any], Shaped(PriceData)] | None = None
    quantity: Quantity | None = Field(default=1, description="null for a metered price")
    metered: bool = Field(
        default=False, description="Whether use is billed, and no quantity is asked for"
    )
    adjustable_quantity: Annotated[dict[str, Any], Shaped(AdjustableQuantity)] | None = None
    tax_rates: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _metered(cls, data: Any) -> Any:
        # A stored null is left out, and would be read as 1: `metered` keeps what it said.
        if not isinstance(data, dict):
            return data
        if data.get("metered") is True and data.get("quantity") in (None, 1):
            return {**data, "quantity": None}
        if "quantity" in data and data["quantity"] is None:
            return {**data, "metered": True}
        return data

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.price is None) == (self.price_data is None):
            raise ValueError("give exactly one of price and price_data")
        return self

    def parameters(self) -> dict[str, Any]:
        """Return the line item as Stripe takes it."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"metered"})

    def problems(self, place: str) -> Iterator[Problem]:
        """Yield what Stripe is certain to refuse of it; `place` is its own path."""
        yield from shape(PriceData, self.price_data, f"{place}.price_data")
        yield from shape(
            AdjustableQuantity, self.adjustable_quantity, f"{place}.adjustable_quantity"
        )
        if self.quantity is None and self.price_data is not None:
            yield Problem(f"{place}.quantity", "is required: an inline price is never metered")
        if self.metered and self.quantity is not None:
            yield Problem(f"{place}.quantity", "goes with no metered price; leave it out")
        if self.metered and self.adjustable_quantity is not None:
            yield Problem(f"{place}.adjustable_quantity", "goes with no metered price")
        if not list(shape(AdjustableQuantity, self.adjustable_quantity, "")):
            yield from self._bounds(place)

    def _bounds(self, place: str) -> Iterator[Problem]:
        bounds = self.adjustable_quantity or {}
        if not bounds.get("enabled") or self.quantity is None:
            return
        low, high = bounds.get("minimum") or 0, bounds.get("maximum") or 99
        if not int(low) <= self.quantity <= int(high):
            yield Problem(
                f"{place}.quantity",
                f"must be between adjustable_quantity's minimum and maximum, {low} and {high}",
            )


def shape(model: type[BaseModel], data: Any, place: str) -> Iterator[Problem]:
    """Yield what doesn't fit `model` in `data`, which stands at `place`; nothing for None."""
    if data is None:
        return
    try:
        validated(model, data)
    except Invalid as error:
        for problem in error.problems:
            inner = "" if problem.field == "body" else f".{problem.field}"
            yield Problem(f"{place}{inner}", problem.message)
