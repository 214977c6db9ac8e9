"""Where the server listens, and by which names it may be called."""

import socket

import pytest

from reseen.errors import ReseenError
from reseen.serving import listen
from reseen.serving.server import is_loopback, names


def test_a_port_of_its_own_choice_can_be_reached_at_once() -> None:
    with listen(port=0) as listening, socket.create_connection(listening.getsockname()):
        assert listening.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [("127.0.0.1", None, "in use"), ("192.0.2.1", 0, "assign"), ("no such", 0, "")],
)
def test_a_place_that_cannot_be_had_is_one_line(host: str, port: int | None, found: str) -> None:
    with listen(port=0) as taken:
        asked = taken.getsockname()[1] if port is None else port
        with pytest.raises(ReseenError, match=rf"expected to listen on {host}, port {asked}, got: .*{found}.*; choose"):
            listen(host, asked)


def test_a_port_is_a_port() -> None:
    with pytest.raises(ReseenError, match="expected a port of 0 to 65535, got 99999"):
        listen(port=99_999)


def test_only_loopback_insists_on_its_names() -> None:
    assert names("0.0.0.0") is None
    assert names("example.org") is None
    for host in ("127.0.0.1", "localhost", "127.0.0.9"):
        assert host in (names(host) or ())
    assert is_loopback("::1")
