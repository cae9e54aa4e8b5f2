"""The operator's own rules: each condition, all of them together, and what can't be meant."""

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from linkgate.addresses import RangeMap, TrustedProxies
from linkgate.detection import (
    Finding,
    HeaderRule,
    Kind,
    Shape,
    Standing,
    VisitRule,
    judge,
    read_agent,
)
from linkgate.detection.own import OwnRule, Pattern, Says, own_rules, read_header, read_network
from linkgate.detection.samples import SAMPLES
from linkgate.detection.verdict import Authority
from linkgate.signals import HEADER_FIELDS, Signals, gather
from tests.detection.scenes import scene

OFFICE = ip_network("203.0.113.0/24")
AGENT = "Acme Link Guard/3"


def own(says: Says = Says.SUSPECT, **conditions: Any) -> OwnRule:
    return OwnRule("office", says, **conditions)


def find(rule: OwnRule, signals: Signals) -> Finding | None:
    """Ask the rule, whichever sort it became."""
    (made,) = own_rules([rule])
    if isinstance(made, VisitRule):
        return made.examine(scene(signals))
    shape = Shape(**{name: getattr(signals, name) for name in Shape._fields if name != "local"})
    return made.examine(shape, read_agent(signals.user_agent))


class TestWhatItMakes:
    @pytest.mark.parametrize(
        ("says", "points_to"),
        [
            (Says.ALLOW, Standing.HUMAN),
            (Says.SUSPECT, Standing.SUSPECT),
            (Says.AUTOMATED, Standing.AUTOMATED),
        ],
    )
    def test_it_points_where_the_operator_says(self, says: Says, points_to: Standing) -> None:
        finding = find(own(says, agent="acme"), Signals(user_agent=AGENT))
        assert finding is not None
        assert finding.points_to is points_to

    @pytest.mark.parametrize(
        ("says", "authority"),
        [
            (Says.ALLOW, Authority.OPERATOR),
            (Says.SUSPECT, Authority.RULE),
            (Says.AUTOMATED, Authority.OPERATOR),
        ],
    )
    def test_it_carries_the_operators_authority_unless_it_only_doubts(
        self, says: Says, authority: Authority
    ) -> None:
        rules = [own(says, agent="acme"), own(says, agent="acme", networks=(OFFICE,))]
        for made in own_rules(rules):
            assert made.authority is authority
            assert made.name == "own:office"

    def test_a_machine_is_of_the_kind_that_is_said(self) -> None:
        rule = own(Says.AUTOMATED, agent="acme", kind=Kind.MONITOR)
        finding = find(rule, Signals(user_agent=AGENT))
        assert finding is not None
        assert finding.kind is Kind.MONITOR

    def test_rules_about_repeating_headers_are_remembered_and_others_are_not(self) -> None:
        rules = own_rules(
            [
                own(agent="acme"),
                own(header="accept: json"),
                own(header="referer: intranet"),
                own(agent="acme", networks=(OFFICE,)),
            ]
        )
        assert [type(rule) for rule in rules] == [HeaderRule, HeaderRule, VisitRule, VisitRule]


