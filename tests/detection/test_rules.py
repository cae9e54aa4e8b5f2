"""Each rule alone: what it must find, and what it must leave alone."""

import re

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
CHROMES_ACCEPT = "text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8"
# The same with client hints, as Chrome, Edge and a bare Chromium send them.
HINTED = WHOLE._replace(
    accept=CHROMES_ACCEPT,
    sec_ch_ua='"Chromium";v="156", "Google Chrome";v="156", "Not:A-Brand";v="8"',
    sec_ch_ua_mobile="?0",
    sec_ch_ua_platform='"Windows"',
)
EDGE = CHROME + " Edg/156.0.0.0"
EDGE_BRANDS = '"Not:A-Brand";v="8", "Chromium";v="156", "Microsoft Edge";v="156"'
EDGEHTML = CHROME.replace("156.0.0.0", "64.0.3282.140") + " Edge/18.17763"
LINUX = CHROME.replace("Windows NT 10.0; Win64; x64", "X11; Linux x86_64")
MAC = CHROME.replace("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7")
CHROMEBOOK = CHROME.replace("Windows NT 10.0; Win64; x64", "X11; CrOS x86_64 14541.0.0")
PHONE = CHROME.replace("Windows NT 10.0; Win64; x64", "Linux; Android 10; K").replace(
    " Safari", " Mobile Safari"
)
TABLET = PHONE.replace(" Mobile", "")
UNBRANDED = '"Not:A-Brand";v="8", "Chromium";v="156"'
OPERA = CHROME + " OPR/130.0.0.0"
IN_GMAIL = "com.google.android.gm"
BARE = WHOLE._replace(sec_fetch_site="", sec_fetch_mode="", sec_fetch_dest="", sec_fetch_user="")


def ua(text: str) -> Shape:
    return WHOLE._replace(user_agent=text)


def hinted(text: str, **more: str) -> Shape:
    """A visit with Chrome's client hints; `more` are fields that differ."""
    return HINTED._replace(user_agent=text)._replace(**more)


