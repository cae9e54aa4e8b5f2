"""Every key name in one place.

What belongs to one link shares the hash tag {link id}, and what belongs to one campaign's counting
shares {campaign}: every script then keeps to one slot of a cluster.
"""


def lease(name: str) -> str:
    """String: who does one of the jobs that one process at a time does."""
    return f"lg:{{lease:{name}}}"


MODE = "lg:mode"  # String: "live" or "test", whichever this store is used in.
RECONCILED = "lg:reconciled"  # String: up to when Stripe's events were gone through (Unix s).

LEFT = "lg:left"  # Sorted set: Stripe's events to be taken in some day, by when they happened (s).


def link(link_id: str) -> str:
    """Hash: what is known of a touched link, its attempt, its lease, its current session."""
    return f"lg:{{{link_id}}}:link"


def visits(link_id: str) -> str:
    """List, newest first: decision, outcome and JSON of each visit, tab-separated."""
    return f"lg:{{{link_id}}}:visits"


def buffered(link_id: str) -> str:
    """List, as `visits`: visits that were written in batches, which are machines'.

    Apart from the others, so that a storm pushes out nothing that a person's session hangs on.
    """
    return f"lg:{{{link_id}}}:buffered"


def sessions(link_id: str) -> str:
    """Hash: session id -> JSON of a `payments.Session`."""
    return f"lg:{{{link_id}}}:sessions"


def private(link_id: str) -> str:
    """String: JSON of the private attributes given when the link was created."""
    return f"lg:{{{link_id}}}:private"


def ledger(link_id: str) -> str:
    """Hash: Stripe id -> JSON of what is known of it besides sessions; see `payments.objects`."""
    return f"lg:{{{link_id}}}:ledger"


def reference(stripe_id: str) -> str:
    """String: id of the link that something at Stripe belongs to."""
    return f"lg:ref:{stripe_id}"


def events(link_id: str) -> str:
    """Set: ids of the Stripe events already applied to the link."""
    return f"lg:{{{link_id}}}:events"


def seen(link_id: str) -> str:
    """Sorted set: the link's sightings of the last seconds, by time."""
    return f"lg:{{{link_id}}}:seen"


def decoy(link_id: str) -> str:
    """String: when the link's decoy was opened, for a minute or so."""
    return f"lg:{{{link_id}}}:decoy"


def network(name: str) -> str:
    """Sorted set: the sightings from a network (a keyed hash) in the last seconds, by time."""
    return f"lg:{{net:{name}}}:seen"


def admitted(network_name: str) -> str:
    """Sorted set: links of nobody's that got a session from a network lately, by time (Unix ms)."""
    return f"lg:{{net:{network_name}}}:admitted"


def address_decoy(network_name: str, address: str) -> str:
    """String: when an address (a keyed hash) of the network opened a decoy."""
    return f"lg:{{net:{network_name}}}:decoy:{address}"


def suppressed(name: str) -> str:
    """String: when a person (a keyed hash) asked for no more reminders, in Unix milliseconds."""
    return f"lg:suppressed:{{{name}}}"


def queue_due(name: str) -> str:
    """Sorted set: ids of a queue's items by when they are due."""
    return f"lg:{{queue:{name}}}:due"


def queue_items(name: str) -> str:
    """Hash: id of a queue's item -> its JSON; see `queue`."""
    return f"lg:{{queue:{name}}}:items"


def budget(name: str) -> list[str]:
    """A budget's keys, see `budget`: string, when the next may go; two sorted sets of links.

    The first set is by when each came, the second by when each is expected back (Unix us).
    """
    return [f"lg:{{budget:{name}}}:{part}" for part in ("pace", "line", "back")]


def budget_place(name: str, link_id: str) -> str:
    """String: when a link came that a budget has made wait (Unix us)."""
    return f"lg:{{budget:{name}}}:place:{link_id}"


REMINDER_TURN = "lg:{queue:reminders}:turn"  # String: when the next one may go out, Unix ms.

DOUBTS_DUE = "lg:{doubts}:due"  # Sorted set: ids of doubts by when they are to be looked at.
DOUBTS = "lg:{doubts}:all"  # Hash: id of a doubt -> its JSON.


def campaign(slug: str) -> str:
    """String: JSON of a `campaigns.Campaign`."""
    return f"lg:campaign:{{{slug}}}"


CAMPAIGNS = "lg:campaigns"  # Sorted set: slugs by creation time.


def counters(slug: str) -> str:
    """Hash: what was counted for a campaign; field -> number."""
    return f"lg:count:{{{slug}}}"


def counted(slug: str, process: str) -> str:
    """String: the last batch of counters that a process added, so that a retry adds nothing."""
    return f"lg:counted:{{{slug}}}:{process}"


def recounted(slug: str, what: str, change: int) -> str:
    """String: set once a change of a visit's verdict, or a session's end, has been counted."""
    return f"lg:recounted:{{{slug}}}:{what}:{change}"


def trouble(slug: str) -> str:
    """String: JSON of the last time the destination refused what the campaign asks for."""
    return f"lg:trouble:{{{slug}}}"


def api_key(key_id: str) -> str:
    """Hash: name, scopes, hash and times of an API key."""
    return f"lg:apikey:{{{key_id}}}"


API_KEYS = "lg:apikeys"  # Sorted set: ids of API keys by creation time.