class TestConditions:
    @pytest.mark.parametrize(
        ("pattern", "held"),
        [
            ("acme", True),
            ("ACME link", True),
            ("guard/\\d$", True),
            ("^link", False),
            ("acme|zorble", True),
            ("^$", False),
            (".", True),
        ],
    )
    def test_the_user_agent_is_searched_whatever_its_case(self, pattern: str, held: bool) -> None:
        assert (find(own(agent=pattern), Signals(user_agent=AGENT)) is not None) is held

    @pytest.mark.parametrize(
        ("header", "held"),
        [
            ("referer: INTRANET", True),
            ("Referer:intranet", True),
            ("referer: ^intranet", False),
            ("referer: .", True),
            ("origin: .", False),
            ("origin: ^$", True),
            ("accept-language: ^de", True),
            ("referer: https://", True),
        ],
    )
    def test_a_header_is_searched_and_is_empty_if_it_was_not_sent(
        self, header: str, held: bool
    ) -> None:
        signals = Signals(referer="https://intranet.example/x", accept_language="de-DE")
        assert (find(own(header=header), signals) is not None) is held

    def test_every_header_that_can_be_named_is_read_from_the_visit(self) -> None:
        for name, field in HEADER_FIELDS.items():
            signals = gather(
                "GET", [(name.encode(), b"zorble")], "192.0.2.1", "https", TrustedProxies()
            )
            assert getattr(signals, field) == "zorble"
            assert find(own(header=f"{name}: ^zorble$"), signals) is not None, name

    @pytest.mark.parametrize(
        ("address", "held"),
        [
            ("203.0.113.0", True),
            ("203.0.113.255", True),
            ("203.0.114.0", False),
            ("2001:db8:1::7", True),
            ("2001:db8:2::7", False),
            ("", False),
            ("junk", False),
        ],
    )
    def test_the_address_is_in_one_of_the_networks(self, address: str, held: bool) -> None:
        rule = own(networks=(OFFICE, ip_network("2001:db8:1::/48")))
        assert (find(rule, Signals(address=address)) is not None) is held

    @pytest.mark.parametrize("says", [Says.ALLOW, Says.SUSPECT])
    def test_no_network_holds_where_the_address_may_be_a_proxys(self, says: Says) -> None:
        rule = own(says, networks=(ip_network("10.0.0.0/8"),))
        headers: list[tuple[bytes, bytes]] = []
        untold = gather("GET", headers, "10.0.0.9", "https", TrustedProxies())
        assert find(rule, untold) is None
        headers = [(b"x-forwarded-for", b"10.1.2.3")]
        told = gather("GET", headers, "10.0.0.9", "https", TrustedProxies(["10.0.0.9"]))
        assert find(rule, told) is not None

    def test_of_several_conditions_all_must_hold(self) -> None:
        rule = own(agent="acme", header="referer: intranet", networks=(OFFICE,))
        whole = {
            "user_agent": AGENT,
            "referer": "https://intranet.example/",
            "address": "203.0.113.9",
        }
        assert find(rule, Signals(**whole)) is not None  # type: ignore[arg-type]
        for missing in whole:
            less = {name: value for name, value in whole.items() if name != missing}
            assert find(rule, Signals(**less)) is None, missing  # type: ignore[arg-type]
        two = own(agent="acme", header="accept: json")
        assert find(two, Signals(user_agent=AGENT, accept="application/json")) is not None
        assert find(two, Signals(user_agent=AGENT)) is None
        assert find(two, Signals(accept="application/json")) is None

    @given(st.text(max_size=600), st.text(max_size=60))
    def test_no_visit_makes_it_raise(self, text: str, address: str) -> None:
        signals = Signals(user_agent=text, referer=text, address=address)
        find(own(agent="(a+)+b", header="referer: [^x]*y", networks=(OFFICE,)), signals)
        find(own(agent="(a+)+b"), signals)

    def test_text_that_is_no_text_is_searched_too(self) -> None:
        assert find(own(agent="acme"), Signals(user_agent="\udcff")) is None


class TestReason:
    def test_it_names_the_rule_and_each_condition(self) -> None:
        rule = own(agent="acme", header="referer: intranet", networks=(OFFICE,), note="ours")
        signals = Signals(
            user_agent=AGENT, referer="https://intranet/secret", address="203.0.113.9"
        )
        finding = find(rule, signals)
        assert finding is not None
        assert finding.reason == (
            'your rule office: the user agent matches "acme" and the header referer matches '
            '"intranet" and the address is in 203.0.113.0/24 (ours)'
        )

    def test_it_is_plain_for_one_condition(self) -> None:
        finding = find(own(networks=(OFFICE,)), Signals(address="203.0.113.9"))
        assert finding is not None
        assert finding.reason == "your rule office: the address is in 203.0.113.0/24"

    @pytest.mark.parametrize(
        ("network", "address"),
        [
            ("203.0.113.9/32", "203.0.113.9"),
            ("203.0.113.0/25", "203.0.113.9"),
            ("2001:db8::/64", "2001:db8::9"),
            ("2001:db8::9/128", "2001:db8::9"),
        ],
    )
    def test_it_tells_no_more_of_the_address_than_may_be_stored(
        self, network: str, address: str
    ) -> None:
        finding = find(own(networks=(ip_network(network),)), Signals(address=address))
        assert finding is not None
        assert finding.reason == "your rule office: the address is in one of its networks"

    def test_a_long_pattern_is_cut(self) -> None:
        finding = find(own(agent="acme|" + "x" * 200), Signals(user_agent=AGENT))
        assert finding is not None
        assert len(finding.reason) < 150


