"""One writer and two readers in processes of their own: no error, and no search that misses an acknowledged write."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from reseen.gallery import Gallery

WRITER = """
import sys, time, numpy as np
from reseen.gallery import Gallery
folder, acknowledged, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
gallery, number, end = Gallery(folder, "model"), 0, time.monotonic() + seconds
with open(acknowledged, "r+b", buffering=0) as counter:
    while time.monotonic() < end:
        vectors = np.random.default_rng(number).normal(size=(20, 8)).astype(np.float32)
        ids = gallery.add(vectors, identities=[number] * 20, cameras=["gate"] * 20).ids
        gallery.delete(ids[10:])
        gallery.update(ids[:1], camera="door")
        if number % 50 == 49:
            gallery.compact()
        number += 1
        counter.seek(0)
        counter.write(b"%12d" % number)  # rounds that are acknowledged
gallery.close()
"""

READER = """
import sys, time, numpy as np
from reseen.gallery import Gallery, Where
folder, acknowledged, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
gallery, searches, end = Gallery(folder, "model"), 0, time.monotonic() + seconds
with open(acknowledged, "rb", buffering=0) as counter:
    while time.monotonic() < end:
        counter.seek(0)
        done = int(counter.read(12) or 0)
        if not done:
            continue
        last = done - 1
        query = np.random.default_rng(last).normal(size=(20, 8)).astype(np.float32)[:1]
        (match,) = gallery.search(query, 1)[0]
        assert match.item.identity == last and match.similarity > 0.9999, (last, match)
        assert match.item.camera == "door", (last, match)
        kept = gallery.search(query, 30, where=Where(identities=[last]))[0]
        assert len(kept) == 10, (last, len(kept))
        searches += 1
print(searches)
"""


@pytest.mark.parametrize("seconds", [1.5, pytest.param(120, marks=pytest.mark.slow)])
def test_two_readers_and_a_writer(tmp_path: Path, seconds: float) -> None:
    folder, acknowledged = tmp_path / "gallery", tmp_path / "acknowledged"
    Gallery(folder, "model").close()
    acknowledged.touch()

    def start(script: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, str(folder), str(acknowledged), str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    processes = [start(WRITER), start(READER), start(READER)]
    outputs = [process.communicate(timeout=seconds + 60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], [error for _, error in outputs]
    rounds, searches = int(acknowledged.read_text()), [int(output) for output, _ in outputs[1:]]
    print(f"{rounds} rounds written, {searches} searches")
    with Gallery(folder, "model") as gallery:
        assert len(gallery) == 10 * rounds > 0
    assert min(searches) > 0


def test_a_reader_waits_for_no_one(tmp_path: Path) -> None:
    """Neither opening nor searching takes a lock that a long write holds."""
    folder = tmp_path / "gallery"
    with Gallery(folder) as gallery:
        gallery.add([[1.0, 0.0]])
        script = (
            "import sys, time; from reseen.gallery import Gallery\n"
            "store = Gallery(sys.argv[1])._backend.store\n"
            "with store.writing():\n"
            "    print('writing', flush=True); time.sleep(30)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            start = time.monotonic()
            assert len(gallery.search([[1.0, 0.0]], 1)[0]) == 1
            with Gallery(folder) as another:
                assert len(another) == 1
            assert time.monotonic() - start < 10
            writer.kill()
