"""Amounts as people write them."""

# https://docs.stripe.com/currencies#zero-decimal and #three-decimal
_WHOLE_CODES = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf"
_WHOLE = frozenset(_WHOLE_CODES.split())
_THOUSANDTHS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
_SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩", "brl": "R$"}


def written(amount: int, currency: str) -> str:
    """An amount in the currency's smallest unit as text: `€49.00`, `¥500`, `49.00 SEK`."""
    places = 0 if currency in _WHOLE else 3 if currency in _THOUSANDTHS else 2
    number = f"{amount / 10**places:,.{places}f}"
    sign = _SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{number} {currency.upper()}"
