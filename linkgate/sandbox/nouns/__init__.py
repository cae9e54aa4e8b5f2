"""One module for each of Stripe's nouns; each offers `OPERATIONS`, and `OPERATIONS` here is all."""

from linkgate.sandbox.nouns import account, catalog, customers, events, payments, sessions, webhooks
from linkgate.sandbox.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    *account.OPERATIONS,
    *catalog.OPERATIONS,
    *customers.OPERATIONS,
    *events.OPERATIONS,
    *payments.OPERATIONS,
    *sessions.OPERATIONS,
    *webhooks.OPERATIONS,
)
