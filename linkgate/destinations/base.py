"""What every destination is made of: its settings, its means, and the two ways to lead on.

Nothing here or in the destinations' modules does input or output itself: Stripe and the network are
handed in, so that campaigns can be checked where there is neither.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

from linkgate.errors import LinkgateError, Problem
from linkgate.payments import Session
from linkgate.tokens import Keyring, Link, Purpose
from linkgate.validation import Model

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign


class SpentKey(Exception):
    """This idempotency key will never yield a session, and whether there is one is open."""


class NotNow(Exception):
    """Stripe refused a request about one session in its present state (400); read it again."""


class Gone(Exception):
    """Stripe knows nothing of this object: a session that is gone can't be paid.

    `param` names what it was in the request, if known.
    """

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Unreachable(LinkgateError):
    """An address outside did not answer.

    `why` says so in words without the address, which may hold a secret; `forbidden`, that it is one
    that must not be asked at all.
    """

    def __init__(self, why: str, *, forbidden: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.forbidden = forbidden


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the event loop's clock by which a person has to have an answer."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        return cls(asyncio.get_running_loop().time() + seconds)

    @property
    def left(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.at - asyncio.get_running_loop().time()


class DestinationSettings(Model):
    """What a campaign says of its destination; each kind adds its own fields."""

    kind: str
    #: How often a link can be paid where the campaign doesn't say; None is without end.
    default_payments: ClassVar[int | None] = None
    #: Whether it takes money: its pages speak of a checkout.
    is_checkout: ClassVar[bool] = False

    @property
    def renewable(self) -> bool:
        """Whether what was bought may be bought again by the same link, once it has ended."""
        return False

    @property
    def returns_here(self) -> bool:
        """Whether people come back to a page of linkgate's."""
        return False

    #: What the secret is for that the campaign shares with its target, if it does; see `proofs`.
    secret_purpose: ClassVar[Purpose | None] = None

    def problems(self) -> Iterable[Problem]:
        """Yield what the destination is certain to refuse, by field; the fields themselves fit.

        Asked when people write a campaign, not when a stored one is read: a rule that is added
        later must not make a campaign unreadable.
        """
        return ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a session, as it stands when a visit takes it up. Times in Unix seconds."""

    number: int
    at: float
    request: Mapping[str, Any]
    #: Whether the destination may have been asked for it before.
    asked_before: bool
    #: When its idempotency key was found spent; 0 if it wasn't.
    spent_at: float
    now: float


@dataclass(frozen=True, slots=True)
class Going:
    """A person on their way: whose visit, to which campaign, and what is known of them."""

    campaign: "Campaign"
    link: Link
    #: The visit's id; unique, so that a destination can tell a repeat.
    visit: str
    #: The private attributes given when the link was made.
    private: Mapping[str, Any]
    #: The person's customer id at Stripe: of the token, or of what they paid by this link.
    customer: str | None
    #: The store's clock, in Unix seconds.
    now: float
    #: Until when Stripe may make recovered sessions of expired ones of this link (Unix s).
    recovery_until: int = 0
    #: Whether this very link's subscription waits for the person to pay, or to resume it.
    owing: bool = False


@dataclass(frozen=True, slots=True)
class Instead:
    """Where someone goes for whom no session is to be made: an address, or one of our pages."""

    #: What came of the visit, in a word or two, for the operator.
    why: str
    url: str = ""
    page: str = ""


@runtime_checkable
class InTurn(Protocol):
    """A destination with sessions, of which a link has one open at a time."""

    def request(
        self,
        campaign: "Campaign",
        link: Link,
        private: Mapping[str, Any],
        *,
        attempt: int,
        attempt_at: float,
    ) -> dict[str, Any]:
        """Return what one attempt will ask; kept, so that asking again is asking the same."""
        ...

    async def instead(self, going: Going, deadline: Deadline) -> Instead | None:
        """Return where the person goes instead of to a session, if no session is to be made.

        Raises DestinationBusy or DestinationMisconfigured.
        """
        ...

    async def strays(
        self, going: Going, known: Sequence[Session], deadline: Deadline
    ) -> list[Session]:
        """Return sessions of the link that may be open besides `known`, such as recovered ones.

        As many as can be found in a moment: nobody is kept out because Stripe can't tell.
        """
        ...

    async def mint(self, link: Link, attempt: Attempt, deadline: Deadline) -> Session:
        """Make the session of an attempt, or find the one that this attempt made already.

        Raises DestinationBusy or DestinationMisconfigured; each says whether something may have
        been made all the same.
        """
        ...

    async def close(self, session: Session, deadline: Deadline) -> Session:
        """Close `session` and return it as it then is: expired, or done if it was too late.

        Raises DestinationBusy.
        """
        ...


class PerVisit(Protocol):
    """A destination that is reached afresh by every visit, and where nothing stays open."""

    async def lead(self, going: Going, deadline: Deadline) -> str | Instead:
        """Return the address to send the person to, or what they are shown instead.

        Raises DestinationBusy or DestinationMisconfigured.
        """
        ...


class Reply(Protocol):
    """An answer from outside."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Outside(Protocol):
    """The way out to addresses that other people chose; see `linkgate.egress`."""

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        allow_private: bool,
        timeout: float,  # noqa: ASYNC109 - of the request
    ) -> Reply:
        """POST; redirects are not followed. Raises Unreachable."""
        ...


class Asked(Protocol):
    """What destinations ask of Stripe; `linkgate.stripe_api.StripeAPI` in life."""

    async def create_session(
        self, params: dict[str, Any], key: str, deadline: Deadline, *, asked_before: bool
    ) -> Session: ...

    async def find_session(
        self, link: str, attempt: int, since: int, until: int, deadline: Deadline
    ) -> Session | None: ...

    def open_sessions(
        self,
        link: str,
        customer: str | None,
        since: int,
        deadline: Deadline,
        *,
        done_too: bool = False,
    ) -> AsyncIterator[Session]:
        """Go through the open sessions of a link that were made since then (Unix s)."""
        ...

    async def expire_session(self, session: str, deadline: Deadline) -> Session: ...

    async def read_session(self, session: str, deadline: Deadline) -> Session: ...

    async def create_portal(
        self, params: dict[str, Any], key: str, deadline: Deadline
    ) -> Mapping[str, Any]:
        """Create a billing portal session; also raises Gone, and SpentKey."""
        ...

    async def subscriptions(self, customer: str, deadline: Deadline) -> list[Mapping[str, Any]]:
        """Return a customer's subscriptions that are not over. Raises as `create_portal`."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What destinations work with; the same for every visit."""

    stripe: Asked
    outside: Outside
    keyring: Keyring
    #: The origin of links and of linkgate's own pages.
    public_url: str
    #: The longest that a visit waits, in seconds.
    wait_seconds: float
    #: Whether callbacks may go to private networks.
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of destination: its name, its settings, and how it is built."""

    name: str
    settings: type[DestinationSettings]
    build: Callable[[Means], InTurn | PerVisit]
