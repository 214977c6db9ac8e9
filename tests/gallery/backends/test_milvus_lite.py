"""What Milvus Lite is trusted with: one worker, or one process, and then it loses nothing when it is killed."""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from reseen.errors import GalleryError
from reseen.gallery import Gallery

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

from reseen.gallery.backends.milvus.client import several_workers
from tests.gallery.milvus_lite_server import free_port, lite_server

THREADS = """
import sys
import threading

import numpy as np

from reseen.gallery import Gallery

gallery = Gallery(sys.argv[1], "m")


def say(*words):
    sys.stdout.write(" ".join(words) + "\\n")
    sys.stdout.flush()


def write(thread):
    generator, mine = np.random.default_rng([int(sys.argv[2]), thread]), []
    while True:
        vectors = generator.normal(size=(int(generator.integers(1, 40)), 8)).astype(np.float32)
        mine += gallery.add(vectors, look_up=bool(generator.integers(2))).ids
        say("added", *mine[-len(vectors):])
        if generator.random() < 0.3:
            gone = [mine.pop() for _ in range(min(5, len(mine)))]
            say("deleting", *gone)
            gallery.delete(gone)
            say("deleted", *gone)
        if generator.random() < 0.1:
            gallery._backend._client.flush("g")


say("held", *gallery.select())
for thread in range(1, 4):
    threading.Thread(target=write, args=(thread,), daemon=True).start()
write(0)
"""
"""Says what a gallery holds, then adds and deletes on four threads."""


@pytest.mark.parametrize(("workers", "several"), [(1, False), (2, True)])
def test_a_server_of_several_workers_is_found(tmp_path: Path, workers: int, several: bool) -> None:
    with lite_server(tmp_path / "milvus", workers=workers) as (address, _):
        assert [several_workers(f"http://{address}") for _ in range(3)] == [several] * 3


def test_nobody_is_no_several_workers() -> None:
    assert not several_workers(f"http://127.0.0.1:{free_port()}")


def test_a_server_of_several_workers_takes_no_rows(tmp_path: Path) -> None:
    with lite_server(tmp_path / "milvus", workers=10) as (address, _), Gallery(f"milvus://{address}/g") as gallery:
        with pytest.raises(GalleryError, match=rf"one worker at {address}, got several, .* --max-workers 1"):
            gallery.add([[1.0, 0.0]])
        assert len(gallery) == 0


def test_a_server_that_is_killed_has_kept_what_came_in_several_requests_at_once(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(20_000, 512)).astype(np.float32)
    with lite_server(tmp_path / "milvus") as (address, _), Gallery(f"milvus://{address}/g", "m") as gallery:
        ids = gallery.add(vectors, look_up=False).ids
    with lite_server(tmp_path / "milvus") as (address, _), Gallery(f"milvus://{address}/g", "m") as gallery:
        assert None not in gallery.items(ids)
        assert len(gallery) == len(ids)


@pytest.mark.faults
@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_a_process_with_a_file_is_killed_and_has_kept_what_its_threads_wrote(tmp_path: Path, kills: int) -> None:
    moments = random.Random(0)
    acknowledged: set[str] = set()
    gone: set[str] = set()
    unsure: set[str] = set()  # deletions under way when it was killed
    for kill in range(kills + 1):
        command = [sys.executable, "-c", THREADS, f"milvus-lite://{tmp_path}/items.db/g", str(kill)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
            assert process.stdout is not None
            first, *held = process.stdout.readline().split()
            time.sleep(moments.uniform(0, 1) if kill < kills else 0)
            process.kill()
            lines = [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        assert first == "held"
        assert len(set(held)) == len(held)
        assert acknowledged - unsure <= set(held), f"kill {kill}: an acknowledged write is lost"
        assert not gone & set(held), f"kill {kill}: an acknowledged deletion is lost"
        acknowledged, unsure = set(held), set()
        for verb, *ids in lines:
            if verb == "deleting":
                unsure |= set(ids)
            elif verb == "deleted":
                acknowledged -= set(ids)
                unsure -= set(ids)
                gone |= set(ids)
            else:
                acknowledged |= set(ids)
    assert acknowledged
