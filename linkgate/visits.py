"""One visit, from signals to an answer: gather, judge, decide, apply, record.

What a machine did is buffered; what a person did is written before the answer, in the same step in
which the store says what stands. Nothing here fails a visit: without a store or without Stripe, a
person gets a page with a way on, and a machine gets what it always gets.
"""

import itertools
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from linkgate import anonymous, challenge, device
from linkgate.admitting import Admitting
from linkgate.answers import PREFETCH_REFUSED, Answer, Means
from linkgate.bringing import Bringer
from linkgate.campaigns import Campaign
from linkgate.decision import Action, Decision, decide
from linkgate.detection import Standing, Verdict, prefetching
from linkgate.errors import (
    BadSignature,
    ExpiredToken,
    MalformedToken,
    StoreUnavailable,
)
from linkgate.judging import Judge
from linkgate.minting import Done, Mint, owes
from linkgate.pages import LAWS, Page, Pages
from linkgate.record import describe, label
from linkgate.returning import done_page
from linkgate.signals import Signals
from linkgate.store import Store
from linkgate.store.entries import Entered, Visit
from linkgate.tokens import Keyring, Link, LinkTokens, Reading

log = logging.getLogger(__name__)

_DECOYS = frozenset({"decoy-link", "decoy-address"})


@dataclass(frozen=True, slots=True)
class Terms:
    """What the gate's operator has set; times in seconds."""

    public_url: str
    challenge_age: float
    device_age: float
    #: How long after sending scanners are at work, where a campaign doesn't say.
    scan_seconds: float = 600.0
    #: When the busy page tries again while the store is away; the embedded one is back in a second.
    store_retry: float = 2.0


@dataclass(frozen=True, slots=True)
class Form:
    """What a POST carried, as it came; empty where it did not."""

    challenge: str = ""
    gesture: str = ""
    #: The second control was used, which no person can see.
    second: bool = False


class Gather(Protocol):
    """Reads the request's signals, told what is known of its link."""

    def __call__(
        self, *, decoy: bool = ..., sent_at: float | None = ..., scan_seconds: float = ...
    ) -> Signals: ...


