"""Verbs killed (SIGKILL) at random moments and called again: the same bytes as undisturbed, nothing acknowledged lost.

Training, studies and the writer of a gallery have tests of their own: `tests/training/test_resume.py`,
`tests/studies/test_killed*.py`, `tests/gallery/test_killed.py`.
"""

import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from reseen.cli import main
from reseen.gallery import Gallery
from tests.faults.house import House
from tests.faults.verbs import done, ended, forked
from tests.gallery.conftest import milvus_address  # noqa: F401  (a fixture)
from tests.serving.conftest import client, packed, paint
from tests.serving.test_load import server

Count = Callable[[str, str], None]
MANY_KILLS = pytest.mark.parametrize("kills", [pytest.param(10, marks=pytest.mark.slow)])
FEW_KILLS = pytest.mark.parametrize("kills", [pytest.param(5, marks=pytest.mark.slow)])


@contextmanager
def started(words: Sequence[object]) -> Iterator[int]:
    """Run a verb in the background; give its process, which is gone afterwards."""
    with tempfile.TemporaryDirectory() as said:
        child = forked(lambda: main([str(word) for word in words]), Path(said))
        try:
            yield child
        finally:
            status, _ = ended(child, 120)
            errors = (Path(said) / "errors").read_text()
            assert status in (0, -signal.SIGKILL), errors


def killed(words: Sequence[object], seconds: float) -> bool:
    """Run a verb and kill it after a while; return whether it was still running."""
    with started(words) as child:
        time.sleep(seconds)
        running = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        os.kill(child, signal.SIGKILL)
    return running


def kill_and_go_on(
    words: Sequence[object], kills: int, kind: str, count: Count, again: Callable[[], Any] = lambda: None
) -> None:
    """Kill a verb at random moments until it has been killed so often, and let it end."""
    chance, landed = random.Random(kind), 0
    began = time.monotonic()
    done(words)
    again()
    whole = time.monotonic() - began
    for _ in range(20 * kills):
        if killed(words, chance.uniform(0.05, whole)):
            landed += 1
            count(f"kills: {kind}", "right")  # what was kept is compared at the end; a loss fails the test
        else:
            again()
        if landed == kills:
            break
    assert landed == kills
    done(words)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, by its name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures that take a while."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(400):
        Image.fromarray(paint(number % 40, number)).save(folder / f"{number:03}.png")
    return folder


@MANY_KILLS
def test_embed(house: House, many: Path, tmp_path: Path, kills: int, count: Count) -> None:
    def words(out: Path) -> list[object]:
        return ["embed", house.onnx, "--pictures", many, "--out", out, "--batch_size", "4"]

    done(words(tmp_path / "undisturbed"))
    number = iter(range(1000))
    out = tmp_path / "killed"
    kill_and_go_on(words(out), kills, "embed", count, lambda: out.rename(tmp_path / f"whole-{next(number)}"))
    assert contents(out) == contents(tmp_path / "undisturbed")


def rows(gallery: Path | str) -> list[Any]:
    """Return everything that a gallery holds."""
    with Gallery(str(gallery), create=False) as kept:
        ids = sorted(kept.select())
        items = [(i.id, i.identity, i.camera, i.time, i.source) for i in kept.items(ids) if i is not None]
        return [*zip(items, kept.vectors(ids).tolist(), [kept.picture(name) for name in ids], strict=True)]


@MANY_KILLS
def test_index(house: House, many: Path, tmp_path: Path, kills: int, count: Count) -> None:
    def words(out: Path) -> list[object]:
        return ["index", out, "--model", house.onnx, "--pictures", many]

    done(words(tmp_path / "undisturbed"))
    number = iter(range(1000))
    out = tmp_path / "killed"
    kill_and_go_on(words(out), kills, "index", count, lambda: out.rename(tmp_path / f"whole-{next(number)}"))
    assert rows(out) == rows(tmp_path / "undisturbed")
    assert not [path.name for path in out.iterdir() if path.name.startswith(("draft-", "."))]


