"""Reading a user agent: which browser it claims to be, and what it declares itself to be.

One bounded cache holds the result, since everything here depends on the string alone.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from linkgate.detection.tables import crawler_list, known_names, names_spider, people_names
from linkgate.detection.verdict import Kind

# A user agent is at most 512 characters (signals.USER_AGENT_LIMIT), so that this is some 20 MB.
AGENTS_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """Something that a user agent says about itself: which table knew it, its name, its kind."""

    table: str
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class UserAgent:
    """What a user agent claims. `major` is the engine's version as far as headers depend on it:
    Chromium's for blink, Firefox's for gecko, Safari's or iOS's for webkit; 0 if it isn't told.
    """

    engine: str
    major: int
    mobile: bool
    webview: bool
    declared: tuple[Declaration, ...]

    @property
    def browser(self) -> bool:
        """It claims to be a browser, and declares itself to be nothing else."""
        return bool(self.engine) and not self.declared


_BLINK = re.compile(r"Chrom(?:e|ium)/(\d{1,4})")
_GECKO = re.compile(r"Gecko/\S+ .*(?:Firefox|Thunderbird)/(\d{1,4})")
_GOANNA = re.compile(r"Goanna/\d")  # Pale Moon and kin; they call themselves Firefox in vain
_SAFARI = re.compile(r"Version/(\d{1,3})")
_IOS = re.compile(r"\((?:iPhone|iPad|iPod)\b[^)]*?OS (\d{1,3})_")
_IOS_DEVICE = re.compile(r"\((?:iPhone|iPad|iPod)\b")
_TRIDENT = re.compile(r"MSIE (\d+)|Trident/\d.*rv:(\d+)")
# The phone's model and build: what stands between Android's version (and a language) and the next
# semicolon. What comes after is the browser's own again.
_ANDROID_MODEL = re.compile(
    r"(Android(?: [\d.]+)?;(?: HarmonyOS;)?(?: U;)?(?: [a-z]{2}(?:[-_][A-Za-z]{2,4})?;)?)"
    r"(?![^;()]*(?:[Bb]ot/|[Ss]pider/|https?:|compatible))[^;()]*"
)
# The exact shape of the browsers that most people use. No list can have a name in it, so that the
# lists (half a millisecond) need not be asked: this is what a flood of made-up Chromes would cost.
_PLAIN = re.compile(
    r"Mozilla/5\.0 \((?:Windows NT [\d.]+; Win64; x64|Macintosh; Intel Mac OS X [\d_.]+"
    r"|X11; Linux x86_64|Linux; Android \d+; K)(?:; rv:[\d.]+)?\) "
    r"(?:AppleWebKit/537\.36 \(KHTML, like Gecko\) Chrome/[\d.]+ (?:Mobile )?Safari/537\.36"
    r"(?: (?:Edg|EdgA|OPR)/[\d.]+)?"
    r"|AppleWebKit/605\.1\.15 \(KHTML, like Gecko\) Version/[\d.]+ Safari/605\.1\.15"
    r"|Gecko/(?:20100101|[\d.]+) Firefox/[\d.]+)"
)


@lru_cache(maxsize=AGENTS_KEPT)
def read_agent(text: str) -> UserAgent:
    """Read a (clamped) user agent. Total: any string yields something."""
    engine, major = _engine(text)
    ios = _IOS_DEVICE.search(text) is not None
    return UserAgent(
        engine=engine,
        major=major,
        mobile=ios or "Mobile" in text or "Android" in text,
        webview=_is_webview(text, engine, ios),
        declared=() if _PLAIN.fullmatch(text) else tuple(_declarations(text)),
    )


def _engine(text: str) -> tuple[str, int]:
    if found := _TRIDENT.search(text):
        return "trident", int(found[1] or found[2])
    if _GOANNA.search(text):
        return "goanna", 0
    for engine, pattern in (("blink", _BLINK), ("gecko", _GECKO)):
        if found := pattern.search(text):
            return engine, int(found[1])
    if "AppleWebKit/" in text:
        # An app's web view tells iOS's version alone; Safari 26 tells iOS 18_6 and Version/26.
        versions = [int(found[1]) for found in (_IOS.search(text), _SAFARI.search(text)) if found]
        return "webkit", max(versions, default=0)
    if text.startswith(("Opera/", "Mozilla/")) and "Opera" in text:
        return "presto", 0
    return "", 0


def _is_webview(text: str, engine: str, ios: bool) -> bool:
    """A browser inside an app: Android says `wv` or `Version/4.0 Chrome/`, iOS omits Safari."""
    if engine == "blink":
        return "; wv)" in text or "Version/4.0 Chrome/" in text or "Electron/" in text
    if engine == "webkit":
        app = people_names().search(text) is not None
        return app or (ios and "Safari/" not in text) or text.endswith("(KHTML, like Gecko)")
    return False


def _declarations(text: str) -> list[Declaration]:
    """What every list has to say about the part of a user agent that its owner wrote.

    The lists see it without Android's phone model, where makers put names such as CUBOT or
    "Spider 8", and without the names of apps that people read mail in (data/people.toml).
    """
    own = people_names().sub("", _ANDROID_MODEL.sub(r"\1", text))
    entries = known_names().find(own.lower()) + crawler_list().find(own)
    found = dict.fromkeys(Declaration(entry.table, entry.name, entry.kind) for entry in entries)
    if names_spider(own):
        found[Declaration("user-agents", "a spider", Kind.CRAWLER)] = None
    return list(found)
