"""Where the server listens, and by which names it may be called."""

import socket

import pytest

from reseen.errors import ReseenError
from reseen.serving import allowed_names, listen
from reseen.serving.middleware import is_loopback


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


def test_a_server_is_called_by_its_own_names() -> None:
    for host in ("127.0.0.1", "localhost", "127.0.0.9"):
        assert allowed_names(host) == {"127.0.0.1", "localhost", "[::1]", host}
    assert socket.gethostname().lower() in allowed_names("0.0.0.0")
    assert {"gallery.lan", "localhost"} <= allowed_names("0.0.0.0", ["Gallery.LAN"])
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
