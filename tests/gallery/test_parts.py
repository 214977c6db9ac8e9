"""Vectors of parts in a gallery: the same sightings as of the pictures themselves, each part once."""

import shutil
from pathlib import Path

import pytest

from reseen.cli import main
from reseen.cli.answers import write_search_page
from reseen.embedding.making import PartOptions, make_parts
from reseen.embedding.manifest import ParquetManifest
from reseen.embedding.parts import finished_work, part_name
from reseen.errors import GalleryError, RunError
from reseen.gallery import Gallery, Where
from reseen.gallery.ingest import BEGUN, add_parts, part_notes
from reseen.gallery.queries import Query
from reseen.pictures import decode, digest
from reseen.storage import StorageFolder
from tests.embedding.drawn import Mean, draw
from tests.serving.conftest import Colours, client, packed, serving


@pytest.fixture
def folder(tmp_path: Path) -> StorageFolder:
    manifest = draw(tmp_path / "pictures", 25)
    folder = StorageFolder(str(tmp_path / "parts"))
    make_parts(folder, ParquetManifest(str(manifest)), Mean(), PartOptions(part_rows=10))
    return folder


def test_parts_are_added_once(folder: StorageFolder, open_gallery, tmp_path: Path) -> None:
    gallery = open_gallery(Mean.fingerprint)
    first = next(add_parts(gallery, folder))  # stopped after one part
    assert first == (10, 10)
    assert [rows for rows, _ in add_parts(gallery, folder)] == [0, 10, 5]
    assert [rows for rows, _ in add_parts(gallery, folder)] == [0, 0, 0]
    assert len(gallery) == 25
    assert gallery.cameras() == [7, "007"]
    assert gallery.count(Where(named=True)) == 20
    pixels = decode(tmp_path / "pictures" / "4.png")
    match = gallery.search(Mean().vectors(pixels[None], [], mirrored=False), 1)[0][0]
    assert (match.item.source, match.item.identity, match.item.camera) == ("4.png", 0, 7)
    same = gallery.add([[1.0] * 12], cameras=[7], sources=["4.png"], contents=[digest(pixels)])
    assert same == type(same)((match.item.id,), 0)


def test_pictures_that_are_elsewhere_are_said_to_be_missing(folder: StorageFolder, tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", Mean.fingerprint) as gallery:
        list(add_parts(gallery, folder))
        pixels = decode(tmp_path / "pictures" / "4.png")
        shutil.rmtree(tmp_path / "pictures")
        query = Query("who", pixels, Mean().vectors(pixels[None], [], mirrored=False)[0])
        answers = [(query, gallery.search(query.vector[None], 3)[0])]
        write_search_page(tmp_path / "page.html", gallery, answers, nobody="nobody")
        assert (tmp_path / "page.html").read_text().count(">no picture<") == 3
        with serving(gallery, Colours()) as address, client(address) as asking:
            found = asking.post("/search?k=3", content=packed(pixels)).json()["matches"]
            assert [match["picture"] for match in found] == [False] * 3
            assert asking.get(f"/items/{found[0]['id']}/picture").status_code == 404


def test_a_part_that_has_changed_is_added_again(folder: StorageFolder, tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", Mean.fingerprint) as gallery:
        assert sum(new for _, new in add_parts(gallery, folder)) == 25
        part = Path(str(folder)) / part_name(1)
        part.touch()
        assert list(add_parts(gallery, folder)) == [(0, 0), (10, 0), (0, 0)]
        part.write_bytes(b"junk")
        with pytest.raises(RunError, match="embed again"):
            list(add_parts(gallery, folder))


@pytest.mark.parametrize("stopped", [False, True])
def test_who_was_named_since_stays_named(folder: StorageFolder, open_gallery, stopped: bool) -> None:
    """Of a part that is made again, and of one whose rows were written and not yet noted when its adding ended."""
    gallery = open_gallery(Mean.fingerprint)
    list(add_parts(gallery, folder))
    (named,) = [item.id for item in gallery.items(gallery.select()) if item is not None and item.source == "12.png"]
    gallery.update([named], identity="Ann")
    if stopped:
        (note,) = (name for name in part_notes(finished_work(folder)) if name.endswith(":00000001"))
        gallery.put_note(note, BEGUN)
    else:
        (Path(str(folder)) / part_name(1)).touch()
    assert list(add_parts(gallery, folder)) == [(0, 0), (10, 0), (0, 0)]
    assert [item.identity for item in gallery.items([named]) if item is not None] == ["Ann"]
    assert len(gallery) == 25


def test_the_verb(folder: StorageFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["index", str(tmp_path / "gallery"), "--vectors", str(folder)])
    assert "25 vectors, 25 of them new; 25 in" in capsys.readouterr().out
    with pytest.raises(GalleryError, match="expected a gallery of vectors of"), Gallery(tmp_path / "gallery", "m"):
        pass
    with pytest.raises(SystemExit):
        main(["index", str(tmp_path / "gallery"), "--vectors", str(tmp_path / "none")])
    assert "found no embedding.json" in capsys.readouterr().err
