"""Payments: what Stripe's events and answers say of a link's money, and what follows from it.

`read_event` and `read_object` make values of Stripe's JSON, `hear` joins them into the link's
`Ledger` in any order and any number of times, and the rest is derived from the ledger: where a
session and the link stand, whether the person has access, and what changed. docs/payments.md
explains the rules.
"""

from linkgate.payments.changes import Change, changes
from linkgate.payments.events import EVENTS, Event, Named, named_in, read_event
from linkgate.payments.ledger import Known, Ledger, hear, refs_of
from linkgate.payments.objects import (
    Dispute,
    DisputeState,
    Invoice,
    InvoiceState,
    Other,
    Payment,
    PaymentState,
    Setup,
    SetupState,
    Subscription,
    SubscriptionState,
    dump_other,
    guessed,
    load_other,
)
from linkgate.payments.purchases import dispensable
from linkgate.payments.reading import read_object
from linkgate.payments.sessions import DONE, Session, SessionState, advance, read_session
from linkgate.payments.standing import (
    OWING,
    LinkState,
    Standing,
    Summary,
    has_access,
    link_state,
    payments_made,
    session_standing,
    session_standings,
    summary,
)

__all__ = [
    "DONE",
    "EVENTS",
    "OWING",
    "Change",
    "Dispute",
    "DisputeState",
    "Event",
    "Invoice",
    "InvoiceState",
    "Known",
    "Ledger",
    "LinkState",
    "Named",
    "Other",
    "Payment",
    "PaymentState",
    "Session",
    "SessionState",
    "Setup",
    "SetupState",
    "Standing",
    "Subscription",
    "SubscriptionState",
    "Summary",
    "advance",
    "changes",
    "dispensable",
    "dump_other",
    "guessed",
    "has_access",
    "hear",
    "link_state",
    "load_other",
    "named_in",
    "payments_made",
    "read_event",
    "read_object",
    "read_session",
    "refs_of",
    "session_standing",
    "session_standings",
    "summary",
]
