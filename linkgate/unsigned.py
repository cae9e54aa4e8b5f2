"""A visit without a link: it is given one, and goes the way of every other visit.

Whoever asks for a campaign that isn't there, isn't public or has ended, or for a price that nobody
sells, is told the same, so that nobody learns which campaigns there are.
"""

import logging
import secrets
from collections.abc import Callable

from linkgate import anonymous
from linkgate.anonymous import Way
from linkgate.campaigns import Campaign, Status
from linkgate.errors import StoreUnavailable
from linkgate.pages import Page, Pages
from linkgate.signals import Signals
from linkgate.store import Store
from linkgate.tokens import SLUG, LinkTokens, Reading
from linkgate.visits import Form, Gate, Gather

log = logging.getLogger(__name__)

#: While the store is away and nobody knows who sells a price: when the browser asks again.
_AGAIN_SECONDS = 5


class Unsigned:
    """Answers visits to unsigned ways in."""

    def __init__(
        self,
        *,
        gate: Gate,
        store: Store,
        tokens: LinkTokens,
        pages: Pages,
        clock: Callable[[], float],
    ) -> None:
        self._gate = gate
        self._store = store
        self._tokens = tokens
        self._pages = pages
        self._clock = clock

    async def visit(
        self, slug: str | None, price: str | None, cookies: str, gather: Gather, form: Form | None
    ) -> Page:
        """Answer one visit to a campaign, to a price, or to a price of a campaign.

        `cookies` is the Cookie header; `form` is None for anything but a POST.
        """
        good = slug is None or SLUG.fullmatch(slug)
        if not good or not (price is None or anonymous.PRICE.fullmatch(price)):
            return self._unknown(gather())
        try:
            campaign = await self._campaign(slug, price)
        except StoreUnavailable:
            log.warning("the store is away, and who sells without a link is not at hand")
            if slug is None:
                return self._later(gather())
            reading, _ = await self._reading(Way(slug, price), None, cookies)
            return self._gate.without_campaign(reading, gather(), again=form is not None)
        if campaign is None:
            return self._unknown(gather())
        reading, fresh = await self._reading(Way(campaign.slug, price), campaign, cookies)
        return await self._gate.receive(reading, campaign, gather, form, fresh=fresh)

    async def _campaign(self, slug: str | None, price: str | None) -> Campaign | None:
        campaigns = self._store.campaigns
        if slug is not None:
            found = campaigns.peek(slug) or await campaigns.get(slug)
            campaign = found if found and anonymous.opens(found, price) else None
        else:
            campaign = anonymous.seller(await campaigns.public(), price) if price else None
        return campaign if campaign and campaign.status is not Status.ENDED else None

    async def _reading(
        self, way: Way, campaign: Campaign | None, cookies: str
    ) -> tuple[Reading, bool]:
        """Return the link of this visit, and whether it was made for it.

        A browser's own link serves again until it is paid; then it may buy once more.
        """
        now = self._clock()
        reading = anonymous.remembered(self._tokens, way, cookies, now) if cookies else None
        if reading and campaign:
            payments = campaign.payments_allowed
            try:
                standing = await self._store.admission.standing(reading.link.id, payments)
                reading = None if standing.over else reading
            except StoreUnavailable:
                log.warning("a browser's own link serves again unseen: the store is away")
        if reading:
            return reading, False
        expires_at = int(now) + anonymous.LIFE_SECONDS
        link = anonymous.link(way.campaign, way.price, secrets.token_urlsafe(12), expires_at)
        return Reading(link, decoy=False, token=self._tokens.issue(link)), True

    def _unknown(self, signals: Signals) -> Page:
        return self._pages.simple("unknown", lang=self._lang(signals))

    def _later(self, signals: Signals) -> Page:
        page = self._pages.simple("problem", lang=self._lang(signals), status=503)
        again = b"%d" % _AGAIN_SECONDS
        return Page(503, page.body, (*page.headers, (b"refresh", again), (b"retry-after", again)))

    def _lang(self, signals: Signals) -> str:
        return self._pages.language(signals.accept_language)
