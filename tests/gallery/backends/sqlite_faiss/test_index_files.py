"""The index file: made when it lags, passed over when it is damaged, whole or absent."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from reseen.errors import GalleryError
from reseen.gallery import Gallery, Where
from reseen.gallery.backends.sqlite_faiss import index_files, vector_index

DIM = 8


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def index_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery of 300 items with an index file that lacks the last 50 and three deletions."""
    with Gallery(tmp_path / "gallery") as gallery:
        ids = gallery.add(vectors(250), identities=list(range(250)), cameras=["a", "b"] * 125).ids
        gallery.compact()
        gallery.add(vectors(50, 1), cameras=["c"] * 50)
        gallery.delete(ids[:3])
        gallery._backend.store.close()  # type: ignore[attr-defined]  # as if killed: closing would write the index anew
        gallery._closed = True
    return tmp_path / "gallery"


def answers(folder: Path, **options: object) -> list[tuple[str, float]]:
    with Gallery(folder, **options) as gallery:  # type: ignore[arg-type]
        assert len(gallery) == 297
        assert gallery.cameras() == ["a", "b", "c"]
        found = gallery.search(vectors(4, 2), 20, where=Where(cameras=["a", "c"]))
    return [(match.item.id, round(match.similarity, 5)) for matches in found for match in matches]


def test_it_is_made_when_it_lags_and_old_ones_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(folder)
    (old,) = index_of(folder)
    monkeypatch.setattr(vector_index, "STALE", 10)
    assert answers(folder) == before
    assert index_of(folder) == [old]  # 53 of 297: not a quarter
    with Gallery(folder) as gallery:
        gallery.add(vectors(100, 3))
    (new,) = index_of(folder)
    assert new != old
    with Gallery(folder) as gallery:
        assert len(gallery._backend.index.base.columns) == len(gallery) == 397  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["vectors.npy", "columns.npz", "index.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "noise"])
def test_a_damaged_one_is_passed_over(folder: Path, name: str, damage: str) -> None:
    before = answers(folder)
    file = next(folder.glob(f"index-*/{name}"))
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "noise": bytes(999)}[damage])
    assert answers(folder) == before


@pytest.mark.parametrize("name", ["vectors.npy", "columns.npz", "lists.faiss", "index.json"])
def test_a_changed_byte_changes_no_answer(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """15 places of each file, header and end among them, with lists that are looked into whole."""
    folder, generator = tmp_path / "gallery", np.random.default_rng(5)
    with Gallery(folder, approximate_above=200, recall=1.0) as gallery:
        gallery.add(vectors(300), identities=[n // 3 for n in range(300)])
        gallery.compact()
        expected = gallery.search(vectors(4, 2), 20, exact=True)
    (file,) = folder.glob(f"index-*/{name}")
    content = file.read_bytes()
    for place in [0, 5, len(content) - 1, *generator.integers(len(content), size=12)]:
        damaged = bytearray(content)
        damaged[place] ^= int(generator.integers(1, 256))
        file.write_bytes(damaged)
        caplog.clear()
        with Gallery(folder, approximate_above=None) as gallery:
            found = gallery.search(vectors(4, 2), 20)
            assert [(m.item, m.similarity) for matches in found for m in matches] == [
                (m.item, m.similarity) for matches in expected for m in matches
            ], place
        assert "is damaged" in caplog.text, place
    file.write_bytes(content)
    caplog.clear()
    Gallery(folder).close()
    assert not caplog.text


def test_many_vectors_are_checked_in_the_background(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(folder)
    monkeypatch.setattr(index_files, "CHECKED_AT_ONCE", 0)
    with Gallery(folder) as gallery:
        time.sleep(0.2)
        assert len(gallery._backend.index.base.columns) == 250  # type: ignore[attr-defined]
        gallery.compact()
    file = next(folder.glob("index-*/vectors.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with Gallery(folder) as gallery:
        until = time.monotonic() + 10
        while len(gallery._backend.index.base.columns) and time.monotonic() < until:  # type: ignore[attr-defined]
            time.sleep(0.01)
        assert not len(gallery._backend.index.base.columns)  # type: ignore[attr-defined]
        found = gallery.search(vectors(4, 2), 20, where=Where(cameras=["a", "c"]))
        assert [(m.item.id, round(m.similarity, 5)) for matches in found for m in matches] == before


def test_without_any_the_truth_is_enough(folder: Path) -> None:
    before = answers(folder)
    shutil.rmtree(next(folder.glob("index-*")))
    assert answers(folder) == before


def test_that_of_another_gallery_is_passed_over(folder: Path, tmp_path: Path) -> None:
    before = answers(folder)
    with Gallery(tmp_path / "other") as other:
        other.add(vectors(10, 5))
        other.compact()
    shutil.copytree(next((tmp_path / "other").glob("index-*")), folder / "index-999")
    assert answers(folder) == before


def test_a_process_keeps_the_one_it_reads(folder: Path) -> None:
    with Gallery(folder) as reader, Gallery(folder) as writer:
        before = reader.search(vectors(1, 2), 297)
        writer.compact()
        assert len(index_of(folder)) == 1
        after = reader.search(vectors(1, 2), 297)
        assert [m.item for m in after[0]] == [m.item for m in before[0]]


def test_lists_are_made_above_the_stated_size(folder: Path) -> None:
    exact = answers(folder)
    assert not list(folder.glob("index-*/lists.faiss"))
    approximate = answers(folder, approximate_above=200)
    assert list(folder.glob("index-*/lists.faiss"))
    assert len(set(approximate) & set(exact)) >= 0.95 * len(exact)
    assert answers(folder) == exact
    with Gallery(folder, approximate_above=200) as gallery:
        plain = gallery.search(vectors(1, 2), 9, exact=True)
    with Gallery(folder) as gallery:
        assert gallery.search(vectors(1, 2), 9) == plain


def test_lists_are_made_once_of_a_gallery_that_lacks_nothing_else(folder: Path) -> None:
    with Gallery(folder) as gallery:
        gallery.compact()
    with Gallery(folder, approximate_above=200) as gallery:
        assert gallery._backend.index.base.lists is not None  # type: ignore[attr-defined]
    made = index_of(folder)
    Gallery(folder, approximate_above=200).close()
    assert index_of(folder) == made
    with Gallery(folder) as gallery:
        gallery.compact()
        assert gallery._backend.index.base.lists is not None  # type: ignore[attr-defined]  # once made, kept up


def test_what_a_killed_process_left_half_written_goes(folder: Path) -> None:
    left, used = folder / "draft-left", folder / "draft-used"
    left.mkdir()
    used.mkdir()
    with index_files.locked(used), Gallery(folder) as gallery:
        gallery.compact()
    assert used.exists()
    assert not left.exists()


def test_a_broken_truth_is_said_to_be_broken(folder: Path) -> None:
    (folder / "truth.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(GalleryError, match=r"expected a gallery at .*found: file is not a database; restore"):
        Gallery(folder)


def test_a_gallery_that_may_only_be_read_is_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index_files, "write", full)
    monkeypatch.setattr(vector_index, "STALE", 10)
    assert answers(folder, approximate_above=200) == before  # It would have made lists.
    with Gallery(folder) as gallery, pytest.raises(GalleryError, match="No space left on device; see the disk"):
        gallery.compact()
