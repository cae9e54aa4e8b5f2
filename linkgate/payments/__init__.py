"""Payments: what Stripe's events and answers say of a link's money, and what follows from it."""

from linkgate.payments.events import EVENTS, Event, read_event
from linkgate.payments.sessions import (
    DONE,
    LinkState,
    Session,
    SessionState,
    advance,
    link_state,
    read_session,
)

__all__ = [
    "DONE",
    "EVENTS",
    "Event",
    "LinkState",
    "Session",
    "SessionState",
    "advance",
    "link_state",
    "read_event",
    "read_session",
]
