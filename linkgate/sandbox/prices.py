"""A price in Stripe's shape."""

from typing import Any


def price_object(
    price_id: str,
    *,
    now: int,
    currency: str,
    product: str,
    unit_amount: int | None,
    recurring: dict[str, Any] | None = None,
    **given: Any,
) -> dict[str, Any]:
    """An active price made at `now` (Unix s); `unit_amount` in the currency's smallest unit."""
    decimal = given.get("unit_amount_decimal")
    return {
        "id": price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": given.get("lookup_key"),
        "metadata": given.get("metadata", {}),
        "nickname": given.get("nickname"),
        "product": product,
        "recurring": recurring
        and {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount if decimal is None else decimal),
    }
