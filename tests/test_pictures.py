"""Which files of a folder are pictures, for every reader alike, and what becomes of those that cannot be read."""

import os
import struct
from pathlib import Path

import pytest
from PIL import Image

from reseen.datasets import Folder
from reseen.datasets.benchmarks.layout import list_pictures
from reseen.errors import DataError
from reseen.gallery.ingest import files_below, from_folder
from reseen.pictures import EXTENSIONS, Reader, decode, find_pictures

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


def test_a_format_that_runs_a_program_is_not_read(tmp_path: Path) -> None:
    """Pillow gives PostScript to Ghostscript, whatever the file is called."""
    (tmp_path / "1.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n%%EOF\n")
    with pytest.raises(DataError, match="cannot identify"):
        decode(tmp_path / "1.png")


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    for name, found in {"pipe": "a pipe or device", "device": "a pipe or device", "folder": "a folder"}.items():
        with pytest.raises(DataError, match=f"{name}.png, got {found}"):
            decode(tmp_path / f"{name}.png")


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "1.png")
    for name in "abc":
        (tmp_path / name).symlink_to(tmp_path)
    assert find_pictures(tmp_path) == ["1.png"]


def test_links_that_multiply_are_refused(tmp_path: Path) -> None:
    """Twenty folders, each with two links to the next, have a million ways."""
    for number in range(20):
        (tmp_path / f"{number}").mkdir()
        for name in "ab":
            (tmp_path / f"{number}" / name).symlink_to(tmp_path / f"{number + 1}")
    with pytest.raises(DataError, match="expected at most 100 links to one folder"):
        find_pictures(tmp_path / "0")


def test_a_jpeg_of_very_many_scans_is_not_decoded(tmp_path: Path) -> None:
    """Its last scan, which costs a pass over the picture, again and again."""
    Image.new("RGB", (64, 64)).save(tmp_path / "1.jpg", progressive=True)
    whole = (tmp_path / "1.jpg").read_bytes()
    assert decode(tmp_path / "1.jpg").shape == (64, 64, 3)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    (tmp_path / "1.jpg").write_bytes(whole[:-2] + 100 * last + whole[-2:])
    with pytest.raises(DataError, match=r"expected at most 100 scans in .*1\.jpg, got 110"):
        decode(tmp_path / "1.jpg")


def test_a_large_run_length_bmp_is_not_decoded(tmp_path: Path) -> None:
    """Nothing but ends of lines, which Pillow fills up in Python."""
    size = 4096
    header = b"BM" + struct.pack("<IHHI", 54 + 1024 + 2, 0, 0, 54 + 1024)
    header += struct.pack("<IiiHHIIiiII", 40, size, size, 1, 8, 1, 2, 0, 0, 256, 0)
    (tmp_path / "1.bmp").write_bytes(header + bytes(1024) + b"\0\1")
    with pytest.raises(DataError, match=r"expected at most 4,194,304 pixels in .*1\.bmp, a run-length encoded BMP"):
        decode(tmp_path / "1.bmp")
