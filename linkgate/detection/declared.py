"""What a visit says about itself: by its method, its purpose headers, its user agent.

Nobody is caught here who doesn't say so; nobody who says so is let off.
"""

import re

from linkgate.detection.agents import UserAgent
from linkgate.detection.rules import Finding, Shape
from linkgate.detection.verdict import Kind, Standing, narrowest
from linkgate.signals import USER_AGENT_LIMIT, Signals


def automated(reason: str, kind: Kind | None = None) -> Finding:
    return Finding(Standing.AUTOMATED, reason, kind)


def suspect(reason: str) -> Finding:
    return Finding(Standing.SUSPECT, reason)


def method(shape: Shape, agent: UserAgent) -> Finding | None:
    """Pages are opened by GET, and the interstitial's form posts; nothing else is a person.

    Source: HEAD probes by Exchange Online, X and Office (logged 2023-2026); Healthchecks and Mautic
    discard HEAD too. Wrong about people: no, no browser navigates with another method.
    """
    if shape.method in {"GET", "POST"}:
        return None
    return automated(f"the method is {shape.method or 'empty'}, which opens no page")


def _purposes(shape: Shape | Signals) -> str:
    return f"{shape.sec_purpose} {shape.purpose} {shape.x_moz} {shape.x_purpose}".lower()


def prefetching(visit: Shape | Signals) -> bool:
    """Whether a browser says that it loads this ahead of a person (prefetch or prerender).

    Such a visit is refused with 503 rather than shown a page, or the browser would show the stored
    page when the person arrives.
    """
    purposes = _purposes(visit)
    return "prefetch" in purposes or "prerender" in purposes


def prefetch(shape: Shape, agent: UserAgent) -> Finding | None:
    """Sec-Purpose, Purpose or X-Moz say prefetch or prerender.

    Source: Fetch (Sec-Purpose), WICG nav-speculation; `Purpose` in old Chrome and Safari, `X-Moz`
    in Firefox; tried in Chromium 156. Wrong about people: no, the person's own visit follows
    without the header.
    """
    if not prefetching(shape):
        return None
    return automated("the browser loads the page ahead of a person (prefetch)", Kind.PREFETCH)


def preview(shape: Shape, agent: UserAgent) -> Finding | None:
    """X-Purpose, Purpose or Sec-Purpose say preview: Safari's Top Sites, Facebook's previews.

    Source: Safari's Top Sites and Facebook's app send `X-Purpose: preview` (WebKit's mailing list,
    2010; Facebook's help for businesses, 2018); `Purpose` is its later spelling. Wrong about
    people: no, a preview is drawn, not read; the page opened afterwards has no such header.
    """
    if "preview" not in _purposes(shape):
        return None
    return automated("the visit says that it is a preview", Kind.PREVIEW)


def agent_missing(shape: Shape, agent: UserAgent) -> Finding | None:
    """No user agent at all, or only blanks and dashes.

    Source: HEAD and GET with an empty UA from Exchange Online and X (logged 2023-2026). Wrong about
    people: hardly; no browser leaves it out, though a privacy proxy can be set up to.
    """
    if shape.user_agent.strip(" -\t\"'"):
        return None
    return automated("there is no user agent")


_PLACEHOLDER = re.compile(
    r"(?:null|undefined|none|nil|test|unknown|user-?agent|default|browser|string|ua|mozilla|\*+)"
    r"|user-agent:.*|[^A-Za-z]*|[A-Za-z]{1,3}",
    re.IGNORECASE | re.DOTALL,
)
_HOSTILE = re.compile(
    r"\$\{|<[a-z/!?]|\(\)\s*\{|['\"]\s*(?:or|and|union)\b|;\s*(?:drop|select|sleep)\b|\{\{|%00"
    r"|\.\./|[\x00-\x08\x0b-\x1f\x7f]",
    re.IGNORECASE,
)


def agent_absurd(shape: Shape, agent: UserAgent) -> Finding | None:
    """A user agent that is a placeholder, a mistake in a script, or an attack.

    Source: what scripts send when a variable was not filled in; Log4Shell, Shellshock and SQL
    probes. Wrong about people: no, each is a string that no browser has ever been built with.
    """
    text = shape.user_agent.strip()
    if not text:
        return None
    if _PLACEHOLDER.fullmatch(text):
        return automated("the user agent is a placeholder")
    if _HOSTILE.search(text):
        return automated("the user agent carries an attack", Kind.SCANNER)
    return None


