"""Stripe's events: what one tells of a link's sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from linkgate.payments.sessions import Session, SessionState, read_session
from linkgate.payments.values import text
from linkgate.tokens import LINK_ID, SLUG

#: The types of events that say something about a session; Stripe's webhook endpoint needs these.
EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
)


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
    return Event(text(data["id"]), data["type"], link, campaign, known)
