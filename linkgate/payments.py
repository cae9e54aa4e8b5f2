"""Payments: what an event from Stripe does to a session's and a link's state.

Webhooks come late, doubled and out of order. So a session's state only ever moves up a rank, never
back: whatever order the events of one session arrive in, the result is the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from linkgate.tokens import LINK_ID, SLUG


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

#: The types of events that say something about a session; Stripe's webhook endpoint needs these.
EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
)


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


@dataclass(frozen=True, slots=True)
class Event:
    """One Stripe event about a Checkout Session that linkgate minted."""

    id: str
    type: str
    link: str
    campaign: str
    session: Session


def read_event(data: Any) -> Event | None:
    """Return the event in a webhook's JSON, or None if it says nothing of linkgate's sessions.

    Raises LookupError, TypeError or ValueError for what is no event of Stripe's.
    """
    if not isinstance(data, Mapping):
        raise TypeError("an event is an object")
    if data.get("type") not in EVENTS:
        return None
    session = data["data"]["object"]
    if not isinstance(session, Mapping):
        raise TypeError("an event's object is an object")
    metadata = session.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise TypeError("metadata is an object")
    link, campaign = metadata.get("linkgate_link"), metadata.get("linkgate_campaign")
    if not link or not campaign:
        return None
    if not (LINK_ID.fullmatch(link) and SLUG.fullmatch(campaign)):
        raise ValueError("the metadata names no link of linkgate's")
    known = read_session(session)
    if data["type"] == "checkout.session.async_payment_failed":
        known = replace(known, state=SessionState.FAILED)
    return Event(_text(data["id"]), data["type"], link, campaign, known)


def read_session(data: Mapping[str, Any]) -> Session:
    """Return a Checkout Session as Stripe's API describes it.

    Raises LookupError, TypeError or ValueError if it is none: nothing odd gets into the store.
    """
    metadata = data.get("metadata") or {}
    amount, currency = data.get("amount_total"), data.get("currency")
    return Session(
        id=_text(data["id"]),
        url=_text(data.get("url") or ""),
        state=_state(data["status"], data["payment_status"]),
        attempt=_whole(int(metadata.get("linkgate_attempt") or 0)),
        created_at=_whole(data["created"]),
        expires_at=_whole(data["expires_at"]),
        amount_total=None if amount is None else _whole(amount),
        currency=None if currency is None else _text(currency),
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


def _whole(value: Any) -> int:
    # 2**53: what JSON and Lua hold exactly.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError("a whole number is out of range")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value.encode()) > 5000:  # half a surrogate raises
        raise ValueError("a text is too long, or none")
    return value


def _state(status: str, payment_status: str) -> SessionState:
    if status == "complete":
        return {
            "paid": SessionState.PAID,
            "unpaid": SessionState.PENDING,
        }.get(payment_status, SessionState.COMPLETE)
    return SessionState.EXPIRED if status == "expired" else SessionState.OPEN
