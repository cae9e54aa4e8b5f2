"""Names in user agents: what declares itself is caught, whatever it is called; people pass."""

import re

import crawleruseragents
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkgate.detection import Kind, Standing, judge, read_agent
from linkgate.detection.tables import (
    TABLES,
    joined,
    known_names,
    on_a_phone,
    read_data,
    without_people,
)
from linkgate.signals import Signals

ANDROID = (
    "Mozilla/5.0 (Linux; Android 15; SM-S918B; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/155.0.0.0 Mobile Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/15E148"
)
IPAD = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/15E148"
)
# Systems whose browsers name themselves unlike Android's and iOS's.
OTHER_PHONES = (
    "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/132.0.0.0 Safari/537.36 ArkWeb/6.0.0.46 Mobile",
    "Mozilla/5.0 (Tablet; OpenHarmony 5.0; HarmonyOS 5.0) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/132.0.0.0 Safari/537.36 ArkWeb/6.0.0.46",
    "Mozilla/5.0 (PC; OpenHarmony 6.0) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/132.0.0.0 Safari/537.36 ArkWeb/6.0.0.46",
    "Mozilla/5.0 (Linux; arm_64; Android 14; SM-A546E) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/150.0.0.0 YaBrowser/25.10.0 SA/3 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; en-us; Android 9; SM-J730G) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/138.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Mobile; LYF/F90M/LYF-F90M-000-02; Android; rv:48.0) Gecko/48.0 Firefox/48.0 "
    "KAIOS/2.5",
    "Mozilla/5.0 (Mobile; Nokia 2780 Flip; rv:84.0) Gecko/84.0 Firefox/84.0 KAIOS/3.1",
    "Mozilla/5.0 (Linux; Tizen 2.3; SAMSUNG SM-Z130H) AppleWebKit/537.3 (KHTML, like Gecko) "
    "SamsungBrowser/1.0 Mobile Safari/537.3",
    "Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) "
    "94.0.4606.31/7.0 TV Safari/537.36",
)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0{}) Gecko/20100101 Firefox/145.0"

PATTERNS = [
    entry["pattern"]
    for table in (*TABLES, "people")
    for entry in read_data(table)["entry"]
    if "pattern" in entry
]

# Names that apps bear, in which a word of the tables is found.
APPS = (
    "AuditBoard/1.9",
    "Axios/4.2",
    "Barracuda/1.0",
    "Bluesky/1.9",
    "CHECK24/6.1",
    "Checkers/4.2",
    "Classifieds/4.4",
    "DStv Go/3.1",
    "Dart/3.5",
    "Domain/10.2.1",
    "Downloader/1.4",
    "FeedR/1.0",
    "Feedly/95.1",
    "Fetch/3.50.0",
    "Harvest/2.0",
    "HeadHunter/7.3",
    "Hydra/1.2",
    "IFTTT/4.9",
    "Inoreader/7.9",
    "Jakarta Post/5.0",
    "Java/1.4",
    "Lighthouse/2.3",
    "Mastodon/2024.1",
    "Mirror/8.4",
    "MobileSecurity/10.2",
    "Overcast/3.0",
    "PetalSearch/2.0",
    "PingAn/6.0",
    "Podcasts/1600.1",
    "PremierAgent/5.0",
    "RubyTuesday/3.1",
    "SearchCraft/3.9",
    "Sky Go/24.7",
    "Skyscanner/7.111",
    "Splash/4.2",
    "Stripe/1.0",
    "SurveyMonkey/4.4",
    "Thumbtack/280.0",
    "Tornado/2.0",
    "Trip.com/7.90",
    "Tumblr/37.1",
    "Twisted/1.0",
    "VerifyMe/2.2",
    "axelspringer/1.2",
    "com.google.android.apps.searchlite",
    "dnsshop/1.5",
    "iRobot/5.2",
)

# Apps whose names hold a robot's word: a machine might say so as well, which is why they press.
BOTS = (
    "AIChatBot/2.1",
    "Crawler/1",
    "ChatOn - AI Chatbot/1.9",
    "Deebot/5.0",
    "PubCrawl/2.1",
    "QRbot/4.2",
    "Robot Vacuum/2",
    "Scrape it/1",
    "SkyScraper/2",
    "Slurpee/2",
    "WomboBot/v2",
)

