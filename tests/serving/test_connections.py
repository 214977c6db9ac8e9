"""Clients that hold connections without asking for anything, and the log meanwhile."""

import contextlib
import http.client
import json
import resource
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reseen.gallery import Gallery
from reseen.serving import Limits
from reseen.serving import connections as bounds
from tests.serving.conftest import TOKEN, Colours, client, packed, paint, serving
from tests.serving.test_hosts import CERTIFICATE, KEY

HALF = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from reseen.gallery import Gallery
from reseen.serving import create_app, listen, run
from tests.serving.conftest import TOKEN, Colours
with Gallery(sys.argv[1], Colours.fingerprint) as gallery:
    listening = listen(port=0)
    print(listening.getsockname()[1], flush=True)
    run(create_app(gallery, Colours(), token=TOKEN), listening)
"""


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@contextlib.contextmanager
def held(port: int, count: int, sent: bytes = HALF) -> Iterator[list[socket.socket]]:
    """Hold connections that have sent the beginning of a request."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)))
            with contextlib.suppress(OSError):
                made[-1].sendall(sent)
        yield made


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except OSError:
        return True


def test_a_head_that_never_ends_is_not_waited_for(gallery: Gallery) -> None:
    with serving(gallery, Colours(), Limits(header_seconds=0.5)) as address, held(port_of(address), 3) as made:
        begin = time.monotonic()
        for _ in range(4):  # a byte now and then does not help
            time.sleep(0.1)
            made[0].sendall(b"x")
        assert all(is_closed(connection) for connection in made)
        assert time.monotonic() - begin < 5


def test_silence_after_an_answer_is_not_waited_for_either(gallery: Gallery) -> None:
    begun = b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
    with (
        serving(gallery, Colours(), Limits(header_seconds=0.5)) as address,
        held(port_of(address), 1, begun) as (connection,),
    ):
        assert connection.recv(12) == b"HTTP/1.1 401"
        end = time.monotonic() + 5
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012
            while time.monotonic() < end:  # the body goes on, byte by byte
                connection.sendall(b"x")
                time.sleep(0.05)


def test_an_answer_that_is_not_taken_is_dropped(gallery: Gallery) -> None:
    with serving(gallery, Colours(), Limits(header_seconds=0.5)) as address, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", port_of(address)))
        asked = threading.Thread(target=lambda: send_until_closed(connection))
        asked.start()
        asked.join(8)
        assert not asked.is_alive(), "the server still waits for its answers to be taken"


def send_until_closed(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"GET /page.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20)


@pytest.mark.parametrize("token", [TOKEN, "none"])
def test_a_body_in_far_too_many_chunks_is_not_read_to_its_end(gallery: Gallery, token: str) -> None:
    head = f"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: image/png\r\n"
    with serving(gallery, Colours()) as address, client(address) as asking:
        with (
            socket.create_connection(("127.0.0.1", port_of(address)), timeout=30) as sending,
            contextlib.suppress(OSError),
        ):
            sending.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"1\r\na\r\n" * 500_000)
            while sending.recv(65_536):
                pass
        usual = (packed(paint(0)) for _ in range(1))
        assert asking.post("/search", content=usual).status_code == 200
        full = packed(paint(0)) + b"\r\n" * bounds.MAX_LINES  # as a picture may well be, in one piece
        assert asking.post("/search", content=full).status_code == 200
        assert asking.get("/facts").json()["items"] == 0


@pytest.mark.parametrize("encrypted", [False, True])
def test_those_who_ask_come_in_while_others_hold_every_place(gallery: Gallery, encrypted: bool) -> None:
    options = {"certificate": CERTIFICATE, "key": KEY} if encrypted else {}
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    limits = Limits(num_connections=20, header_seconds=60)
    with (
        serving(gallery, Colours(), limits, **options) as address,
        held(port_of(address), 60, b"" if encrypted else HALF) as made,
    ):
        for number in range(10):
            with client(address, verify=trust) as asking:
                begin = time.monotonic()
                assert asking.get("/health").status_code == 200
                assert asking.post("/search", content=packed(paint(number))).status_code == 200
                assert time.monotonic() - begin < 5
        open_now = 0
        for connection in made:
            connection.settimeout(0.01)
            try:
                open_now += connection.recv(1) != b""
            except TimeoutError:
                open_now += 1
            except OSError:
                pass
        assert 5 <= open_now <= 20


UPLOAD = (
    f"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    "Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc"
).encode()
UNREAD = b"GET /page.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1200


