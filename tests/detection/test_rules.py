"""Each rule alone: what it must find, and what it must leave alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkgate.detection import RULES, Finding, HeaderRule, Shape, Standing, VisitRule, read_agent
from linkgate.detection.declared import prefetching
from linkgate.detection.verdict import Kind
from linkgate.signals import Signals
from tests.detection.scenes import scene

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)
CHROME_79 = CHROME.replace("156.0.0.0", "79.0.3945.130")
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
FIREFOX_89 = FIREFOX.replace("145.0", "89.0")
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Safari/605.1.15"
)
SAFARI_16 = SAFARI.replace("26.0", "16.6")
IPHONE_VIEW = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/15E148"
)
ANDROID_VIEW = (
    "Mozilla/5.0 (Linux; Android 15; SM-S918B; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/155.0.0.0 Mobile Safari/537.36"
)
IE = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

# A visit in which a browser opens a page; every case says how it differs from this.
WHOLE = Shape(
    user_agent=CHROME,
    accept=PAGE,
    accept_language="en",
    accept_encoding="gzip, deflate, br",
    sec_fetch_site="none",
    sec_fetch_mode="navigate",
    sec_fetch_dest="document",
    sec_fetch_user="?1",
    secure=True,
)
BARE = WHOLE._replace(sec_fetch_site="", sec_fetch_mode="", sec_fetch_dest="", sec_fetch_user="")


def ua(text: str) -> Shape:
    return WHOLE._replace(user_agent=text)


# rule -> (visits it must find something in, visits it must not)
TABLE: dict[str, tuple[list[Shape], list[Shape]]] = {
    "method": (
        [WHOLE._replace(method=m) for m in ("HEAD", "OPTIONS", "PUT", "PROPFIND", "get", "")],
        [WHOLE._replace(method=m) for m in ("GET", "POST")],
    ),
    "prefetch": (
        [
            WHOLE._replace(sec_purpose="prefetch"),
            WHOLE._replace(sec_purpose="prefetch;prerender"),
            WHOLE._replace(sec_purpose="prefetch;anonymous-client-ip"),
            WHOLE._replace(sec_purpose="Prefetch"),
            WHOLE._replace(purpose="prefetch"),
            WHOLE._replace(x_moz="prefetch"),
            WHOLE._replace(x_purpose="prefetch"),
            WHOLE._replace(sec_purpose="prerender"),
        ],
        [WHOLE, WHOLE._replace(purpose="preview"), WHOLE._replace(sec_purpose="later")],
    ),
    "preview": (
        [
            WHOLE._replace(x_purpose="preview"),
            WHOLE._replace(purpose="preview"),
            WHOLE._replace(sec_purpose="preview"),
            WHOLE._replace(x_purpose=": preview"),
        ],
        [WHOLE, WHOLE._replace(purpose="prefetch")],
    ),
    "agent-missing": ([ua(t) for t in ("", " ", "-", "--", '""', "\t")], [WHOLE, ua("curl/8")]),
    "agent-absurd": (
        [
            *map(ua, ("null", "None", "undefined", "test", "User-Agent", "*", "123", "a", "....")),
            ua("User-Agent: " + CHROME),
            ua("${jndi:ldap://x}"),
            ua("<script>alert(1)</script>"),
            ua("() { :;}; echo"),
            ua("{{user_agent}}"),
            ua("x' or 1=1"),
            ua(CHROME + "\x00"),
        ],
        [WHOLE, ua(""), ua(FIREFOX), ua(IPHONE_VIEW), ua(IE), ua("Opera/9.80 (Android)")],
    ),
    "agent-overlong": ([ua("x" * 512)], [ua("x" * 511), WHOLE]),
    "agent-scanner": (
        [ua("Barracuda Sentinel (EE)"), ua("Google-Safety"), ua("Kaspersky LinkScanner/2")],
        [WHOLE, ua("Slackbot"), ua(IPHONE_VIEW + " Kaspersky Safe Browser/2.4")],
    ),
    "agent-previewer": (
        [ua("WhatsApp/2.23"), ua("Viber"), ua("Slackbot 1.0"), ua("facebookexternalhit/1.1")],
        [
            WHOLE,
            ua(CHROME + " WhatsApp/2.2543.4"),
            ua(ANDROID_VIEW + " Viber/22.1"),
            ua(ANDROID_VIEW + " [FB_IAB/FB4A;FBAV/480.0;]"),
            ua(IPHONE_VIEW + " [LinkedInApp]/9.31"),
            ua(IPHONE_VIEW + " [Pinterest/iOS]"),
        ],
    ),
    "agent-monitor": (
        [ua("kube-probe/1.31"), ua(CHROME + " Catchpoint"), ua(CHROME + " PTST/1")],
        [WHOLE, ua("curl/8")],
    ),
    "agent-tool": (
        [ua("curl/8.16.0"), ua("node"), ua("Go-http-client/2.0"), ua("Java/21"), ua("okhttp/5")],
        [
            WHOLE,
            ua(IPHONE_VIEW + " DuckDuckGo/7"),
            ua(ANDROID_VIEW + " HuaweiBrowser/15.0 Dolphin/12"),
            ua(ANDROID_VIEW + " TopBuzz/12.3"),
            ua(
                "Mozilla/5.0 (X11; Linux x86_64; rv:78.0) Gecko/20100101 Linux Mint/20 Firefox/78.0"
            ),
            ua("Lynx/2.9.2 libwww-FM/2.14"),
        ],
    ),
    "agent-headless": (
        [ua(CHROME.replace("Chrome/", "HeadlessChrome/")), ua(CHROME + " Playwright/1.56")],
        [WHOLE],
    ),
    "agent-crawler-list": (
        [ua("Googlebot/2.1"), ua("Mozilla/5.0 (compatible; Datanyze; x)")],
        [
            WHOLE,
            ua(ANDROID_VIEW.replace("SM-S918B", "SM-A556E Build/AP3A.240617.008")),
            ua(CHROME + " WhatsApp/2.2543.4"),
            ua(CHROME + " SE 2.X MetaSr 1.0"),
            ua(ANDROID_VIEW + " MetaIAB Facebook"),
            ua(ANDROID_VIEW + " PayPal/8.60.1"),
            ua(CHROME.replace("Chrome/", "Code/1.115.0 Chrome/142 Electron/39 ")),
        ],
    ),
    "agent-spider": (
        [ua("Googlebot/2.1"), ua("Mozilla/5.0 (compatible; YandexBot/3.0)")],
        [
            WHOLE,
            ua(ANDROID_VIEW.replace("SM-S918B", "Spider 8")),
            ua(ANDROID_VIEW.replace("SM-S918B", "CUBOT P80")),
            ua(CHROME.replace("Chrome/", "Silk/138.2 like Chrome/")),
            ua(IPHONE_VIEW + " YJApp-IOS jp.co.yahoo.ipn.appli/4.140.0"),
        ],
    ),
    "agent-words": (
        [
            ua("Zorblebot/1.0"),
            ua(CHROME + " (+https://zorble.example/)"),
            ua(CHROME.replace(" Safari", " Zorblebot/1.0 Safari")),
            ua(CHROME + " ops@zorble.example"),
            ua(CHROME + " (compatible; Zorble/1.0)"),
            ua(CHROME + " zorble.com/policy"),
            ua("My Link Checker"),
            ua(ANDROID_VIEW.replace("SM-S918B", "Zorblebot/1.0")),
        ],
        [
            WHOLE,
            ua("Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)"),
            ua(ANDROID_VIEW.replace("SM-S918B", "CUBOT NOTE 20")),
            ua(ANDROID_VIEW.replace("SM-S918B", "Robot 5 Build/TP1A.220624.014")),
            ua(ANDROID_VIEW.replace("Android 15; SM", "Android 4.4; en-us; Fetch Bot SM")),
            ua(ANDROID_VIEW.replace("SM-S918B", "Discovery II Build/KOT49H")),
            ua(IPHONE_VIEW + " NAVER(inapp; search; 2000; 12.15.3; 15PRO)"),
            ua(CHROME + " Talon Cyber Security Browser"),
            ua(CHROME + ",gzip(gfe) (via translate.google.com)"),
            ua(ANDROID_VIEW + " QRScanner/3.1"),
            ua(IPHONE_VIEW + " ResearchGate/2.3"),
        ],
    ),
    "agent-editor": (
        [ua(CHROME.replace("Chrome/", "Code/1.115.0 Chrome/142 Electron/39 "))],
        [WHOLE, ua(CHROME.replace("Chrome/", "Slack/4.46 Chrome/140 Electron/38 "))],
    ),
    "agent-no-browser": (
        [
            *map(ua, ("Zorble", "zorble/1.2", "Mozilla/5.0", "Mozilla/5.0 (Windows NT 10.0)")),
            ua("mozilla/5.0 " + CHROME[12:]),
            ua('"' + CHROME + '"'),
        ],
        [
            *map(ua, (CHROME, FIREFOX, SAFARI, IPHONE_VIEW, IE, "")),
            ua(
                "Opera/9.80 (Android; Opera Mini/36.2/119.132; U; id) Presto/2.12.423 Version/12.16"
            ),
            ua("Lynx/2.9.2"),
            ua("Nokia6120c/3.83; Profile/MIDP-2.0"),
        ],
    ),
    "hints-headless": (
        [WHOLE._replace(sec_ch_ua='"HeadlessChrome";v="156"')],
        [WHOLE, WHOLE._replace(sec_ch_ua='"Google Chrome";v="156"')],
    ),
    "accept-missing": (
        [WHOLE._replace(accept="")],
        [WHOLE, WHOLE._replace(accept="", user_agent="curl/8")],
    ),
    "accept-no-page": (
        [WHOLE._replace(accept="*/*"), WHOLE._replace(accept="image/png,*/*")],
        [
            WHOLE,
            WHOLE._replace(accept=""),
            WHOLE._replace(accept="*/*", user_agent=IE),
            WHOLE._replace(accept="*/*", user_agent="curl/8"),
        ],
    ),
    "language-missing": (
        [WHOLE._replace(accept_language=""), WHOLE._replace(accept_language="*")],
        [WHOLE, WHOLE._replace(accept_language="", user_agent="curl/8")],
    ),
    "encoding-missing": (
        [WHOLE._replace(accept_encoding=""), WHOLE._replace(accept_encoding="identity")],
        [WHOLE, WHOLE._replace(accept_encoding="", user_agent="curl/8")],
    ),
    "fetch-metadata-missing": (
        [
            BARE,
            BARE._replace(user_agent=FIREFOX),
            BARE._replace(user_agent=SAFARI),
            BARE._replace(secure=False, local=True),
            BARE._replace(x_requested_with="XMLHttpRequest"),
            WHOLE._replace(sec_fetch_dest=""),
        ],
        [
            WHOLE,
            BARE._replace(secure=False),
            BARE._replace(user_agent=ANDROID_VIEW.replace("Version/4.0 ", "")),
            BARE._replace(user_agent=CHROME_79),
            BARE._replace(user_agent=FIREFOX_89),
            BARE._replace(user_agent=SAFARI_16),
            BARE._replace(user_agent=ANDROID_VIEW),
            BARE._replace(user_agent=IPHONE_VIEW),
            BARE._replace(x_requested_with="com.google.android.gm"),
            BARE._replace(user_agent=IE),
            BARE._replace(user_agent="curl/8"),
        ],
    ),
    "fetch-metadata-no-page": (
        [
            WHOLE._replace(sec_fetch_mode="cors"),
            WHOLE._replace(sec_fetch_mode="no-cors", sec_fetch_dest="image"),
            BARE._replace(sec_fetch_mode="cors"),
        ],
        [WHOLE, BARE, WHOLE._replace(sec_fetch_dest="iframe")],
    ),
    "fetch-metadata-frame": (
        [
            WHOLE._replace(sec_fetch_dest="iframe"),
            WHOLE._replace(sec_fetch_mode="nested-navigate", sec_fetch_dest="nested-document"),
        ],
        [WHOLE, BARE, WHOLE._replace(sec_fetch_mode="cors", sec_fetch_dest="empty")],
    ),
    "navigation": (
        [
            WHOLE,
            WHOLE._replace(user_agent=FIREFOX),
            WHOLE._replace(user_agent=SAFARI, sec_fetch_user=""),
            WHOLE._replace(sec_fetch_site="cross-site"),
            WHOLE._replace(method="POST", sec_fetch_site="same-origin"),
        ],
        [
            BARE,
            WHOLE._replace(user_agent="curl/8"),
            WHOLE._replace(user_agent="Googlebot/2.1"),
            WHOLE._replace(accept="*/*"),
            WHOLE._replace(accept_language=""),
            WHOLE._replace(accept_encoding=""),
            WHOLE._replace(sec_fetch_site=""),
            WHOLE._replace(sec_fetch_site="elsewhere"),
            WHOLE._replace(sec_fetch_dest="iframe"),
            WHOLE._replace(sec_fetch_mode="cors"),
        ],
    ),
    "plain-navigation": (
        [
            BARE._replace(secure=False),
            BARE._replace(user_agent=SAFARI_16),
            BARE._replace(user_agent=ANDROID_VIEW),
            BARE._replace(user_agent=IPHONE_VIEW),
            BARE._replace(user_agent=IE, accept="*/*"),
        ],
        [
            WHOLE,
            BARE,
            BARE._replace(user_agent=IPHONE_VIEW, accept_language=""),
            BARE._replace(user_agent=IPHONE_VIEW, accept="*/*"),
            BARE._replace(user_agent=IPHONE_VIEW, accept_encoding=""),
            BARE._replace(secure=False, sec_fetch_mode="cors"),
            BARE._replace(user_agent="curl/8"),
        ],
    ),
}
HEADER_RULES = {rule.name: rule for rule in RULES.rules if isinstance(rule, HeaderRule)}
VISIT_RULES = {rule.name: rule for rule in RULES.rules if isinstance(rule, VisitRule)}
PERSON = {"navigation", "plain-navigation", "press-real"}
DOUBT = {
    "agent-overlong",
    "agent-editor",
    "accept-missing",
    "accept-no-page",
    "language-missing",
    "encoding-missing",
    "fetch-metadata-missing",
    "fetch-metadata-frame",
    "scan-window",
    "twin",
    "burst-address",
    "burst-network",
}


def examine(name: str, shape: Shape) -> Finding | None:
    return HEADER_RULES[name].examine(shape, read_agent(shape.user_agent))


def flat(side: int) -> list[tuple[str, Shape]]:
    return [(name, shape) for name, sides in TABLE.items() for shape in sides[side]]


def test_every_header_rule_has_its_table() -> None:
    assert set(TABLE) == set(HEADER_RULES)


@pytest.mark.parametrize(("name", "shape"), flat(0))
def test_must_catch(name: str, shape: Shape) -> None:
    finding = examine(name, shape)
    assert finding is not None
    assert finding.reason
    expected = Standing.HUMAN if name in PERSON else Standing.AUTOMATED
    assert finding.points_to is (Standing.SUSPECT if name in DOUBT else expected)


@pytest.mark.parametrize(("name", "shape"), flat(1))
def test_must_pass(name: str, shape: Shape) -> None:
    assert examine(name, shape) is None


def test_decoy() -> None:
    rule = VISIT_RULES["decoy"]
    caught = rule.examine(scene(Signals(decoy=True)))
    assert caught is not None
    assert (caught.points_to, caught.kind) == (Standing.AUTOMATED, Kind.SCANNER)
    assert rule.examine(scene(Signals(decoy=False))) is None


def test_prefetching_is_asked_of_signals_too() -> None:
    assert prefetching(Signals(sec_purpose="prefetch;prerender"))
    assert prefetching(Signals(x_moz="prefetch"))
    assert not prefetching(Signals(x_purpose="preview"))
    assert not prefetching(Signals())


@given(st.builds(Shape, *[st.text(max_size=80)] * 17, st.booleans(), st.booleans()))
def test_no_header_rule_ever_raises(shape: Shape) -> None:
    agent = read_agent(shape.user_agent)
    for rule in HEADER_RULES.values():
        rule.examine(shape, agent)