# What names a security vendor, or a part of programs, in a browser that may be a person's.
VENDORS = (
    IPHONE + " TrendMicro Mobile Security/18",
    IPHONE + " Bitdefender Web Protection/1",
    CHROME + " Trend Micro Pay Guard",
    CHROME + " CefSharp/156.0",
    CHROME + " CefSharp Browser/156.0",
    "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; SophosWeb; rv:11.0) like Gecko",
)

# Machines by the class of their names; none of these strings is in a list.
MACHINES = {
    Kind.CRAWLER: (
        CHROME + " (compatible; Zorble/1.0)",
        CHROME + " zorblebot/1.0",
        CHROME + " (Zorble Agent)",
        FIREFOX.format("; zorble-agent"),
        "Mozilla/5.0 (compatible; Zorble)",
        ANDROID + " (compatible; Zorble/1.0; +https://zorble.example/bot)",
        ANDROID + " Zorble/1.0 (ops@zorble.example)",
        IPHONE + " (zorblespider; zorble.example)",
        CHROME.replace("AppleWebKit", "zorble.com/policy AppleWebKit"),
        ANDROID.replace("AppleWebKit", "zorble.com/policy AppleWebKit"),
        CHROME + " Google-Zorble",
        CHROME + " Zorble-Google",
        "zorble-fetcher/2.0",
        # A robot's word that is in no app's name with its version, and beside an app's name.
        ANDROID + "; Zorblespider",
        IPHONE + " zorblebot",
        IPHONE.replace("Mobile/", "zorblebot Mobile/"),
        IPHONE + " Zorble/1.0 (bot)",
        IPHONE + " ZorbleBot/1.0 (+https://zorble.example/bot)",
        IPHONE + " (compatible; ZorbleBot/1.0)",
        "ZorbleBot/1.0 " + IPHONE,
        ANDROID.replace("SM-S918B", "Zorblebot/1.0"),
        CHROME.replace("Chrome/", "Zorble Fetch (zorble.com) Chrome/"),
    ),
    Kind.MONITOR: (
        CHROME + " PTST/250101.1",
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.2; Trident/4.0; PTST 2.386)",
        "Mozilla/5.0 (Linux; U; Android 4.0.2; en-us; Catchpoint) AppleWebKit/534.30 "
        "(KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
        FIREFOX.format("") + " DejaClick/2.9.7.2",
        CHROME + " ZorbleMonitor/2",
        ANDROID + " Chrome-Lighthouse",
    ),
    Kind.TOOL: (
        "zorble/1.2 libfoo/3.4",
        "Dalvik/2.1.0 (Linux; U; Android 14; SM-S918B Build/UP1A.231005.007)",
        "zorble-client 1.0",
        "okhttp/5.0.0",
        "Windows-Media-Player/10.00.00.4019",
        "CefSharp Browser",
        CHROME + " Go/1.24",
        CHROME + " Jakarta/3",
        CHROME + " Twisted/25.5",
        "Dart/3.4",
    ),
    Kind.SCANNER: ("TrendMicro WTP 1.0", "Barracuda Sentinel", "Bitdefender Link Scan/1"),
    Kind.PREVIEW: ("Zorble/1 CFNetwork/1568.100.1 Darwin/24.0.0", "Zorble Link Preview"),
}

