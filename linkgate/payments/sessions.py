"""Checkout Sessions: their states, which only rise, and what they make of a link's.

Webhooks come late, doubled and out of order. So a session's state only ever moves up a rank, never
back: whatever order the events of one session arrive in, the result is the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from linkgate.payments.values import text, whole


class SessionState(StrEnum):
    """Where a session stands, as Stripe's signed events or its API say."""

    OPEN = "open"
    #: Stripe's clock ran out, or linkgate closed it in favour of a fresh one.
    EXPIRED = "expired"
    #: The checkout is done and the money is on its way (an asynchronous payment method).
    PENDING = "pending"
    FAILED = "failed"
    #: Done, and nothing was to be paid: mode setup, a free trial, a full discount.
    COMPLETE = "complete"
    PAID = "paid"


class LinkState(StrEnum):
    """Where a link stands; the strongest thing that is true of it."""

    ISSUED = "issued"
    VISITED = "visited"
    OPEN = "open"
    FAILED = "failed"
    PENDING = "pending"
    COMPLETE = "complete"
    PAID = "paid"
    REVOKED = "revoked"
    EXPIRED = "expired"


# An asynchronous payment that failed can't succeed later, nor the other way round: between those
# two the order is free, and paid wins, so that a payment is never forgotten.
_RANK = {
    SessionState.OPEN: 0,
    SessionState.EXPIRED: 1,
    SessionState.PENDING: 2,
    SessionState.FAILED: 3,
    SessionState.COMPLETE: 4,
    SessionState.PAID: 5,
}

#: A link in one of these leads to the already-paid page and mints no more.
DONE = frozenset({SessionState.PENDING, SessionState.COMPLETE, SessionState.PAID})


@dataclass(frozen=True, slots=True)
class Session:
    """One session as linkgate knows it. Times in Unix seconds, amounts in the minor unit."""

    id: str
    url: str
    state: SessionState
    attempt: int
    created_at: int
    expires_at: int
    amount_total: int | None = None
    currency: str | None = None


def read_session(data: Mapping[str, Any]) -> Session:
    """Return a Checkout Session as Stripe's API describes it.

    Raises LookupError, TypeError or ValueError if it is none: nothing odd gets into the store.
    """
    metadata = data.get("metadata") or {}
    amount, currency = data.get("amount_total"), data.get("currency")
    return Session(
        id=text(data["id"]),
        url=text(data.get("url") or ""),
        state=_state(data["status"], data["payment_status"]),
        attempt=whole(int(metadata.get("linkgate_attempt") or 0)),
        created_at=whole(data["created"]),
        expires_at=whole(data["expires_at"]),
        amount_total=None if amount is None else whole(amount),
        currency=None if currency is None else text(currency),
    )


def advance(known: Session | None, heard: Session) -> Session:
    """Return what is known of a session after hearing `heard`, in whatever order things come."""
    if known is None or _RANK[heard.state] > _RANK[known.state]:
        url = heard.url or (known.url if known else "")
        attempt = heard.attempt or (known.attempt if known else 0)
        return replace(heard, url=url, attempt=attempt)
    return known


def link_state(
    sessions: Iterable[Session], *, visited: bool, revoked: bool, expired: bool, now: float
) -> LinkState:
    """Return where a link stands. What was paid outlasts revocation and expiry."""
    states = {
        SessionState.EXPIRED if s.state is SessionState.OPEN and now >= s.expires_at else s.state
        for s in sessions
    }
    for state in (SessionState.PAID, SessionState.COMPLETE, SessionState.PENDING):
        if state in states:
            return LinkState(state.value)
    if revoked:
        return LinkState.REVOKED
    if expired:
        return LinkState.EXPIRED
    for state in (SessionState.OPEN, SessionState.FAILED):
        if state in states:
            return LinkState(state.value)
    return LinkState.VISITED if visited else LinkState.ISSUED


def _state(status: str, payment_status: str) -> SessionState:
    if status == "complete":
        return {
            "paid": SessionState.PAID,
            "unpaid": SessionState.PENDING,
        }.get(payment_status, SessionState.COMPLETE)
    return SessionState.EXPIRED if status == "expired" else SessionState.OPEN
