"""What becomes of a person who may go on: where they go, or what they are told."""

from dataclasses import dataclass

from linkgate.payments import Session, SessionState


@dataclass(frozen=True, slots=True)
class Minted:
    """The person goes to this session."""

    session: Session
    fresh: bool


@dataclass(frozen=True, slots=True)
class Led:
    """The person goes to this address, which is no session of ours."""

    url: str


@dataclass(frozen=True, slots=True)
class Told:
    """The person is shown the page of this name."""

    page: str


@dataclass(frozen=True, slots=True)
class Done:
    """There is nothing left to pay by this link.

    `state` is paid, complete or pending; or failed, where a subscription lives all the same.
    """

    state: SessionState
    #: What there is to say besides; see `payments.Summary`.
    standing: str = ""
    #: Whether the link may be paid once more, though a payment is on its way.
    more: bool = False


@dataclass(frozen=True, slots=True)
class Revoked:
    """The operator has revoked the link."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """While it minted, the visit turned out not to be a person's: it goes nowhere."""


Result = Minted | Led | Told | Done | Revoked | TakenBack
