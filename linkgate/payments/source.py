"""What is needed to read any of Stripe's objects: who says it, and when."""

from dataclasses import dataclass
from typing import Any

from linkgate.payments.ledger import Known
from linkgate.payments.values import Object

#: What an object tells, and the other objects that may be spelt out in it.
Read = tuple[tuple[Known, ...], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """Who says it: an event, or the API's answer. `at` is Stripe's clock, in Unix seconds."""

    at: int
    account: str | None = None
    #: The event's type; empty for the API's answer.
    event: str = ""
    #: What the event changed, as it was before.
    previous: Object | None = None
