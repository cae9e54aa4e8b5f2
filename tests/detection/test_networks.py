"""Who owns a network, by range and by AS number; and the two rules that say so."""

import re
from datetime import date
from ipaddress import ip_address, ip_network
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from linkgate.addresses import RangeMap
from linkgate.asn import AsnDatabase
from linkgate.detection import RULES, History, Networks, Ruleset, Standing, judge
from linkgate.detection.networks import (
    Holding,
    Owner,
    Sort,
    known_numbers,
    known_ranges,
)
from linkgate.detection.whereabouts import network_hosting, network_mail_security
from linkgate.errors import ConfigError
from linkgate.signals import Signals
from tests.detection.scenes import scene

HOLDINGS = (*known_ranges(), *known_numbers())
# What no entry may touch: private, special, documentation's, and networks that carry people.
KEPT_OUT = {
    "0.0.0.0/8": "special",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carriers' NAT",
    "127.0.0.0/8": "this machine",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.2.0/24": "documentation",
    "192.168.0.0/16": "private",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/3": "multicast and reserved",
    "::/16": "special",
    "2001:db8::/32": "documentation",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "17.0.0.0/8": "Apple",
    "104.16.0.0/13": "Cloudflare, WARP and Private Relay among it",
    "104.28.0.0/16": "Private Relay through Cloudflare",
    "172.64.0.0/13": "Cloudflare",
    "2606:4700::/32": "Cloudflare",
    "2a09:bac0::/29": "Cloudflare WARP",
    "23.32.0.0/11": "Akamai",
    "172.224.0.0/14": "Private Relay through Akamai",
    "151.101.0.0/16": "Fastly",
    "146.75.0.0/16": "Private Relay through Fastly",
    "165.225.0.0/17": "Zscaler",
    "136.226.0.0/16": "Zscaler",
    "163.116.128.0/17": "Netskope",
    "73.0.0.0/8": "Comcast",
    "172.56.0.0/13": "T-Mobile US",
    "79.192.0.0/10": "Deutsche Telekom",
    "86.128.0.0/10": "BT",
    "2600:1000::/28": "Verizon Wireless",
}
PERFECT_CHROME = Signals(
    user_agent="Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36",
    accept="text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    accept_language="en-GB,en;q=0.9",
    accept_encoding="gzip, deflate, br, zstd",
    sec_fetch_site="none",
    sec_fetch_mode="navigate",
    sec_fetch_dest="document",
    sec_fetch_user="?1",
    sec_ch_ua='"Chromium";v="156", "Google Chrome";v="156", "Not/A)Brand";v="8"',
    sec_ch_ua_mobile="?0",
    sec_ch_ua_platform='"Windows"',
    secure=True,
    address="198.51.100.7",
)
BY_NAME = {holding.owner.name: holding for holding in known_ranges()}


def at(address: str) -> Signals:
    return Signals(address=address)


# --- the files


@pytest.mark.parametrize("holding", HOLDINGS, ids=lambda holding: holding.owner.name)
def test_each_entry_says_from_where_and_when(holding: Holding) -> None:
    assert holding.owner.name
    assert len(holding.source) > 5
    assert date(2026, 1, 1) <= holding.date
    assert holding.networks or holding.numbers


def test_no_owner_stands_twice_in_a_file() -> None:
    for file in (known_ranges(), known_numbers()):
        names = [holding.owner.name for holding in file]
        assert len(names) == len(set(names))


def test_an_owner_is_of_one_sort_in_both_files() -> None:
    owners = {holding.owner for holding in HOLDINGS}
    assert len({owner.name for owner in owners}) == len(owners)


@pytest.mark.parametrize("holding", known_ranges(), ids=lambda holding: holding.owner.name)
def test_ranges_are_merged(holding: Holding) -> None:
    merged = IPSet([str(network) for network in holding.networks])
    assert sorted(map(str, merged.iter_cidrs())) == sorted(map(str, holding.networks))


def test_no_range_of_one_host_is_also_another_hosts() -> None:
    hosts = {
        holding.owner.name: IPSet([str(network) for network in holding.networks])
        for holding in known_ranges()
        if holding.owner.sort is Sort.HOSTING
    }
    for one, other in combinations(hosts, 2):
        assert hosts[one].isdisjoint(hosts[other]), (one, other)