@FEW_KILLS
@pytest.mark.parametrize("verb", ["compact", "copy", "delete", "label", "calibrate"])
def test_verbs_of_a_gallery(house: House, tmp_path: Path, kills: int, verb: str, count: Count) -> None:
    chance = random.Random(verb)
    with Gallery(house.gallery, create=False) as kept:
        before = sorted(kept.select())
    more: list[object] = {
        "copy": [tmp_path / "copy"],
        "delete": ["--identity", "person 1"],
        "label": ["--identity", "person 1", "--to", "somebody"],
    }.get(verb, [])
    whole = house.copy("gallery", tmp_path / "undisturbed")
    took = time.monotonic()
    done([verb, whole, *([tmp_path / "another"] if verb == "copy" else more)])
    took = time.monotonic() - took
    after, landed = rows(whole), 0
    for number in range(20 * kills):
        folder = house.copy("gallery", tmp_path / f"g{number}")
        landed += killed([verb, folder, *more], chance.uniform(took / 3, took))
        with Gallery(folder, create=False) as kept:
            assert {*kept.select()} in ({*before}, {row[0][0] for row in after}), "half of it is done"
        if verb == "copy" and (tmp_path / "copy").exists():
            assert rows(tmp_path / "copy") == after
            (tmp_path / "copy").rename(tmp_path / f"copied-{number}")
        if verb == "copy" or rows(folder) != after:  # an identity that is gone cannot be deleted again
            done([verb, folder, *more])
        assert rows(folder) == after
        if verb == "copy":
            (tmp_path / "copy").rename(tmp_path / f"again-{number}")
        if landed == kills:
            break
    assert landed == kills
    for _ in range(landed):
        count(f"kills: {verb}", "right")


@FEW_KILLS
def test_export(house: House, tmp_path: Path, kills: int, count: Count) -> None:
    from reseen import checkpoint
    from reseen.models import Embedder, ModelSpec

    checkpoint.save(tmp_path / "m.safetensors", Embedder(ModelSpec(height=32, width=16)))
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "m.onnx"
    words = ["export", tmp_path / "m.safetensors", out, "--force", "true"]
    done(words)
    whole = out.read_bytes()
    kill_and_go_on(words, kills, "export", count)
    assert contents(tmp_path / "out") == {"m.onnx": whole}


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_server(tmp_path: Path, kills: int, count: Count) -> None:
    """Four clients add and delete; whatever was answered is so when the server is there again."""
    chance, added, deleted = random.Random(0), set[str](), set[str]()
    unsure = set[str]()
    for kill in range(kills):
        with server(tmp_path / "gallery") as (process, port):

            def work(worker: int) -> None:
                number = 0
                while True:
                    number += 1
                    try:
                        with client(f"http://127.0.0.1:{port}") as asking:
                            picture = packed(paint(worker + 10 * kill, number))  # noqa: B023
                            name = asking.post("/items", content=picture).json()["id"]
                            added.add(name)
                            if number % 3 == 0:
                                unsure.add(name)
                                asking.delete(f"/items/{name}").raise_for_status()
                                deleted.add(name)
                    except httpx.TransportError:
                        return

            threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.3, 2))
            process.kill()
            for thread in threads:
                thread.join()
        with Gallery(tmp_path / "gallery", create=False) as gallery:
            held = set(gallery.select())
            assert added - unsure <= held
            assert not deleted & held
            assert len(gallery.vectors(sorted(held))) == len(held)
        count("kills: server", "right")
    assert added


@pytest.mark.parametrize("kills", [pytest.param(5, marks=pytest.mark.slow)])
def test_milvus_client(house: House, many: Path, tmp_path: Path, kills: int, milvus_address: str, count: Count) -> None:  # noqa: F811
    done(["index", tmp_path / "local", "--model", house.onnx, "--pictures", many])
    names = iter(range(1000))
    place = f"milvus://{milvus_address}/killed_{os.getpid()}"
    words = ["index", f"{place}_0", "--model", house.onnx, "--pictures", many]

    def another() -> None:
        words[1] = f"{place}_{next(names) + 1}"

    kill_and_go_on(words, kills, "index into Milvus", count, another)
    assert rows(str(words[1])) == rows(tmp_path / "local")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that its package leaves open
@pytest.mark.parametrize("kills", [pytest.param(4, marks=pytest.mark.slow)])
def test_milvus_server(tmp_path: Path, kills: int, count: Count) -> None:
    """The server itself is killed while a client adds; what was acknowledged is there when it runs again."""
    milvus = pytest.importorskip("milvus")
    chance, added = random.Random(0), set[str]()
    for kill in range(kills):
        running = milvus.MilvusServer()
        running.set_base_dir(str(tmp_path / "milvus"))
        try:
            running.start()
        except Exception as error:
            pytest.skip(f"the Milvus server does not run here: {error}")
        place = f"milvus://127.0.0.1:{running.listen_port}/killed"
        with Gallery(place, "model") as gallery:
            assert added <= set(gallery.select())
            ending = threading.Timer(chance.uniform(1, 4), running.server_proc.kill)
            ending.start()
            try:
                for number in range(10_000):
                    vectors = np.random.default_rng([kill, number]).normal(size=(5, 8)).astype(np.float32)
                    added |= set(gallery.add(vectors).ids)
            except Exception:
                running.server_proc.wait(30)  # Only since it was killed.
        ending.join()
        count("kills: Milvus's server", "right")
    assert added
