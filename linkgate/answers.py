"""The answers to one visit: which page, in whose language, with which challenge."""

import logging
from dataclasses import dataclass

from linkgate import anonymous, challenge
from linkgate.campaigns import Campaign, Status
from linkgate.decision import Action, Decision
from linkgate.destinations.location import header_value
from linkgate.detection import prefetching
from linkgate.pages import LAWS, Page, Pages
from linkgate.pages.returns import Way
from linkgate.payments import SessionState
from linkgate.references import References
from linkgate.returning import cookie
from linkgate.signals import Signals
from linkgate.standing_pages import page_of
from linkgate.tokens import Keyring, LinkTokens, Reading

log = logging.getLogger(__name__)

#: A refused prefetch makes the browser ask again when the person goes there.
PREFETCH_REFUSED = Page(503, b"", (*LAWS, (b"content-length", b"0")))


#: In place of these pages people are led to the campaign's `completed_url`.
_COMPLETED = frozenset({"already_paid", "complete"})


@dataclass(frozen=True, slots=True)
class Means:
    """What answers are made with; the same for every visit."""

    pages: Pages
    keyring: Keyring
    tokens: LinkTokens
    #: Whether people reach linkgate by https alone.
    secure: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What one visit may be answered with. `campaign` is None where it can't be known now."""

    means: Means
    reading: Reading
    signals: Signals
    campaign: Campaign | None
    now: float

    def without_minting(self, decision: Decision, *, again: bool) -> Page:
        """Answer whoever does not go on; `again` if a press led here."""
        assert self.campaign
        if decision.action is Action.REFUSE:
            if prefetching(self.signals):
                return PREFETCH_REFUSED
            return self.simple("ended" if self.campaign.status is Status.ENDED else "paused")
        return self.interstitial(again=again)

    def interstitial(self, *, again: bool) -> Page:
        """Show the page with the one button."""
        campaign = self.campaign
        return self.means.pages.interstitial(
            campaign=campaign.name if campaign else "",
            lang=self._lang,
            action=self._action,
            challenge=self._challenge(challenge.Origin.INTERSTITIAL),
            session_minutes=_session_minutes(campaign),
            again=again,
        )

    def busy(self, retry_after: float, *, crowded: bool = False, left: float = 0.0) -> Page:
        """Show the page that tries again by itself: only to someone who was let in.

        `crowded` says that everybody has a turn, and this one's comes in `left` seconds.
        """
        press = self.signals.press
        pressed = press is not None and not press.unpressed
        waiting = not (pressed or self.signals.known_device)
        return self.means.pages.busy(
            campaign=self.campaign.name if self.campaign else "",
            lang=self._lang,
            action=self._action,
            challenge=self._challenge(
                challenge.Origin.WAITING if waiting else challenge.Origin.BUSY
            ),
            retry_after=retry_after,
            crowded=crowded,
            left=left,
            checkout=self.campaign is None or self.campaign.destination.is_checkout,
        )

    def done(self, state: SessionState, standing: str = "", *, more: bool = False) -> Page:
        """Say that there is nothing left to pay, or lead to where the campaign wants it said.

        `more` says that it may be paid once more, though a payment is on its way.
        """
        campaign, page = self.campaign, page_of(state, standing)
        if more and campaign and campaign.status is Status.ACTIVE:
            return self.means.pages.returns.stopped(
                "pending_more",
                lang=self._lang,
                campaign=campaign.name,
                way=Way.BUTTON,
                action=self._action,
                challenge=self._challenge(challenge.Origin.INTERSTITIAL),
            )
        if campaign and campaign.completed_url and page in _COMPLETED:
            try:
                return self.redirect(campaign.completed_url)
            except ValueError as error:
                log.error("campaign %s: completed_url can't be used: %s", campaign.slug, error)
        return self.simple(page)

    def simple(self, name: str) -> Page:
        """Show one of the pages that only tell."""
        title = self.campaign.name if self.campaign else None
        return self.means.pages.simple(name, lang=self._lang, campaign=title)

    def redirect(self, url: str, *, lasting: float = 0.0) -> Page:
        """Send the person on; to a session that lasts so many seconds, if it is one.

        Raises ValueError for an address that no header can carry: with a letter less it would be
        somebody else's.
        """
        location = header_value(url).encode("ascii")
        headers = [(b"location", location), *LAWS, (b"content-length", b"0")]
        link, secure = self.reading.link, self.means.secure
        if lasting > 0 and self.campaign and self.campaign.destination.returns_here:
            # For the way back: linkgate's own page then knows the link, and its address doesn't.
            token = self.means.tokens.issue(link)
            path = References(self.means.keyring).return_path(link.id)
            headers.append((b"set-cookie", cookie(token, path, lasting, secure=secure)))
        if lasting > 0 and anonymous.way_of(link):
            # For the next visit: whoever comes without a link has one from here on.
            token = self.means.tokens.issue(link)
            again = anonymous.cookie(link, token, self.now, secure=secure)
            headers.append((b"set-cookie", again))
        return Page(303, b"", tuple(headers))

    @property
    def payments_allowed(self) -> int:
        """How often the link can be paid; 0 is without end."""
        return (self.campaign.payments_allowed or 0) if self.campaign else 1

    @property
    def renewable(self) -> bool:
        """Whether a subscription that has ended doesn't count among the link's payments."""
        return self.campaign is not None and self.campaign.renewable

    @property
    def _lang(self) -> str:
        return self.means.pages.language(self.signals.accept_language)

    @property
    def _action(self) -> str:
        # The button posts to the link itself, never to its decoy.
        reading = self.reading
        return "/l/" + (self.means.tokens.issue(reading.link) if reading.decoy else reading.token)

    def _challenge(self, origin: challenge.Origin) -> str:
        return challenge.issue(self.means.keyring, self.reading.link.id, self.now, origin)


def _session_minutes(campaign: Campaign | None) -> int:
    return campaign.session_minutes if campaign and campaign.destination.is_checkout else 0
