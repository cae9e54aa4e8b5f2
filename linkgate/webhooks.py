"""Stripe's webhooks: verified, sorted, and kept before the answer; the work comes afterwards.

What was paid is known from here (and from Stripe's API), never from a redirect.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import stripe

from linkgate.attributing import Attribution
from linkgate.errors import BadSignature, DestinationBusy, DestinationMisconfigured
from linkgate.payments import Event, read_event
from linkgate.store.queue import Item, Queue
from linkgate.working import Later, pause

log = logging.getLogger(__name__)

#: Stripe's own tolerance: an older signature may be a replay.
#: https://docs.stripe.com/webhooks#replay-attacks
TOLERANCE_SECONDS = 300

#: The longest between two tries to take in an event.
LONGEST_PAUSE_SECONDS = 60.0
#: How often it is tried before it is left to reconciliation: while Stripe doesn't answer for about
#: three days, which is how long Stripe itself tries to deliver; what Stripe refuses, and what can't
#: be read, for some minutes. Somebody else's refunds must not fill the queue for ever.
BUSY_TRIES = int(3 * 86_400 / LONGEST_PAUSE_SECONDS)
REFUSED_TRIES = 10

#: What may come of an event's payload that is none.
UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, RecursionError)


class Taken(StrEnum):
    """What became of a verified event."""

    #: It is in the store, and will be worked on.
    KEPT = "kept"
    #: Not about a session of linkgate's, of a type that says nothing about one, or of the other
    #: mode (test or live).
    IGNORED = "ignored"


class Webhooks:
    """Takes Stripe's events in. Several secrets are good at once, so that one can be rolled."""

    def __init__(
        self,
        inbox: Queue,
        secrets: Sequence[str],
        *,
        livemode: bool,
        find: Callable[[Event], Awaitable[str | None]],
        nudge: Callable[[], None],
    ) -> None:
        """Take the queue for events, and `nudge`, which is called when there is one in it.

        `find` returns the link of an event that names none, if it is known already.
        """
        self._inbox = inbox
        self._find = find
        self._secrets = secrets
        self._livemode = livemode
        self._nudge = nudge

    async def take(self, payload: bytes, signature: str, now: float) -> Taken:
        """Verify one event and keep it.

        Raises BadSignature for a forged, stale or unreadable one, StoreUnavailable if it could not
        be kept (Stripe then sends it again).
        """
        verify(payload, signature, self._secrets, now)
        try:
            event = read_event(json.loads(payload))
        except UNREADABLE as error:
            raise BadSignature("the payload is signed, but is no event of Stripe's") from error
        if event is None or not in_mode(event, livemode=self._livemode):
            return Taken.IGNORED
        if not may_be_ours(event) and await self._find(event) is None:
            return Taken.IGNORED
        await self._inbox.put(event.id, payload.decode())
        self._nudge()
        return Taken.KEPT


def in_mode(event: Event, *, livemode: bool) -> bool:
    """Say whether an event is in this linkgate's mode.

    The other mode's are somebody else's: a test's payment must never open what costs money.
    """
    if event.livemode is not livemode:
        mode = "live" if event.livemode else "test"
        log.warning("%s %s is ignored: it is in %s mode", event.type, event.id, mode)
        return False
    return True


def may_be_ours(event: Event) -> bool:
    """Say whether an event may be about something of linkgate's that isn't known yet."""
    # Sessions and intents that linkgate made name their link, as a rule. Refunds, disputes and
    # invoices may be about one that doesn't, or that hasn't been heard of yet.
    return event.link is not None or event.type.startswith(("charge.", "invoice.", "customer."))


class Hears(Protocol):
    """Takes an event of a known link in; see `linkgate.bookkeeping`."""

    async def hear_event(self, link_id: str, event: Event) -> bool: ...

    async def leave(self, event: str, account: str | None) -> int: ...


@dataclass(frozen=True, slots=True)
class Reader:
    """Works on events that were kept: finds the link of each, and has it taken in."""

    books: Hears
    attribution: Attribution

    async def read(self, item: Item) -> Later | None:
        """Work on one kept event; see `working.Handle`.

        What can't be taken in after many tries is left to reconciliation.
        """
        event: Event | None = None
        try:
            event = read_event(json.loads(item.body))
            if event is not None:
                await self._take_in(event)
        except (DestinationBusy, DestinationMisconfigured) as error:
            log.warning("whose %s is can't be found out now: %s", item.id, error)
            most = BUSY_TRIES if isinstance(error, DestinationBusy) else REFUSED_TRIES
        except UNREADABLE:
            log.exception("the event %s can't be taken in", item.id)
            most = REFUSED_TRIES
        else:
            return None
        if item.tries < most:
            return Later(pause(item.tries, longest=LONGEST_PAUSE_SECONDS), failed=True)
        left = await self.books.leave(item.id, event.account if event else None)
        log.error(
            "the event %s is given up after %d tries; reconciliation asks for it again, as for %d "
            "in all",
            *(item.id, item.tries + 1, left),
        )
        return None

    async def _take_in(self, event: Event) -> None:
        link = await self.attribution.link_of(event)
        if link is None:
            log.debug("%s %s is about nothing of linkgate's", event.type, event.id)
            return
        await self.books.hear_event(link, event)


def verify(payload: bytes, signature: str, secrets: Sequence[str], now: float) -> None:
    """Raise BadSignature unless one of `secrets` signed `payload` within the last five minutes."""
    try:
        text = payload.decode()
        signed_at = _signed_at(signature)
    except ValueError as error:
        raise BadSignature("the Stripe-Signature header or the body can't be read") from error
    if abs(now - signed_at) > TOLERANCE_SECONDS:
        raise BadSignature("the signature is older than five minutes: a replay, or a wrong clock")
    for secret in secrets:
        try:
            # Its own check of time uses the machine's clock; ours is passed in.
            stripe.WebhookSignature.verify_header(text, signature, secret, tolerance=None)
        except (stripe.SignatureVerificationError, ValueError, TypeError, IndexError):
            continue
        return
    raise BadSignature("no webhook secret in stripe.webhook_secrets made this signature")


def _signed_at(header: str) -> int:
    # Read exactly as stripe-python does, unstripped and the first one only: if the two read
    # different times, an old event could be replayed behind a fresh-looking " t=".
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name == "t" and len(value) <= 12:  # a longer one is no time, and overflows what follows
            return int(value)
    raise ValueError("no t= in it")
