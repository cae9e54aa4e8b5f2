"""Reading a user agent: which browser it claims to be, and what it declares itself to be.

One bounded cache holds the result, since everything here depends on the string alone.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from linkgate.detection.tables import (
    names_in,
    names_people,
    names_spider,
    on_a_phone,
    without_apps,
    without_people,
)
from linkgate.detection.verdict import Kind

# A user agent is at most 512 characters (signals.USER_AGENT_LIMIT), so that this is some 20 MB.
AGENTS_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """Something that a user agent says about itself: which table knew it, its name, its kind, and
    whether people's programs bear the name too.
    """

    table: str
    name: str
    kind: Kind
    shared: bool = False


@dataclass(frozen=True, slots=True)
class UserAgent:
    """What a user agent claims. `major` is the engine's version as far as headers depend on it:
    Chromium's for blink, Firefox's for gecko, Safari's or iOS's for webkit; 0 if it isn't told.
    `system` is written as Sec-CH-UA-Platform writes it, empty if none is known. `vendor` is chrome,
    edge, firefox or safari where nothing but that browser is named, so that what it always sends is
    known; empty for everything else, forks and apps included.
    """

    engine: str
    major: int
    mobile: bool
    webview: bool
    system: str
    vendor: str
    declared: tuple[Declaration, ...]
    shared: tuple[Declaration, ...] = ()
    """Names that machines and people's programs both bear; they declare nothing."""

    @property
    def browser(self) -> bool:
        """It claims to be a browser, and declares itself to be nothing else."""
        return bool(self.engine) and not self.declared

    @property
    def plain(self) -> bool:
        """It claims to be Chrome or Edge itself, and neither a browser built on it nor an app."""
        return self.vendor in {"chrome", "edge"} and not self.declared


_EDGEHTML = re.compile(r"\bEdge/(\d{1,3})")
_BLINK = re.compile(r"Chrom(?:e|ium)/(\d{1,4})")
_GECKO = re.compile(r"Gecko/\S+ .*(?:Firefox|Thunderbird)/(\d{1,4})")
_GOANNA = re.compile(r"Goanna/\d")  # Pale Moon and kin; they call themselves Firefox in vain
_SAFARI = re.compile(r"Version/(\d{1,3})")
_IOS = re.compile(r"\((?:iPhone|iPad|iPod)\b[^)]*?OS (\d{1,3})_")
_IOS_DEVICE = re.compile(r"\((?:iPhone|iPad|iPod)\b")
_HARMONY = re.compile(r"\((?:Phone|Tablet|2in1|PC); OpenHarmony\b")
_TRIDENT = re.compile(r"MSIE (\d+)|Trident/\d.*rv:(\d+)")
# In the order in which they are looked for: Android's user agents also say Linux.
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("OpenHarmony", "OpenHarmony"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("iPod", "iOS"),
    ("Macintosh", "macOS"),
    ("CrOS", "Chrome OS"),
    ("Linux", "Linux"),
)
# Chrome's, Edge's, Firefox's and Safari's own user agents, whatever the system: no further product.
_VENDORS = (
    re.compile(
        r"Mozilla/5\.0 \([^()]*\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\) "
        r"Chrome/[\d.]+(?: Mobile)? Safari/[\d.]+(?P<edge> (?:Edg|EdgA)/[\d.]+)? *"
    ),
    re.compile(r"Mozilla/5\.0 \([^()]*\) Gecko/[\d.]+ (?P<firefox>Firefox)/[\d.]+ *"),
    re.compile(
        r"Mozilla/5\.0 \([^()]*\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\) "
        r"(?P<safari>Version)/[\d.]+(?: Mobile/\w+)? Safari/[\d.]+ *"
    ),
)
# The phone's model and build: what stands between Android's version (and a language) and the next
# semicolon. What comes after is the browser's own again.
_ANDROID_MODEL = re.compile(
    r"(Android(?: [\d.]+)?;(?: HarmonyOS;)?(?: U;)?(?: [a-z]{2}(?:[-_][A-Za-z]{2,4})?;)?)"
    r"(?![^;()]*(?:[Bb]ot/|[Ss]pider/|[Cc]atchpoint|https?:|compatible))[^;()]*"
)
# The exact form of the browsers that most people use, once the model and the app's name are gone.
# No list can have a name in it, so that the lists (most of a millisecond) need not be asked: a
# flood of made-up browsers costs little.
_PLAIN = re.compile(
    r"Mozilla/5\.0 \((?:Windows NT [\d.]+; Win64; x64|Macintosh; Intel Mac OS X [\d_.]+"
    r"|X11; Linux x86_64|Linux; (?:U; )?Android [\d.]+;(?: [a-z]{2}[-_][A-Za-z]{2};)?(?: ?K|; wv)?"
    r"|(?:iPhone; CPU iPhone|iPad; CPU) OS [\d_]+ like Mac OS X)(?:; rv:[\d.]+)?\) "
    r"(?:AppleWebKit/[\d.]+ \(KHTML, like Gecko\)(?: (?:Version|CriOS|FxiOS|EdgiOS)/[\d.]+)*"
    r"(?: Chrome/[\d.]+)?(?: Mobile(?:/\w+)?)?(?: Safari/[\d.]+)?"
    r"(?: (?:Edg|EdgA|OPR)/[\d.]+)?"
    r"|Gecko/(?:20100101|[\d.]+) Firefox/[\d.]+) *"
)