def old(agent: str, version: int) -> Shape:
    """A visit with another version of the browser."""
    current = r"(Chrome/|Firefox/|rv:|Version/|OS )(?:156|145|26|18)(?!\d)"
    return ua(re.sub(current, rf"\g<1>{version}", agent))


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
    "agent-shared-name": (
        [
            ua(IPHONE_VIEW + " ChatBot/2.0"),
            ua(CHROME + " CefSharp/119"),
            ua(CHROME + " Trend Micro Pay Guard"),
        ],
        [
            WHOLE,
            ua(CHROME + " ChatBot/2.0"),
            ua(IPHONE_VIEW + " (compatible; ChatBot/2.0)"),
            ua("CefSharp Browser"),
        ],
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
        [
            WHOLE,
            WHOLE._replace(sec_ch_ua='"Google Chrome";v="156"'),
            *(
                WHOLE._replace(user_agent=other, sec_ch_ua='"HeadlessChrome";v="156"')
                for other in (FIREFOX, SAFARI)
            ),
        ],
    ),
    "hints-missing": (
        [
            WHOLE,
            WHOLE._replace(sec_ch_ua="junk"),
            WHOLE._replace(sec_ch_ua='"Google Chrome";v="156"'),
            WHOLE._replace(secure=False, local=True),
            *map(ua, (EDGE, LINUX, PHONE, CHROME.replace("156", "89"))),
        ],
        [
            HINTED,
            WHOLE._replace(secure=False),
            WHOLE._replace(x_requested_with=IN_GMAIL),
            *map(ua, (ANDROID_VIEW, OPERA, FIREFOX, SAFARI, IPHONE_VIEW, IE, "curl/8")),
            ua(CHROME.replace("156", "88")),
            ua(CHROME + " Vivaldi/7.7"),
            ua(PHONE.replace("Chrome/", "SamsungBrowser/29.0 Chrome/")),
        ],
    ),
    "hints-unexpected": (
        [
            *map(hinted, (FIREFOX, SAFARI, IPHONE_VIEW, IE, EDGEHTML)),
            hinted(CHROME.replace("156.0.0.0", "88.0.4324.150")),
            WHOLE._replace(user_agent=FIREFOX, sec_ch_ua_platform='"Linux"'),
            WHOLE._replace(user_agent=SAFARI, sec_ch_ua_mobile="?0"),
        ],
        [
            *map(hinted, (CHROME, EDGE, OPERA, ANDROID_VIEW, "curl/8")),
            *map(ua, (FIREFOX, SAFARI, IE)),
            hinted(CHROME.replace("156.0.0.0", "80.0.3987.87") + " SE 2.X MetaSr 1.0"),
            hinted(SAFARI, x_requested_with="com.duckduckgo.mobile.android"),
        ],
    ),
    "hints-version": (
        [
            hinted(CHROME.replace("156", "131")),
            hinted(EDGE, sec_ch_ua=EDGE_BRANDS.replace("156", "155")),
            hinted(CHROME, sec_ch_ua='"Chromium";v="1560"'),
        ],
        [
            HINTED,
            hinted(EDGE, sec_ch_ua=EDGE_BRANDS.replace('Edge";v="156', 'Edge";v="155')),
            hinted(ANDROID_VIEW),
            hinted(CHROME.replace("156", "131"), x_requested_with=IN_GMAIL),
            hinted(OPERA.replace("156", "152")),
            hinted(CHROME, sec_ch_ua=""),
            hinted(CHROME, sec_ch_ua="Chromium 131"),
            hinted(CHROME, sec_ch_ua='"Chromium";v="'),
        ],
    ),
    "hints-platform": (
        [
            hinted(CHROME, sec_ch_ua_platform='"Linux"'),
            hinted(CHROME, sec_ch_ua_platform="macOS"),
            *map(hinted, (MAC, LINUX, PHONE, CHROMEBOOK)),
            hinted(PHONE, sec_ch_ua_platform='"Linux"'),
            hinted(EDGE, sec_ch_ua_platform='"macOS"'),
        ],
        [
            HINTED,
            hinted(MAC, sec_ch_ua_platform='"macOS"'),
            hinted(LINUX, sec_ch_ua_platform='"Linux"'),
            hinted(LINUX, sec_ch_ua_platform='"Android"'),
            hinted(PHONE, sec_ch_ua_platform='"Android"'),
            hinted(CHROMEBOOK, sec_ch_ua_platform='"Chrome OS"'),
            hinted(CHROMEBOOK, sec_ch_ua_platform='"Chromium OS"'),
            hinted(CHROME, sec_ch_ua_platform=""),
            hinted(CHROME, sec_ch_ua_platform='"Unknown"'),
            hinted(ANDROID_VIEW),
            hinted(MAC + " Vivaldi/7.7"),
            hinted(MAC, x_requested_with=IN_GMAIL),
            hinted(FIREFOX, sec_ch_ua_platform='"Linux"'),
        ],
    ),
    "hints-mobile": (
        [
            hinted(PHONE),
            hinted(PHONE + " EdgA/156.0.0.0"),
            *(hinted(text, sec_ch_ua_mobile="?1") for text in (CHROME, EDGE, MAC, LINUX)),
        ],
        [
            HINTED,
            hinted(PHONE, sec_ch_ua_mobile="?1"),
            hinted(PHONE, sec_ch_ua_mobile=""),
            hinted(TABLET),
            hinted(TABLET, sec_ch_ua_mobile="?1"),
            hinted(ANDROID_VIEW),
            hinted(PHONE, x_requested_with=IN_GMAIL),
            hinted(CHROME, sec_ch_ua_mobile="1"),
        ],
    ),
    "hints-brand": (
        [
            hinted(EDGE),
            hinted(EDGE, sec_ch_ua=UNBRANDED),
            hinted(CHROME, sec_ch_ua=EDGE_BRANDS),
        ],
        [
            HINTED,
            hinted(EDGE, sec_ch_ua=EDGE_BRANDS),
            hinted(EDGE, sec_ch_ua=EDGE_BRANDS + ', "Microsoft Edge WebView2";v="156"'),
            hinted(EDGE, sec_ch_ua=UNBRANDED + ', "DuckDuckGo";v="156"'),
            hinted(EDGE, sec_ch_ua=""),
            hinted(CHROME + " WhatsApp/2.2543.4", sec_ch_ua=EDGE_BRANDS),
            hinted(CHROME, sec_ch_ua=EDGE_BRANDS, x_requested_with=IN_GMAIL),
        ],
    ),
    "hints-unbranded": (
        [
            hinted(LINUX, sec_ch_ua=brands, sec_ch_ua_platform='"Linux"')
            for brands in (
                UNBRANDED,
                '"Chromium";v="156"',
                '" Not A;Brand";v="99", "Chromium";v="156"',
                '"Not(A:Brand";v="8", "Chromium";v="156"',
                '"\\\\Not\\"A;Brand";v="99", "Chromium";v="156"',
            )
        ]
        + [
            hinted(CHROME, sec_ch_ua=UNBRANDED),
            hinted(CHROME + " OPR/123.0.0.0", sec_ch_ua=UNBRANDED),
            hinted(ANDROID_VIEW, sec_ch_ua=UNBRANDED, sec_ch_ua_platform='"Android"'),
            hinted(CHROME, sec_ch_ua=UNBRANDED, x_requested_with="com.example.mail"),
            hinted(LINUX, sec_ch_ua=UNBRANDED, sec_ch_ua_platform='"Android"'),
        ],
        [
            hinted(LINUX, sec_ch_ua_platform='"Linux"'),
            hinted(LINUX, sec_ch_ua=UNBRANDED + ', "Brave";v="156"', sec_ch_ua_platform='"Linux"'),
            hinted(MAC, sec_ch_ua=UNBRANDED, sec_ch_ua_platform='"macOS"'),
            hinted(LINUX, sec_ch_ua="", sec_ch_ua_platform='"Linux"'),
        ],
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
    "accept-not-its-own": (
        [
            WHOLE,
            WHOLE._replace(secure=False),
            WHOLE._replace(accept="*/*"),
            ua(EDGE),
            ua(CHROME.replace("156", "85")),
            *(
                WHOLE._replace(user_agent=text, accept=PAGE + ",application/signed-exchange;v=b3")
                for text in (FIREFOX, SAFARI, IPHONE_VIEW)
            ),
        ],
        [
            HINTED,
            WHOLE._replace(accept="text/html,image/webp"),
            WHOLE._replace(accept=""),
            *map(ua, (FIREFOX, SAFARI, IPHONE_VIEW, ANDROID_VIEW, OPERA, IE, "curl/8")),
            ua(CHROME.replace("156", "84")),
            WHOLE._replace(x_requested_with=IN_GMAIL),
            WHOLE._replace(user_agent=FIREFOX, accept=CHROMES_ACCEPT),
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
            BARE._replace(user_agent=SAFARI),
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
    "fetch-metadata-early": (
        [
            old(CHROME, 75),
            old(EDGE, 75),
            old(FIREFOX, 89),
            old(SAFARI, 15),
            BARE._replace(user_agent=old(FIREFOX, 60).user_agent, sec_fetch_site="none"),
        ],
        [
            WHOLE,
            old(CHROME, 76),
            old(FIREFOX, 90),
            old(SAFARI, 16),
            BARE._replace(user_agent=old(CHROME, 64).user_agent),
            ua(old(CHROME, 70).user_agent + " SE 2.X MetaSr 1.0"),
            ua(old(FIREFOX, 60).user_agent + " SeaMonkey/2.53.22"),
            ua(SAFARI.replace("Version/26.0", "CriOS/156 Version/11.1.1")),
            *map(ua, (IPHONE_VIEW, ANDROID_VIEW, "curl/8")),
            old(CHROME, 70)._replace(x_requested_with=IN_GMAIL),
        ],
    ),
    "stale-browser": (
        [
            *(old(CHROME, version) for version in (1, 42, 64, 72, 125, 130)),
            *(old(PHONE, version) for version in (72, 125)),
            old(EDGE, 125),
            ua(CHROME.replace("Win64; x64", "WOW64").replace("156", "72")),
            old(FIREFOX, 102),
            old(SAFARI, 13),
            old(IPHONE_VIEW, 12),
            old(OPERA, 107),
            ua(ANDROID_VIEW.replace("155", "99")),
            ua(FIREFOX.replace("145", "60") + " SeaMonkey/2.53"),
            *map(ua, (IE, EDGEHTML, "Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.18")),
            ua(
                "Mozilla/5.0 (Linux; U; Android 4.4.2; de-de; X Build/K) AppleWebKit/534.30 "
                "(KHTML, like Gecko) Version/4.0 Mobile Safari/534.30"
            ),
        ],
        [
            *map(ua, (CHROME, FIREFOX, SAFARI, IPHONE_VIEW, ANDROID_VIEW, EDGE, "curl/8", "")),
            *(old(CHROME, version) for version in (131, 140, 999, 9999)),
            *(old(FIREFOX, version) for version in (115, 140, 999)),
            *(old(SAFARI, version) for version in (15, 99)),
            old(IPHONE_VIEW, 15),
            old(OPERA, 109),
            ua(ANDROID_VIEW.replace("155", "109")),
            ua(FIREFOX.replace("145", "91") + " SeaMonkey/2.53.22"),
            ua(SAFARI.replace("Version/26.0", "CriOS/156 Version/11.1.1")),
            ua(
                old(SAFARI, 13).user_agent.replace("Macintosh; Intel", "PlayStation; PlayStation 5")
            ),
            ua(
                "Opera/9.80 (Android; Opera Mini/36.2/119.132; U; id) Presto/2.12.423 Version/12.16"
            ),
            ua(old(CHROME, 42).user_agent + " Googlebot/2.1"),
            ua("Mozilla/5.0 (Windows NT 10.0; rv:128.0) Goanna/6.8 Firefox/60.0 PaleMoon/33.8.0"),
        ],
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
PERSON = {"navigation", "plain-navigation", "press-real", "known-device"}
DOUBT = {
    "agent-overlong",
    "agent-editor",
    "agent-shared-name",
    "hints-missing",
    "hints-unexpected",
    "hints-version",
    "hints-platform",
    "hints-mobile",
    "hints-brand",
    "hints-unbranded",
    "accept-missing",
    "accept-no-page",
    "accept-not-its-own",
    "language-missing",
    "encoding-missing",
    "fetch-metadata-missing",
    "fetch-metadata-frame",
    "fetch-metadata-early",
    "stale-browser",
    "scan-window",
    "twin",
    "burst-address",
    "burst-network",
    "network-mail-security",
    "network-hosting",
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
