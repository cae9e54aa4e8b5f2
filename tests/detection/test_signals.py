"""Reading a request: addresses behind proxies, clamping, junk."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkgate.addresses import TrustedProxies, is_private, neighbourhood, normalise, truncate
from linkgate.detection import prefetching
from linkgate.signals import COOKIE_LIMIT, HEADER_LIMIT, USER_AGENT_LIMIT, Signals, gather

PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8:aa::/48", "192.0.2.1"])
XFF, FORWARDED, PROTO = b"x-forwarded-for", b"forwarded", b"x-forwarded-proto"
Headers = list[tuple[bytes, bytes]]


def read(headers: Headers, peer: str = "10.0.0.1", scheme: str = "http") -> Signals:
    return gather("GET", headers, peer, scheme, PROXIES)


def test_headers_land_in_their_fields() -> None:
    names = [
        field.name
        for field in msgspec.structs.fields(Signals)
        if field.type is str and field.name not in {"method", "address"}
    ]
    headers = [(name.replace("_", "-").encode(), name.encode()) for name in names]
    signals = read(headers)
    assert {name: getattr(signals, name) for name in names} == {name: name for name in names}


def test_missing_headers_are_empty() -> None:
    assert (read([]).accept, read([]).user_agent) == ("", "")


@pytest.mark.parametrize(
    ("name", "lines", "joined"),
    [
        ("sec_purpose", [b"", b"prefetch"], ", prefetch"),
        ("user_agent", [b"Mozilla/5.0", b"Googlebot/2.1"], "Mozilla/5.0, Googlebot/2.1"),
        ("cookie", [b"a=1", b"lg_device=x"], "a=1; lg_device=x"),
        ("sec_fetch_site", [b"same-origin", b"same-origin"], "same-origin"),
    ],
)
def test_a_second_line_hides_nothing(name: str, lines: list[bytes], joined: str) -> None:
    header = name.replace("_", "-").encode()
    assert getattr(read([(header, line) for line in lines]), name) == joined


def test_a_purpose_is_not_cut_before_its_word() -> None:
    for said in (b"x" * 300 + b";prefetch", b"x" * 8000 + b" PreRender"):
        assert prefetching(read([(b"sec-purpose", said)]))
        assert prefetching(read([(b"purpose", b"x" * 300), (b"purpose", said)]))


def test_hostile_headers_cost_little_memory() -> None:
    names = [
        b"sec-purpose",
        b"purpose",
        b"x-purpose",
        b"x-moz",
        b"user-agent",
        b"accept",
        b"sec-ch-ua",
    ]
    signals = read([(name, letter * 9000) for name in names for letter in (b"a", b"b")])
    kept = [getattr(signals, name.decode().replace("-", "_")) for name in names]
    assert sum(map(len, kept)) <= USER_AGENT_LIMIT + 6 * HEADER_LIMIT


def test_values_are_clamped() -> None:
    long = b"x" * 100_000
    signals = gather(
        "M" * 9999,
        [(b"user-agent", long), (b"accept", long), (b"cookie", long)],
        "x" * 9999,
        "https",
        PROXIES,
    )
    assert len(signals.user_agent) == USER_AGENT_LIMIT
    assert len(signals.accept) == HEADER_LIMIT
    assert len(signals.cookie) == COOKIE_LIMIT
    assert len(signals.method) == 16
    assert signals.address == ""


@pytest.mark.parametrize(
    ("who", "headers", "peer", "address"),
    [
        ("no proxy", [], "203.0.113.5", "203.0.113.5"),
        ("a trusted proxy that says nothing", [], "10.0.0.1", "10.0.0.1"),
        ("one proxy", [(XFF, b"203.0.113.5")], "10.0.0.1", "203.0.113.5"),
        ("spoofed by a stranger", [(XFF, b"198.51.100.1")], "203.0.113.5", "203.0.113.5"),
        ("spoofed on the left", [(XFF, b"1.1.1.1, 203.0.113.5")], "10.0.0.1", "203.0.113.5"),
        (
            "spoofed as a trusted address on the left",
            [(XFF, b"10.9.9.9, 203.0.113.5")],
            "10.0.0.1",
            "203.0.113.5",
        ),
        (
            "spoofed in a line of its own",
            [(XFF, b"1.1.1.1"), (XFF, b"203.0.113.5")],
            "10.0.0.1",
            "203.0.113.5",
        ),
        (
            "two proxies, a line each",
            [(XFF, b"203.0.113.5"), (XFF, b"10.0.0.2")],
            "10.0.0.1",
            "203.0.113.5",
        ),
        ("cut in the middle of an entry", [(XFF, b"10.0.0.2," * 1000)], "10.0.0.1", "10.0.0.2"),
        ("two proxies", [(XFF, b"203.0.113.5, 10.0.0.2")], "10.0.0.1", "203.0.113.5"),
        (
            "three, one by its address",
            [(XFF, b"203.0.113.5,192.0.2.1,10.0.0.2")],
            "10.0.0.1",
            "203.0.113.5",
        ),
        ("everyone trusted", [(XFF, b"10.1.1.1, 10.0.0.2")], "10.0.0.1", "10.1.1.1"),
        ("a port", [(XFF, b"203.0.113.5:4711")], "10.0.0.1", "203.0.113.5"),
        ("brackets and a port", [(XFF, b"[2001:db8::5]:4711")], "10.0.0.1", "2001:db8::5"),
        ("IPv6", [(XFF, b"2001:DB8:0:0::5")], "2001:db8:aa::1", "2001:db8::5"),
        ("IPv4 in IPv6 clothing", [(XFF, b"203.0.113.5")], "::ffff:10.0.0.1", "203.0.113.5"),
        ("a visitor in IPv6 clothing", [(XFF, b"::ffff:203.0.113.5")], "10.0.0.1", "203.0.113.5"),
        ("unknown", [(XFF, b"203.0.113.5, unknown")], "10.0.0.1", ""),
        ("junk", [(XFF, b"\xff\x00<script>")], "10.0.0.1", ""),
        ("empty", [(XFF, b"")], "10.0.0.1", "10.0.0.1"),
        ("only commas", [(XFF, b",,, ,")], "10.0.0.1", "10.0.0.1"),
        ("a peer without an address", [(XFF, b"203.0.113.5")], "", ""),
        ("Forwarded", [(FORWARDED, b"for=203.0.113.5;proto=https")], "10.0.0.1", "203.0.113.5"),
        (
            "Forwarded, IPv6 in quotes",
            [(FORWARDED, b'For="[2001:db8::5]:4711"')],
            "10.0.0.1",
            "2001:db8::5",
        ),
        (
            "Forwarded, spoofed on the left",
            [(FORWARDED, b"for=1.1.1.1, for=203.0.113.5;by=10.0.0.2, for=10.0.0.2")],
            "10.0.0.1",
            "203.0.113.5",
        ),
        ("Forwarded, hidden", [(FORWARDED, b"for=_hidden")], "10.0.0.1", ""),
        ("Forwarded by a stranger", [(FORWARDED, b"for=1.1.1.1")], "203.0.113.5", "203.0.113.5"),
        (
            "Forwarded by the visitor, X-Forwarded-For by the proxy",
            [(FORWARDED, b"for=1.1.1.1"), (XFF, b"203.0.113.5")],
            "10.0.0.1",
            "203.0.113.5",
        ),
        (
            "a chain too long to be honest",
            [(XFF, b"1.1.1.1," * 5000 + b" 203.0.113.5")],
            "10.0.0.1",
            "203.0.113.5",
        ),
    ],
)
def test_address(who: str, headers: Headers, peer: str, address: str) -> None:
    assert read(headers, peer).address == address


@pytest.mark.parametrize(
    ("who", "headers", "peer", "scheme", "secure"),
    [
        ("plain", [], "203.0.113.5", "http", False),
        ("https to us", [], "203.0.113.5", "https", True),
        ("said by the proxy", [(XFF, b"203.0.113.5"), (PROTO, b"https")], "10.0.0.1", "http", True),
        ("said by it alone", [(PROTO, b"https")], "10.0.0.1", "http", True),
        ("in capitals", [(PROTO, b"HTTPS")], "10.0.0.1", "http", True),
        ("said by a stranger", [(PROTO, b"https")], "203.0.113.5", "http", False),
        (
            "http to the proxy",
            [(XFF, b"203.0.113.5"), (PROTO, b"http")],
            "10.0.0.1",
            "https",
            False,
        ),
        (
            "spoofed on the left",
            [(XFF, b"203.0.113.5"), (PROTO, b"https, http")],
            "10.0.0.1",
            "http",
            False,
        ),
        (
            "two proxies, https to the outer one",
            [(XFF, b"203.0.113.5, 10.0.0.2"), (PROTO, b"https, http")],
            "10.0.0.1",
            "http",
            True,
        ),
        (
            "two proxies, the inner one passed it on",
            [(XFF, b"203.0.113.5, 10.0.0.2"), (PROTO, b"https")],
            "10.0.0.1",
            "http",
            True,
        ),
        ("Forwarded", [(FORWARDED, b"for=203.0.113.5;proto=https")], "10.0.0.1", "http", True),
        (
            "Forwarded, spoofed on the left",
            [(FORWARDED, b"proto=https, for=203.0.113.5;proto=http")],
            "10.0.0.1",
            "http",
            False,
        ),
        ("Forwarded without proto", [(FORWARDED, b"for=203.0.113.5")], "10.0.0.1", "https", True),
    ],
)
def test_secure(who: str, headers: Headers, peer: str, scheme: str, secure: bool) -> None:
    assert read(headers, peer, scheme).secure is secure


def test_without_trusted_proxies_nothing_is_believed() -> None:
    headers = [(XFF, b"1.1.1.1"), (PROTO, b"https"), (FORWARDED, b"for=1.1.1.1;proto=https")]
    signals = gather("GET", headers, "10.0.0.1", "http", TrustedProxies())
    assert (signals.address, signals.secure) == ("10.0.0.1", False)


@pytest.mark.parametrize("bad", ["10.0.0.0/33", "proxy.example", "", "10.0.0"])
def test_a_bad_network_is_named(bad: str) -> None:
    with pytest.raises(ValueError, match="is not a network") as caught:
        TrustedProxies(["10.0.0.0/8", bad])
    assert repr(bad) in str(caught.value)


def test_a_network_may_have_host_bits() -> None:
    assert TrustedProxies(["10.1.2.3/8"]).trusts("10.9.9.9")


def test_a_network_in_ipv6_clothing_holds_the_addresses_that_signals_undress() -> None:
    proxies = TrustedProxies(["::ffff:10.1.0.0/112", "2001:db8::/32"])
    assert proxies.trusts(normalise("::ffff:10.1.9.9"))
    assert proxies.trusts("10.1.9.9")
    assert not proxies.trusts("10.2.9.9")
    assert not proxies.trusts("::10.1.9.9")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.77:80", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("junk", ""),
        ("203.0.113.256", ""),
    ],
)
def test_truncate(address: str, network: str) -> None:
    assert truncate(address) == network


@given(st.text(max_size=100))
def test_addresses_of_any_sort_do_not_raise(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert (truncate(text) == "") is (normalise(text) == "")


@given(
    st.lists(
        st.tuples(st.sampled_from([XFF, FORWARDED, PROTO, b"host"]), st.binary(max_size=200)),
        max_size=6,
    )
)
def test_junk_from_a_trusted_proxy_does_not_raise(headers: Headers) -> None:
    signals = read(headers)
    assert normalise(signals.address) == signals.address


@pytest.mark.parametrize(
    ("peer", "headers", "known"),
    [
        ("203.0.113.7", [], True),
        ("2001:db8:1::7", [], True),
        ("10.0.0.1", [(XFF, b"198.51.100.7")], True),
        ("10.0.0.1", [(XFF, b"192.168.7.7")], True),  # somebody in the operator's own network
        ("10.0.0.1", [(FORWARDED, b"for=198.51.100.7")], True),
        # A proxy that tells nothing of the visitor, or only of other trusted hops.
        ("10.0.0.1", [], False),
        ("10.0.0.1", [(PROTO, b"https")], False),
        ("10.0.0.1", [(XFF, b"10.0.0.2")], False),
        ("10.0.0.1", [(XFF, b"unknown")], False),
        # A private peer may be a proxy that nobody configured, whatever it sends.
        ("127.0.0.1", [], False),
        ("172.17.0.1", [(XFF, b"198.51.100.7")], False),
        ("::1", [], False),
        ("", [], False),
    ],
)
def test_an_address_is_known_only_if_it_is_the_visitors_own(
    peer: str, headers: Headers, known: bool
) -> None:
    assert read(headers, peer).address_known is known


def test_private_networks() -> None:
    private = ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.0.1", "169.254.1.1", "100.64.0.1"]
    assert all(map(is_private, [*private, "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"]))
    public = ["198.51.100.7", "172.32.0.1", "100.128.0.1", "2001:db8::1", "", "junk"]
    assert not any(map(is_private, public))


def test_neighbourhoods() -> None:
    assert neighbourhood("198.51.100.7") == neighbourhood("198.51.100.200") == "198.51.100.0/24"
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff") == "2001:db8::/64"
    assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
    assert neighbourhood("junk") == ""


@pytest.mark.parametrize(
    "dressed",
    ["::ffff:198.51.100.7", "2002:c633:6407::1", "64:ff9b::c633:6407", "64:ff9b::198.51.100.7"],
)
def test_an_ipv4_address_in_ipv6_clothing_is_cut_as_one(dressed: str) -> None:
    assert normalise(dressed) == "198.51.100.7"
    assert truncate(dressed) == neighbourhood(dressed) == "198.51.100.0/24"


def test_other_ipv6_addresses_stay_what_they_are() -> None:
    for address in ("2001:db8::1", "64:ff9b:1::c633:6407", "64:ff9a::c633:6407", "2003::1"):
        assert normalise(address) == address
