"""Who wants no reminders: remembered by keyed names, so that nobody can be read off the store.

A person has two: one for the recipient's id, one for the address. Either is enough, so whoever has
said no in one campaign is left alone in all of them, under another id or another address too.
"""

import logging
from collections.abc import Callable
from typing import Any

from linkgate.references import References
from linkgate.store import Store
from linkgate.store.entries import Row
from linkgate.store.reminders import ReminderStore
from linkgate.tokens import Keyring, Purpose

log = logging.getLogger(__name__)


class Suppression:
    """Takes a no to reminders, and tells who has said it. Raises StoreUnavailable."""

    def __init__(self, store: Store, keyring: Keyring, clock: Callable[[], float]) -> None:
        self._store = store
        self._kept = ReminderStore(store.connection)
        self._keyring = keyring
        self._references = References(keyring)
        self._clock = clock

    def path(self, reference: str) -> str:
        """Return where a reminder's `reference` leads, without what mail may have added to it.

        Raises MalformedToken or BadSignature.
        """
        return self._references.unsubscribe_path(self._references.read_unsubscribe(reference))

    async def unsubscribe(self, reference: str) -> None:
        """Remind the person whom `reference` was sent to of nothing any more, in any campaign.

        Raises MalformedToken or BadSignature.
        """
        link_id = self._references.read_unsubscribe(reference)
        names = await self._kept.reminded_to(link_id)
        if not names:
            row = await self._store.links.read(link_id)
            names = self.names(row) if row else ()
        if not names:
            # Everything about the link has expired, so it will never be reminded of either.
            log.warning("link %s: somebody wants no reminders, and nothing tells who", link_id)
            return
        await self._keep(names)
        log.info("link %s: its recipient wants no more reminders", link_id)

    async def covers(self, row: Row) -> bool:
        """Say whether a link's recipient wants no reminders, and keep it in mind if so."""
        if not await self._kept.suppressed(self._all_names(row)):
            return False
        # Anew: under the newest key, under both names, and for as long as a new link may live.
        await self._keep(self.names(row))
        return True

    def names(self, row: Row) -> tuple[str, ...]:
        """Return the names of a link's recipient under the newest key."""
        return tuple(names[0] for names in self._by_key(row))

    def _all_names(self, row: Row) -> tuple[str, ...]:
        return tuple(name for names in self._by_key(row) for name in names)

    def _by_key(self, row: Row) -> list[tuple[str, ...]]:
        told = (
            ("recipient", row.fields.get("recipient")),
            ("address", _folded(row.private.get("email"))),
        )
        return [
            self._keyring.names(Purpose.SUPPRESSED, f"{kind}:{value}")
            for kind, value in told
            if value
        ]

    async def _keep(self, names: tuple[str, ...]) -> None:
        now = self._clock()
        await self._kept.suppress(names, now, self._store.links.keep_longest(now))


def _folded(address: Any) -> str:
    # Mail servers hardly ever tell large letters from small ones, and people never do.
    return str(address).strip().lower() if address else ""
