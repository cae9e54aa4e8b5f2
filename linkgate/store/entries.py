"""What passes between a visit and the store: a wish to enter, the answer, what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from linkgate.payments import Ledger, Session, SessionState


class Entered(StrEnum):
    """What the store says when a person enters a link."""

    #: Nothing was claimed, and nothing stands against showing a page.
    PAGE = "page"
    #: Paid, complete, or paid with the money on its way.
    DONE = "done"
    REVOKED = "revoked"
    #: The link's open session is young: go there.
    REUSE = "reuse"
    #: This visit holds the lease and has to mint.
    CLAIMED = "claimed"
    #: Another visit is minting right now.
    WAIT = "wait"


class Settled(IntEnum):
    """What came of making a session the link's current one."""

    #: The link went on without this visit, or was revoked meanwhile.
    TOO_LATE = 0
    #: It is.
    DONE = 1
    #: The visit was taken back meanwhile: the session is nobody's, and has to be closed.
    TAKEN_BACK = 2


class Left(StrEnum):
    """In what state an attempt is left that did not end in a session."""

    #: Nobody knows whether a session was made: the next visit asks the same again.
    OPEN = ""
    #: The same, and asking again yields the stored error: the next visit looks for the session.
    SPENT = "spent"
    #: Nothing was minted: the next visit makes a new attempt.
    SETTLED = "settled"


#: In place of a campaign's revision, which is 1 or more: this session is not used again.
NOT_AGAIN = "-"


@dataclass(frozen=True, slots=True)
class Claim:
    """A visit's wish to mint; `owner` is unique to the visit, times are in milliseconds."""

    owner: str
    lease_ms: int
    reuse_ms: int
    #: The campaign's: a session made before a change is not used again after it.
    revision: int
    #: Whether to mint without what is private to the person.
    bare: bool = False
    #: How often the link can be paid; 0 is without end.
    payments: int = 1
    #: Whether the link has one session open at a time; without, nothing is leased.
    in_turn: bool = True
    #: Whether a subscription that has ended doesn't count among the payments.
    renewable: bool = False
    #: Whether the person wants to pay once more though a payment is on its way.
    once_more: bool = False
    #: How far Stripe's clock was found to be ahead of the store's, in seconds.
    ahead: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """The store's answer to `enter`. What a gate doesn't need is empty."""

    gate: Entered
    done: SessionState | None = None
    session: Session | None = None
    attempt: int = 0
    attempt_at: float = 0.0
    #: What the attempt asked of the destination, if it may have asked already.
    request: Mapping[str, Any] | None = None
    private: Mapping[str, Any] | None = None
    #: When the attempt's idempotency key was found spent, in Unix seconds; 0 if it wasn't.
    spent_at: float = 0.0
    #: The store's clock, in Unix seconds.
    now: float = 0.0
    #: Sessions of the link besides `session` that may be open.
    others: tuple[Session, ...] = ()
    #: The customer at Stripe who paid by this link, if that is known.
    payer: str = ""
    #: Until when Stripe may make recovered sessions of the link's expired ones, in Unix seconds.
    recovery_until: int = 0
    #: What there is to say of what is done; see `payments.Summary`.
    standing: str = ""
    #: Whether the link may be paid once more, though a payment is on its way.
    more: bool = False
    #: How far Stripe's clock is known to be ahead of `now`, in seconds: of the claim.
    ahead: float = 0.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit as it is kept. `body` is the JSON of `record.describe`; append-only."""

    id: str
    decision: str
    body: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """All that is kept of one link."""

    fields: Mapping[str, str]
    sessions: tuple[Session, ...]
    visits: tuple[Mapping[str, Any], ...]
    private: Mapping[str, Any]
    #: All that is known of its money, `sessions` among it.
    ledger: Ledger = field(default_factory=Ledger)


def visit_line(visit: Visit) -> str:
    """Return a visit as it stands in the list."""
    return f"{visit.decision}\t{visit.outcome}\t{visit.body}"
