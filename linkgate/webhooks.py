"""Stripe's webhooks: verified, read, and taken in once.

What was paid is known from here (and from Stripe's API), never from a redirect.
"""

import json
import logging
from collections.abc import Sequence
from enum import StrEnum

import stripe

from linkgate.errors import BadSignature
from linkgate.payments import Event, Session, SessionState, read_event
from linkgate.store import Store

log = logging.getLogger(__name__)

#: Stripe's own tolerance: an older signature may be a replay.
#: https://docs.stripe.com/webhooks#replay-attacks
TOLERANCE_SECONDS = 300


class Taken(StrEnum):
    """What became of a verified event."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    #: Not about a session of linkgate's, or of a type that says nothing about one.
    IGNORED = "ignored"


class Webhooks:
    """Takes Stripe's events in. Several secrets are good at once, so that one can be rolled."""

    def __init__(self, store: Store, secrets: Sequence[str]) -> None:
        self._store = store
        self._secrets = secrets

    async def take(self, payload: bytes, signature: str, now: float) -> Taken:
        """Verify and apply one event.

        Raises BadSignature for a forged, stale or unreadable one, StoreUnavailable if it could not
        be kept (Stripe then sends it again).
        """
        verify(payload, signature, self._secrets, now)
        try:
            event = read_event(json.loads(payload))
        except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise BadSignature("the payload is signed, but is no event of Stripe's") from error
        if event is None:
            return Taken.IGNORED
        return await self._apply(event, now)

    async def _apply(self, event: Event, now: float) -> Taken:
        keep_until = self._store.links.keep_longest(now)
        heard = await self._store.links.hear(
            event.link, event.session, event=event.id, keep_until=keep_until
        )
        if heard is None:
            return Taken.DUPLICATE
        before, after = heard
        if before is None or before.state is not after.state:
            self._count(event, after)
        log.info("%s: session %s is %s", event.type, after.id, after.state)
        return Taken.APPLIED

    def _count(self, event: Event, session: Session) -> None:
        recorder = self._store.recorder
        recorder.count(event.campaign, f"sessions.{session.state}")
        if session.state is SessionState.PAID and session.currency:
            amount = session.amount_total or 0
            recorder.count(event.campaign, f"amount.{session.currency}", amount)


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