def test_no_as_number_has_two_owners() -> None:
    numbers = [number for holding in known_numbers() for number in holding.numbers]
    assert len(numbers) == len(set(numbers))
    assert all(0 < number < 64496 or 131072 <= number < 4200000000 for number in numbers)


@pytest.mark.parametrize("kept_out", KEPT_OUT)
def test_networks_of_people_and_nobody_are_kept_out(kept_out: str) -> None:
    free = ip_network(kept_out)
    for holding in known_ranges():
        for network in holding.networks:
            assert network.version != free.version or not network.overlaps(free), holding.owner


# --- owners


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("40.94.16.31", "Microsoft Defender for Office 365"),
        ("40.94.89.200", "Microsoft Defender for Office 365"),
        ("40.107.235.9", "Microsoft Exchange Online"),
        ("104.47.55.110", "Microsoft Exchange Online"),
        ("2a01:111:f400:7e88::1", "Microsoft Exchange Online"),
        ("2a01:111:f403:c111::9", "Microsoft Exchange Online"),
        ("20.72.100.79", "Microsoft Azure"),
        ("2607:f8b0:4004:c1b::5", "Google"),
        ("64.235.150.7", "Barracuda"),
        ("209.222.82.1", "Barracuda"),
        ("67.231.152.10", "Proofpoint"),
        ("207.211.30.64", "Mimecast"),
        ("216.71.128.9", "Cisco Secure Email"),
        ("52.4.4.4", "Amazon Web Services"),
        ("::ffff:52.4.4.4", "Amazon Web Services"),
        ("35.190.1.1", "Google Cloud"),
        ("95.216.1.1", "Hetzner"),
        ("2a01:4f8:c17:b0f::2", "Hetzner"),
        ("51.38.1.1", "OVHcloud"),
        ("159.65.1.1", "DigitalOcean"),
    ],
)
def test_owner_is_known(address: str, name: str) -> None:
    assert [owner.name for owner in Networks().owners(address)] == [name]


def test_a_vendors_network_inside_a_cloud_has_both_owners() -> None:
    owners = Networks().owners("18.208.22.70")
    assert {owner.name for owner in owners} == {"Trend Micro", "Amazon Web Services"}


@pytest.mark.parametrize(
    "address",
    ["", "junk", "40.94.16", "40.94.16.31.1", "40.94.16.31/32", " ", "1" * 5000, "unknown", "::"],
)
def test_junk_has_no_owner(address: str) -> None:
    assert Networks().owners(address) == ()


def test_addresses_of_people_have_no_owner() -> None:
    networks = Networks()
    for address in ("198.51.100.7", "203.0.113.9", "192.0.2.1", "10.1.2.3", "93.184.216.34"):
        assert networks.owners(address) == ()


@pytest.mark.parametrize("holding", known_ranges(), ids=lambda holding: holding.owner.name)
def test_each_range_begins_and_ends_where_it_says(holding: Holding) -> None:
    networks = Networks()
    for network in holding.networks:
        for address in (network.network_address, network.broadcast_address):
            assert holding.owner in networks.owners(str(address))


NETWORKS_OF_ALL_SIZES = st.builds(
    lambda number, bits: ip_network((number, bits), strict=False),
    st.integers(0, 0xFF),  # a small space, so that they overlap
    st.integers(24, 32),
)


@given(st.lists(st.tuples(NETWORKS_OF_ALL_SIZES, st.sampled_from("abc")), max_size=12))
def test_pieces_say_what_looking_at_each_network_says(pairs: list[tuple]) -> None:
    ranges = RangeMap(pairs)
    for number in (*range(0x100), 0x100, 0xFFFFFFFF):
        address = ip_address(number)
        expected = {value for network, value in pairs if address in network}
        found = ranges.find(str(address))
        assert set(found) == expected
        assert len(found) == len(expected)


def test_neighbours_of_one_value_are_one_piece_whichever_comes_first() -> None:
    halves = [(ip_network("10.0.0.0/9"), "ours"), (ip_network("10.128.0.0/9"), "ours")]
    for pairs in (halves, halves[::-1]):
        ranges = RangeMap(pairs)
        inside = ("10.0.0.0", "10.127.255.255", "10.128.0.0", "10.255.255.255")
        assert [ranges.find(address) for address in inside] == [("ours",)] * 4
        assert [ranges.find(address) for address in ("9.255.255.255", "11.0.0.0")] == [()] * 2


