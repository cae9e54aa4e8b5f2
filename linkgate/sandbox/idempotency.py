"""The ledger of idempotency keys, with Stripe's rules of API v1.

An answer is kept once the work was begun, failures and 500s included; what was refused before that
is not. The same key with other parameters, or while the first request still runs, is an error.
Source: https://docs.stripe.com/api/idempotent_requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from linkgate.sandbox.errors import ApiError

KEPT_SECONDS = 24 * 3600
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body, as they were first given and as they are replayed."""

    status: int
    body: Mapping[str, Any]
    request_id: str


@dataclass(frozen=True, slots=True)
class Use:
    """What a key was first used for; without an answer, the work still runs."""

    endpoint: str
    params: Mapping[str, Any]
    at: int
    answer: Answer | None = None


class Ledger:
    """Keys in order of their first use, forgotten after 24 hours of the sandbox's time."""

    def __init__(self) -> None:
        self._uses: dict[str, Use] = {}

    def keys(self) -> list[str]:
        return list(self._uses)

    def stored(self, key: str) -> Answer | None:
        """The answer that a key would replay, whatever the parameters."""
        use = self._uses.get(key)
        return use.answer if use else None

    def begin(self, key: str, endpoint: str, params: Mapping[str, Any], now: int) -> Answer | None:
        """Take a key for new work, or give the answer to replay; raises ApiError on a misuse."""
        if len(key) > LONGEST_KEY:
            raise ApiError(
                f"Idempotency keys can have up to {LONGEST_KEY} characters, but this one has "
                f"{len(key)}.",
                kind="idempotency_error",
            )
        self._forget(now)
        use = self._uses.get(key)
        if use is None:
            self._uses[key] = Use(endpoint, params, now)
            return None
        if use.endpoint != endpoint or use.params != params:
            what = "same parameters they" if use.endpoint == endpoint else "same endpoint they"
            raise ApiError(
                f"Keys for idempotent requests can only be used with the {what} were first used "
                f"with. Try using a key other than '{key}' if you meant to execute a different "
                "request.",
                kind="idempotency_error",
            )
        if use.answer is None:
            raise ApiError(
                "There is currently another in-progress request using this Idempotent Key (that "
                "probably means you submitted twice, and the other request is still going "
                "through). Please try again later.",
                status=409,
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        return use.answer

    def finish(self, key: str, answer: Answer) -> None:
        """Keep the answer of the work that `begin` allowed."""
        use = self._uses[key]
        self._uses[key] = Use(use.endpoint, use.params, use.at, answer)

    def abandon(self, key: str) -> None:
        """Give a key back: the work was never begun."""
        self._uses.pop(key, None)

    def _forget(self, now: int) -> None:
        while self._uses:
            key, use = next(iter(self._uses.items()))
            if use.at + KEPT_SECONDS > now:
                return
            del self._uses[key]