# People whose user agents are odd: beginnings and names that lists take for machines'.
PEOPLE = (
    "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/155.0.0.0 Mobile DuckDuckGo/5 "
    "Safari/537.36",
    "Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/155.0.0.0 Mobile "
    "DuckDuckGo/5 Safari/537.36",
    "LG-H815 Mozilla/5.0 (Linux; Android 6.0; LG-H815 Build/MRA58K) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Version/4.0 Chrome/38.0.2125.102 Mobile Safari/537.36",
    "OneBrowser/4.2.0/Adr(Linux; U; Android 4.2.1; en-us; HUAWEI G610-U00) AppleWebKit/533.1 "
    "(KHTML, like Gecko) Mobile Safari/533.1",
    "Karbonn A35/V1 Linux/3.4.5 Android/4.2.2 Release/03.26.2013 Browser/AppleWebKit534.30 "
    "Mobile Safari/534.30",
    "NCSA_Mosaic/2.7ck11 (X11;OpenBSD 7.1 i386) libwww/2.12 modified",
    "IBrowse/2.5.5 (Amiga; MorphOS 3.16; Build 25.99 68K)",
    # Internet Explorer names the parts of Windows that came with a player.
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0; FunWebProducts; SLCC1; .NET CLR 2.0.50727; "
    "Media Center PC 5.0; .NET CLR 3.0.04506; Windows-Media-Player/10.00.00.3990)",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.1; Trident/6.0; "
    "Windows-Media-Player/10.00.00.3990)",
    CHROME + " Agency/97.8.9180.81",
    CHROME + " Viewer/99.9.8853.8",
    CHROME + " Config/92.2.2788.20",
    CHROME + " AviraScout/21",
    "Mozilla/5.0 (PlayStation; PlayStation 5/8.20) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/15.4 Safari/605.1.15",
    "Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) "
    "94.0.4606.31/7.0 TV Safari/537.36",
)


def standing(agent: str) -> Standing:
    return judge(visit(agent)).value


def visit(agent: str) -> Signals:
    """A visit with a perfect browser's other headers."""
    return Signals(
        user_agent=agent,
        accept="text/html,application/xhtml+xml,*/*;q=0.8",
        accept_language="en",
        accept_encoding="gzip, deflate, br",
        secure=False,
    )


@pytest.mark.parametrize("name", APPS)
def test_an_app_may_be_called_by_any_word(name: str) -> None:
    middle = IPHONE.replace("Mobile/15E148", f"{name} Mobile/15E148 Safari/604.1")
    others = (f"{agent} {name}" for agent in OTHER_PHONES)
    for agent in (f"{ANDROID} {name}", f"{IPHONE} {name}", f"{IPAD} {name}", middle, *others):
        verdict = judge(visit(agent))
        found = {evidence.rule for evidence in verdict.evidence}
        assert found <= {"plain-navigation", "stale-browser"}, verdict.evidence


@pytest.mark.parametrize("name", BOTS)
def test_an_app_with_a_robots_word_in_its_name_makes_a_suspect(name: str) -> None:
    middle = IPHONE.replace("Mobile/15E148", f"{name} Mobile/15E148 Safari/604.1")
    for agent in (f"{ANDROID} {name}", f"{IPHONE} {name}", f"{IPAD} {name}", middle):
        verdict = judge(visit(agent))
        assert verdict.value is Standing.SUSPECT, verdict.evidence
        assert "agent-shared-name" in {evidence.rule for evidence in verdict.evidence}
    assert standing(f"{CHROME} {name}") is Standing.AUTOMATED
    assert standing(name) is Standing.AUTOMATED


@pytest.mark.parametrize("agent", VENDORS)
def test_a_vendors_name_in_a_whole_browser_makes_a_suspect(agent: str) -> None:
    verdict = judge(visit(agent))
    assert verdict.value is Standing.SUSPECT, verdict.evidence
    assert "agent-shared-name" in {evidence.rule for evidence in verdict.evidence}


def test_the_speed_test_that_plays_a_phone_is_known_without_the_public_list() -> None:
    found = known_names().find(f"{ANDROID} Chrome-Lighthouse".lower())
    assert [entry.kind for entry in found if not entry.ordinary] == [Kind.MONITOR]


def test_harmonyos_is_read_as_a_phone_with_apps() -> None:
    phone, tablet, computer = map(read_agent, OTHER_PHONES[:3])
    assert [agent.mobile for agent in (phone, tablet, computer)] == [True, True, False]
    assert {agent.system for agent in (phone, tablet, computer)} == {"OpenHarmony"}
    assert phone.webview
    assert not read_agent(OTHER_PHONES[0] + " HuaweiBrowser/5.0.4").webview


