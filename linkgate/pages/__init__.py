"""The pages that a person sees on a link: one small HTML document each, in the person's language.

Pure: values in, `Page` out. Nothing on a page loads from another host, nothing blocks, and nothing
but the one form's POST leads on. To add a language, add its TOML file to texts/.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from linkgate.pages.brand import Brand
from linkgate.pages.document import LAWS, Blank, Page, encode
from linkgate.pages.rendering import PRESS_SCRIPT, Renderer
from linkgate.pages.returns import ReturnPages
from linkgate.pages.wording import negotiate

__all__ = ["LAWS", "SIMPLE", "Brand", "Page", "Pages", "Simple"]

_CACHED_PAGES: Final = 512
_CACHED_HEADERS: Final = 1024
# Longer than any browser's own list. What follows is noise, or an attempt to keep us parsing.
_HEADER_LIMIT: Final = 256
_RETRY_LIMIT: Final = 3600
_TURN_LIMIT: Final = 86_400
#: In turn, everybody has a moment of their own: so much later at most, in seconds.
_TURN_SPREAD: Final = 1
_RETRY_SCRIPT: Final = "/static/retry.js"


@dataclass(frozen=True, slots=True)
class Simple:
    """A page without a button: its status, its sign (done, wait, note), Retry-After in seconds."""

    status: int
    sign: str
    retry_after: int | None = None


SIMPLE: Final[Mapping[str, Simple]] = {
    "expired": Simple(410, "note"),
    "revoked": Simple(410, "note"),
    "ended": Simple(410, "note"),
    "paused": Simple(503, "wait", retry_after=3600),
    "already_paid": Simple(200, "done"),
    "complete": Simple(200, "done"),
    "pending": Simple(200, "wait"),
    "subscribed": Simple(200, "done"),
    "on_hold": Simple(200, "note"),
    "refunded": Simple(200, "note"),
    "back": Simple(200, "done"),
    "unheard": Simple(200, "note"),
    "unsubscribed": Simple(200, "done"),
    "gone": Simple(410, "note"),
    "unknown": Simple(404, "note"),
    "misconfigured": Simple(503, "wait", retry_after=600),
    "problem": Simple(500, "note"),
}


class Pages:
    """All pages of one brand, rendered once and kept.

    `form_origins` are the origins besides our own and `https:` to which the answer to the form may
    redirect, such as a sandbox on `http://127.0.0.1:9000`. Raises `Invalid` if one isn't an origin.
    """

    def __init__(
        self,
        brand: Brand,
        form_origins: Sequence[str] = (),
    ) -> None:
        self._renderer = Renderer(brand, form_origins)
        #: The pages for those who come back from a checkout.
        self.returns = ReturnPages(self._renderer)
        self._language = lru_cache(_CACHED_HEADERS)(self._negotiate)
        self._interstitial = lru_cache(_CACHED_PAGES)(self._render_interstitial)
        self._busy = lru_cache(_CACHED_PAGES)(self._render_busy)
        self._simple = lru_cache(_CACHED_PAGES)(self._render_simple)
        self._unsubscribe = lru_cache(_CACHED_PAGES)(self._render_unsubscribe)

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages that there are texts for."""
        return tuple(self._renderer.languages)

    def language(self, accept_language: str | None) -> str:
        """The code of the best language for an Accept-Language header, English if none fits."""
        return self._language((accept_language or "")[:_HEADER_LIMIT])

    def interstitial(
        self,
        *,
        campaign: str,
        lang: str,
        action: str,
        challenge: str,
        session_minutes: int,
        again: bool = False,
    ) -> Page:
        """The page with the one button; pressing it POSTs `challenge` to `action`.

        An empty `campaign` (the store can't be asked) leaves the brand's name in its place.
        `session_minutes` is how long the checkout stays open once opened; 0 for a destination that
        is no checkout, and the page then speaks of none. `again` asks kindly for a second press,
        for when the first one confirmed nothing, and says whom to turn to. Raises `ValueError` if
        `action` or `challenge` isn't URL-safe.
        """
        page = self._interstitial(campaign, lang, session_minutes, again)
        return page.fill(action, challenge)

    def busy(
        self,
        *,
        campaign: str,
        lang: str,
        action: str,
        challenge: str,
        retry_after: float,
        crowded: bool = False,
        left: float = 0.0,
        checkout: bool = True,
    ) -> Page:
        """The destination can't mint now: the page tries again by itself, or by its button.

        `retry_after` is in seconds, rounded up and kept between 1 and 3600. `crowded` says that it
        is because of the many people who are here, and that each of them has a turn, in `left`
        seconds if that is later: the page then says when that is, and keeps to it. Without
        `checkout` the destination is none, and the page speaks of none. Raises `ValueError` if
        `action` or `challenge` isn't URL-safe.
        """
        seconds = min(max(math.ceil(retry_after), 1), _RETRY_LIMIT)
        turn = min(max(math.ceil(left), seconds), _TURN_LIMIT) if crowded else None
        return self._busy(campaign, lang, seconds, turn, checkout).fill(action, challenge)

    def simple(
        self, name: str, *, lang: str, campaign: str | None = None, status: int | None = None
    ) -> Page:
        """A page that only tells: one of `SIMPLE`, under `status` instead of its own if given.

        Raises `ValueError` for a name that isn't in `SIMPLE`.
        """
        if name not in SIMPLE:
            raise ValueError(f"name: there is no page {name!r}; there are {', '.join(SIMPLE)}")
        return self._simple(name, lang, campaign, status)

    def unsubscribe(self, *, lang: str, action: str, campaign: str | None = None) -> Page:
        """The page with the button that stops reminders, by a POST to `action`.

        Raises `ValueError` if `action` isn't URL-safe.
        """
        return self._unsubscribe(lang, campaign).fill(action)

    def _negotiate(self, header: str) -> str:
        return negotiate(header, self._renderer.languages)

    def _render_interstitial(
        self, campaign: str, lang: str, session_minutes: int, again: bool
    ) -> Blank:
        renderer = self._renderer
        language = renderer.speaking(lang)
        timed = session_minutes > 0
        kind = "checkout" if timed else "plain"
        time = language.lasting(session_minutes) if timed else ""
        words = {
            "lead": renderer.say(language, "interstitial", f"lead_{kind}"),
            "again": language.say("interstitial", "again") if again else "",
            "again_help": renderer.again_help(language) if again else "",
            "also": language.say("interstitial", "also"),
            "button": language.say("interstitial", f"button_{kind}"),
            "open": language.say("interstitial", "open", time=time) if timed else "",
            "reuse": language.say("interstitial", "reuse"),
            "why": language.say("interstitial", "why"),
            "contact": renderer.contact(language, None if again else renderer.mail),
            "script_url": PRESS_SCRIPT,
        }
        return Blank.cut(
            200,
            renderer.policy.headers(language.code, form=True, script=True),
            ("action", "challenge"),
            lambda gaps: renderer.render("interstitial", language, campaign, {**words, **gaps}),
        )

    def _render_busy(
        self, campaign: str, lang: str, seconds: int, turn: int | None, checkout: bool
    ) -> Blank:
        renderer = self._renderer
        language = renderer.speaking(lang)
        kind = "busy" if turn is None else "crowded"
        # Only checkouts are crowded.
        lead = "lead" if checkout or turn is not None else "lead_plain"
        words = {
            "heading": language.say(kind, "heading"),
            "lead": renderer.say(language, kind, lead),
            "wait": language.say(kind, "wait", time=language.waiting(turn or seconds)),
            # The script does the counting, so these go to it with their places still open.
            "auto": language.say(kind, "auto", time="{time}"),
            "seconds_one": language.say("common", "seconds_one", count="{count}"),
            "seconds_other": language.say("common", "seconds_other", count="{count}"),
            "minutes_other": language.say("common", "minutes_other", count="{count}"),
            "now": language.say("busy", "now"),
            "button": language.say("busy", "button"),
            "contact": renderer.contact(language, renderer.reach),
            "script_url": _RETRY_SCRIPT,
            "retry_after": str(seconds),
            "turn": "" if turn is None else str(turn),
            "spread": str(_TURN_SPREAD),
        }
        return Blank.cut(
            503,
            renderer.policy.headers(language.code, form=True, script=True, retry_after=seconds),
            ("action", "challenge"),
            lambda gaps: renderer.render("busy", language, campaign, {**words, **gaps}),
        )

    def _render_simple(
        self, name: str, lang: str, campaign: str | None, status: int | None
    ) -> Page:
        simple, renderer = SIMPLE[name], self._renderer
        language = renderer.speaking(lang)
        words = {
            "sign": simple.sign,
            "heading": language.say(name, "heading"),
            "lead": renderer.say(language, name, "lead"),
            "next": renderer.say(language, name, "next"),
            "contact": renderer.contact(language, renderer.reach),
        }
        body = encode(renderer.render("simple", language, campaign, words))
        headers = renderer.policy.headers(language.code, retry_after=simple.retry_after)
        return Page.of(status or simple.status, body, headers)

    def _render_unsubscribe(self, lang: str, campaign: str | None) -> Blank:
        renderer = self._renderer
        language = renderer.speaking(lang)
        words = {
            "sign": "mail",
            "heading": language.say("unsubscribe", "heading"),
            "lead": renderer.say(language, "unsubscribe", "lead"),
            "next": "",
            "button": language.say("unsubscribe", "button"),
            "contact": renderer.contact(language, renderer.reach),
        }
        return Blank.cut(
            200,
            renderer.policy.headers(language.code, form=True),
            ("action",),
            lambda gaps: renderer.render("unsubscribe", language, campaign, {**words, **gaps}),
        )
