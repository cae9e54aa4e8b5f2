"""Currencies and amounts: which Stripe takes, and how people write them."""

from linkgate.sandbox.errors import ApiError

# ISO 4217 codes that Stripe presents (https://docs.stripe.com/currencies).
_CODES = """
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd
    gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr
    lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen
    pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs
    top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw bhd jod kwd omr
    tnd
"""
CURRENCIES = frozenset(_CODES.split())
# The smallest charge by currency, in its smallest unit
# (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
SMALLEST = {
    "usd": 50, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "dkk": 250, "eur": 50, "gbp": 30,
    "hkd": 400, "jpy": 50, "mxn": 1000, "nok": 300, "nzd": 50, "pln": 200, "sek": 300, "sgd": 50,
}  # fmt: skip
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


def check_currency(currency: str, param: str) -> None:
    if currency.lower() not in CURRENCIES:
        raise ApiError(
            f"Invalid currency: {currency}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(CURRENCIES))}",
            param=param,
        )


def check_total(mode: str, total: int, currency: str) -> None:
    """Refuse a payment that is too small to charge; nothing at all is allowed."""
    least = SMALLEST.get(currency, 0)
    if mode == "payment" and 0 < total < least:
        raise ApiError(
            f"The Checkout Session's total amount due must add up to at least {least} {currency} "
            "in the smallest unit of the currency.",
            code="amount_too_small",
            param="line_items",
        )
    if total > 99_999_999:
        raise ApiError(
            "The Checkout Session's total amount due must be no more than 99999999 in the "
            "smallest unit of the currency.",
            code="amount_too_large",
            param="line_items",
        )
