"""What Stripe is certain to refuse about a campaign's checkout, told while it is written.

Otherwise the first to find out would be a person who wants to pay. Each rule is a function from the
settings to the problems in them, and its order in RULES doesn't matter. What only Stripe can know
(whether a price exists, what a coupon is good for) is left to it; so is what it may come to allow.

Source, where no other is named: https://docs.stripe.com/api/checkout/sessions/create, and the
parameters' descriptions in stripe-python 16.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from linkgate.errors import Problem

if TYPE_CHECKING:
    from linkgate.destinations.checkout_settings import CheckoutDestination

#: Stripe's page speaks these; a later one can be given as params.locale.
# fmt: off
LOCALES = frozenset((
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr",
    "fr-CA", "hi-IN", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl",
    "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
))
# fmt: on

# In the words of Stripe's own errors: "You can not pass `...` in `...` mode."
_ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "payment_intent_data": ("payment",),
    "subscription_data": ("subscription",),
    "setup_intent_data": ("setup",),
    "invoice_creation": ("payment",),
    "payment_method_collection": ("subscription",),
    "customer_creation": ("payment", "setup"),
    "submit_type": ("payment", "subscription"),
    "discounts": ("payment", "subscription"),
    "allow_promotion_codes": ("payment", "subscription"),
    "optional_items": ("payment", "subscription"),
    "phone_number_collection": ("payment", "subscription"),
}
_OWN_FIELDS = ("allow_promotion_codes", "automatic_tax", "customer_update", "locale", "currency")
_MOST = {"discounts": 1, "custom_fields": 3, "shipping_options": 5, "optional_items": 10}
# 20 recurring and 20 others.
_MOST_IN_SUBSCRIPTION = 40


def problems(wanted: "CheckoutDestination") -> Iterator[Problem]:
    """Yield what Stripe is certain to refuse."""
    for rule in RULES:
        yield from rule(wanted)


def _modes(wanted: "CheckoutDestination") -> Iterator[Problem]:
    for name, modes in _ONLY_IN.items():
        if wanted.params.get(name) is not None and wanted.mode not in modes:
            yield Problem(f"params.{name}", _only(modes, wanted.mode))
    if wanted.mode != "setup":
        return
    if wanted.allow_promotion_codes is not None:
        yield Problem("allow_promotion_codes", _only(("payment", "subscription"), "setup"))
    # https://github.com/laravel/cashier-stripe/issues/1581 shows Stripe's answer.
    if automatic_tax(wanted):
        yield Problem("automatic_tax", _only(("payment", "subscription"), "setup"))
    methods = ("allowed_payment_method_types", "payment_method_types")
    if not (wanted.currency or any(wanted.params.get(n) for n in ("currency", *methods))):
        yield Problem("currency", "is required in mode setup, as in eur")


def _only(modes: tuple[str, ...], mode: str) -> str:
    return f"is for mode {' and '.join(modes)}; Stripe refuses it in mode {mode}"


def _twice(wanted: "CheckoutDestination") -> Iterator[Problem]:
    for name in _OWN_FIELDS:
        if getattr(wanted, name) is not None and wanted.params.get(name) is not None:
            yield Problem(f"params.{name}", f"is given twice; keep destination.{name} alone")
    if wanted.params.get("customer_account") is not None:
        yield Problem("params.customer_account", "would make everybody the same customer")
    if wanted.params.get("permissions") is not None:
        yield Problem("params.permissions", "is for embedded pages; linkgate leads to Stripe's own")


def _discounts(wanted: "CheckoutDestination") -> Iterator[Problem]:
    for name, most in _MOST.items():
        given = wanted.params.get(name)
        if isinstance(given, list) and len(given) > most:
            yield Problem(f"params.{name}", f"must have {most} or fewer entries")
    codes = (wanted.allow_promotion_codes, wanted.params.get("allow_promotion_codes"))
    if wanted.params.get("discounts") and codes != (None, None):
        yield Problem(
            "params.discounts", "can't be given with allow_promotion_codes: Stripe takes either"
        )


def _taxes(wanted: "CheckoutDestination") -> Iterator[Problem]:
    if not automatic_tax(wanted):
        return
    either = "can't be given with automatic_tax: Stripe works out the tax, or you do"
    for place, item in enumerate(wanted.line_items):
        if item.tax_rates:
            yield Problem(f"line_items.{place}.tax_rates", either)
    if _data(wanted, "subscription_data").get("default_tax_rates"):
        yield Problem("params.subscription_data.default_tax_rates", either)


def _tax_ids(wanted: "CheckoutDestination") -> Iterator[Problem]:
    # https://github.com/laravel/cashier-stripe/issues/1585 shows Stripe's answer.
    update = wanted.customer_update or _data(wanted, "customer_update")
    if collects_tax_ids(wanted) and update.get("name") == "never":
        yield Problem(
            "customer_update.name",
            "must be auto: Stripe collects tax ids of a customer only if it may save the name",
        )


def _trial(wanted: "CheckoutDestination") -> Iterator[Problem]:
    data = _data(wanted, "subscription_data")
    given = [name for name in ("trial_period_days", "trial_end") if data.get(name) is not None]
    if wanted.trial_days and given:
        yield Problem(
            f"params.subscription_data.{given[0]}", "says when a trial ends; so does trial_days"
        )
    elif len(given) > 1:
        yield Problem("params.subscription_data.trial_end", "goes without trial_period_days")


def _items(wanted: "CheckoutDestination") -> Iterator[Problem]:
    for place, item in enumerate(wanted.line_items):
        yield from item.problems(f"line_items.{place}")
    inline = [
        (place, item.price_data)
        for place, item in enumerate(wanted.line_items)
        if item.price_data is not None
    ]
    currencies = {str(data.get("currency")) for _, data in inline}
    if len(currencies) > 1:
        listed = " and ".join(sorted(currencies))
        yield Problem("line_items", f"must all have one currency, not {listed}")
    if wanted.mode == "payment":
        for place, data in inline:
            if data.get("recurring") is not None:
                yield Problem(
                    f"line_items.{place}.price_data.recurring",
                    "is for mode subscription; in mode payment everything is paid once",
                )
    if wanted.mode == "subscription":
        if len(wanted.line_items) > _MOST_IN_SUBSCRIPTION:
            yield Problem("line_items", f"must have {_MOST_IN_SUBSCRIPTION} or fewer entries")
        everything = wanted.line_items and len(inline) == len(wanted.line_items)
        if everything and not any(data.get("recurring") for _, data in inline):
            yield Problem(
                "line_items", "need one that recurs in mode subscription: give price_data.recurring"
            )


def _locale(wanted: "CheckoutDestination") -> Iterator[Problem]:
    if wanted.locale is not None and wanted.locale not in LOCALES:
        yield Problem("locale", f"must be one of {', '.join(sorted(LOCALES))}")


RULES: tuple[Callable[["CheckoutDestination"], Iterator[Problem]], ...] = (
    _modes,
    _twice,
    _discounts,
    _taxes,
    _tax_ids,
    _trial,
    _items,
    _locale,
)


def automatic_tax(wanted: "CheckoutDestination") -> bool:
    """Whether Stripe works out the tax."""
    if wanted.automatic_tax is not None:
        return wanted.automatic_tax
    return _is_on(_data(wanted, "automatic_tax"))


def collects_tax_ids(wanted: "CheckoutDestination") -> bool:
    """Whether Stripe asks for tax ids."""
    return _is_on(_data(wanted, "tax_id_collection"))


def _data(wanted: "CheckoutDestination", name: str) -> Mapping[str, Any]:
    data = wanted.params.get(name)
    return data if isinstance(data, Mapping) else {}


def _is_on(setting: Mapping[str, Any]) -> bool:
    return setting.get("enabled") in (True, "true")
