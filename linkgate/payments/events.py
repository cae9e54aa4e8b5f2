"""Stripe's events: which ones count, what one tells, and of which link."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from linkgate.payments.ledger import Known, refs_of
from linkgate.payments.reading import read_known
from linkgate.payments.sessions import Session
from linkgate.payments.source import Source
from linkgate.payments.values import Object, flag, listed, mapping, text, text_or_none, whole
from linkgate.tokens import LINK_ID, SLUG, link_id

_OBJECTS = {
    "checkout.session.completed": "checkout.session",
    "checkout.session.async_payment_succeeded": "checkout.session",
    "checkout.session.async_payment_failed": "checkout.session",
    "checkout.session.expired": "checkout.session",
    "payment_intent.succeeded": "payment_intent",
    "payment_intent.payment_failed": "payment_intent",
    "invoice.paid": "invoice",
    "invoice.payment_failed": "invoice",
    "customer.subscription.created": "subscription",
    "customer.subscription.updated": "subscription",
    "customer.subscription.deleted": "subscription",
    "customer.subscription.trial_will_end": "subscription",
    "charge.refunded": "charge",
    "charge.dispute.created": "dispute",
    "charge.dispute.closed": "dispute",
    "setup_intent.succeeded": "setup_intent",
}

#: The types of events that say something about a payment; Stripe's webhook endpoint needs these.
EVENTS = tuple(_OBJECTS)


@dataclass(frozen=True, slots=True)
class Named:
    """The link that something at Stripe names in its metadata."""

    link: str
    campaign: str
    recipient: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """One of Stripe's events, of whatever link or of none.

    `link` and `campaign` are there if its metadata names them; otherwise `refs`, the ids of all
    that it speaks of, nearest first, tell by what it may be found whose it is.
    """

    id: str
    type: str
    #: When it happened, on Stripe's clock in Unix seconds.
    created: int
    livemode: bool
    #: The connected account, for Connect.
    account: str | None
    known: tuple[Known, ...]
    link: str | None
    campaign: str | None
    refs: tuple[str, ...]
    #: Whose link it is, where the metadata names them.
    recipient: str | None = None

    @property
    def session(self) -> Session | None:
        """The session that the event is about, if it is about one."""
        return next((one for one in self.known if isinstance(one, Session)), None)


def read_event(data: Any) -> Event | None:
    """Return the event in a webhook's JSON, or None if its type is none of `EVENTS`.

    Raises LookupError, TypeError or ValueError for what is no event of Stripe's, and for a thin
    event, which doesn't bring its object.
    """
    if not isinstance(data, dict):
        raise TypeError("an event is an object")
    kind = data.get("type")
    if kind not in _OBJECTS:
        return None
    if data.get("object", "event") != "event":
        raise ValueError("a thin event brings no object; linkgate needs a snapshot")
    body = mapping(data["data"])
    about = mapping(body["object"])
    if about["object"] != _OBJECTS[kind]:
        raise ValueError(f"{kind} is not about a {_OBJECTS[kind]}")
    created, account = whole(data["created"]), text_or_none(data.get("account"))
    named = named_in(about)
    known = read_known(
        about, Source(created, account, kind, mapping(body.get("previous_attributes")))
    )
    return Event(
        id=text(data["id"]),
        type=kind,
        created=created,
        livemode=flag(data.get("livemode")),
        account=account,
        known=known,
        link=named.link if named else None,
        campaign=named.campaign if named else None,
        refs=tuple(dict.fromkeys((text(about["id"]), *refs_of(known)))),
        recipient=named.recipient if named else None,
    )


def named_in(data: Any) -> Named | None:
    """Return the link that an object of Stripe's names in its metadata, if it does.

    Raises as `read_event`.
    """
    for metadata in _metadata(mapping(data)):
        link, campaign = metadata.get("linkgate_link"), metadata.get("linkgate_campaign")
        if link and campaign:
            if not (LINK_ID.fullmatch(text(link)) and SLUG.fullmatch(text(campaign))):
                raise ValueError("the metadata names no link of linkgate's")
            recipient = metadata.get("linkgate_recipient")
            # A link follows from both: whoever else is written there is not the one it is for.
            its_own = bool(recipient) and link_id(campaign, text(recipient)) == link
            return Named(link, campaign, recipient if its_own else None)
    return None


def _metadata(about: Object) -> Iterator[Object]:
    yield mapping(about.get("metadata"))
    if about["object"] == "invoice":
        # A subscription's metadata as it was when the invoice was made: below the parent since
        # API version 2025-03-31, at the top since 2023, and on the lines ever since.
        parent = mapping(mapping(about.get("parent")).get("subscription_details"))
        yield mapping(parent.get("metadata"))
        yield mapping(mapping(about.get("subscription_details")).get("metadata"))
        for line in listed(about.get("lines")):
            yield mapping(line.get("metadata"))
