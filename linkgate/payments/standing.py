"""Where a session and a link stand, and whether the person may have what was paid for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from linkgate.payments.ledger import Ledger
from linkgate.payments.objects import DisputeState, InvoiceState, PaymentState, SubscriptionState
from linkgate.payments.purchases import STARTED, Purchase, purchases
from linkgate.payments.sessions import DONE, Session, SessionState


class Standing(StrEnum):
    """Where a session stands with all that came of it, the strongest first.

    From `active` to `canceled` it is the subscription's state in Stripe's words.
    """

    #: A charge is being disputed, or the dispute is lost.
    DISPUTED = "disputed"
    REFUNDED = "refunded"
    PARTIALLY_REFUNDED = "partially_refunded"
    ACTIVE = "active"
    TRIALING = "trialing"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"
    PAID = "paid"
    COMPLETE = "complete"
    PENDING = "pending"
    OPEN = "open"
    FAILED = "failed"
    EXPIRED = "expired"


class LinkState(StrEnum):
    """Where a link stands; the strongest thing that is true of it."""

    ISSUED = "issued"
    VISITED = "visited"
    OPEN = "open"
    FAILED = "failed"
    PENDING = "pending"
    COMPLETE = "complete"
    PAID = "paid"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    REVOKED = "revoked"
    EXPIRED = "expired"


# What a link with several sessions is called by: what is going on before what is over.
_LASTING = (
    Standing.DISPUTED,
    Standing.PARTIALLY_REFUNDED,
    Standing.REFUNDED,
    Standing.ACTIVE,
    Standing.TRIALING,
    Standing.PAST_DUE,
    Standing.UNPAID,
    Standing.PAUSED,
    Standing.PAID,
    Standing.COMPLETE,
    Standing.PENDING,
    Standing.CANCELED,
)
_KEPT = (Standing.PAID, Standing.ACTIVE, Standing.PAST_DUE)
_LIVE = (SubscriptionState.TRIALING, SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE)
#: In these a subscription needs the person: a payment is missing, or a way to pay is.
OWING = (SubscriptionState.PAST_DUE, SubscriptionState.UNPAID, SubscriptionState.PAUSED)
#: In these it goes on, or can.
ALIVE = STARTED - {SubscriptionState.CANCELED}

#: What a link's `done` says: the strongest.
_STRENGTH = (
    SessionState.FAILED,
    SessionState.PENDING,
    SessionState.COMPLETE,
    SessionState.PAID,
)


def session_standing(ledger: Ledger, session: Session) -> Standing:
    """Return where a session of the ledger stands, by the strongest that is true of it."""
    return session_standings(ledger)[session.id]


def session_standings(ledger: Ledger) -> dict[str, Standing]:
    """Return where every session of the ledger stands, by its id, in one go."""
    return {one.session.id: _standing(one) for one in purchases(ledger) if one.session}


def link_state(
    known: Ledger | Iterable[Session],
    *,
    visited: bool,
    revoked: bool,
    expired: bool,
    now: float,
) -> LinkState:
    """Return where a link stands. What was paid outlasts revocation and expiry."""
    ledger = known if isinstance(known, Ledger) else Ledger.of(known)
    standings = {_at(one, now) for one in purchases(ledger)}
    if Standing.REFUNDED in standings and not standings.isdisjoint(_KEPT):
        standings.add(Standing.PARTIALLY_REFUNDED)
    for standing in _LASTING:
        if standing in standings:
            return LinkState(standing.value)
    if revoked:
        return LinkState.REVOKED
    if expired:
        return LinkState.EXPIRED
    for standing in (Standing.OPEN, Standing.FAILED):
        if standing in standings:
            return LinkState(standing.value)
    return LinkState.VISITED if visited else LinkState.ISSUED


def has_access(ledger: Ledger) -> bool:
    """Return whether the person may have what the link is for.

    A subscription gives it while Stripe calls it trialing, active or past_due: past_due is
    Stripe's time for trying again, and ends in active, unpaid or canceled. It doesn't if it was
    never paid at all. A payment gives it unless all of it was given back or its dispute is lost;
    while a dispute is open nobody knows yet who is right. What is complete with nothing to pay
    gives it, what is pending doesn't.
    """
    return any(map(gives_access, purchases(ledger)))


def gives_access(found: Purchase) -> bool:
    """Return whether one purchase does; see `has_access`."""
    subscription = found.subscription
    if subscription and subscription.state is not SubscriptionState.INCOMPLETE:
        # An asynchronous first payment that failed leaves a subscription past_due.
        paid = any(invoice.state is InvoiceState.PAID for invoice in found.invoices)
        return subscription.state in _LIVE and (paid or found.state is not SessionState.FAILED)
    taken_back = any(dispute.state is DisputeState.LOST for dispute in found.disputes)
    if taken_back or _standing(found) is Standing.REFUNDED:
        return False
    return found.state in (SessionState.PAID, SessionState.COMPLETE)


def payments_made(ledger: Ledger, *, renewable: bool = False) -> int:
    """Return how many checkouts of a link are done, to be held against its `max_payments`.

    A payment on its way counts, and so does one whose session has not told yet. So does one that
    failed and left a subscription that lives: Stripe goes on collecting for it. What was refunded
    since counts as well: giving money back is no invitation to pay again. What `renewable` says is
    that a subscription that has ended does not count.
    """
    done = [found for found in purchases(ledger) if found.state in DONE or unpaid_yet_alive(found)]
    return len(done) - (sum(map(has_ended, done)) if renewable else 0)


def unpaid_yet_alive(found: Purchase) -> bool:
    """Say whether a checkout failed whose subscription lives on, with an invoice to be paid."""
    return found.state is SessionState.FAILED and _subscribed(found) in ALIVE


def has_ended(found: Purchase) -> bool:
    """Say whether a purchase was a subscription that is over, and neither taken nor given back."""
    return (
        _subscribed(found) is SubscriptionState.CANCELED
        and found.state in (SessionState.PAID, SessionState.COMPLETE)
        and _standing(found) in (Standing.CANCELED, Standing.PARTIALLY_REFUNDED)
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """What visits have to know of a link's money."""

    #: The strongest state of those checkouts that count; None if none does.
    done: SessionState | None
    #: How many count, and how many of these were subscriptions that have ended.
    count: int
    ended: int
    #: How many have their money on the way.
    coming: int
    #: What there is to say besides: the subscription's state where it needs the person or where the
    #: checkout failed, or that all was refunded.
    standing: Standing | None
    #: Whether a checkout failed whose subscription lives on: then there is no other checkout.
    unpaid_yet_alive: bool
    #: The customer at Stripe: who is done, or else who came last.
    payer: str | None


