"""Bringing people on: what a visit that may go on is answered with."""

import logging
from datetime import UTC, datetime

from linkgate.answers import Answer
from linkgate.campaigns import Campaign
from linkgate.decision import Action
from linkgate.errors import DestinationBusy, DestinationMisconfigured, StoreUnavailable
from linkgate.minting import Done, Led, Mint, Minted, Revoked, TakenBack, Told
from linkgate.pages import Page
from linkgate.store import Store
from linkgate.store.entries import Visit

log = logging.getLogger(__name__)


class Bringer:
    """Turns what minting comes to into answers, and counts them."""

    def __init__(self, store: Store, mint: Mint) -> None:
        self._store = store
        self._mint = mint

    def done(self, answer: Answer, found: Done) -> Page:
        """Tell whoever comes to a link that is paid."""
        self._store.recorder.count(answer.reading.link.campaign, f"decisions.{Action.ALREADY_DONE}")
        return answer.done(found.state, found.standing, more=found.more)

    def revoked(self, answer: Answer) -> Page:
        """Tell whoever comes to a link that was revoked."""
        self._store.recorder.count(answer.reading.link.campaign, f"decisions.{Action.REFUSE}")
        return answer.simple("revoked")

    async def bring(self, answer: Answer, visit: Visit, *, pressed: bool) -> Page:
        """Answer a visit that may go on; `pressed` if a press led here.

        Raises StoreUnavailable.
        """
        campaign, recorder = answer.campaign, self._store.recorder
        assert campaign
        minting = f"decisions.{Action.MINT}"
        try:
            result = await self._mint.session(
                campaign, answer.reading.link, visit, answer.now, once_more=pressed
            )
        except DestinationBusy as error:
            log.warning("a visit of campaign %s waits for Stripe: %s", campaign.slug, error)
            recorder.count(campaign.slug, minting)
            recorder.count(campaign.slug, "minting.busy")
            return answer.busy(error.retry_after, crowded=error.crowded, left=error.left)
        except DestinationMisconfigured as error:
            recorder.count(campaign.slug, minting)
            await self._misconfigured(campaign, error, answer.now)
            return answer.simple("misconfigured")
        match result:
            case Done():
                return self.done(answer, result)
            case Revoked():
                return self.revoked(answer)
            case TakenBack():
                recorder.count(campaign.slug, minting)
                return answer.interstitial(again=pressed)
            case Minted(session, fresh):
                kind = "sessions.minted" if fresh else "sessions.reused"
                recorder.count(campaign.slug, minting)
                recorder.count(campaign.slug, kind)
                return answer.redirect(session.url, lasting=session.expires_at - answer.now)
            case Led(url):
                recorder.count(campaign.slug, minting)
                recorder.count(campaign.slug, "sessions.led")
                return answer.redirect(url)
            case Told(page):
                recorder.count(campaign.slug, minting)
                return answer.simple(page)

    async def _misconfigured(
        self, campaign: Campaign, error: DestinationMisconfigured, now: float
    ) -> None:
        log.error("campaign %s can't mint: %s", campaign.slug, error)
        self._store.recorder.count(campaign.slug, "minting.refused")
        try:
            at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
            await self._store.campaigns.report_trouble(campaign.slug, at, str(error))
        except StoreUnavailable:
            log.warning("the refusal could not be kept: the store is away")
