"""References: how the address of a page names a link without opening it.

A reference is a link's id, signed for one purpose. It holds no recipient and no token, and it has
no time in it: the same link has the same reference for as long as the key that signed it is in
use, so that an attempt at a session that is sent again asks for the same addresses.

    reference = link id "." signature (43 characters); see `tokens` for the signature
"""

import re
from urllib.parse import unquote

from linkgate.errors import MalformedToken
from linkgate.tokens import LINK_ID, MAX_TEXT, Keyring, Purpose

#: Below these are the pages that a reference leads to.
RETURN_PATH = "/return/"
UNSUBSCRIBE_PATH = "/unsubscribe/"
#: Behind a return page's reference: the way back out of a checkout.
CANCELLED = "/cancelled"
#: And where the billing portal leads back to, where nobody waits for a payment.
PORTAL = "/portal"

_REFERENCE = re.compile(rf"{LINK_ID.pattern}\.[A-Za-z0-9_-]{{43}}")


class References:
    """Makes and reads references. Reading raises MalformedToken or BadSignature.

    What mail or a browser added to an address's end is passed over when it is read.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def issue_return(self, link_id: str) -> str:
        """Name a link for its return pages, which tell how its payment stands."""
        return self._keyring.sign(Purpose.RETURN, link_id.encode())

    def read_return(self, text: str) -> str:
        """Return the id of the link whose return pages `text` names."""
        return self._read(Purpose.RETURN, text)

    def issue_unsubscribe(self, link_id: str) -> str:
        """Name a link for the page on which its recipient stops reminders."""
        return self._keyring.sign(Purpose.UNSUBSCRIBE, link_id.encode())

    def read_unsubscribe(self, text: str) -> str:
        """Return the id of the link whose recipient wants no more reminders."""
        return self._read(Purpose.UNSUBSCRIBE, text)

    def return_path(self, link_id: str) -> str:
        """Return where a checkout leads when it is done, below the gateway's own address."""
        return RETURN_PATH + self.issue_return(link_id)

    def portal_path(self, link_id: str) -> str:
        """Return where the billing portal leads whoever leaves it."""
        return self.return_path(link_id) + PORTAL

    def unsubscribe_path(self, link_id: str) -> str:
        """Return where a reminder's recipient stops reminders."""
        return UNSUBSCRIBE_PATH + self.issue_unsubscribe(link_id)

    def _read(self, purpose: Purpose, text: str) -> str:
        found = _REFERENCE.match(unquote(text)) if len(text) <= MAX_TEXT else None
        if found is None:
            raise MalformedToken("this is not shaped like a reference")
        return self._keyring.verify(purpose, found[0]).decode("ascii")
