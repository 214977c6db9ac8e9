"""A damaged database: what is read is right, or refused in one line that names the item."""

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from reseen.errors import GalleryError
from reseen.gallery import Gallery

DIM = 8


def vectors(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, DIM)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery of 20 items without index files."""
    with Gallery(tmp_path / "gallery") as gallery:
        gallery.add(vectors(20), identities=list(range(20)), extras=[{"n": n} for n in range(20)])
    return tmp_path / "gallery"


def change(folder: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(folder / "truth.sqlite") as database:
        database.execute(statement, values)
    database.close()


def flipped(place: int) -> bytes:
    content = bytearray(vectors(20)[7].tobytes())
    content[place] ^= 1
    return bytes(content)


@pytest.mark.parametrize("vector", [flipped(0), flipped(31), b"", b"\0" * 33, b"\xff" * 32, "text" * 8])
def test_a_damaged_vector_is_refused_until_its_item_is_deleted(folder: Path, vector: object) -> None:
    change(folder, "UPDATE vectors SET vector = ? WHERE row = 8", vector)
    with Gallery(folder, create=False) as gallery:
        with pytest.raises(GalleryError, match="damaged vector of the item") as refused:
            gallery.search(vectors(1), 3)
        name = str(refused.value).partition("the item ")[2][:32]
        with pytest.raises(GalleryError, match=name):
            gallery.vectors([name])
        assert gallery.delete([name]) == 1
        assert len(gallery) == 19
        assert gallery.search(vectors(20)[[3]], 1)[0][0].item.identity == 3


def test_a_gallery_of_an_earlier_version_is_read_and_goes_on(folder: Path) -> None:
    change(folder, "ALTER TABLE items DROP COLUMN vector_crc32")
    with Gallery(folder, create=False) as gallery:
        assert gallery.search(vectors(20)[[3]], 1)[0][0].item.identity == 3
        gallery.add(vectors(25)[20:], identities=list(range(20, 25)))
        assert len(gallery) == 25
    change(folder, "UPDATE vectors SET vector = ? WHERE row = 23", flipped(0))
    with Gallery(folder, create=False) as gallery, pytest.raises(GalleryError, match="damaged vector"):
        gallery.search(vectors(1), 3)


def test_one_of_an_earlier_version_is_read_where_nothing_can_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, "ALTER TABLE items DROP COLUMN vector_crc32")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Gallery(folder, create=False) as gallery:
        assert gallery.search(vectors(20)[[3]], 1)[0][0].item.identity == 3
        assert gallery.vectors(gallery.select()).shape == (20, DIM)


@pytest.mark.parametrize("text", ["{", "[1]", "3", "[" * 100_000])
def test_damaged_facts_are_said_with_their_item(folder: Path, text: str) -> None:
    change(folder, "UPDATE items SET extra = ? WHERE row = 8", text)
    with (
        Gallery(folder, create=False) as gallery,
        pytest.raises(GalleryError, match=r"damaged facts of the item \w{32}"),
    ):
        gallery.items(gallery.select())


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', "[" * 100_000])
def test_a_damaged_calibration_is_one_line(folder: Path, text: str) -> None:
    change(folder, "INSERT INTO notes VALUES ('calibration', ?)", text)
    with Gallery(folder, create=False) as gallery, pytest.raises(GalleryError, match="found a damaged one"):
        gallery.search(vectors(1), 3)


@pytest.mark.parametrize("statement", ["DELETE FROM facts WHERE name = 'format'", "UPDATE items SET time = 'soon'"])
def test_other_damage_is_one_line(folder: Path, statement: str) -> None:
    change(folder, statement)
    with pytest.raises(GalleryError, match=r"format 2 at|damaged time"), Gallery(folder, create=False) as gallery:
        gallery.search(vectors(1), 3)


def test_an_emptied_database_is_not_taken_for_a_new_gallery(folder: Path) -> None:
    with Gallery(folder) as gallery:
        gallery.compact()
    (folder / "truth.sqlite").write_bytes(b"")
    for create in (False, True):
        with pytest.raises(GalleryError, match=r"truth\.sqlite empty; restore it from a copy"):
            Gallery(folder, create=create)


@pytest.mark.parametrize("name", ["index-1/index.json", "index-1/vectors.npy", "draft-x"])
def test_a_pipe_in_the_folder_is_not_waited_for(folder: Path, name: str) -> None:
    with Gallery(folder) as gallery:
        gallery.compact()
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with Gallery(folder) as gallery:
        assert gallery.search(vectors(20)[[3]], 1)[0][0].item.identity == 3
        gallery.compact()
    shutil.rmtree(folder)
