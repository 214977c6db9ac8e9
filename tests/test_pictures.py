"""Which files of a folder are pictures, for every reader alike, and what becomes of those that cannot be read."""

import os
from pathlib import Path

import pytest
from PIL import Image

from reseen.datasets import Folder
from reseen.datasets.benchmarks.layout import list_pictures
from reseen.errors import DataError
from reseen.gallery.ingest import files_below, from_folder
from reseen.pictures import EXTENSIONS, Reader, find_pictures

SAVED = {".jpe": "JPEG", ".jfif": "JPEG", ".mpo": "JPEG", ".apng": "PNG", ".dib": "BMP", ".avif": "PNG"}
OTHERS = ("paper.pdf", "feats.h5", "clip.mpg", "page.eps", "._1.png", ".hidden.jpg", "Thumbs.db", "README")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two folders with a picture of every kind, some in capitals, and what lies about beside pictures."""
    for person in ("ann", "bob"):
        (tmp_path / person).mkdir()
        for number, ending in enumerate(EXTENSIONS):
            name = f"{number}{ending.upper() if number % 3 == 0 else ending}"
            kind = {".jp2": "PNG"}.get(ending, SAVED.get(ending))
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / person / name, format=kind)
        for name in OTHERS:
            (tmp_path / person / name).write_bytes(b"no picture")
    (tmp_path / ".trash").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / ".trash" / "1.png")
    return tmp_path


def test_every_reader_of_folders_finds_the_same_pictures(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = sorted(f"{person}/{name}" for person in ("ann", "bob") for name in list_pictures(root / person))
    assert len(expected) == 2 * len(EXTENSIONS)
    with caplog.at_level("INFO", "reseen"):
        assert find_pictures(root) == expected
    assert "skipped 16 files that are no pictures" in caplog.text
    assert "hidden 4" in caplog.text
    assert ".pdf 2" in caplog.text
    assert sorted(path.relative_to(root).as_posix() for path in files_below(root)) == expected
    found = Folder(root, same_camera="keep", test_identities=2)
    samples = {os.path.relpath(s.path, root) for part in (found.train, found.query, found.gallery) for s in part}
    assert samples == set(expected)


def test_a_broken_picture_stops_or_is_counted(root: Path) -> None:
    whole = next(path for path in files_below(root) if path.suffix == ".png")
    whole.write_bytes(whole.read_bytes()[:40])
    with pytest.raises(DataError, match=whole.name):
        list(from_folder(root, folders=True, camera=None))
    reader = Reader("skip")
    found = list(from_folder(root, folders=True, camera=None, reader=reader))
    assert reader.skipped == 1
    assert len(found) == len(find_pictures(root)) - 1


def test_a_name_that_is_not_utf8_is_passed_over(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    Image.new("L", (8, 8)).save(tmp_path / "1.png")
    assert find_pictures(tmp_path) == ["1.png"]