def test_the_two_versions_of_ip_do_not_meet() -> None:
    ranges = RangeMap([(ip_network("0.0.0.0/1"), "four"), (ip_network("8000::/1"), "six")])
    assert ranges.find("1.2.3.4") == ("four",)
    assert ranges.find("::1.2.3.4") == ()
    assert ranges.find("ffff::1") == ("six",)
    assert ranges.find("255.255.255.255") == ()


@pytest.mark.parametrize("address", ["", "junk", "1.2.3", "1.2.3.4.5", "1.2.3.4/32"])
def test_junk_is_in_no_range(address: str) -> None:
    everywhere = [(ip_network("0.0.0.0/0"), "four"), (ip_network("::/0"), "six")]
    assert RangeMap(everywhere).find(address) == ()


def test_as_number_tells_the_owner_where_no_range_does() -> None:
    asked = []

    def asn_of(address: str) -> int | None:
        asked.append(address)
        return {"198.51.100.1": 22843, "198.51.100.2": 64500}.get(address)

    networks = Networks(asn_of)
    assert networks.owners("198.51.100.1") == (Owner("Proofpoint", Sort.MAIL_SECURITY),)
    assert networks.owners("198.51.100.2") == ()
    assert networks.owners("198.51.100.3") == ()
    networks.owners("198.51.100.1")
    networks.owners("junk")
    networks.owners("")
    assert asked == ["198.51.100.1", "198.51.100.2", "198.51.100.3"]


def test_an_owner_known_twice_is_named_once() -> None:
    networks = Networks(lambda _: 22843)
    assert networks.owners("67.231.152.10") == (Owner("Proofpoint", Sort.MAIL_SECURITY),)
    assert len(networks.owners("52.4.4.4")) == 2


# --- the rules


def test_mail_security_is_doubted_by_name() -> None:
    found = network_mail_security(scene(at("40.94.16.31")))
    assert found is not None
    assert found.points_to is Standing.SUSPECT
    assert "Microsoft Defender for Office 365" in found.reason
    assert network_hosting(scene(at("40.94.16.31"))) is None


def test_hosting_is_doubted_by_name() -> None:
    found = network_hosting(scene(at("20.72.100.79")))
    assert found is not None
    assert found.points_to is Standing.SUSPECT
    assert "Microsoft Azure" in found.reason
    assert network_mail_security(scene(at("20.72.100.79"))) is None


def test_each_rule_names_the_owners_of_its_own_sort() -> None:
    inside = scene(at("18.208.22.70"))
    mail, host = network_mail_security(inside), network_hosting(inside)
    assert mail is not None
    assert host is not None
    assert "Trend Micro" in mail.reason
    assert "Amazon" not in mail.reason
    assert "Amazon" in host.reason
    assert "Trend Micro" not in host.reason


@pytest.mark.parametrize("examine", [network_mail_security, network_hosting])
@pytest.mark.parametrize("address", ["", "junk", "198.51.100.7", "10.0.0.1", "2001:db8::7"])
def test_networks_of_people_are_not_doubted(examine, address: str) -> None:
    assert examine(scene(at(address))) is None


@pytest.mark.parametrize("examine", [network_mail_security, network_hosting])
def test_an_address_that_may_be_a_proxys_is_not_looked_up(examine) -> None:
    for address in ("40.94.16.31", "20.72.100.79", "18.208.22.70"):
        assert examine(scene(Signals(address=address, address_known=False))) is None


def perfect_at(address: str) -> Signals:
    fields = {name: getattr(PERFECT_CHROME, name) for name in PERFECT_CHROME.__struct_fields__}
    return Signals(**{**fields, "address": address})


def test_perfect_chrome_is_human_from_elsewhere() -> None:
    """What the next tests' verdicts are due to."""
    assert judge(PERFECT_CHROME, History()).value is Standing.HUMAN


@pytest.mark.parametrize("holding", known_ranges(), ids=lambda holding: holding.owner.name)
def test_a_network_alone_makes_nobody_automated(holding: Holding) -> None:
    for network in holding.networks:
        verdict = judge(perfect_at(str(network.network_address)), History())
        assert verdict.value is Standing.SUSPECT


@pytest.mark.parametrize("holding", known_numbers(), ids=lambda holding: holding.owner.name)
def test_an_as_number_alone_makes_nobody_automated(holding: Holding) -> None:
    for number in holding.numbers:
        rules = Ruleset(RULES.rules, networks=Networks(lambda _, number=number: number))
        assert judge(PERFECT_CHROME, History(), 0.0, rules).value is Standing.SUSPECT


