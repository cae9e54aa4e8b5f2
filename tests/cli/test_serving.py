"""Sockets: where one listens, and what is said when it can't."""

import socket

import pytest

from linkgate.serving import Unservable, bind, url_of


def test_port_0_takes_a_free_one() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert port > 0
        assert url_of(listener) == f"http://127.0.0.1:{port}"
        socket.create_connection(("127.0.0.1", port)).close()


def test_localhost_is_reached_as_127_0_0_1() -> None:
    with bind("localhost", 0) as listener:
        assert url_of(listener).startswith("http://127.0.0.1:")


def test_a_taken_port_is_told_with_the_mend() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unservable, match=f"port {port} on 127.0.0.1 is taken.*--port"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "nowhere.invalid", "\u00e4" * 80])
def test_an_address_of_another_machine_is_told_with_the_mend(host: str) -> None:
    with pytest.raises(Unservable, match=r"is not an address of this machine.*--host"):
        bind(host, 0)


def test_an_ipv6_address_is_written_in_brackets() -> None:
    class Listener:
        def getsockname(self) -> tuple[str, int, int, int]:
            return ("::1", 8080, 0, 0)

    assert url_of(Listener()) == "http://[::1]:8080"  # type: ignore[arg-type]
