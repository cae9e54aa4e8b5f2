"""Coming back from a checkout: what the store knows of it, told to the person who returns.

Three addresses: for whoever is done and for whoever left, where a campaign gives none of its own,
and for whoever comes from the billing portal. All name the link by a reference, and nothing here
mints: what a page tells is how the payment stands, and that is known from Stripe's signed events,
never from the return itself. The way back into the checkout is the link's own form, and the token
it needs is in a cookie of the browser that was sent there, not in the address.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from linkgate import anonymous, challenge
from linkgate.campaigns import Campaign, Status
from linkgate.cookies import values
from linkgate.errors import LinkgateError, StoreUnavailable, TokenError
from linkgate.pages import Page, Pages
from linkgate.pages.returns import Way
from linkgate.payments import DONE, Session, SessionState
from linkgate.references import CANCELLED, PORTAL, References
from linkgate.standing_pages import page_of
from linkgate.store import Store
from linkgate.store.entries import Row
from linkgate.tokens import Keyring, Link, LinkTokens

log = logging.getLogger(__name__)

#: Holds the token of the link by which this browser went to a checkout; one for each link.
COOKIE: Final = "lg_link"
#: A browser has one; more in a header are somebody's attempt to keep us verifying.
_COOKIES_READ: Final = 8
#: How long a browser keeps it, in seconds, if not for longer: Stripe's own page for a session that
#: ran out leads back here as well.
_COOKIE_SECONDS: Final = 86_400

#: For whoever has waited less than so long, the page renews itself after so long; all in seconds.
_RENEWALS: Final = ((60, 3), (600, 15), (86_400, 60))
_LAST_RENEWAL: Final = 600
#: A payment whose money is on its way is known in days, not in seconds.
_PENDING_RENEWAL: Final = 60
_AWAY_RENEWAL: Final = 5
#: Stripe holds back the return until the webhook was answered, or ten seconds at most
#: (https://docs.stripe.com/checkout/fulfillment): who waits longer than this is worth a question.
_PATIENCE: Final = 5
#: Whoever is done has paid as far as they know, though no such session is known: one that Stripe
#: recovered, say, or one of a store that was lost. Reconciling finds it, every few minutes; after
#: so long a page that goes on waiting would promise too much.
_UNHEARD: Final = 1800

_STATUS_PAGES: Final = {Status.ENDED: "ended", Status.PAUSED: "paused"}

Ask = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Return:
    """One request for a return page, as it came. `path` is what follows /return/."""

    path: str
    query: str = ""
    cookies: str = ""
    accept_language: str = ""
    #: Not for a HEAD request, say.
    shown: bool = True


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the link that a return names, in the person's language."""

    link: str
    row: Row
    campaign: Campaign | None
    #: The link's token, if this browser was sent to the checkout by it.
    token: str | None
    lang: str
    now: float
    #: Since when this person has been waiting, in Unix seconds.
    since: int

    @property
    def name(self) -> str:
        return self.campaign.name if self.campaign else ""

    @property
    def payable(self) -> bool:
        """Whether the link may be paid, or paid once more."""
        if "done" not in self.row.fields:
            return True
        if "alive" in self.row.fields:
            return False
        allowed = self.campaign.payments_allowed if self.campaign else 1
        made = int(self.row.fields.get("done_count") or 1)
        if self.campaign and self.campaign.renewable:
            made -= int(self.row.fields.get("ended_count") or 0)
        return allowed is None or made < allowed

    @property
    def closed(self) -> str:
        """The page that says why the link opens nothing now; empty if it does."""
        if "revoked_at" in self.row.fields:
            return "revoked"
        if self.campaign and self.campaign.status in _STATUS_PAGES:
            return _STATUS_PAGES[self.campaign.status]
        if self.public:
            return "" if self._still_public else "ended"
        expires_at = int(self.row.fields.get("expires_at") or 0)
        # Whoever holds a good token has a newer link than the one that was kept.
        return "expired" if not self.token and 0 < expires_at <= self.now else ""

    @property
    def public(self) -> anonymous.Way | None:
        """The unsigned way by which the person came; None for whoever was sent a link."""
        return _unsigned_way(self.row)

    @property
    def _still_public(self) -> bool:
        way = self.public
        return bool(way and self.campaign and anonymous.opens(self.campaign, way.price))

    @property
    def way(self) -> Way:
        if self.closed:
            return Way.CLOSED
        if self.token:
            return Way.BUTTON
        return Way.PUBLIC if self.public else Way.LINK


