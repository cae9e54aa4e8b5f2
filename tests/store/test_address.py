from pathlib import Path

import pytest

from linkgate.errors import ConfigError
from linkgate.store.address import Address, parse_address


def test_it_reads_an_embedded_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_address("embedded:data") == Address(kind="embedded", path=tmp_path / "data")
    assert parse_address(f"embedded:{tmp_path}/x").path == tmp_path / "x"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", Address(kind="tcp", nodes=(("h", 6379),))),
        ("redis://h:1/2", Address(kind="tcp", nodes=(("h", 1),), db=2)),
        ("redis://h?db=3", Address(kind="tcp", nodes=(("h", 6379),), db=3)),
        ("redis://[::1]:7", Address(kind="tcp", nodes=(("::1", 7),))),
        (
            "rediss://u:p%40%2F@h",
            Address(kind="tcp", nodes=(("h", 6379),), username="u", password="p@/", tls=True),
        ),
        (
            "rediss://:p@h?ssl_ca_certs=/ca.pem",
            Address(
                kind="tcp",
                nodes=(("h", 6379),),
                password="p",
                tls=True,
                tls_options=(("ssl_ca_certs", "/ca.pem"),),
            ),
        ),
        ("unix:///run/v.sock", Address(kind="unix", path=Path("/run/v.sock"))),
        ("unix:///run/v.sock?db=2", Address(kind="unix", path=Path("/run/v.sock"), db=2)),
        (
            "redis+cluster://u:p@a:1,b:2,[::1]:3",
            Address(
                kind="cluster",
                nodes=(("a", 1), ("b", 2), ("::1", 3)),
                username="u",
                password="p",
            ),
        ),
        ("rediss+cluster://a", Address(kind="cluster", nodes=(("a", 6379),), tls=True)),
        ("redis+cluster://a/0", Address(kind="cluster", nodes=(("a", 6379),))),
    ],
)
def test_it_reads_a_servers_url(url: str, expected: Address) -> None:
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("", "write one of"),
        ("redis", "write one of"),
        ("redis:host", "write one of"),
        ("http://host", "write one of"),
        ("embedded:", "embedded:<folder>"),
        ("embedded://data", "embedded:<folder>"),
        ("embedded:a\0b", "embedded:<folder>"),
        ("redis://", "host:port"),
        ("redis://host:port", "host:port"),
        ("redis://host:70000", "host:port"),
        ("redis://[::1", "write one of"),
        ("redis://host/name", "redis://host:port/0"),
        ("redis://host/\u00b2", "redis://host:port/0"),
        ("redis://a,b", "redis+cluster://"),
        ("redis+cluster://a,,b", "host:port"),
        ("redis+cluster://a/1", "leave the number out"),
        ("redis://host?ssl_ca_certs=/x", "known are db"),
        ("rediss://host?ssl_cert_reqs=maybe", "required, optional, none"),
        ("rediss://host?ssl_ca_certs=", "fill it in"),
        ("unix://run/v.sock", "three slashes"),
    ],
)
def test_it_names_the_mend(url: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(url)
    [problem] = caught.value.problems
    assert problem.field == "store.url"
    assert mend in problem.message


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:hunter2@host:port",
        "redis://u:hunter2@host?hunter2",
        "redis://u:hunter2@host/name",
        "http://u:hunter2@host",
        "redis://u:hunter2@[::1",
        "redis://u:hunter2/@host:1",
        "redis://u:hunter2?@host:1",
        "redis://u:p?hunter2=@host:1",
        "redis+cluster://u:hunter2?x@host:1",
    ],
)
def test_no_error_repeats_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(url)
    assert "hunter2" not in str(caught.value)


def test_neither_text_nor_repr_shows_the_password() -> None:
    address = parse_address("redis+cluster://u:hunter2@a:1,[::1]:2")
    assert str(address) == "a:1,[::1]:2"
    assert "hunter2" not in repr(address)
