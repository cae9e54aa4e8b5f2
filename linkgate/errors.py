"""What can go wrong, as one small tree.

Libraries' errors are translated into these at the border where they appear (the store, Stripe, the
configuration), and ``linkgate.web.errors`` holds the one map from here to HTTP statuses.
"""

from collections.abc import Iterable
from dataclasses import dataclass


class LinkgateError(Exception):
    """The root of everything that linkgate raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong value: where it is (`destination.line_items.0.price`), what is wrong, the mend."""

    field: str
    message: str


class Invalid(LinkgateError):
    """Input that can't be accepted; carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in self.problems))


class ConfigError(Invalid):
    """The configuration can't be used as it is."""


class TokenError(LinkgateError):
    """A token that opens nothing."""


class MalformedToken(TokenError):
    """Not shaped like a token, or its payload isn't one of linkgate's."""


class BadSignature(TokenError):
    """Shaped like a token, but no key of the keyring signed it for this purpose."""


class ExpiredToken(TokenError):
    """Signed by us, and past its own expiry; `campaign` is the slug that it carried."""

    def __init__(self, campaign: str) -> None:
        super().__init__("the token is past its expiry")
        self.campaign = campaign


class NotFound(LinkgateError):
    """There is no such thing; the message says what was looked for."""


class Conflict(LinkgateError):
    """It exists already, or was changed by someone else in between."""


class StoreUnavailable(LinkgateError):
    """The store did not answer, or can't take writes now."""


class DestinationBusy(LinkgateError):
    """The destination could not mint now; trying again later is right.

    `retry_after` is in seconds. `settled` says that nothing was minted for certain, so that a new
    attempt may begin; `spent`, that nobody knows and that asking again won't tell either.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float = 3.0,
        settled: bool = False,
        spent: bool = False,
        crowded: bool = False,
        left: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.settled = settled
        self.spent = spent
        self.crowded = crowded
        self.left = left


class DestinationMisconfigured(LinkgateError):
    """The destination refuses what the campaign asks for; only the operator can mend it.

    `settled` says that nothing was minted for certain; `param` names what was refused, if known;
    `at` is the destination's clock, in Unix seconds, if it told.
    """

    def __init__(
        self,
        message: str,
        *,
        settled: bool = False,
        param: str | None = None,
        at: float | None = None,
    ) -> None:
        super().__init__(message)
        self.settled = settled
        self.param = param
        self.at = at