# --- the database


def write_database(
    path: Path, kind: str, records: dict[str, dict], *, version: int = 6, compatible: bool = True
) -> Path:
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6 and compatible)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


SHAPES = {
    "GeoLite2-ASN": lambda number: {
        "autonomous_system_number": number,
        "autonomous_system_organization": "An Owner",
    },
    "DBIP-ASN-Lite (compat=GeoLite2-ASN)": lambda number: {
        "autonomous_system_number": number,
        "autonomous_system_organization": "An Owner",
    },
    "ipinfo bundle_location_lite.mmdb": lambda number: {
        "asn": f"AS{number}",
        "as_name": "An Owner",
        "as_domain": "owner.example",
        "country_code": "US",
    },
    "ipinfo standard_asn.mmdb": lambda number: {
        "asn": f"AS{number}",
        "domain": "owner.example",
        "name": "An Owner",
        "type": "hosting",
    },
}


@pytest.mark.parametrize("kind", SHAPES)
def test_database_of_each_maker(kind: str, tmp_path: Path) -> None:
    shape = SHAPES[kind]
    path = write_database(
        tmp_path / "asn.mmdb",
        kind,
        {"198.51.100.0/24": shape(22843), "2001:db8:7::/48": shape(24940)},
    )
    database = AsnDatabase(path)
    assert database.kind == kind
    assert database.built_at > 1_700_000_000
    assert database("198.51.100.9") == 22843
    assert database("2001:db8:7::1") == 24940
    assert database("203.0.113.1") is None
    names = [owner.name for owner in Networks(database).owners("2001:db8:7::1")]
    assert names == ["Hetzner"]
    database.close()


def test_a_lookup_never_fails(tmp_path: Path) -> None:
    records = {"198.51.100.0/24": {"autonomous_system_number": 22843}, "192.0.2.0/24": {"asn": ""}}
    database = AsnDatabase(write_database(tmp_path / "4.mmdb", "x-ASN", records, version=4))
    for address in ("", "junk", "2001:db8::1", "192.0.2.9", "1.2.3.4.5", "\x00"):
        assert database(address) is None
    assert database("198.51.100.1") == 22843
    database.close()
    assert database("198.51.100.1") is None


def _missing(folder: Path) -> Path:
    return folder / "nothing.mmdb"


def _a_folder(folder: Path) -> Path:
    return folder


def _empty(folder: Path) -> Path:
    path = folder / "empty.mmdb"
    path.write_bytes(b"")
    return path


def _no_database(folder: Path) -> Path:
    path = folder / "page.mmdb"
    path.write_text("<html>Your licence key is invalid</html>" * 100)
    return path


def _cut_short(folder: Path) -> Path:
    path = write_database(
        folder / "cut.mmdb", "GeoLite2-ASN", {"198.51.100.0/24": SHAPES["GeoLite2-ASN"](22843)}
    )
    path.write_bytes(path.read_bytes()[:-40])
    return path


def _damaged(folder: Path) -> Path:
    path = write_database(
        folder / "damaged.mmdb", "GeoLite2-ASN", {"198.51.100.0/24": SHAPES["GeoLite2-ASN"](22843)}
    )
    content = path.read_bytes()
    start = content.index(b"\xab\xcd\xefMaxMind.com")
    path.write_bytes(b"\xff" * start + content[start:])
    return path


def _of_cities(folder: Path) -> Path:
    return write_database(
        folder / "city.mmdb",
        "GeoLite2-City",
        {"198.51.100.0/24": {"city": {"names": {"en": "Oslo"}}, "country": {"iso_code": "NO"}}},
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_missing, "can't be read: No such file"),
        (_a_folder, "can't be read"),
        (_empty, "no MaxMind database"),
        (_no_database, "no MaxMind database"),
        (_cut_short, "damaged"),
        (_damaged, "damaged"),
        (_of_cities, "GeoLite2-City.*no AS numbers"),
    ],
)
def test_an_unusable_file_is_told_with_the_mend(make, said: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(ConfigError) as caught:
        AsnDatabase(path)
    (problem,) = caught.value.problems
    assert problem.field == "detection.asn_database"
    assert str(path) in problem.message
    assert re.search(said, problem.message)
    assert "GeoLite2-ASN" in problem.message
