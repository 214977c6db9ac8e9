"""Index files of another history of the database are passed over, and a gallery in use is copied whole."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reseen.errors import GalleryError
from reseen.gallery import Gallery

DIM, FILE = 8, "truth.sqlite"


def vectors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def names(kind: str) -> list[str]:
    return [f"{kind} {number}" for number in range(50)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Gallery(tmp_path / "gallery") as gallery:
        gallery.add(vectors(200, 0), identities=["first"] * 200)
        gallery.compact()
    return tmp_path / "gallery"


def put_back(folder: Path, saved: Path) -> None:
    """Put a database back from a copy of it alone, as a backup of files does."""
    shutil.copy(saved, folder / FILE)


def lose_log(folder: Path, saved: Path) -> None:
    """Lose what was still in the log, as after a crash of a disk's cache: the database is as it was at a checkpoint."""
    shutil.copy(saved, folder / FILE)
    for left in folder.glob(f"{FILE}-*"):
        left.unlink()


def copy_in_use(folder: Path, saved: Path) -> None:
    """Copy a folder file by file: the index files come after changes that the database was copied before."""
    shutil.move(folder, folder.parent / "original")
    folder.mkdir()
    shutil.copy(saved, folder / FILE)
    for path in (folder.parent / "original").glob("index-*"):
        shutil.copytree(path, folder / path.name)


@pytest.mark.parametrize("lose", [put_back, lose_log, copy_in_use])
@pytest.mark.parametrize("more", [0, 50])
def test_an_index_of_lost_changes_is_passed_over(
    folder: Path, tmp_path: Path, lose: Callable[[Path, Path], None], more: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the database is behind the index, or as far by other changes."""
    shutil.copy(folder / FILE, tmp_path / "saved")
    with Gallery(folder) as gallery:
        gallery.add(vectors(50, 1), identities=names("lost"))
        gallery.compact()
    lose(folder, tmp_path / "saved")
    with Gallery(folder) as gallery:
        assert "it was put back from a copy" in caplog.text
        if more:
            gallery.add(vectors(50, 2), identities=names("new"))
        assert len(gallery) == 200 + more
        found = [matches[0] for matches in gallery.search(vectors(50, 2), 1)]
        if more:
            assert [match.item.identity for match in found] == names("new")
        lost = [matches[0] for matches in gallery.search(vectors(50, 1), 1)]
        assert all(match.similarity < 0.999 for match in lost)
        gallery.compact()
        assert [m[0].item for m in gallery.search(vectors(50, 2), 1)] == [match.item for match in found]
    caplog.clear()
    with Gallery(folder) as gallery:
        assert len(gallery) == 200 + more
    assert not caplog.text


def test_a_process_that_runs_sees_that_its_database_was_put_back(folder: Path) -> None:
    with sqlite3.connect(folder / FILE) as saved, Gallery(folder) as gallery:
        before = list(saved.execute("SELECT revision, nonce FROM revisions"))
        gallery.add(vectors(50, 1), identities=names("lost"))
        assert len(gallery) == 250
        gallery._backend.store._db.executescript(  # type: ignore[attr-defined]  # what a copy put back in place looks like
            "DELETE FROM items WHERE identity LIKE 'lost%'; DELETE FROM revisions WHERE revision > 1"
        )
        assert len(before) == 1
        gallery.add(vectors(50, 2), identities=names("new"))
        assert len(gallery) == 250
        assert [m[0].item.identity for m in gallery.search(vectors(50, 2), 1)] == names("new")
    saved.close()


WRITER = """
import sys, numpy as np
from reseen.gallery import Gallery
gallery, number = Gallery(sys.argv[1]), 0
while True:
    vectors = np.random.default_rng(number + 9).normal(size=(20, 8)).astype(np.float32)
    ids = gallery.add(vectors, identities=[number] * 20).ids
    gallery.delete(ids[:5])
    number += 1
    if number == 3:
        print("writing", flush=True)
"""


@pytest.mark.parametrize("how", ["removed", "put back"])
def test_a_process_acknowledges_nothing_that_nobody_will_find(folder: Path, how: str) -> None:
    shutil.copytree(folder, folder.with_name("saved"))
    with Gallery(folder) as gallery:
        shutil.rmtree(folder)
        if how == "put back":
            shutil.copytree(folder.with_name("saved"), folder)
        for attempt in (lambda: gallery.add(vectors(3, 1)), lambda: gallery.search(vectors(1, 0), 1), gallery.compact):
            with pytest.raises(GalleryError, match="removed or put back"):
                attempt()
    if how == "put back":
        with Gallery(folder) as gallery:
            assert len(gallery) == 200


def test_a_gallery_in_use_is_copied_whole(folder: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        with Gallery(folder) as gallery:
            for number in range(5):
                gallery.copy(tmp_path / "copies" / str(number))
        writer.kill()
    sizes = []
    for number in range(5):
        with sqlite3.connect(tmp_path / "copies" / str(number) / FILE) as copied:
            assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        copied.close()
        with Gallery(tmp_path / "copies" / str(number), create=False) as gallery:
            counts = {
                who: len([i for i in gallery.items(gallery.select()) if i and i.identity == who]) for who in range(3)
            }
            assert counts == dict.fromkeys(range(3), 15)
            assert len(gallery) % 5 == 0  # 200, and of each round 15, or 20 before its deletion
            query = np.random.default_rng(9).normal(size=(20, 8)).astype(np.float32)[10:11]
            assert gallery.search(query, 1)[0][0].item.identity == 0
            sizes.append(len(gallery))
    assert sizes == sorted(sizes)
    assert sorted(path.name for path in (tmp_path / "copies").iterdir()) == list("01234")


def test_a_copy_takes_no_ones_place(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with Gallery(folder) as gallery:
        with pytest.raises(GalleryError, match=r"expected a new folder for a copy at .*there"):
            gallery.copy(tmp_path / "there")
        (tmp_path / "file").touch()
        with pytest.raises(GalleryError, match="see the disk and who may write"):
            gallery.copy(tmp_path / "file" / "copy")
