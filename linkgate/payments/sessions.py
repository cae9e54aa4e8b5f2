"""Checkout Sessions: their states, which only rise, so that the order of what is heard is free."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from linkgate.payments.values import (
    flag,
    identity,
    mapping,
    text,
    text_or_none,
    whole,
    whole_or_none,
)


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
    """One session as linkgate knows it. Times in Unix seconds, amounts in the minor unit.

    Kept as JSON: fields are only ever added, each with a default, so that what an older version
    kept is still read.
    """

    id: str
    url: str
    state: SessionState
    attempt: int
    created_at: int
    expires_at: int
    amount_total: int | None = None
    currency: str | None = None
    #: payment, subscription or setup; empty where an older version kept it.
    mode: str = ""
    payment_intent: str | None = None
    setup_intent: str | None = None
    subscription: str | None = None
    invoice: str | None = None
    customer: str | None = None
    #: The expired session that this one continues, through Stripe's recovery page.
    recovered_from: str | None = None
    recovery_url: str | None = None
    recovery_until: int = 0
    #: The connected account, for Connect.
    account: str | None = None
    livemode: bool = False


def read_session(data: Mapping[str, Any], *, account: str | None = None) -> Session:
    """Return a Checkout Session as Stripe's API describes it.

    Raises LookupError, TypeError or ValueError if it is none: nothing odd gets into the store.
    """
    recovery = mapping(mapping(data.get("after_expiration")).get("recovery"))
    return Session(
        id=text(data["id"]),
        url=text(data.get("url") or ""),
        state=_state(data),
        attempt=attempt_of(data),
        created_at=whole(data["created"]),
        expires_at=whole(data["expires_at"]),
        amount_total=whole_or_none(data.get("amount_total")),
        currency=text_or_none(data.get("currency")),
        mode=text(data.get("mode") or ""),
        payment_intent=identity(data.get("payment_intent")),
        setup_intent=identity(data.get("setup_intent")),
        subscription=identity(data.get("subscription")),
        invoice=identity(data.get("invoice")),
        customer=identity(data.get("customer")),
        recovered_from=identity(data.get("recovered_from")),
        recovery_url=text_or_none(recovery.get("url")),
        recovery_until=whole(recovery.get("expires_at") or 0),
        account=account,
        livemode=flag(data.get("livemode")),
    )


def advance(known: Session | None, heard: Session) -> Session:
    """Return what is known of a session after hearing `heard`, in whatever order things come.

    The higher state's word counts. What it doesn't say (a session that is over has no `url`, an
    open one no payment intent) is kept from the other; neither ever takes an id away again.
    """
    if known is None:
        return heard
    low, high = sorted((known, heard), key=_weight)
    gaps = [field.name for field in fields(Session) if _unsaid(high, field.name)]
    return replace(high, **{name: getattr(low, name) for name in gaps if not _unsaid(low, name)})


def attempt_of(data: Mapping[str, Any]) -> int:
    """Return which attempt of its link made an object; 0 if its metadata names no link."""
    metadata = mapping(data.get("metadata"))
    if not metadata.get("linkgate_link"):
        return 0
    return whole(int(metadata.get("linkgate_attempt") or 0))


def _weight(session: Session) -> tuple[int, str]:
    # Two that stand alike say the same, or differ in something of no weight (an open session's
    # amount): any order will do, if it is always the same one.
    return _RANK[session.state], repr(session)


def _unsaid(session: Session, name: str) -> bool:
    # Nothing to pay is an amount, too: a discount of all of it.
    value = getattr(session, name)
    return value is None or (not value and name != "amount_total")


def _state(data: Mapping[str, Any]) -> SessionState:
    if data["status"] != "complete":
        return SessionState.EXPIRED if data["status"] == "expired" else SessionState.OPEN
    if data["payment_status"] == "unpaid":
        return SessionState.PENDING
    paid = data["payment_status"] == "paid"
    return SessionState.PAID if paid else SessionState.COMPLETE
