"""Several servers of one gallery on Milvus: equal, and none of them holds anything that the others do not see."""

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

from reseen.gallery import Gallery
from tests.gallery.conftest import milvus_address  # noqa: F401  (a fixture)
from tests.gallery.milvus_lite_server import free_port, lite_server
from tests.serving.conftest import TOKEN, Colours, client, packed, paint, serving
from tests.serving.test_load import SERVER

NAMES = itertools.count()


@pytest.fixture
def place(milvus_address: str) -> str:  # noqa: F811
    return f"milvus://{milvus_address}/servers_{next(NAMES)}"


@contextmanager
def server(location: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a gallery in a process of its own; give it and its address."""
    command = [sys.executable, "-c", SERVER, location, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def test_what_one_server_does_the_other_shows_at_once(place: str) -> None:
    with (
        Gallery(place, Colours.fingerprint) as first,
        Gallery(place, Colours.fingerprint) as second,
        serving(first, Colours()) as one,
        serving(second, Colours()) as two,
        client(one) as asking_one,
        client(two) as asking_two,
    ):
        for n in range(6):
            adding, looking = (asking_one, asking_two) if n % 2 else (asking_two, asking_one)
            picture = packed(paint(n))
            added = adding.post("/items", params={"identity": n, "camera": f"gate {n}"}, content=picture).json()
            assert added["new"]
            assert looking.post("/items", params={"camera": f"gate {n}"}, content=picture).json() == {
                "id": added["id"],
                "new": False,
            }
            best = looking.post("/search?k=1", content=packed(paint(n, 1))).json()["matches"][0]
            assert best["identity"] == n
            looking.patch(f"/items/{added['id']}", json={"identity": f"name {n}"}, headers=JSON).raise_for_status()
            assert adding.get(f"/items/{added['id']}").json()["identity"] == f"name {n}"
        assert asking_one.get("/facts").json() == asking_two.get("/facts").json()
        asking_two.delete(f"/items/{added['id']}").raise_for_status()
        assert asking_one.get(f"/items/{added['id']}").status_code == 404


JSON = {"Content-Type": "application/json"}


def test_a_server_lives_while_its_gallery_is_down_and_is_not_ready(tmp_path: Path) -> None:
    port = free_port()
    with lite_server(tmp_path / "milvus", port):
        gallery = Gallery(f"milvus://127.0.0.1:{port}/people", Colours.fingerprint)
        with serving(gallery, Colours()) as address, client(address, token="nobody's token") as anybody:
            assert anybody.get("/health").status_code == 200
            break_down(tmp_path, port)
            assert anybody.get("/health").status_code in (500, 503)
            assert anybody.get("/live").json() == {"status": "ok"}


def break_down(folder: Path, port: int) -> None:
    """Kill the Milvus that listens on a port."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"milvus_lite" in words and str(port).encode() in words:
            subprocess.run(["kill", "-9", process.name], check=True)


class Adding:
    """Clients that add pictures until they are told to stop, each to the first server that takes them."""

    def __init__(self, addresses: list[str]) -> None:
        self.acknowledged: dict[str, int] = {}
        self.stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._add, args=(addresses, n)) for n in range(4)]

    def __enter__(self) -> "Adding":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)

    def _add(self, addresses: list[str], first: int) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png"}
        with httpx.Client(headers=headers, timeout=20, trust_env=False) as asking:
            for turn in itertools.count(first):
                number = next(self._numbers)
                while not self.stop.is_set():
                    try:
                        address = addresses[turn % len(addresses)]
                        answer = asking.post(f"{address}/items?identity={number}", content=packed(paint(number)))
                    except httpx.TransportError:
                        turn += 1
                        continue
                    if answer.status_code == 200:
                        self.acknowledged[answer.json()["id"]] = number
                        break
                    time.sleep(0.05)
                if self.stop.is_set():
                    return

    def wait_for(self, count: int) -> None:
        """Wait until so many more have been acknowledged."""
        wanted = len(self.acknowledged) + count
        for _ in range(12_000):
            if len(self.acknowledged) >= wanted:
                return
            time.sleep(0.01)
        raise AssertionError(f"{len(self.acknowledged)} acknowledged")


@pytest.mark.faults
def test_a_server_killed_under_load_loses_nothing_acknowledged(place: str) -> None:
    with server(place) as (one, first), server(place) as (_, second), Adding([first, second]) as adding:
        adding.wait_for(15)
        one.kill()
        adding.wait_for(15)
    with Gallery(place, Colours.fingerprint) as gallery:
        found = gallery.items(list(adding.acknowledged))
        assert [item.identity for item in found if item is not None] == list(adding.acknowledged.values())


@pytest.mark.faults
@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_milvus_killed_under_load_loses_nothing_acknowledged(tmp_path: Path, kills: int) -> None:
    """With both servers going on beside it."""
    port = free_port()
    place = f"milvus://127.0.0.1:{port}/people"
    with lite_server(tmp_path / "milvus", port), Gallery(place, Colours.fingerprint) as gallery:
        gallery.add([[1.0] * 12])
    with lite_server(tmp_path / "milvus", port):
        servers = contextlib.ExitStack()
        first, second = (servers.enter_context(server(place))[1] for _ in range(2))
    with servers, Adding([first, second]) as adding:
        for _ in range(kills):
            with lite_server(tmp_path / "milvus", port):  # and kills it in the end
                adding.wait_for(10)
        adding.stop.set()
    with lite_server(tmp_path / "milvus", port), Gallery(place, Colours.fingerprint) as gallery:
        found = gallery.items(list(adding.acknowledged))
        assert [item.identity for item in found if item is not None] == list(adding.acknowledged.values())
