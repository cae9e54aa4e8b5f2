"""Fields that several destinations have, and plain words for what doesn't fit them."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field


def _fitting(pattern: str, words: str) -> Callable[[str], str]:
    known = re.compile(pattern)

    def check(value: str) -> str:
        if not known.fullmatch(value):
            raise ValueError(words)
        return value

    return check


_LOCALE = r"[A-Za-z]{2,4}(-[A-Za-z0-9]{2,4})?"
_CURRENCY = r"[a-z]{3}"
_DECIMALS = r"[0-9]{1,12}(\.[0-9]{1,12})?"
_CONFIGURATION = r"bpc_[A-Za-z0-9]{1,250}"
_PARAMETER = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"

Locale = Annotated[
    str,
    AfterValidator(_fitting(_LOCALE, "must be a language, as in de or pt-BR")),
    Field(json_schema_extra={"pattern": f"^{_LOCALE}$"}),
]
Currency = Annotated[
    str,
    AfterValidator(_fitting(_CURRENCY, "must be three lower-case letters, as in eur")),
    Field(json_schema_extra={"pattern": f"^{_CURRENCY}$"}),
]
Decimals = Annotated[
    str,
    AfterValidator(_fitting(_DECIMALS, 'must be a text like "4900.5": 12 decimals at most')),
    Field(json_schema_extra={"pattern": f"^{_DECIMALS}$"}),
]
Configuration = Annotated[
    str,
    AfterValidator(
        _fitting(_CONFIGURATION, "must be the id of a portal configuration, as in bpc_1AbC")
    ),
    Field(json_schema_extra={"pattern": f"^{_CONFIGURATION}$"}),
]
Parameter = Annotated[
    str,
    AfterValidator(
        _fitting(
            _PARAMETER,
            "must be 1 to 64 letters, digits and . _ -, and begin with a letter",
        )
    ),
    Field(json_schema_extra={"pattern": f"^{_PARAMETER}$"}),
]
SecretNumber = Annotated[int, Field(ge=1, le=1_000_000)]
