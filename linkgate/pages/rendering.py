"""What all pages of one brand are rendered with: templates, style, policy and languages."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from linkgate.pages.brand import Brand, Contact, dark_shades, light_shades
from linkgate.pages.document import Policy
from linkgate.pages.wording import DEFAULT_LANGUAGE, Language, read_languages

PRESS_SCRIPT: Final = "/static/press.js"

_TEMPLATES: Final = Path(__file__).parent / "templates"
# A longer name is cut on the page: the page has to stay small and readable.
_NAME_LIMIT: Final = 120


class Renderer:
    """Renders the templates for one brand. `form_origins` are `Pages`'s."""

    def __init__(self, brand: Brand, form_origins: Sequence[str]) -> None:
        self.name = _shorten(brand.name)
        self.reach = brand.reach
        self.languages = read_languages()
        self._logo_url = brand.logo_url
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
        self.policy = Policy(self._css, brand.logo_url is not None, tuple(form_origins))

    def render(
        self, template: str, language: Language, campaign: str | None, words: Mapping[str, str]
    ) -> str:
        """The page's HTML; `words` are what the template names, but for what every page has."""
        name = _shorten((campaign or "").strip())
        title = [part for part in (words.get("heading"), name, self.name) if part]
        return self._environment.get_template(f"{template}.html").render(
            words,
            lang=language.code,
            css=self._css,
            brand=self.name,
            logo_url=self._logo_url,
            campaign=name,
            title=Markup(" · ").join(title),
        )

    def speaking(self, lang: str) -> Language:
        """The language with this code, English if there is none."""
        return self.languages.get(lang) or self.languages[DEFAULT_LANGUAGE]

    def say(self, language: Language, section: str, key: str, **values: str) -> Markup:
        """A text that may name the brand."""
        return language.say(section, key, brand=_isolated(self.name), **values)

    def contact(self, language: Language, reach: Contact | None) -> Markup:
        """The footer that says how to reach the sender; nothing if there is no way."""
        if reach is None:
            return Markup()
        return self.say(language, "common", "contact", contact=_linked(reach))

    @property
    def mail(self) -> Contact | None:
        """The contact, if it is an e-mail address.

        Beside a button that leads on there is no other: whoever follows links could take a web
        address for the way on; nobody takes mail for it.
        """
        return self.reach if self.reach and self.reach.is_mail else None

    def again_help(self, language: Language) -> Markup:
        """Whom to turn to if a press is not heard."""
        reach = self.reach
        if reach is None:
            return language.say("interstitial", "again_sender")
        # A web address to read and type, but not to follow; see `mail`.
        contact = _linked(reach) if reach.is_mail else escape(reach.label)
        return self.say(language, "interstitial", "again_contact", contact=contact)


def _linked(reach: Contact) -> Markup:
    return Markup('<a href="{}">{}</a>').format(reach.href, reach.label)


def _isolated(name: str) -> Markup:
    # A name written from right to left must not turn the sentence around it.
    return Markup("<bdi>{}</bdi>").format(name)


def _shorten(name: str) -> str:
    return name if len(name) <= _NAME_LIMIT else name[: _NAME_LIMIT - 1].rstrip() + "…"
