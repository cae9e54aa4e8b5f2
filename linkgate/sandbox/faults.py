"""Failures to order: what a network and a busy Stripe do to a request, on demand.

A fault is matched against `METHOD /v1/path` as the endpoint is named (`POST
/v1/checkout/sessions/{id}/expire`), or against a pattern with `*`.
"""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.limits import too_many

Mode: TypeAlias = Literal["status", "truncate", "drop", "hang", "slow"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One order; `times` requests fail after `skip` have passed (None: until cleared).

    Modes: `status` answers with an error; `truncate` promises a content-length, sends half and
    cuts; `drop` closes without a byte; `hang` keeps silent for `seconds`, then closes; `slow`
    answers properly after `seconds`. With `executed`, the work is done before it fails.
    """

    match: str
    mode: Mode = "status"
    status: int = 500
    times: int | None = 1
    skip: int = 0
    seconds: float = 30.0
    retry_after: float | None = None
    executed: bool = False

    @property
    def from_within(self) -> bool:
        """Whether Stripe itself fails at the work, so that the answer is kept and replayed."""
        return self.mode == "status" and self.status == 500

    @property
    def at_the_edge(self) -> bool:
        """Whether the request never reaches the work, unless `executed` says so."""
        return self.mode != "slow" and not self.from_within


class FaultBook:
    """The orders that are open, first come first served."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def open(self) -> list[Fault]:
        return list(self._faults)

    def take(self, endpoint: str, *, replayed: bool) -> Fault | None:
        """The fault for this request, if any; a replay does no work, so it can't fail within."""
        for place, fault in enumerate(self._faults):
            if not fnmatchcase(endpoint, _pattern(fault.match)):
                continue
            if replayed and fault.from_within:
                continue
            if fault.skip:
                self._faults[place] = replace(fault, skip=fault.skip - 1)
                continue
            if fault.times is not None:
                self._faults[place] = replace(fault, times=fault.times - 1)
            if self._faults[place].times == 0:
                del self._faults[place]
            return fault
        return None


def _pattern(match: str) -> str:
    # Brackets mean a set of letters to fnmatch; nobody orders one.
    return match.replace("[", "[[]")


def refusal(fault: Fault) -> ApiError:
    """The error that a fault answers with, worded by its status."""
    if fault.status == 429:
        return too_many()
    if fault.status >= 500:
        return ApiError(
            "An unknown error occurred (ordered from the sandbox).",
            status=fault.status,
            kind="api_error",
        )
    return ApiError("This request was refused (ordered from the sandbox).", status=fault.status)


def headers(fault: Fault) -> dict[str, str]:
    """What an ordered error adds: when to come back, and whether to."""
    added = {}
    if fault.status == 429:
        added["Stripe-Rate-Limited-Reason"] = "global-rate"
    retry_after = fault.retry_after
    if retry_after is None and fault.status == 429:
        retry_after = 1
    if retry_after is not None:
        added["Retry-After"] = f"{retry_after:g}"
    return added


def as_json(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in Fault.__slots__}
