"""One module for each of Stripe's nouns; each offers `OPERATIONS`, and `OPERATIONS` here is all."""

from linkgate.sandbox.nouns import (
    account,
    catalog,
    charges,
    customers,
    disputes,
    events,
    invoices,
    payments,
    portal,
    promotions,
    sessions,
    subscriptions,
    webhooks,
)
from linkgate.sandbox.operations import Operation

NOUNS = (
    account,
    catalog,
    charges,
    customers,
    disputes,
    events,
    invoices,
    payments,
    portal,
    promotions,
    sessions,
    subscriptions,
    webhooks,
)
OPERATIONS: tuple[Operation, ...] = tuple(each for noun in NOUNS for each in noun.OPERATIONS)