class Gate:
    """Answers visits to links."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        store: Store,
        mint: Mint,
        judge: Judge,
        admitting: Admitting,
        pages: Pages,
        terms: Terms,
        clock: Callable[[], float],
    ) -> None:
        self._keyring = keyring
        self._tokens = LinkTokens(keyring)
        self._store = store
        self._bringer = Bringer(store, mint)
        self._judge = judge
        self._admitting = admitting
        self._pages = pages
        secure = terms.public_url.startswith("https:")
        self._means = Means(pages, keyring, self._tokens, secure)
        self._terms = terms
        self._clock = clock
        # A visit's id: unique among processes, and no system call for each.
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count(1 << 20)

    async def visit(self, text: str, gather: Gather, form: Form | None) -> Page:
        """Answer one visit to the link in `text`; `form` is None for anything but a POST."""
        now = self._clock()
        try:
            reading = self._tokens.read(text, now)
        except ExpiredToken:
            return await self._expired(self._tokens.read_ignoring_expiry(text).link, gather())
        except (MalformedToken, BadSignature):
            return self._pages.simple("unknown", lang=self._lang(gather()))
        link = reading.link
        try:
            campaign = self._store.campaigns.peek(link.campaign)
            campaign = campaign or await self._store.campaigns.get(link.campaign)
        except StoreUnavailable:
            log.warning("the store is away, and campaign %s is not at hand", link.campaign)
            return self.without_campaign(reading, gather(), again=form is not None)
        way = anonymous.way_of(link)
        if campaign is None or (way and not anonymous.opens(campaign, way.price)):
            return self._pages.simple("unknown", lang=self._lang(gather()))
        return await self.receive(reading, campaign, gather, form)

    def without_campaign(self, reading: Reading, signals: Signals, *, again: bool) -> Page:
        """Answer a visit whose campaign can't be read now; `again` if a press led here."""
        if prefetching(signals):
            return PREFETCH_REFUSED
        # Not the busy page: that one tries again by itself, and who may go on isn't known.
        answer = Answer(self._means, reading, signals, None, self._clock())
        return answer.interstitial(again=again)

    async def receive(
        self,
        reading: Reading,
        campaign: Campaign,
        gather: Gather,
        form: Form | None,
        *,
        fresh: bool = False,
    ) -> Page:
        """Answer one visit to a link of `campaign`, which was made just now if it is `fresh`."""
        now, link = self._clock(), reading.link
        signals = self._gathered(gather, reading, campaign)
        confirmation = None
        if form is not None:
            confirmation = self._confirmation(form.challenge, signals, reading, now)
            press = challenge.read_press(confirmation, form.gesture, form.second, now)
            signals = replace(signals, press=press)
        if device.COOKIE in signals.cookie and self._trusts(signals, now):
            signals = replace(signals, known_device=True)
        name = f"{self._process}{next(self._numbers):x}"
        judged = await self._judge.judge(name, signals, link, now, fresh=fresh)
        verdict = judged.verdict
        decision = decide(
            policy=campaign.policy,
            status=campaign.status,
            verdict=verdict,
            prefetching=prefetching(signals),
            trusted_device=signals.known_device,
            confirmation=confirmation,
        )
        wait = 0.0
        if decision.action is Action.MINT and anonymous.way_of(link):
            decision, wait = await self._admitting.admit(
                link, signals, decision, pressed=_stands(confirmation)
            )
        answer = Answer(self._means, reading, signals, campaign, now)
        body = describe(name, signals, verdict, decision, now, shadow=judged.shadow)
        visit = Visit(name, decision.action, body)
        if wait:
            return self._held(answer, verdict, visit, wait)
        page = await self._apply(
            answer, verdict, decision, visit, pressed=form is not None, fresh=fresh
        )
        if decision.action is Action.MINT and _is_press(confirmation) and not _tainted(verdict):
            cookie = (b"set-cookie", self._device_cookie(now))
            return Page(page.status, page.body, (*page.headers, cookie))
        return page

    def _gathered(self, gather: Gather, reading: Reading, campaign: Campaign) -> Signals:
        sent_at: float | None = reading.link.sent_at
        if sent_at is None and campaign.sent_at is not None:
            sent_at = campaign.sent_at.timestamp()
        minutes = campaign.scan_minutes
        seconds = self._terms.scan_seconds if minutes is None else minutes * 60
        return gather(decoy=reading.decoy, sent_at=sent_at, scan_seconds=seconds)

    def _held(self, answer: Answer, verdict: Verdict, visit: Visit, wait: float) -> Page:
        """Let somebody in later, of too many who come from one network without a link."""
        link = answer.reading.link
        for counter in (f"visits.{label(verdict)}", f"decisions.{Action.MINT}", "minting.held"):
            self._store.recorder.count(link.campaign, counter)
        self._keep(link, visit)
        page = answer.busy(wait)
        return Page(429, page.body, page.headers)

    def _keep(self, link: Link, visit: Visit) -> None:
        """Keep a visit that mints nothing, in time; of an unsigned way, on its campaign's shelf."""
        kept = anonymous.shelf(link)
        self._store.recorder.visit(kept, kept.id, visit)

    async def _apply(
        self,
        answer: Answer,
        verdict: Verdict,
        decision: Decision,
        visit: Visit,
        *,
        pressed: bool,
        fresh: bool,
    ) -> Page:
        link, slug = answer.reading.link, answer.reading.link.campaign
        recorder = self._store.recorder
        recorder.count(slug, f"visits.{label(verdict)}")
        if verdict.value is Standing.AUTOMATED or prefetching(answer.signals):
            recorder.count(slug, f"decisions.{decision.action}")
            self._keep(link, visit)
            return answer.without_minting(decision, again=pressed)
        try:
            if decision.action is Action.MINT:
                return await self._bringer.bring(answer, visit, pressed=pressed)
            if fresh or (anonymous.way_of(link) and not await self._is_known(link)):
                # A row for whoever comes by and goes would be a row for every machine.
                recorder.count(slug, f"decisions.{decision.action}")
                self._keep(link, visit)
                return answer.without_minting(decision, again=pressed)
            entered = await self._store.links.enter(
                link,
                visit,
                None,
                payments=answer.payments_allowed,
                renewable=answer.renewable,
            )
        except StoreUnavailable as error:
            log.warning("a visit of campaign %s goes without the store: %s", slug, error)
            recorder.count(slug, f"decisions.{decision.action}")
            self._keep(link, visit)
            if decision.action is Action.MINT:
                return answer.busy(self._terms.store_retry)
            return answer.without_minting(decision, again=pressed)
        mends = owes(entered) and decision.action is Action.INTERSTITIAL
        # Who may have to pay an invoice goes on by the button, to where that is done.
        if entered.gate is Entered.DONE and entered.done and not mends:
            done = Done(entered.done, entered.standing, entered.more)
            return self._bringer.done(answer, done)
        if entered.gate is Entered.REVOKED:
            return self._bringer.revoked(answer)
        recorder.count(slug, f"decisions.{decision.action}")
        return answer.without_minting(decision, again=pressed)

    async def _is_known(self, link: Link) -> bool:
        return (await self._store.admission.standing(link.id, None)).known

    async def _expired(self, link: Link, signals: Signals) -> Page:
        """Answer a visit to a link that is past its time: what was paid by it outlasts it."""
        if prefetching(signals):
            return PREFETCH_REFUSED
        campaign, row = self._store.campaigns.peek(link.campaign), None
        try:
            campaign = campaign or await self._store.campaigns.get(link.campaign)
            row = await self._store.links.read(link.id)
        except StoreUnavailable as error:
            log.warning("an expired link may have been paid: %s", error)
        way = anonymous.way_of(link)
        page = done_page(row) if row else ""
        if not page and campaign and way and anonymous.leads(campaign, way.price):
            # Whoever came without a link needs no new one from anybody.
            location = (b"location", way.path.encode("ascii"))
            return Page(303, b"", (location, *LAWS, (b"content-length", b"0")))
        name = campaign.name if campaign else None
        return self._pages.simple(page or "expired", lang=self._lang(signals), campaign=name)

    def _confirmation(
        self, text: str, signals: Signals, reading: Reading, now: float
    ) -> challenge.Challenge | challenge.Refusal:
        if not challenge.same_origin(signals, self._terms.public_url):
            return challenge.Refusal.FORGED
        return challenge.read(
            self._keyring, text, link=reading.link.id, now=now, max_age=self._terms.challenge_age
        )

    def _trusts(self, signals: Signals, now: float) -> bool:
        return device.read(self._keyring, signals.cookie, now) is not None

    def _lang(self, signals: Signals) -> str:
        return self._pages.language(signals.accept_language)

    def _device_cookie(self, now: float) -> bytes:
        value = device.issue(self._keyring, secrets.token_hex(16), now + self._terms.device_age)
        secure = "; Secure" if self._terms.public_url.startswith("https:") else ""
        age = int(self._terms.device_age)
        return (
            f"{device.COOKIE}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}"
        ).encode()


def _stands(confirmation: challenge.Challenge | challenge.Refusal | None) -> bool:
    # Also of somebody whom the busy page brings back: they have pressed before.
    return (
        isinstance(confirmation, challenge.Challenge)
        and confirmation.origin is not challenge.Origin.WAITING
    )


def _is_press(confirmation: challenge.Challenge | challenge.Refusal | None) -> bool:
    # The busy page's script posts by itself: that is a repeat, and no proof of a person.
    return (
        isinstance(confirmation, challenge.Challenge)
        and confirmation.origin is challenge.Origin.INTERSTITIAL
    )


def _tainted(verdict: Verdict) -> bool:
    # A press in a decoy's minute lets in that once; it makes no device of lasting trust.
    return any(evidence.rule in _DECOYS for evidence in verdict.evidence)
