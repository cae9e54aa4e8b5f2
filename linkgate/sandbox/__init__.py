"""A stand-in for Stripe: its API, its hosted pay page and its signed webhooks, and no money.

For the demo, for staging and for tests. A request's path is `api` (key, endpoint, fault, ledger,
work), then one of `nouns`; a person's is `pages`; both end in `world`, and `courier` tells of it.
"""

from linkgate.sandbox.app import Sandbox
from linkgate.sandbox.courier import Delivery
from linkgate.sandbox.faults import Fault
from linkgate.sandbox.world import WebhookEndpoint, World

__all__ = ["Delivery", "Fault", "Sandbox", "WebhookEndpoint", "World"]
