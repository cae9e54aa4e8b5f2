"""The pages for people who come back from a checkout: how it stands, and the way on.

A page that waits renews itself without a script. It carries the time since when someone has been
waiting in its own address, so that it can ask less often the longer it takes.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Final

from linkgate.pages.document import Blank, Page, encode
from linkgate.pages.money import written
from linkgate.pages.rendering import PRESS_SCRIPT, Renderer

_CACHED_PAGES: Final = 512


class Way(StrEnum):
    """Which way on there is for someone whose checkout came to nothing."""

    #: The page's own button.
    BUTTON = "button"
    #: The link in the e-mail: this browser is not known to have come by it.
    LINK = "link"
    #: The poster or the pricing page: there never was an e-mail.
    PUBLIC = "public"
    #: None: the link opens nothing any more. Only for what failed; whoever cancelled gets the page
    #: that says why.
    CLOSED = "closed"


#: The pages of those whose checkout came to nothing, each with its sign; and of those who may pay
#: once more though a payment is on its way.
_STOPPED: Final = {"cancelled": "back", "failed": "note", "pending_more": "wait"}
#: The pages that renew themselves, each with its status; "away" is for a store that can't be asked.
_WAITING: Final = {"confirming": 200, "pending": 200, "away": 503}


class ReturnPages:
    """The return pages of one brand, rendered once and kept."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._over = lru_cache(_CACHED_PAGES)(self._render_over)
        self._waiting = lru_cache(_CACHED_PAGES)(self._render_waiting)
        self._closed = lru_cache(_CACHED_PAGES)(self._render_closed)
        self._open = lru_cache(_CACHED_PAGES)(self._render_open)

    def confirmed(
        self, *, lang: str, campaign: str, amount: int | None, currency: str | None
    ) -> Page:
        """The payment is known to have been made; `amount` in the currency's minor unit."""
        return self._over("confirmed", lang, campaign, written(amount, currency, lang))

    def finished(self, *, lang: str, campaign: str) -> Page:
        """The checkout is done, and nothing was to be paid."""
        return self._over("finished", lang, campaign, "")

    def waiting(self, name: str, *, lang: str, campaign: str, seconds: int, since: int) -> Page:
        """A page that renews itself after `seconds`: confirming, pending or away.

        `since` is the time since when this person has been waiting, in Unix seconds.
        """
        return self._waiting(name, lang, campaign, seconds).fill(str(since), str(since))

    def stopped(
        self,
        name: str,
        *,
        lang: str,
        campaign: str,
        way: Way,
        action: str = "",
        challenge: str = "",
    ) -> Page:
        """The checkout came to nothing: cancelled or failed. Nothing is known to be charged.

        With `Way.BUTTON`, pressing it POSTs `challenge` to `action`. Raises `ValueError` if either
        isn't URL-safe.
        """
        if way is Way.BUTTON:
            return self._open(name, lang, campaign).fill(action, challenge)
        return self._closed(name, lang, campaign, way)

    def _render_over(self, name: str, lang: str, campaign: str, amount: str) -> Page:
        renderer = self._renderer
        language = renderer.speaking(lang)
        words = {
            "sign": "done",
            "heading": language.say(name, "heading"),
            "lead": renderer.say(language, name, "lead_amount", amount=amount)
            if amount
            else renderer.say(language, name, "lead"),
            "next": language.say(name, "next"),
            "contact": renderer.contact(language, renderer.reach),
        }
        body = encode(renderer.render("simple", language, campaign, words))
        return Page.of(200, body, renderer.policy.headers(language.code))

    def _render_waiting(self, name: str, lang: str, campaign: str, seconds: int) -> Blank:
        status, renderer = _WAITING[name], self._renderer
        language = renderer.speaking(lang)
        words = {
            "sign": "wait",
            "heading": language.say(name, "heading"),
            "lead": renderer.say(language, name, "lead"),
            "next": language.say(name, "next"),
            "look": language.say("common", "look"),
            "seconds": str(seconds),
            "contact": renderer.contact(language, renderer.reach),
        }
        retry_after = seconds if status == 503 else None
        return Blank.cut(
            status,
            renderer.policy.headers(language.code, retry_after=retry_after),
            ("since", "since_again"),
            lambda gaps: renderer.render("waiting", language, campaign, {**words, **gaps}),
        )

    def _render_closed(self, name: str, lang: str, campaign: str, way: Way) -> Page:
        renderer = self._renderer
        language = renderer.speaking(lang)
        words = self._stopped_words(name, lang, way)
        words["contact"] = renderer.contact(language, renderer.reach)
        body = encode(renderer.render("simple", language, campaign, words))
        return Page.of(200, body, renderer.policy.headers(language.code))

    def _render_open(self, name: str, lang: str, campaign: str) -> Blank:
        renderer = self._renderer
        language = renderer.speaking(lang)
        words = {
            **self._stopped_words(name, lang, Way.BUTTON),
            "also": language.say("interstitial", "also"),
            "button": language.say(name, "button"),
            "contact": renderer.contact(language, renderer.mail),
            "script_url": PRESS_SCRIPT,
        }
        return Blank.cut(
            200,
            renderer.policy.headers(language.code, form=True, script=True),
            ("action", "challenge"),
            lambda gaps: renderer.render("stopped", language, campaign, {**words, **gaps}),
        )

    def _stopped_words(self, name: str, lang: str, way: Way) -> dict[str, str]:
        language = self._renderer.speaking(lang)
        return {
            "sign": _STOPPED[name],
            "heading": language.say(name, "heading"),
            "lead": self._renderer.say(language, name, "lead"),
            "next": self._renderer.say(language, name, f"next_{way}"),
        }