@lru_cache(maxsize=AGENTS_KEPT)
def read_agent(text: str) -> UserAgent:
    """Read a (clamped) user agent. Total: any string yields something."""
    engine, major = _engine(text)
    own = text if _PLAIN.fullmatch(text) else _own_words(text)
    ios = _IOS_DEVICE.search(text) is not None
    webview = _is_webview(text, engine, ios)
    system = _system(text)
    said = [] if _PLAIN.fullmatch(own) else _declarations(own, bool(engine))
    return UserAgent(
        engine=engine,
        major=major,
        mobile=ios or "Mobile" in text or "Android" in text or "(Tablet; OpenHarmony" in text,
        webview=webview,
        system=system,
        vendor="" if webview or not system else _vendor(text),
        declared=tuple(each for each in said if not each.shared),
        shared=tuple(each for each in said if each.shared),
    )


def _engine(text: str) -> tuple[str, int]:
    if found := _TRIDENT.search(text):
        return "trident", int(found[1] or found[2])
    if _GOANNA.search(text):
        return "goanna", 0
    for engine, pattern in (("edgehtml", _EDGEHTML), ("blink", _BLINK), ("gecko", _GECKO)):
        if found := pattern.search(text):
            return engine, int(found[1])
    if "AppleWebKit/" in text:
        # An app's web view tells iOS's version alone; Safari 26 tells iOS 18_6 and Version/26.
        versions = [int(found[1]) for found in (_IOS.search(text), _SAFARI.search(text)) if found]
        return "webkit", max(versions, default=0)
    if text.startswith(("Opera/", "Mozilla/")) and "Opera" in text:
        return "presto", 0
    return "", 0


def _system(text: str) -> str:
    """The system that the user agent's first brackets name."""
    told = text[: text.find(")") + 1]
    return next((system for word, system in _SYSTEMS if word in told), "")


def _vendor(text: str) -> str:
    for pattern in _VENDORS:
        if found := pattern.fullmatch(text):
            return next((name for name, part in found.groupdict().items() if part), "chrome")
    return ""


def _is_webview(text: str, engine: str, ios: bool) -> bool:
    """A browser inside an app: Android says `wv` or `Version/4.0 Chrome/`, iOS omits Safari; all
    of HarmonyOS's are, but for Huawei's own browser.
    """
    if engine == "blink":
        if _HARMONY.search(text):
            return "HuaweiBrowser/" not in text
        return "; wv)" in text or "Version/4.0 Chrome/" in text or "Electron/" in text
    if engine == "webkit":
        app = names_people(text)
        return app or (ios and "Safari/" not in text) or text.endswith("(KHTML, like Gecko)")
    return False


def _own_words(text: str) -> str:
    """A user agent without the phone's model and without the names of apps that people read in, so
    that no list takes a CUBOT or a "Spider 8" for a machine.
    """
    return without_people(_ANDROID_MODEL.sub(r"\1", text))


def _declarations(own: str, browser: bool = True) -> list[Declaration]:
    """What every list has to say about a user agent's own words, in one that names a `browser`'s
    engine or doesn't.
    """
    machines, both = names_in(own, browser)
    found = dict.fromkeys(
        Declaration(entry.table, entry.name, entry.kind, shared)
        for entries, shared in ((machines, False), (both, True))
        for entry in entries
    )
    if names_spider(without_apps(own) if both and on_a_phone(own) else own):
        found[Declaration("user-agents", "a spider", Kind.CRAWLER)] = None
    return list(found)