PEOPLE = [
    {"networks": (OFFICE,)},
    {"networks": (OFFICE,), "agent": "."},
    {"networks": (OFFICE,), "agent": "mozilla/5\\.0"},
    {"networks": (OFFICE,), "header": "accept: .+"},
    {"agent": "Mozilla"},
    {"agent": "Chrome"},
    {"agent": "Firefox/"},
    {"agent": "Windows NT 10"},
    {"agent": "iPhone"},
    {"agent": "Windows.*Firefox"},
    {"agent": "X11"},
    {"agent": "Android 10; K"},
    {"agent": "; wv\\)"},
    {"agent": "Safari|Firefox", "header": "accept-language: \\S"},
    {"agent": "Edg/", "header": "referer: outlook"},
    {"header": "user-agent: android"},
    {"header": "accept: text/html"},
    {"header": "accept-encoding: gzip"},
    {"header": "accept-language: ^en"},
    {"header": "accept-language: ^de"},
    {"header": "accept-language: ^zh-TW"},
    {"header": "sec-fetch-mode: navigate"},
    {"header": "sec-fetch-mode: ^$"},
    {"header": "sec-fetch-site: same-origin"},
    {"header": "sec-ch-ua: ^$"},
    {"header": "sec-ch-ua-mobile: 1"},
    {"header": "sec-purpose: ^$"},
    {"header": "x-requested-with: ^$"},
    {"header": "x-requested-with: ^com\\."},
    {"header": "referer: ^$"},
    {"header": "referer: ."},
    {"header": "cookie: ^$"},
    {"header": "cookie: ."},
    {"header": "origin: ^$"},
    {"header": "origin: null"},
    {"header": "content-type: form"},
    {"header": "host: go.example.com"},
    {"header": "host: links\\.shop\\.test"},
    {"header": "host: shop", "agent": "Firefox"},
]


class TestWhatCannotBeMeant:
    @pytest.mark.parametrize("conditions", PEOPLE, ids=str)
    def test_a_network_or_what_browsers_send_makes_no_machine(
        self, conditions: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match="would call people machines, such as "):
            own(Says.AUTOMATED, **conditions)
        own(Says.SUSPECT, **conditions)
        own(Says.ALLOW, **conditions)

    @pytest.mark.parametrize(
        ("conditions", "who"),
        [
            ({"networks": (OFFICE,)}, "Chrome that opens a link"),
            ({"agent": "Edg"}, "Edge that opens a link"),
            ({"agent": "Macintosh"}, "Chrome on a Mac that opens a link"),
            ({"agent": "Version/[2-9]"}, "Safari that opens a link"),
            ({"header": "sec-ch-ua: webview"}, "a mail app on Android that opens a link"),
            ({"header": "origin: null"}, "Chrome that presses the button"),
            (
                {"agent": "iPhone", "header": "origin: null"},
                "Safari on an iPhone that presses the button",
            ),
        ],
    )
    def test_it_is_told_whom_the_rule_hits_and_the_mend(
        self, conditions: dict[str, Any], who: str
    ) -> None:
        told = f'such as {who}; say "suspect", or add an agent or a header that only the machine'
        with pytest.raises(ValueError, match=re.escape(told)):
            own(Says.AUTOMATED, **conditions)

    @pytest.mark.parametrize(
        "conditions",
        [
            {"agent": "acme"},
            {"agent": "Chrome/64\\."},
            {"agent": "^$"},
            {"agent": "Chrome", "header": "accept: ^\\*/\\*$"},
            {"agent": "Chrome", "header": "sec-ch-ua: ^$"},
            {"agent": "acme", "header": "host: shop"},
            {"header": "accept: ^\\*/\\*$"},
            {"header": "accept-language: ^\\*?$"},
            {"header": "x-requested-with: acme"},
        ],
        ids=str,
    )
    def test_what_only_a_machine_sends_does(self, conditions: dict[str, Any]) -> None:
        own(Says.AUTOMATED, **conditions)
        own(Says.AUTOMATED, networks=(OFFICE,), **conditions)

    def test_linkgate_takes_each_of_these_people_for_one(self) -> None:
        for who, visit in SAMPLES:
            signals = structs.replace(visit, secure=True, host="go.example.com")
            assert judge(signals).value is Standing.HUMAN, who

    def test_a_rule_without_a_condition(self) -> None:
        with pytest.raises(ValueError, match="has no condition; give it agent, header, networks"):
            own()

    @pytest.mark.parametrize("says", [Says.ALLOW, Says.SUSPECT])
    def test_a_kind_of_what_is_no_machine(self, says: Says) -> None:
        with pytest.raises(ValueError, match="has a kind, which only a machine has"):
            own(says, agent="acme", kind=Kind.TOOL)


