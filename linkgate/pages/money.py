"""Amounts as people write them in each language; none rather than a wrong one."""

from typing import Final

# How many of Stripe's minor units make one (https://docs.stripe.com/currencies#minor-units).
_WHOLE_CODES: Final = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
_WHOLE: Final = frozenset(_WHOLE_CODES.split())
_THOUSANDTHS: Final = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
# Without a minor unit in life, and named both as with and without one in Stripe's documentation.
_UNCERTAIN: Final = frozenset(("ugx",))

#: Signs that stand for one currency only, whoever reads them.
_SIGNS: Final = {"eur": "€", "gbp": "£", "usd": "US$", "brl": "R$"}
_BEFORE: Final = frozenset(("en", "ja"))

_NO_BREAK: Final = "\u00a0"
#: Language -> between thousands, before decimals. French has the narrow no-break space.
_MARKS: Final = {
    "de": (".", ","),
    "en": (",", "."),
    "es": (".", ","),
    "fr": ("\u202f", ","),
    "ja": (",", "."),
    "pt": (".", ","),
}


def written(amount: int | None, currency: str | None, lang: str) -> str:
    """An amount in the currency's minor unit as text: `€49.00`, `49,00 €`, `4,900円`.

    Empty where the amount isn't known, or how Stripe counts the currency isn't certain.
    """
    code = (currency or "").lower()
    if amount is None or amount < 0 or not (len(code) == 3 and code.isascii() and code.isalpha()):
        return ""
    if code in _UNCERTAIN:
        return ""
    places = 0 if code in _WHOLE else 3 if code in _THOUSANDTHS else 2
    whole, minor = divmod(amount, 10**places)
    thousands, point = _MARKS.get(lang, _MARKS["en"])
    number = f"{whole:,}".replace(",", thousands)
    if places:
        number += f"{point}{minor:0{places}}"
    if code == "jpy" and lang == "ja":
        return f"{number}円"
    if code == "brl" and lang == "pt":
        return f"R${_NO_BREAK}{number}"
    sign = _SIGNS.get(code)
    if sign and lang in _BEFORE:
        return f"{sign}{number}"
    return f"{number}{_NO_BREAK}{sign or code.upper()}"