def agent_overlong(shape: Shape, agent: UserAgent) -> Finding | None:
    """A user agent that reached the limit at which it is cut.

    Source: the longest known in-app browsers' stay under 450 characters. Wrong about people: yes,
    with an old Internet Explorer full of toolbars; hence suspect and no more.
    """
    if len(shape.user_agent) < USER_AGENT_LIMIT:
        return None
    return suspect(f"the user agent has {USER_AGENT_LIMIT} characters or more")


def _declared(agent: UserAgent, table: str, verb: str = "names") -> Finding | None:
    found = [declaration for declaration in agent.declared if declaration.table == table]
    if not found:
        return None
    names = ", ".join(declaration.name for declaration in found[:3])
    return automated(f"the user agent {verb} {names}", narrowest(d.kind for d in found))


def agent_scanner(shape: Shape, agent: UserAgent) -> Finding | None:
    """A mail or web scanner that names itself (data/scanners.toml).

    Source: per entry. Wrong about people: no; networks and vendors' names alone are not asked for.
    """
    return _declared(agent, "scanners")


def agent_previewer(shape: Shape, agent: UserAgent) -> Finding | None:
    """A chat, office or mail program that looks at links (data/previewers.toml).

    Source: per entry. Wrong about people: no; the same companies' in-app browsers are taken out
    first (data/people.toml) and have must-pass tests.
    """
    return _declared(agent, "previewers")


def agent_monitor(shape: Shape, agent: UserAgent) -> Finding | None:
    """A service that watches sites (data/monitors.toml).

    Source: per entry. Wrong about people: no.
    """
    return _declared(agent, "monitors")


def agent_tool(shape: Shape, agent: UserAgent) -> Finding | None:
    """An HTTP library, command-line client, download manager or feed reader (data/tools.toml).

    Source: per entry. Wrong about people: only about someone who pays with curl.
    """
    return _declared(agent, "tools")


def agent_headless(shape: Shape, agent: UserAgent) -> Finding | None:
    """A browser without a screen, or what drives one (data/headless.toml).

    Source: per entry. Wrong about people: no.
    """
    return _declared(agent, "headless")


def agent_crawler_list(shape: Shape, agent: UserAgent) -> Finding | None:
    """The public list crawler-user-agents names it.

    Source: the installed package; data/exceptions.toml drops patterns that hit people. Wrong about
    people: 0.26% before the exceptions, nearly all of it one stock Android build.
    """
    return _declared(agent, "crawler-user-agents")


def agent_spider(shape: Shape, agent: UserAgent) -> Finding | None:
    """The public parser user-agents calls its device a spider.

    Source: the installed package. Wrong about people: with "Spider 8" phones, Amazon Silk and
    Yahoo's apps, which are taken out before it is asked.
    """
    return _declared(agent, "user-agents")


def agent_words(shape: Shape, agent: UserAgent) -> Finding | None:
    """General words and addresses by which robots name themselves (data/words.toml).

    Source: RFC 9309, RFC 9110 10.1.5; per entry. Wrong about people: bare words hit 0.3%, for
    phones' models and apps' names, which is why these are taken out first.
    """
    return _declared(agent, "words", "holds")


_EDITOR = re.compile(r" (?:Code(?: - Insiders)?|Cursor|Trae|Windsurf|Kiro)/[\d.]+ .*Electron/")


def agent_editor(shape: Shape, agent: UserAgent) -> Finding | None:
    """A code editor's browser pane, which its assistant uses as well as its owner.

    Source: crawler-user-agents 1.67 lists VS Code and Trae as agents' browsers (2026). Wrong about
    people: yes, about a developer who opens a link in the editor; hence suspect and no more.
    """
    if not _EDITOR.search(shape.user_agent):
        return None
    return suspect("the browser is a code editor's, which its assistant may be driving")


