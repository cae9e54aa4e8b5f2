"""What the demo puts into an empty store: two campaigns, three links, a key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import randbelow
from typing import Any

from linkgate import campaigns
from linkgate.campaigns import Campaign
from linkgate.errors import NotFound
from linkgate.gateway import Gateway
from linkgate.store.apikeys import Scope

SPRING: Mapping[str, Any] = {
    "slug": "spring-sale",
    "name": "Spring sale",
    "policy": "adaptive",
    "destination": {"mode": "payment", "line_items": [{"price": "price_demo_once"}]},
}
PLUS: Mapping[str, Any] = {
    "slug": "plus",
    "name": "Linkgate Plus",
    "policy": "confirm",
    "destination": {"mode": "subscription", "line_items": [{"price": "price_demo_monthly"}]},
}


# Who tries the demo in the Chromium of a Linux distribution would wonder.
_STRAIGHT = (
    "A person goes straight to the checkout, in Chrome, Edge, Firefox or Safari. A Chromium "
    "without a vendor's name, such as programs drive, has to press a button once."
)

#: The name of the link that the lines to paste are about.
PASTE = "paste"


@dataclass(frozen=True, slots=True)
class SampleLink:
    """A link that the demo made: `name` is for scripts, `title` and `about` are for people."""

    name: str
    title: str
    about: str
    campaign: str
    recipient: str
    id: str
    token: str
    url: str
    decoy_url: str


@dataclass(frozen=True, slots=True)
class Tour:
    """Where everything is, once the demo runs. Its keys open this demo and nothing else."""

    url: str
    sandbox_url: str
    api_key: str
    sandbox_key: str
    config: Path
    kept: bool
    links: tuple[SampleLink, ...]

    @property
    def inbox(self) -> tuple[SampleLink, ...]:
        """The links that are there for people to click."""
        return inbox(self.links)

    def link(self, name: str) -> SampleLink:
        """Return the sample link with this name: `spring`, `plus` or `paste`."""
        return next(link for link in self.links if link.name == name)


def inbox(links: Sequence[SampleLink]) -> tuple[SampleLink, ...]:
    """Return those of `links` that are there for people to click."""
    return tuple(link for link in links if link.name != PASTE)


async def make_samples(gateway: Gateway, thanks: str, cancelled: str) -> tuple[SampleLink, ...]:
    """Make the campaigns, or lead them to here if they exist, and fresh links in them."""
    ends = {"success_url": f"{gateway.config.server.public_url}{thanks}"}
    ends["cancel_url"] = f"{gateway.config.server.public_url}{cancelled}"
    for sample in (SPRING, PLUS):
        await _campaign(gateway, {**sample, "destination": {**sample["destination"], **ends}})
    return (
        await _link(gateway, "spring", SPRING, _STRAIGHT),
        await _link(gateway, "plus", PLUS, "Everyone presses a button first, once per browser."),
        await _link(gateway, PASTE, SPRING, "For the lines to paste."),
    )


async def make_key(gateway: Gateway) -> str:
    """Make an API key that may do everything, and return its text."""
    _, text = await gateway.store.keys.create("demo", [Scope.ADMIN], gateway.clock())
    return text


async def _campaign(gateway: Gateway, data: Mapping[str, Any]) -> Campaign:
    now = datetime.fromtimestamp(gateway.clock(), UTC)
    try:
        known = await gateway.store.campaigns.read(data["slug"])
    except NotFound:
        campaign = campaigns.create(data, now)
        await gateway.store.campaigns.put(campaign, replaces=None)
        return campaign
    # A kept demo's campaign: the ports in its addresses may be others now.
    campaign = campaigns.change(known, {"destination": data["destination"]}, now)
    await gateway.store.campaigns.put(campaign, replaces=known)
    return campaign


async def _link(gateway: Gateway, name: str, campaign: Mapping[str, Any], about: str) -> SampleLink:
    # A new recipient in every run: a kept demo's earlier ones may have paid.
    wanted = {"campaign": campaign["slug"], "recipient": f"r-{100_000 + randbelow(900_000)}"}
    issued = await gateway.desk.issue(wanted, gateway.clock())
    return SampleLink(
        name=name,
        title=campaign["name"],
        about=about,
        campaign=issued.campaign,
        recipient=issued.recipient,
        id=issued.id,
        token=issued.token,
        url=issued.url,
        decoy_url=issued.decoy_url,
    )