class TestPattern:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "is empty"),
            ("x" * 501, "more than 500 characters"),
            ("(", "is no regular expression here: unclosed group; "),
            ("a)|(b", "unopened group"),
            ("*", "repetition operator missing expression"),
            ("(?=a)", "look-around, including look-ahead and look-behind, is not supported"),
            (r"(a)\1", "backreferences are not supported"),
            ("x{1000}{1000}{9}", "too large with its repetitions"),
            (".*", "is found in any text"),
            ("a?", "is found in any text"),
            ("acme|", "is found in any text"),
        ],
    )
    def test_what_it_refuses(self, text: str, told: str) -> None:
        with pytest.raises(ValueError, match=re.escape(told)) as caught:
            Pattern(text)
        assert "\n" not in str(caught.value)

    def test_the_mend_of_a_wrong_one_tells_of_toml(self) -> None:
        with pytest.raises(ValueError, match="'single quotes'"):
            Pattern("[")

    def test_no_text_makes_it_slow(self) -> None:
        # In Python's engine each of these would run for years: that it ends is the test.
        for text in ("(a+)+$", "(a|aa)+$", "(.*)*x", "(a?){30}a{30}b"):
            assert not Pattern(f"^{text}b").found_in("a" * 512 + "!")


class TestNetworks:
    @pytest.mark.parametrize(
        ("text", "network"),
        [
            ("203.0.113.0/24", "203.0.113.0/24"),
            (" 203.0.113.9/24 ", "203.0.113.0/24"),
            ("203.0.113.9", "203.0.113.9/32"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ],
    )
    def test_what_is_read(self, text: str, network: str) -> None:
        assert read_network(text) == ip_network(network)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("office", 'is not an address range; write it like "203.0.113.0/24"'),
            ("203.0.113.0/33", "is not an address range"),
            ("0.0.0.0/0", "is the whole internet"),
            ("::/0", "is the whole internet"),
            ("::ffff:0:0/96", "is the whole internet"),
        ],
    )
    def test_what_is_refused(self, text: str, told: str) -> None:
        with pytest.raises(ValueError, match=re.escape(told)):
            read_network(text)

    @given(
        st.lists(
            st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), min_size=1, max_size=6),
            max_size=5,
        ),
        st.integers(0, 255),
    )
    def test_each_rule_finds_what_looking_through_its_networks_finds(
        self, listed: list[list[tuple[int, int]]], last: int
    ) -> None:
        # A small space, so that networks of one rule and of several overlap.
        address = ip_address(f"198.51.100.{last}")
        several = [
            tuple(ip_network((f"198.51.100.{n}", bits), strict=False) for n, bits in networks)
            for networks in listed
        ]
        rules = own_rules(
            OwnRule(f"r{n}", Says.SUSPECT, networks=nets) for n, nets in enumerate(several)
        )
        for rule, networks in zip(rules, several, strict=True):
            assert isinstance(rule, VisitRule)
            found = rule.examine(scene(Signals(address=str(address))))
            assert (found is not None) is any(address in network for network in networks)
            assert found is None or rule.name.removeprefix("own:") in found.reason

    def test_an_address_is_looked_up_once_for_all_rules(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        found = RangeMap.find

        def find_and_count(ranges: RangeMap[Any], address: str) -> tuple[Any, ...]:
            asked.append(address)
            return found(ranges, address)

        monkeypatch.setattr(RangeMap, "find", find_and_count)
        rules = own_rules(OwnRule(f"r{n}", Says.ALLOW, networks=(OFFICE,)) for n in range(9))
        for _ in range(2):
            for rule in rules:
                assert isinstance(rule, VisitRule)
                assert rule.examine(scene(Signals(address="203.0.113.9"))) is not None
        assert asked == ["203.0.113.9"]

    def test_of_several_networks_the_narrowest_is_told(self) -> None:
        names = ("198.51.0.0/16", "198.51.96.0/20", "198.0.0.0/8", "198.51.0.0/18")
        finding = find(own(networks=tuple(map(ip_network, names))), Signals(address="198.51.100.7"))
        assert finding is not None
        assert "the address is in 198.51.96.0/20" in finding.reason

    def test_one_number_in_two_versions_is_two_addresses(self) -> None:
        rule = own(networks=(OFFICE,))
        assert find(rule, Signals(address="203.0.113.1")) is not None
        assert find(rule, Signals(address="::203.0.113.1")) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("referer", "must be a name, a colon and what to look for"),
        ("referer: ", "must be a name, a colon and what to look for"),
        ("x-scanner: yes", "names a header that is not kept; these are: user-agent, cookie,"),
        ("referer: (", "is no regular expression here"),
    ],
)
def test_headers_that_are_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        read_header(text)
