"""The API's campaigns."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, patch, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel

from linkgate import campaigns
from linkgate.campaigns import Campaign, CampaignSettings, NewCampaign, Status, secrets_of
from linkgate.errors import Invalid, Problem
from linkgate.gateway import Gateway
from linkgate.store.apikeys import Scope
from linkgate.validation import Instant
from linkgate.web.api.auth import needs
from linkgate.web.api.body import JsonObject
from linkgate.web.api.documents import BODY, Json, MergePatch, errors

ApiRequest = Request[None, None, State]


class Trouble(BaseModel):
    """The last time that Stripe refused what the campaign asks for."""

    at: Instant
    message: str


class ShownCampaign(Campaign):
    """A campaign, and what keeps it from working."""

    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class CampaignList:
    """All campaigns, newest first."""

    campaigns: list[Campaign]


@post(
    "/campaigns",
    dto=Json[NewCampaign],
    return_dto=Json[ShownCampaign],
    security=needs(Scope.ADMIN),
    responses=errors(409, *BODY),
    summary="Create a campaign",
)
async def create_campaign(
    request: ApiRequest, data: JSONBody[JsonObject | None] = None
) -> Response[ShownCampaign]:
    """Create a campaign."""
    gateway = _gateway(request)
    campaign = campaigns.create(data or {}, _now(gateway))
    campaigns.check_life(campaign, gateway.config.links.max_days)
    await gateway.store.campaigns.put(campaign, replaces=None)
    location = f"{gateway.config.server.public_url}/api/v1/campaigns/{campaign.slug}"
    return Response(await _shown(gateway, campaign), headers={"location": location})


@get(
    "/campaigns",
    return_dto=Json[CampaignList],
    security=needs(),
    responses=errors(),
    summary="List all campaigns",
)
async def list_campaigns(request: ApiRequest) -> CampaignList:
    """Return all campaigns, newest first."""
    return CampaignList(await _gateway(request).store.campaigns.list())


@get(
    "/campaigns/{slug:str}",
    return_dto=Json[ShownCampaign],
    security=needs(),
    responses=errors(404),
    summary="Read a campaign",
)
async def read_campaign(request: ApiRequest, slug: FromPath[str]) -> ShownCampaign:
    """Return a campaign, and why Stripe last refused it, unless it was changed since."""
    gateway = _gateway(request)
    return await _shown(gateway, await gateway.store.campaigns.read(slug))


@patch(
    "/campaigns/{slug:str}",
    dto=MergePatch[CampaignSettings],
    return_dto=Json[ShownCampaign],
    security=needs(Scope.ADMIN),
    responses=errors(404, 409, *BODY),
    summary="Change a campaign",
)
async def change_campaign(
    request: ApiRequest, slug: FromPath[str], data: JSONBody[JsonObject | None] = None
) -> ShownCampaign:
    """Merge a JSON merge patch into a campaign; links that went out before follow."""
    gateway = _gateway(request)
    if not data:
        raise Invalid([Problem("body", "names nothing to change")])
    known = await gateway.store.campaigns.read(slug)
    changed = campaigns.change(known, data, _now(gateway))
    campaigns.check_life(changed, gateway.config.links.max_days)
    await gateway.store.campaigns.put(changed, replaces=known)
    return await _shown(gateway, changed)


@post(
    "/campaigns/{slug:str}/pause",
    status_code=200,
    return_dto=Json[ShownCampaign],
    security=needs(Scope.ADMIN),
    responses=errors(404, 409),
    summary="Pause a campaign",
)
async def pause_campaign(request: ApiRequest, slug: FromPath[str]) -> ShownCampaign:
    """Let a campaign's links lead to a page that says to come back, until it is resumed."""
    return await _move(_gateway(request), slug, Status.PAUSED)


@post(
    "/campaigns/{slug:str}/resume",
    status_code=200,
    return_dto=Json[ShownCampaign],
    security=needs(Scope.ADMIN),
    responses=errors(404, 409),
    summary="Resume a paused campaign",
)
async def resume_campaign(request: ApiRequest, slug: FromPath[str]) -> ShownCampaign:
    """Let a paused campaign's links lead on again."""
    return await _move(_gateway(request), slug, Status.ACTIVE)


@post(
    "/campaigns/{slug:str}/end",
    status_code=200,
    return_dto=Json[ShownCampaign],
    security=needs(Scope.ADMIN),
    responses=errors(404, 409),
    summary="End a campaign for good",
)
async def end_campaign(request: ApiRequest, slug: FromPath[str]) -> ShownCampaign:
    """End a campaign for good; its links lead to a page that says so."""
    return await _move(_gateway(request), slug, Status.ENDED)


@dataclass(frozen=True, slots=True)
class CampaignSecrets:
    """What a campaign's target or service verifies linkgate by; docs/destinations.md says how.

    `current` are in use, one for each signing key: the target accepts them all. `next` comes into
    use when `secret_number` is raised by one. Without any for a kind that shares none.
    """

    kind: str
    current: list[str]
    next: str | None


@get(
    "/campaigns/{slug:str}/secrets",
    return_dto=Json[CampaignSecrets],
    security=needs(Scope.ADMIN),
    responses=errors(404),
    summary="Read the secrets that a campaign shares with its target",
)
async def read_secrets(request: ApiRequest, slug: FromPath[str]) -> CampaignSecrets:
    """Return what the target of a url campaign or the service of a callback verifies by."""
    gateway = _gateway(request)
    campaign = await gateway.store.campaigns.read(slug)
    found = secrets_of(gateway.keyring, campaign)
    kind = campaign.destination.kind
    if found is None:
        return CampaignSecrets(kind, [], None)
    return CampaignSecrets(kind, list(found.current), found.next)


async def _move(gateway: Gateway, slug: str, status: Status) -> ShownCampaign:
    known = await gateway.store.campaigns.read(slug)
    moved = campaigns.change_status(known, status, _now(gateway))
    if moved is not known:
        await gateway.store.campaigns.put(moved, replaces=known)
    return await _shown(gateway, moved)


async def _shown(gateway: Gateway, campaign: Campaign) -> ShownCampaign:
    trouble: Any = await gateway.store.campaigns.trouble(campaign.slug)
    return ShownCampaign(
        **dict(campaign), trouble=Trouble.model_validate(trouble) if trouble else None
    )


def _gateway(request: ApiRequest) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _now(gateway: Gateway) -> datetime:
    return datetime.fromtimestamp(gateway.clock(), UTC)


handlers = (
    create_campaign,
    list_campaigns,
    read_campaign,
    read_secrets,
    change_campaign,
    pause_campaign,
    resume_campaign,
    end_campaign,
)