class Returning:
    """Answers return addresses.

    `on_waiting` is awaited, with the link's id, each time the page is shown to someone who has
    waited for some seconds: it has to be quick and may be repeated, such as putting the link into a
    queue of those to ask Stripe about.
    """

    def __init__(
        self,
        *,
        keyring: Keyring,
        store: Store,
        pages: Pages,
        clock: Callable[[], float],
        on_waiting: Ask | None = None,
    ) -> None:
        self._keyring = keyring
        self._references = References(keyring)
        self._tokens = LinkTokens(keyring)
        self._store = store
        #: What its answers are made of.
        self.pages = pages
        self._clock = clock
        self._on_waiting = on_waiting

    async def page(self, come: Return) -> Page:
        """Answer one request; mints nothing, whoever asks."""
        now = self._clock()
        lang = self.pages.language(come.accept_language)
        reference, _, rest = come.path.partition("/")
        cancelled, portal = (f"/{rest}".startswith(path) for path in (CANCELLED, PORTAL))
        try:
            link = self._references.read_return(reference)
        except TokenError:
            return self.pages.simple("unknown", lang=lang)
        since = _since(come.query, now)
        try:
            row = await self._store.links.read(link)
            campaign = await self._campaign(row)
        except StoreUnavailable as error:
            log.warning("how a checkout stands can't be told: %s", error)
            seconds = max(_AWAY_RENEWAL, _renewal(now - since))
            return self.pages.returns.waiting(
                "away", lang=lang, campaign="", seconds=seconds, since=since
            )
        if row is None:
            return self.pages.simple("unknown", lang=lang)
        token = self._token(come.cookies, link, row, now)
        known = _Known(link, row, campaign, token, lang, now, since)
        if cancelled:
            return await self._cancelled(known, shown=come.shown)
        if portal:
            return self.pages.simple("back", lang=lang, campaign=known.name)
        page = self._done(known)
        if page:
            return page
        if come.shown and now - since > _PATIENCE:
            await self._ask(link)
        return self._unheard(known) or self._waiting("confirming", known)

    async def _cancelled(self, known: _Known, *, shown: bool) -> Page:
        newest = known.row.sessions[-1].state if known.row.sessions else None
        page = known.closed
        if not known.payable:
            page = done_page(known.row)
        elif newest in DONE and (done := self._done(known)):
            return done
        elif shown and newest is SessionState.OPEN:
            # It may have been paid all the same: who is done can go back in the browser, too.
            await self._ask(known.link)
        if page:
            return self.pages.simple(page, lang=known.lang, campaign=known.name)
        return self._stopped("cancelled", known)

    def _done(self, known: _Known) -> Page | None:
        """The page for what is known; None if it isn't known yet."""
        session = telling(known.row, payable=known.payable)
        # Nobody is sent here unpaid: what has expired is not what they come from.
        if session is None or session.state in (SessionState.OPEN, SessionState.EXPIRED):
            return None
        returns = self.pages.returns
        match session.state:
            case SessionState.PAID:
                return returns.confirmed(
                    lang=known.lang,
                    campaign=known.name,
                    amount=session.amount_total,
                    currency=session.currency,
                )
            case SessionState.COMPLETE:
                return returns.finished(lang=known.lang, campaign=known.name)
            case SessionState.PENDING:
                return self._waiting("pending", known, at_least=_PENDING_RENEWAL)
        return self._stopped("failed", known)

    def _unheard(self, known: _Known) -> Page | None:
        """The page for whoever has waited long enough for a payment that nothing is known of."""
        states = {session.state for session in known.row.sessions}
        if SessionState.OPEN in states or known.now - known.since < _UNHEARD:
            return None
        if SessionState.FAILED in states:
            return self._stopped("failed", known)
        return self.pages.simple("unheard", lang=known.lang, campaign=known.name)

    def _waiting(self, name: str, known: _Known, *, at_least: int = 0) -> Page:
        return self.pages.returns.waiting(
            name,
            lang=known.lang,
            campaign=known.name,
            seconds=max(at_least, _renewal(known.now - known.since)),
            since=known.since,
        )

    def _stopped(self, name: str, known: _Known) -> Page:
        # The challenge is worth nothing without the link's own token.
        return self.pages.returns.stopped(
            name,
            lang=known.lang,
            campaign=known.name,
            way=known.way,
            action=f"/l/{known.token}" if known.token else "",
            challenge=challenge.issue(self._keyring, known.link, known.now),
        )

    async def _campaign(self, row: Row | None) -> Campaign | None:
        slug = row.fields.get("campaign") if row else None
        if not slug:
            return None
        return self._store.campaigns.peek(slug) or await self._store.campaigns.get(slug)

    async def _ask(self, link: str) -> None:
        if self._on_waiting is None:
            return
        try:
            await self._on_waiting(link)
        except LinkgateError as error:
            log.warning("link %s: nobody could be asked how it stands: %s", link, error)

    def _token(self, cookies: str, link: str, row: Row, now: float) -> str | None:
        """The token in the cookie, if it is a good one of this very link."""
        if way := _unsigned_way(row):
            reading = anonymous.remembered(self._tokens, way, cookies, now)
            if reading and reading.link.id == link:
                return reading.token
        for value in values(cookies, COOKIE, _COOKIES_READ):
            try:
                reading = self._tokens.read(value, now)
            except TokenError:
                continue
            if reading.link.id == link and not reading.decoy:
                return reading.token
        return None


