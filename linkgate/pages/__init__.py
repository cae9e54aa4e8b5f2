"""The pages that a person sees on a link: one small HTML document each, in the person's language.

Pure: values in, `Page` out. Nothing on a page loads from another host, nothing blocks, and nothing
but the one form's POST leads on. To add a language, add its TOML file to texts/.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from linkgate.pages.brand import Brand, Contact, dark_shades, light_shades
from linkgate.pages.document import LAWS, FormPage, Page, Policy, encode
from linkgate.pages.wording import DEFAULT_LANGUAGE, Language, negotiate, read_languages

__all__ = ["LAWS", "SIMPLE", "Brand", "Page", "Pages", "Simple"]

_TEMPLATES: Final = Path(__file__).parent / "templates"
_CACHED_PAGES: Final = 512
_CACHED_HEADERS: Final = 1024
# Longer than any browser's own list. What follows is noise, or an attempt to keep us parsing.
_HEADER_LIMIT: Final = 256
# A longer name is cut on the page: the page has to stay small and readable.
_NAME_LIMIT: Final = 120
_RETRY_LIMIT: Final = 3600
_PRESS_SCRIPT: Final = "/static/press.js"
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
        self._name = _shorten(brand.name)
        self._logo_url = brand.logo_url
        self._reach = brand.reach
        self._languages = read_languages()
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._css = self._environment.get_template("page.css").render(
            light=asdict(light_shades(brand.colour)), dark=asdict(dark_shades(brand.colour))
        )
        self._policy = Policy(self._css, brand.logo_url is not None, tuple(form_origins))
        self._language = lru_cache(_CACHED_HEADERS)(self._negotiate)
        self._interstitial = lru_cache(_CACHED_PAGES)(self._render_interstitial)
        self._busy = lru_cache(_CACHED_PAGES)(self._render_busy)
        self._simple = lru_cache(_CACHED_PAGES)(self._render_simple)

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages that there are texts for."""
        return tuple(self._languages)

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
        self, *, campaign: str, lang: str, action: str, challenge: str, retry_after: float
    ) -> Page:
        """The destination can't mint now: the page tries again by itself, or by its button.

        `retry_after` is in seconds, rounded up and kept between 1 and 3600. Raises `ValueError` if
        `action` or `challenge` isn't URL-safe.
        """
        seconds = min(max(math.ceil(retry_after), 1), _RETRY_LIMIT)
        return self._busy(campaign, lang, seconds).fill(action, challenge)

    def simple(
        self, name: str, *, lang: str, campaign: str | None = None, status: int | None = None
    ) -> Page:
        """A page that only tells: one of `SIMPLE`, under `status` instead of its own if given.

        Raises `ValueError` for a name that isn't in `SIMPLE`.
        """
        if name not in SIMPLE:
            raise ValueError(f"name: there is no page {name!r}; there are {', '.join(SIMPLE)}")
        return self._simple(name, lang, campaign, status)

    def _negotiate(self, header: str) -> str:
        return negotiate(header, self._languages)

    def _render_interstitial(
        self, campaign: str, lang: str, session_minutes: int, again: bool
    ) -> FormPage:
        language = self._speaking(lang)
        timed = session_minutes > 0
        kind = "checkout" if timed else "plain"
        time = language.lasting(session_minutes) if timed else ""
        words = {
            "lead": self._say(language, "interstitial", f"lead_{kind}"),
            "again": language.say("interstitial", "again") if again else "",
            "again_help": self._again_help(language) if again else "",
            "also": language.say("interstitial", "also"),
            "button": language.say("interstitial", f"button_{kind}"),
            "open": language.say("interstitial", "open", time=time) if timed else "",
            "reuse": language.say("interstitial", "reuse"),
            "why": language.say("interstitial", "why"),
        }
        # Whoever follows links could take a web address for the way on; nobody takes mail for it.
        mail = self._reach if self._reach and self._reach.is_mail and not again else None
        words["contact"] = self._contact(language, mail)
        words["script_url"] = _PRESS_SCRIPT
        return FormPage.cut(
            200,
            self._policy.headers(language.code, form=True, script=True),
            lambda action, challenge: self._render(
                "interstitial",
                language,
                campaign,
                {**words, "action": action, "challenge": challenge},
            ),
        )

    def _render_busy(self, campaign: str, lang: str, seconds: int) -> FormPage:
        language = self._speaking(lang)
        words = {
            "heading": language.say("busy", "heading"),
            "lead": self._say(language, "busy", "lead"),
            "wait": language.say("busy", "wait", time=language.counted("seconds", seconds)),
            # The script does the counting, so these go to it with their places still open.
            "auto": language.say("busy", "auto", time="{time}"),
            "seconds_one": language.say("common", "seconds_one", count="{count}"),
            "seconds_other": language.say("common", "seconds_other", count="{count}"),
            "now": language.say("busy", "now"),
            "button": language.say("busy", "button"),
            "contact": self._contact(language, self._reach),
            "script_url": _RETRY_SCRIPT,
            "retry_after": str(seconds),
        }
        return FormPage.cut(
            503,
            self._policy.headers(language.code, form=True, script=True, retry_after=seconds),
            lambda action, challenge: self._render(
                "busy", language, campaign, {**words, "action": action, "challenge": challenge}
            ),
        )

    def _render_simple(
        self, name: str, lang: str, campaign: str | None, status: int | None
    ) -> Page:
        simple = SIMPLE[name]
        language = self._speaking(lang)
        words = {
            "sign": simple.sign,
            "heading": language.say(name, "heading"),
            "lead": self._say(language, name, "lead"),
            "next": self._say(language, name, "next"),
            "contact": self._contact(language, self._reach),
        }
        body = encode(self._render("simple", language, campaign, words))
        headers = self._policy.headers(language.code, retry_after=simple.retry_after)
        return Page.of(status or simple.status, body, headers)

    def _render(
        self, template: str, language: Language, campaign: str | None, words: Mapping[str, str]
    ) -> str:
        name = _shorten((campaign or "").strip())
        title = [part for part in (words.get("heading"), name, self._name) if part]
        return self._environment.get_template(f"{template}.html").render(
            words,
            lang=language.code,
            css=self._css,
            brand=self._name,
            logo_url=self._logo_url,
            campaign=name,
            title=Markup(" · ").join(title),
        )

    def _speaking(self, lang: str) -> Language:
        return self._languages.get(lang) or self._languages[DEFAULT_LANGUAGE]

    def _say(self, language: Language, section: str, key: str) -> Markup:
        return language.say(section, key, brand=_isolated(self._name))

    def _again_help(self, language: Language) -> Markup:
        reach = self._reach
        if reach is None:
            return language.say("interstitial", "again_sender")
        # A web address to read and type, but not to follow; see _render_interstitial.
        contact = _linked(reach) if reach.is_mail else escape(reach.label)
        name = _isolated(self._name)
        return language.say("interstitial", "again_contact", brand=name, contact=contact)

    def _contact(self, language: Language, reach: Contact | None) -> Markup:
        if reach is None:
            return Markup()
        name = _isolated(self._name)
        return language.say("common", "contact", brand=name, contact=_linked(reach))


def _linked(reach: Contact) -> Markup:
    return Markup('<a href="{}">{}</a>').format(reach.href, reach.label)


def _isolated(name: str) -> Markup:
    # A name written from right to left must not turn the sentence around it.
    return Markup("<bdi>{}</bdi>").format(name)


def _shorten(name: str) -> str:
    return name if len(name) <= _NAME_LIMIT else name[: _NAME_LIMIT - 1].rstrip() + "…"