def agent_shared_name(shape: Shape, agent: UserAgent) -> Finding | None:
    """A browser with a name that machines bear, and people's programs as well: a phone's app that
    is called a bot, a security vendor's own browser, a Windows program built with CefSharp.

    Source: per entry (`shared`). A scanner that copies a whole browser and adds its maker's name is
    no different to look at. Wrong about people: yes, with such apps; hence suspect and no more.
    """
    if not agent.shared:
        return None
    names = ", ".join(declaration.name for declaration in agent.shared[:3])
    return suspect(f"the browser holds {names}, which people's programs hold too")


# Handsets and text browsers whose user agents never began with Mozilla. Old, but people's.
_OTHER_BROWSER = re.compile(
    r"(?:Opera|UCWEB|UCBrowser|JUC|IUC|MQQBrowser|QQBrowser|Lynx|E?Links|w3m|Dillo|NetSurf|Konqueror"
    r"|URL/Emacs|Emacs-w3m|edbrowse|Chawan"
    r"|iCab|Nokia|SAMSUNG|SEC-|SonyEricsson|Sony|SIE-|LG|MOT-|Motorola|BlackBerry|BB10|HTC|HUAWEI"
    r"|ZTE|Alcatel|PHILIPS|SAGEM|SHARP|Panasonic|SANYO|TCL|Micromax|Spice|Karbonn|LAVA|MAUI|Palm"
    r"|DoCoMo|KDDI|SoftBank|Vodafone|J-PHONE|UP\.Browser|Dorado|Nintendo|PSP|iBall|Lenovo|GIONEE"
    r"|OPPO|vivo|Xiaomi|Tecno|itel|JioPhone|KaiOS|Bunjalloo|portalmmm|BenQ|Pantech|Amoi|Haier"
    r"|IBrowse|Amiga|NCSA_Mosaic"
    # A model's or an app's name before the rest; a privacy browser cut short; MediaTek's.
    r"|[A-Z][\w -]{1,24}[ /]Mozilla/5\.0 \(Linux; (?:U; )?Android"
    r"|(?:Android [\d.]+\) )?AppleWebKit/[\d.]+ \(KHTML, like Gecko\) .*DuckDuckGo/"
    r"|\w+/[\w./]+ ?\(Linux; U; Android [^)]*\) AppleWebKit/"
    r"|[^()]{1,60}Android/[\d.]+[^()]*Browser/AppleWebKit)",
    re.IGNORECASE,
)
_ENGINE = re.compile(
    r"AppleWebKit|Gecko|KHTML|Trident|MSIE|Presto|Opera|NetFront|Goanna|Servo|LibWeb|Ladybird"
    r"|Symbian|Nokia|BlackBerry|Obigo|Teleca|Nintendo|PlayStation|PLAYSTATION|Dillo|Konqueror"
    r"|Windows (?:CE|Phone)|SmartTV|SMART-TV|UCWEB|UC Browser|Netscape|NetSurf|Links|webOS|Firefox"
)


def agent_no_browser(shape: Shape, agent: UserAgent) -> Finding | None:
    """A user agent that has no browser's form: it neither begins like one nor names an engine.

    Source: every current browser begins `Mozilla/5.0 (` and names its engine; measured in public as
    the best single test, 88 to 92% of declared bots with general words. Wrong about people: with
    handsets and text browsers that never said Mozilla; they are listed, and merely not recognised.
    """
    text = shape.user_agent.strip()
    if not text:
        return None
    if text.startswith("Mozilla/"):
        if _ENGINE.search(text):
            return None
        return automated("the user agent begins like a browser's and names no engine")
    if _OTHER_BROWSER.match(text):
        return None
    return automated("the user agent does not begin like a browser's")


def hints_headless(shape: Shape, agent: UserAgent) -> Finding | None:
    """A Chromium's client hints name a headless browser, whatever its user agent says.

    Source: WICG/ua-client-hints#366 (2024): Chrome's older headless mode names HeadlessChrome among
    its brands even when the user agent is overridden. Chromium 156 (tried, 2026-11) does not. Wrong
    about people: no. Beside Firefox's or Safari's user agent, public collections of people's header
    sets have such hints, which contradict it (`hints-unexpected`), and prove nothing.
    """
    if agent.engine != "blink" or "headless" not in shape.sec_ch_ua.lower():
        return None
    return automated("the client hints name a headless browser", Kind.TOOL)