def summary(ledger: Ledger) -> Summary:
    """Return what visits to a ledger's link have to know."""
    found = purchases(ledger)
    # A payment may tell that it was made, or has failed, before its session does.
    done = [one for one in found if one.state in DONE or unpaid_yet_alive(one)]
    best = max((one.state for one in done), key=_STRENGTH.index, default=None)
    lasting = [one for one in done if not has_ended(one)]
    return Summary(
        best,
        len(done),
        len(done) - len(lasting),
        sum(one.state is SessionState.PENDING for one in done),
        _told(lasting),
        any(map(unpaid_yet_alive, done)),
        _payer(found, done),
    )


def _told(lasting: Sequence[Purchase]) -> Standing | None:
    states = {_subscribed(one) for one in lasting}
    for state in OWING:
        if state in states:
            return Standing(state.value)
    alive = next(filter(unpaid_yet_alive, lasting), None)
    if alive and alive.subscription and all(map(unpaid_yet_alive, lasting)):
        return Standing(alive.subscription.state.value)
    if lasting and all(_standing(one) is Standing.REFUNDED for one in lasting):
        return Standing.REFUNDED
    return None


def _payer(found: Iterable[Purchase], done: Sequence[Purchase]) -> str | None:
    """Return whose subscriptions are asked for before another one is sold."""
    known = [one for one in found if one.session and one.session.customer]
    known.sort(key=lambda one: (one in done, one.session.created_at if one.session else 0))
    session = known[-1].session if known else None
    others = (one.subscription.customer for one in done if one.subscription)
    return session.customer if session else next(filter(None, others), None)


def _subscribed(found: Purchase) -> SubscriptionState | None:
    return found.subscription.state if found.subscription else None


def _standing(found: Purchase) -> Standing:
    if any(one.state in (DisputeState.OPEN, DisputeState.LOST) for one in found.disputes):
        return Standing.DISPUTED
    if given_back := sum(payment.refunded for payment in found.charged):
        return Standing.REFUNDED if given_back >= _taken(found) else Standing.PARTIALLY_REFUNDED
    if found.subscription and found.subscription.state in STARTED:
        return Standing(found.subscription.state.value)
    return Standing(found.state.value)


def _taken(found: Purchase) -> int:
    # A subscription's invoices may be known without the payment intents that paid them.
    charged = [one for one in found.charged if one.state is PaymentState.SUCCEEDED]
    paid = [one for one in found.invoices if one.state is InvoiceState.PAID]
    return max(
        sum(one.refunded if one.fully_refunded else one.amount or 0 for one in charged),
        sum(one.amount or 0 for one in paid),
    )


def _at(found: Purchase, now: float) -> Standing:
    standing = _standing(found)
    # Nobody tells when Stripe's clock runs out on a session whose webhook was missed; and a try to
    # pay, without a session that is known, is nothing that one could go on with.
    over = found.session is None or now >= found.session.expires_at
    return Standing.EXPIRED if standing is Standing.OPEN and over else standing