@pytest.mark.parametrize(
    ("kind", "agent"), [(kind, agent) for kind, agents in MACHINES.items() for agent in agents]
)
def test_a_machine_that_no_list_knows_is_caught_by_what_it_says(kind: Kind, agent: str) -> None:
    verdict = judge(visit(agent))
    assert (verdict.value, verdict.kind) == (Standing.AUTOMATED, kind), verdict.evidence


@pytest.mark.parametrize("agent", PEOPLE)
def test_people_with_odd_user_agents_pass(agent: str) -> None:
    assert standing(agent) is not Standing.AUTOMATED, judge(visit(agent)).evidence


@pytest.mark.parametrize("word", ["Checker/1.0", "Fetch/1.0", "Domain/2.0", "Podcasts/3", "Scan/1"])
def test_ordinary_words_count_off_phones(word: str) -> None:
    assert standing(f"{CHROME} {word}") is Standing.AUTOMATED
    assert standing(word) is Standing.AUTOMATED


@pytest.mark.parametrize("agent", [ANDROID, IPHONE, IPAD, ANDROID + " Zorble/1", *OTHER_PHONES])
def test_phones_are_told_by_their_form(agent: str) -> None:
    assert on_a_phone(agent)


@pytest.mark.parametrize(
    "agent",
    [
        CHROME,
        FIREFOX.format(""),
        CHROME.replace("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7"),
        ANDROID + " (compatible; Zorble/1.0)",
        CHROME.replace("Windows NT", "X11; Linux x86_64; Windows NT"),
        "Mozilla/5.0 (Zorble; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko)",
        FIREFOX.format("; Android"),
        "Dalvik/2.1.0 (Linux; U; Android 14; SM-S918B)",
        "Zorble/1.0 (iPhone; iOS 18.6; Scale/3.00)",
        "",
    ],
)
def test_what_is_no_phone(agent: str) -> None:
    assert not on_a_phone(agent)


def test_no_entry_has_a_key_that_nobody_reads_or_a_word_twice() -> None:
    for table in TABLES:
        for entry in read_data(table)["entry"]:
            words = entry.get("words", [])
            keys = {"name", "kind", "ordinary", "shared", "words", "pattern", "source", "date"}
            assert set(entry) <= keys
            assert entry.get("shared", "phone") in {"phone", "browser"}
            assert not ("shared" in entry and "ordinary" in entry), entry
            assert len(words) == len(set(words)), entry


def test_ordinary_patterns_of_the_list_are_there_and_say_why() -> None:
    there = {item["pattern"] for item in crawleruseragents.CRAWLER_USER_AGENTS_DATA}
    for entry in read_data("exceptions")["ordinary"]:
        assert entry["pattern"] in there
        assert entry["reason"]
        assert entry["date"].year >= 2026


@given(st.sampled_from(PATTERNS), st.data())
def test_patterns_find_the_same_together_as_alone(pattern: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(pattern, re.ASCII))).lower()
    if re.search(pattern, text):
        assert re.search(joined(PATTERNS), text)
    assert re.search(joined([pattern]), text) or not re.search(pattern, text)


def test_patterns_are_cut_at_their_own_bars_alone() -> None:
    together = re.compile(joined([r"a(?:b|c)d|[|x]e", r"\bfo+|f\|g", r"(?<![a-z])h?i", "ab*c"]))
    for text in ("abd", "acd", "|e", "xe", "foo", "f|g", "hi", "i", "ac", "abbc"):
        assert together.fullmatch(text), text
    for text in ("ab", "c", "d", "e", "xfo", "g", "f", "xi"):
        assert not together.search(text), text


@pytest.mark.parametrize("text", ["", "x", "Slack/4.1 x", "x WhatsApp/2.1", "İİ Slack/4.1"])
def test_taking_people_out_leaves_the_rest(text: str) -> None:
    assert "slack" not in without_people(text).lower()
    assert "whatsapp" not in without_people(text).lower()
    assert without_people(text).count("x") == text.count("x")
