"""A disk that is full or may only be read: a gallery is searched there, and nothing else happens."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from reseen.errors import GalleryError
from reseen.gallery import Gallery
from reseen.gallery.backends.sqlite_faiss import item_store, vector_index

DIM = 16


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Gallery(tmp_path / "gallery") as gallery:
        gallery.add(vectors(3000))
    return tmp_path / "gallery"


def answers(folder: Path, **options: object) -> list[tuple[str, float]]:
    with Gallery(folder, create=False, **options) as gallery:  # type: ignore[arg-type]
        return [(match.item.id, match.similarity) for match in gallery.search(vectors(1, 1), 20)[0]]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse to write longer files."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [20, 1_000, 100_000, 193_000, 220_000])
def test_an_index_that_finds_no_room_is_gone_without(
    folder: Path, room: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file that does not fit is that of the vectors (192,128 bytes), or of the columns."""
    expected = answers(folder)
    monkeypatch.setattr(vector_index, "STALE", 10)
    with Gallery(folder) as gallery, files_of_at_most(room):  # SQLite's own file is there already
        gallery._backend.index.keep_up()  # type: ignore[attr-defined]
        assert "File too large" in caplog.text or list(folder.glob("index-*"))
        assert [(m.item.id, m.similarity) for m in gallery.search(vectors(1, 1), 20)[0]] == expected
        if not list(folder.glob("index-*")):
            with pytest.raises(GalleryError, match="File too large; see the disk"):
                gallery.compact()
        assert not list(folder.glob("draft-*"))
    assert answers(folder) == expected


def without_writing(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "read only":
        monkeypatch.setattr(item_store.os, "access", lambda *_: False)  # root may write whatever the permissions say
    else:
        monkeypatch.setattr(item_store, "free_bytes", lambda _: 0)


@pytest.mark.parametrize("how", ["read only", "full"])
def test_a_closed_gallery_is_searched_without_writing(folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = answers(folder)
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    with monkeypatch.context() as context:
        without_writing(context, how)
        context.setattr(vector_index, "STALE", 10)
        with Gallery(folder, create=False) as gallery:
            assert [(m.item.id, m.similarity) for m in gallery.search(vectors(1, 1), 20)[0]] == expected
            assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before
            with pytest.raises(GalleryError, match="attempt to write a readonly database"):
                gallery.add(vectors(1, 5))
            with pytest.raises(GalleryError, match="attempt to write a readonly database"):
                gallery.delete(gallery.select())
    assert answers(folder) == expected


@pytest.mark.parametrize("how", ["read only", "full"])
def test_what_others_write_meanwhile_is_seen(folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        without_writing(context, how)
        reader = Gallery(folder, create=False)
        assert reader._backend.store.read_only  # type: ignore[attr-defined]
    with Gallery(folder) as writer:
        (name,) = writer.add(vectors(1, 1)).ids
        assert reader.search(vectors(1, 1), 1)[0][0].item.id == name
    assert reader.search(vectors(1, 1), 1)[0][0].item.id == name
    assert len(reader) == 3001
    reader.close()


def test_a_disk_with_room_again_is_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        without_writing(context, "full")
        gallery = Gallery(folder)
    assert gallery.add(vectors(1, 1)).new == 1
    gallery.close()


DISK = """
set -e
mount -t tmpfs -o size=40m tmpfs {disk}
cp -r {folder} {disk}/gallery
{then}
exec {python} - <<END
import numpy as np
from reseen.gallery import Gallery
from reseen.gallery.backends.sqlite_faiss import vector_index
vector_index.STALE = 10
query = np.random.default_rng(1).normal(size=(1, 16)).astype(np.float32)
with Gallery("{disk}/gallery", create=False, approximate_above=1000) as gallery:
    print(*(match.item.id for match in gallery.search(query, 20, exact=True)[0]))
END
"""


@pytest.mark.parametrize(
    "then",
    [
        "mount -o remount,ro {disk}",
        "dd if=/dev/zero of={disk}/fill bs=1k >&2 || true",
        "dd if=/dev/zero of={disk}/fill bs=1k >&2 || true; truncate -s -1200k {disk}/fill",
    ],
    ids=["read only", "full", "almost full"],
)
def test_on_a_disk_that_takes_nothing(folder: Path, tmp_path: Path, then: str) -> None:
    """On a file system of its own; opening the gallery there once ended in SIGBUS."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a file system")
    with Gallery(folder) as gallery:
        gallery.add(vectors(27_000, 2))  # index files of 2 MB
    expected = [name for name, _ in answers(folder)]
    for index in folder.glob("index-*"):
        for file in index.iterdir():
            file.unlink()
        index.rmdir()
    script = DISK.format(disk=disk, folder=folder, python=sys.executable, then=then.format(disk=disk))
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == expected
