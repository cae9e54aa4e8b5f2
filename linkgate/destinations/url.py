"""The url destination: an address of the operator's, told who comes and, if wanted, that they do.

Nothing is made there and nothing is asked: the address is put together from the campaign's settings
alone, so it can be led to whenever a person visits.
"""

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from linkgate import proofs
from linkgate.destinations.base import Deadline, DestinationSettings, Going, Kind, Means
from linkgate.destinations.fields import Parameter, SecretNumber
from linkgate.destinations.location import Target, ascii_address, merged, origin
from linkgate.tokens import Link, Purpose

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign

#: What may stand in a parameter's value.
PLACEHOLDERS = ("link_id", "campaign", "recipient")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")


def _placeholders(value: str) -> str:
    for name in _PLACEHOLDER.findall(value):
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise ValueError(f"{{{name}}} is not known; there are {known}")
    return value


class UrlDestination(DestinationSettings):
    """An address of your own, the same for everybody but for its parameters."""

    secret_purpose: ClassVar[Purpose | None] = Purpose.PROOF

    kind: Literal["url"] = "url"
    url: Target = Field(description="Where people go: https, or http on this machine")
    params: Annotated[
        dict[
            Annotated[str, StringConstraints(min_length=1, max_length=100)],
            Annotated[str, StringConstraints(max_length=500), AfterValidator(_placeholders)],
        ],
        Field(max_length=50),
    ] = Field(
        default_factory=dict,
        description="Parameters to set in the address's query; {link_id}, {campaign} and "
        "{recipient} stand for the link's own",
    )
    proof: bool = Field(
        default=False,
        description="Whether a short-lived signed proof of the visit is added, which the target "
        "verifies by itself",
    )
    proof_parameter: Parameter = Field(
        default="linkgate_proof", description="The parameter that carries the proof"
    )
    proof_seconds: Annotated[int, Field(ge=60, le=300)] = Field(
        default=120, description="How long a proof is good"
    )
    secret_number: SecretNumber = Field(
        default=1, description="Raised to change the secret that proofs are signed with"
    )

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if self.proof and self.proof_parameter in self.params:
            raise ValueError(f"params must not set {self.proof_parameter}: it carries the proof")
        return self


class Url:
    """Leads to the campaign's address."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def lead(self, going: Going, deadline: Deadline) -> str:
        """Return the address, with its parameters and its proof; see the base."""
        wanted = _settings(going.campaign)
        address = ascii_address(wanted.url)
        params = {name: _filled(value, going.link) for name, value in wanted.params.items()}
        if wanted.proof:
            params[wanted.proof_parameter] = proofs.issue(
                self._means.keyring,
                going.link,
                number=wanted.secret_number,
                issuer=self._means.public_url,
                audience=origin(address),
                visit=going.visit,
                now=going.now,
                seconds=wanted.proof_seconds,
            )
        return merged(address, params)


def _filled(value: str, link: Link) -> str:
    # Each is looked up once: what a recipient's id holds is not read again.
    known = {"link_id": link.id, "campaign": link.campaign, "recipient": link.recipient}
    return _PLACEHOLDER.sub(lambda found: known[found[1]], value)


def _settings(campaign: "Campaign") -> UrlDestination:
    assert isinstance(campaign.destination, UrlDestination)
    return campaign.destination


KIND = Kind("url", UrlDestination, Url)