def done_page(row: Row) -> str:
    """Return the page that says what was paid by a link; empty if nothing was."""
    done = row.fields.get("done")
    return page_of(done, row.fields.get("standing", "")) if done else ""


def telling(row: Row, *, payable: bool) -> Session | None:
    """Return the session that says how a link's checkout stands for whoever returns from one.

    That is the newest that is done, for what was paid stays paid; unless the link is `payable` all
    the same, and a newer one is open, which is then the one that the person comes from.
    """
    newest_first = row.sessions[::-1]
    opened = next((s for s in newest_first if s.state is SessionState.OPEN), None)
    done = next((s for s in newest_first if s.state in DONE), None)
    if done and opened and payable and opened.created_at >= done.created_at:
        return opened
    return done or opened or next(iter(newest_first), None)


def _unsigned_way(row: Row) -> anonymous.Way | None:
    fields = row.fields
    return anonymous.way_of(Link(fields.get("campaign", ""), fields.get("recipient", ""), 0))


def cookie(token: str, path: str, seconds: float, *, secure: bool) -> bytes:
    """Return the Set-Cookie header's value for a browser that is sent to a checkout.

    `token` is the link's, `path` its return pages', and `seconds` are the session's life. It is
    sent to those pages alone, so that of many links' cookies each request has one; no script can
    read it, and of what other sites cause only a navigation carries it, which the return from
    Stripe is.
    """
    age = int(max(seconds, _COOKIE_SECONDS))
    attributes = f"Max-Age={age}; Path={path}; HttpOnly; SameSite=Lax"
    return f"{COOKIE}={token}; {attributes}{'; Secure' if secure else ''}".encode()


def _since(query: str, now: float) -> int:
    """Since when somebody has been waiting, by the page's own address; now if it doesn't say."""
    try:
        said = int(parse_qs(query, max_num_fields=20).get("since", [""])[0])
    except ValueError:
        return int(now)
    # Whoever makes up a time only makes the page renew itself more seldom, or as at first.
    return said if 0 < said <= now else int(now)


def _renewal(waited: float) -> int:
    for limit, seconds in _RENEWALS:
        if waited < limit:
            return seconds
    return _LAST_RENEWAL
