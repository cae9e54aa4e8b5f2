"""Whether there is room for people without a link of theirs: so many from a network in a minute.

Whoever comes when there isn't gets in by a press; when there is none even for those who press, by
waiting. Colleagues behind one address, or a poster's crowd, come in later, and none is turned away.
"""

import logging
from dataclasses import dataclass

from linkgate.addresses import neighbourhood
from linkgate.decision import Action, Decision
from linkgate.errors import StoreUnavailable
from linkgate.signals import Signals
from linkgate.store.admission import Admission
from linkgate.tokens import Keyring, Link

log = logging.getLogger(__name__)

#: How many times as many there is room for where each has pressed.
PRESSED_TIMES = 10

_CROWD = Decision(
    Action.INTERSTITIAL, "many sessions went to its network without a link: it has to press"
)
#: In the place of a network's name: nobody knows who is behind it.
_UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Admitting:
    """Lets people in who have no link of theirs, `per_minute` from each network just by coming."""

    admission: Admission
    keyring: Keyring
    per_minute: int

    async def admit(
        self, link: Link, signals: Signals, decision: Decision, *, pressed: bool
    ) -> tuple[Decision, float]:
        """Return what becomes of a decision to mint, and for how many seconds it has to wait.

        Without a store everything stays as it is: nothing is minted then.
        """
        known = signals.address_known
        if pressed and not known:
            # Everybody may be behind such an address: they press, but are never made to wait.
            return decision, 0.0
        network = self.keyring.pseudonym(neighbourhood(signals.address)) if known else _UNKNOWN
        most = self.per_minute * (PRESSED_TIMES if pressed else 1)
        try:
            wait = await self.admission.admit(network, link.id, most)
        except StoreUnavailable:
            return decision, 0.0
        if wait and not pressed:
            return _CROWD, 0.0
        return decision, wait
