"""What was deleted, or renamed, is in no file of the folder any more; and what stays is said."""

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reseen.gallery import Gallery, Where
from reseen.gallery.backends.sqlite_faiss import index_files
from reseen.gallery.rows import normalized

DIM = 16
NAME, CAMERA, TRACK, SOURCE, PICTURE, QUERY = (
    "Secret Ann",
    "secret gate",
    "secret track",
    "secret.jpg",
    b"secret",
    "c0de",
)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


SECRET = vectors(1, 9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery with one person's sighting, and feedback on it, in the database and in the index files."""
    with Gallery(tmp_path / "gallery") as gallery:
        gallery.add(vectors(200), identities=list(range(200)))
        (name,) = gallery.add(
            SECRET, identities=[NAME], cameras=[CAMERA], tracks=[TRACK], sources=[SOURCE], pictures=[PICTURE]
        ).ids
        gallery.mark(QUERY, name, similarity=0.5, same=True)
        gallery.compact()
    return tmp_path / "gallery"


def item_of(gallery: Gallery) -> list[str]:
    return gallery.select(Where(identities=[NAME]))


def traces(folder: Path) -> set[str]:
    """Return what can be found of the person in any file of the folder, however it is written."""
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    content += b"".join(
        np.load(path)[name].tobytes() for path in folder.glob("*/columns.npz") for name in np.load(path)
    )
    wanted = {
        "name": NAME.encode(),
        "camera": CAMERA.encode(),
        "track": TRACK.encode(),
        "source": SOURCE.encode(),
        "picture": PICTURE,
        "query": QUERY.encode(),
        "vector": SECRET.tobytes(),
        "direction": normalized(SECRET).tobytes(),
    }
    return {what for what, trace in wanted.items() if trace in content}


def test_everything_is_found_before(folder: Path) -> None:
    assert len(traces(folder)) == 8


def test_after_compact_nothing_is_left(folder: Path) -> None:
    with Gallery(folder) as gallery:
        assert gallery.delete(item_of(gallery)) == 1
        done = gallery.compact()
        assert (done.num_items, done.log_bytes) == (200, 0)
        assert traces(folder) == set()
        assert gallery.marks() == []


def test_after_closing_nothing_is_left(folder: Path) -> None:
    with Gallery(folder) as gallery:
        gallery.delete(item_of(gallery))
        assert traces(folder)
    assert traces(folder) == set()


@pytest.mark.parametrize("how", ["relabel", "rename", "update"])
def test_a_name_that_nobody_has_any_more_goes(folder: Path, how: str) -> None:
    with Gallery(folder) as gallery:
        ids = item_of(gallery)
        if how == "relabel":
            gallery.relabel(ids, None)
        elif how == "rename":
            gallery.rename(NAME, "Bob")
        else:
            gallery.update(ids, identity="Bob", camera=None)
    left = {"name", "camera"} if how == "update" else {"name"}
    assert not traces(folder) & left
    assert "vector" in traces(folder)


def test_what_takes_nothing_away_leaves_the_index_as_it_is(folder: Path) -> None:
    """Closing a large gallery would take long otherwise."""
    before = sorted(folder.glob("index-*"))
    with Gallery(folder) as gallery:
        gallery.relabel(gallery.select(Where(identities=[3])), 4)
        gallery.relabel(gallery.add(vectors(1, 3)).ids, 3)
        gallery.update(gallery.select(Where(identities=[5])), time=5.0, camera="new")
    assert sorted(folder.glob("index-*")) == before


def test_a_reader_that_holds_the_log_is_told_of(folder: Path) -> None:
    reader = sqlite3.connect(folder / "truth.sqlite", isolation_level=None)
    with Gallery(folder) as gallery:
        gallery.delete(item_of(gallery))
        gallery.add(vectors(1, 4))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        gallery.add(vectors(1, 5))
        start = time.monotonic()
        done = gallery.compact()
        assert time.monotonic() - start < 10
        assert done.log_bytes == (folder / "truth.sqlite-wal").stat().st_size > 0
        reader.close()
        assert gallery.compact().log_bytes == 0
        assert traces(folder) == set()


def test_a_search_does_not_wait_for_compact(folder: Path) -> None:
    """The log's reader is waited for without the lock that a search takes."""
    reader = sqlite3.connect(folder / "truth.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM items").fetchone()
    with Gallery(folder) as gallery:
        gallery.add(vectors(1, 5))
        compacting = threading.Thread(target=gallery.compact)
        compacting.start()
        searches = 0
        while compacting.is_alive():
            start = time.monotonic()
            assert gallery.search(SECRET, 1)[0][0].item.identity == NAME
            assert time.monotonic() - start < 1
            searches += 1
        reader.close()
    assert searches > 3


def test_a_search_does_not_wait_for_the_index_to_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, searched = threading.Event(), threading.Event()
    write = index_files.write

    def slowly(*given: Any, **named: Any) -> None:
        writing.set()
        searched.wait(10)
        write(*given, **named)

    monkeypatch.setattr(index_files, "write", slowly)
    with Gallery(folder) as gallery:
        compacting = threading.Thread(target=gallery.compact)
        compacting.start()
        writing.wait(10)
        start = time.monotonic()
        (name,) = gallery.add(vectors(1, 5)).ids
        assert gallery.search(vectors(1, 5), 1)[0][0].item.id == name
        assert time.monotonic() - start < 5
        searched.set()
        compacting.join()
        assert gallery.search(vectors(1, 5), 1)[0][0].item.id == name


def test_a_verdict_goes_with_its_item(folder: Path) -> None:
    with Gallery(folder) as gallery:
        ids = item_of(gallery)
        gallery.mark(QUERY, gallery.select(Where(identities=[1]))[0], similarity=0.5, same=False)
        gallery.delete(ids)
        assert [mark.same for mark in gallery.marks()] == [False]
        gallery.mark(QUERY, ids[0], similarity=0.5, same=True)  # came after the deletion
        assert len(gallery.marks()) == 1