@pytest.mark.parametrize("sent", [UPLOAD, UNREAD], ids=["bodies that do not come", "answers that are not taken"])
def test_those_who_ask_come_in_while_others_have_requests_everywhere(gallery: Gallery, sent: bytes) -> None:
    with (
        serving(gallery, Colours(), Limits(num_connections=6, header_seconds=60)) as address,
        held(port_of(address), 6, sent),
    ):
        for _ in range(60):  # until every answer has filled its buffers
            time.sleep(0.25)
            with client(address) as asking, contextlib.suppress(httpx.TransportError):
                if asking.get("/health", timeout=5).status_code == 200:
                    return
        pytest.fail("nobody comes in")


def test_a_connection_with_a_request_is_not_closed_for_others(gallery: Gallery) -> None:
    with serving(gallery, Colours(seconds=1.5), Limits(num_connections=5, header_seconds=60)) as address:
        answers: list[int] = []

        def search() -> None:
            with client(address) as asking:
                answers.append(asking.post("/search", content=packed(paint(0))).status_code)

        searching = threading.Thread(target=search)
        searching.start()
        time.sleep(0.5)
        with held(port_of(address), 30):
            searching.join()
        assert answers == [200]


def test_more_connections_than_files_neither_stop_it_nor_fill_the_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FEW_FILES, str(tmp_path / "gallery")]
    here = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with held(port, 400), httpx.Client(trust_env=False) as asking:
            for _ in range(20):
                assert asking.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
            for _ in range(30):  # each would be a line of its own
                with held(port, 1, b"nonsense\r\n\r\n") as (connection,):
                    assert connection.recv(100).startswith(b"HTTP/1.1 400")
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert log.count("more than") == 1
    assert len(log.splitlines()) <= 4, log


def trickle(made: list[socket.socket], stopped: threading.Event) -> None:
    """Send a byte of every body every now and then."""
    while not stopped.wait(0.5):
        for connection in made:
            with contextlib.suppress(OSError):
                connection.sendall(b"x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "sent"), [(300, UPLOAD), (100, UNREAD), (300, None)], ids=["trickling bodies", "unread answers", "resets"]
)
def test_health_answers_within_a_second_beside_many(tmp_path: Path, count: int, sent: bytes | None) -> None:
    command = [sys.executable, "-c", FEW_FILES.replace("(200, ", "(1024, "), str(tmp_path / "gallery")]
    seconds = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        port, stopped = int(process.stdout.readline()), threading.Event()
        with held(port, count if sent else 0, sent or b"") as made, httpx.Client(trust_env=False) as asking:
            trickling = threading.Thread(target=trickle, args=(made, stopped))
            trickling.start()
            for _ in range(40):
                if sent is None:
                    reset(port, count)
                begin = time.monotonic()
                assert asking.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code == 200
                seconds.append(time.monotonic() - begin)
                time.sleep(0.25)
            stopped.set()
            trickling.join()
        process.terminate()
    assert process.returncode == 0
    assert max(seconds) < 1, sorted(seconds)[-5:]


def reset(port: int, count: int) -> None:
    """Begin requests, and break them off as a client does that is killed."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(UPLOAD)


def test_room_is_left_for_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, wanted in ((1024, 896), (200, 100), (10**6, 4096), (resource.RLIM_INFINITY, 4096), (2, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert bounds.max_connections() == wanted


class Blocked(Gallery):
    """A gallery that another takes hold of for a long time."""

    free = threading.Event()

    def __len__(self) -> int:
        assert self.free.wait(60)
        return 0


def test_health_answers_while_the_gallery_does_not(tmp_path: Path) -> None:
    with Blocked(tmp_path / "gallery", Colours.fingerprint) as gallery, serving(gallery, Colours()) as address:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(address), timeout=30)
        with contextlib.closing(connection):
            for _ in range(3):
                begin = time.monotonic()
                connection.request("GET", "/health")
                answer = connection.getresponse()
                assert (answer.status, list(json.load(answer))) == (503, ["error"])
                assert time.monotonic() - begin < 2
            gallery.free.set()
            connection.request("GET", "/health")
            assert json.load(connection.getresponse()) == {"status": "ok"}


def test_health_says_no_path(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "a secret place", Colours.fingerprint)
    gallery.add(Colours()([paint(0)]))
    gallery.close()  # every use raises a GalleryError that names it
    with serving(gallery, Colours()) as address, client(address) as asking:
        for path in ("/health", "/facts"):
            answer = asking.get(path)
            assert answer.status_code == 503
            assert "secret" not in answer.text
