"""The verbs of a model at work, as a user types them: on drawn people whose clothes tell them apart."""

import csv
import dataclasses
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reseen import checkpoint
from reseen.cli import main
from reseen.gallery import Gallery, Where, labelled
from reseen.gallery.backends.sqlite_faiss import item_store
from reseen.labels import is_hidden, visible
from reseen.models import Embedder, ModelSpec

NUM_PEOPLE, NUM_EACH, SIZE = 6, 6, (32, 16)


def person(number: int, seed: int) -> np.ndarray:
    """A person of one colour above and another below, with noise."""
    colours = np.random.default_rng(number).integers(30, 226, (2, 3))
    pixels = np.repeat(colours, SIZE[0] // 2, 0)[:, None].repeat(SIZE[1], 1)
    return np.clip(pixels + np.random.default_rng(seed).normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a folder of pictures by person, a table, and a calibrated gallery of the folder."""
    place = tmp_path_factory.mktemp("verbs")
    torch.manual_seed(0)
    checkpoint.save(place / "model.safetensors", Embedder(ModelSpec("tests.training.tiny.Tiny", *SIZE)))
    for number in range(NUM_PEOPLE):
        (place / "people" / f"person {number}").mkdir(parents=True)
        for seed in range(NUM_EACH):
            Image.fromarray(person(number, seed)).save(place / "people" / f"person {number}" / f"{seed}.png")
    main(["index", *words(place), "--pictures", str(place / "people"), "--identities", "folders", "--camera", "gate"])
    main(["calibrate", str(place / "gallery"), "--rates", "[0.2, 0.1]", "--out", str(place / "calibration.html")])
    return place


def words(place: Path) -> list[str]:
    return [str(place / "gallery"), "--model", str(place / "model.safetensors")]


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the one line that a verb says before it exits with 1 or 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    told = capsys.readouterr().err.strip()
    assert stopped.value.code in (1, 2)
    assert told.startswith("reseen: "), told
    assert "\n" not in told
    assert "Traceback" not in told
    return told


def test_indexing_again_adds_nothing(place, capsys):
    again = said(
        capsys, "index", *words(place), "--pictures", place / "people", "--identities", "folders", "--camera", "gate"
    )
    assert "36 pictures, 0 of them new; 36 in" in again


def test_a_table_brings_all_that_is_known(place, capsys, tmp_path):
    Image.fromarray(np.tile(person(0, 99), (1, 2, 1))).save(tmp_path / "two.png")
    (tmp_path / "table.csv").write_text(
        "path,identity,camera,track,time,left,top,width,height\n"
        "two.png,7,door,3,12.5,0,0,16,32\ntwo.png,,,,,16,0,16,32\n"
    )
    gallery = tmp_path / "gallery"
    model = place / "model.safetensors"
    assert "2 pictures, 2 of them new" in said(
        capsys, "index", gallery, "--model", model, "--table", tmp_path / "table.csv", "--camera", "yard"
    )
    with Gallery(gallery) as kept:
        known = sorted(((i.identity, i.camera, i.track, i.time) for i in kept.items(kept.select()) if i), key=str)
    assert known == [(7, "door", 3, 12.5), (None, "yard", None, None)]


@pytest.mark.parametrize("extra", [[], ["--approximate_above", "30"], ["--rerank", "true"]])
def test_a_search_finds_who_it_is(place, capsys, tmp_path, extra):
    Image.fromarray(person(3, 77)).save(tmp_path / "query.png")
    table = said(
        capsys, "search", *words(place), tmp_path / "query.png", "--k", 4, "--out", tmp_path / "p.html", *extra
    )
    assert table.splitlines()[0].strip() == "query.png"
    assert table.count("person 3") == 2 * 4  # by name and by source
    assert "%" in table  # the gallery is calibrated
    page = (tmp_path / "p.html").read_text()
    assert page.count("data:image/jpeg") == 5
    assert "person 3" in page
    one = said(capsys, "search", *words(place), tmp_path / "query.png", "--by", "identity", "--k", 3)
    assert [line.split()[0] for line in one.splitlines()[2:5]] == ["1", "2", "3"]
    assert one.splitlines()[5:] == ["probabilities hold if it was 8.3 % before"]  # six people, half of them strangers
    assert "how likely it shows the same individual, if it was 8.3 % before" in page
    assert "person 3" in one.splitlines()[2]


def test_a_picture_of_something_else_is_told(place, capsys, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(tmp_path / "noise.png")
    with Gallery(place / "gallery") as kept:
        calibration = kept.calibration()
        kept.put_calibration(dataclasses.replace(calibration, familiar=0.9999))
        told = said(capsys, "search", *words(place), tmp_path / "noise.png", "--k", 2)
        kept.put_calibration(dataclasses.replace(calibration, familiar=-1.0))
        quiet = said(capsys, "search", *words(place), tmp_path / "noise.png", "--k", 2)
        kept.put_calibration(calibration)
    assert "noise.png is unlike every picture of this gallery" in " ".join(told.split())
    assert "unlike" not in quiet


def test_a_page_of_answers_is_not_written_over(place, capsys, tmp_path):
    page, picture = tmp_path / "p.html", place / "people" / "person 1" / "1.png"
    page.write_text("mine")
    for verb in (
        ["search", *words(place), picture],
        ["compare", picture, picture, *words(place)[1:]],
        ["calibrate", place / "gallery"],
    ):
        assert "name another, or say --force true" in refused(capsys, *verb, "--out", page)
    assert page.read_text() == "mine"


def test_a_camera_is_asked_for_by_name(place, capsys):
    picture = place / "people" / "person 1" / "1.png"
    for cameras in ("gate", "[gate]", '"gate"'):
        assert "person 1" in said(capsys, "search", *words(place), picture, "--cameras", cameras)
    for cameras in ("7", "[gate, 7]"):
        told = refused(capsys, "search", *words(place), picture, "--cameras", cameras)
        assert f"expected cameras among gate in {place / 'gallery'}, got 7" in told


def test_cameras_001_and_1_are_two_everywhere(place, capsys, tmp_path):
    tool = [tmp_path / "gallery", "--model", place / "model.safetensors"]
    for camera in ("001", "1", "12:30", "#1"):
        folder = tmp_path / camera
        folder.mkdir()
        Image.fromarray(person(0, len(list(tmp_path.iterdir())))).save(folder / "a.png")
        said(capsys, "index", *tool, "--pictures", folder, "--camera", camera)
    with Gallery(tmp_path / "gallery") as kept:
        assert kept.cameras() == [1, "#1", "001", "12:30"]
    picture = tmp_path / "001" / "a.png"
    for asked, number in (("001", 1), ("1", 1), ("[001, 1]", 2), ('"001"', 1), ("12:30", 1), ("#1", 1), ("", 4)):
        assert len(said(capsys, "search", *tool, picture, "--cameras", asked).splitlines()) == 2 + number, asked
    told = refused(capsys, "search", *tool, picture, "--cameras", '"1"')
    assert "expected cameras among 1, #1, 001, 12:30 in" in told
    assert 'got "1"' in told


def test_one_individual_is_one_whatever_names_it(place, capsys, tmp_path):
    """Folders, and tables with and without a name among the numbers, give the same labels."""
    tool = [tmp_path / "gallery", "--model", place / "model.safetensors"]
    for number in range(3):
        (tmp_path / "days" / str(number)).mkdir(parents=True)
        for day in range(3):
            Image.fromarray(person(number, 10 * day + number)).save(tmp_path / "days" / str(number) / f"{day}.png")
    (tmp_path / "unknown").mkdir()
    Image.fromarray(person(7, 1)).save(tmp_path / "unknown" / "x.png")
    rows = [f"days/{number}/1.png,{number},1" for number in range(3)]
    (tmp_path / "1.csv").write_text("path,identity,camera\n" + "\n".join(rows))
    rows = [f"days/{number}/2.png, {number}, 1" for number in range(3)]
    (tmp_path / "2.csv").write_text("Path, Identity, Camera\n" + "\n".join([*rows, "unknown/x.png, newcomer, gate"]))
    said(capsys, "index", *tool, "--pictures", tmp_path / "days", "--identities", "folders")
    said(capsys, "index", *tool, "--pictures", tmp_path / "unknown", "--identities", "folders")
    said(capsys, "index", *tool, "--table", tmp_path / "1.csv")
    assert "4 pictures, 4 of them new" in said(capsys, "index", *tool, "--table", tmp_path / "2.csv")
    with Gallery(tmp_path / "gallery") as kept:
        assert kept.identities() == [0, 1, 2, "newcomer"]
        assert [kept.count(Where(identities=[n])) for n in range(3)] == [5, 5, 5]
        assert kept.cameras() == [1, "gate"]
        pairs, _ = labelled(kept, other_camera=False)
        assert (pairs.same.sum(), len(pairs)) == (3 * 10, 16 * 15 / 2)  # of five pictures each, and the newcomer
    found = said(capsys, "search", *tool, tmp_path / "days" / "1" / "0.png", "--by", "identity", "--k", "9")
    answers = [line.split()[1] for line in found.splitlines()[2:]]
    assert len(answers) == 5  # one of them of nobody known
    assert {"0", "1", "2", "newcomer"} < set(answers)


def test_names_given_later_are_counted_and_taken_if_asked(place, capsys, tmp_path):
    tool = [tmp_path / "gallery", "--model", place / "model.safetensors", "--pictures", place / "people"]
    said(capsys, "index", *tool)
    again = said(capsys, "index", *tool, "--identities", "folders")
    assert "36 pictures, 0 of them new" in again
    assert "36 held already under another identity or none: not changed; --relabel true changes them" in again
    with Gallery(tmp_path / "gallery") as kept:
        assert kept.identities() == []
        assert "held already" not in said(capsys, "index", *tool)  # which says nothing of who they are
        taken = said(capsys, "index", *tool, "--identities", "folders", "--relabel", "true")
        assert "36 held already under another identity or none: changed" in taken
        assert kept.identities() == [f"person {n}" for n in range(NUM_PEOPLE)]
    assert "held already" not in said(capsys, "index", *tool, "--identities", "folders")


def test_items_are_labelled_renamed_merged_and_deleted(place, capsys, tmp_path):
    gallery = tmp_path / "gallery"
    said(
        capsys,
        *("index", gallery, "--model", place / "model.safetensors"),
        *("--pictures", place / "people", "--identities", "folders"),
    )
    assert said(capsys, "label", gallery, "--identity", "person 0", "--to", "007").strip() == "6 items changed"
    merged = said(capsys, "label", gallery, "--identity", "person 1", "--to", "007")
    assert "6 items changed, merged with those of 007" in merged
    said(capsys, "label", gallery, "--identity", "person 2", "--to", "7")
    said(capsys, "label", gallery, "--identity", "person 3", "--to", '"7"')
    said(capsys, "label", gallery, "--identity", "person 4", "--to", "Unknown")
    counts = [line.rsplit(None, 1) for line in said(capsys, "label", gallery).splitlines()[1:]]
    assert counts == [["7", "6"], ["007", "12"], ['"7"', "6"], ["person 5", "6"], ["(nobody known)", "6"]]

    assert "36 items" in said(capsys, "label", gallery, "--out", tmp_path / "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    ids = [row["id"] for row in rows if row["path"].startswith("person 4")]
    assert said(capsys, "label", gallery, "--ids", ", ".join(ids[:2]), "--to", "Ann").strip() == "2 items changed"
    (tmp_path / "names.csv").write_text("path,identity\nperson 4/0.png,Bob\nperson 5/5.png,unknown\nperson 5/1.png,\n")
    assert said(capsys, "label", gallery, "--table", tmp_path / "names.csv").strip() == "2 items changed"
    with Gallery(gallery) as kept:
        assert [kept.count(Where(identities=[who])) for who in ("Ann", "Bob", "person 5", None)] == [1, 1, 5, 5]

    assert "12 items deleted; 24 in" in said(capsys, "delete", gallery, "--identity", "007")
    assert "1 items deleted; 23 in" in said(capsys, "delete", gallery, "--ids", ids[0])
    (tmp_path / "gone.csv").write_text("identity\n7\nperson 5\n")
    assert "11 items deleted; 12 in" in said(capsys, "delete", gallery, "--table", tmp_path / "gone.csv")
    (tmp_path / "gone.csv").write_text("path\nperson 4/1.png\n")
    assert "1 items deleted; 11 in" in said(capsys, "delete", gallery, "--table", tmp_path / "gone.csv")
    with Gallery(gallery) as kept:
        assert kept.identities() == ["7"]

    for wrong, message in (
        (["label", "--identity", "nobody", "--to", "x"], 'expected identities among "7" in'),
        (["label", "--identity", "7", "--to", "x"], 'expected identities among "7" in'),
        (["label", "--to", "x"], "expected --to with --identity or --ids"),
        (["label", "--ids", ids[0]], "expected --to with --identity or --ids"),
        (["label", "--ids", ids[0], "--to", "x"], f"found 1 that are of none, first {ids[0]}"),
        (["label", "--ids", "x", "--to", "y"], "expected ids of 32 hexadecimal digits, got 'x'"),
        (["label", "--table", str(tmp_path / "names.csv")], "found 0 of person 4/0.png, the first of"),
        (["delete"], "expected one of --ids, --identity and --table"),
        (["delete", "--identity", "nobody"], "expected identities among"),
        (["delete", "--ids", ids[0], "--identity", "x"], "expected one of"),
    ):
        assert message in refused(capsys, wrong[0], gallery, *wrong[1:])
    with Gallery(gallery) as kept:
        assert len(kept) == 11


def test_old_items_are_forgotten_and_galleries_compacted_and_copied(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(item_store, "CHECKPOINT_SECONDS", 0.1)
    gallery, vectors = tmp_path / "gallery", np.random.default_rng(0).normal(size=(6, 8))
    with Gallery(gallery) as kept:
        kept.add(
            vectors, identities=["old", "old", "edge", "new", "new", "timeless"], times=[-5, 99.5, 100, 101, 1e9, None]
        )
        kept.compact()
    copied = said(capsys, "copy", gallery, tmp_path / "copy")
    assert copied.strip() == f"6 items in {tmp_path / 'copy'}"
    assert "expected a new folder for a copy" in refused(capsys, "copy", gallery, tmp_path / "copy")
    assert "2 items deleted; 4 in" in (told := said(capsys, "forget", gallery, "--before", "100"))
    assert "1 of them without a time" in told
    assert b"old" not in b"".join(path.read_bytes() for path in gallery.rglob("*") if path.is_file())
    assert "0 items deleted; 4 in" in said(capsys, "forget", gallery, "--before", "100")
    with Gallery(tmp_path / "copy") as kept:
        assert kept.identities() == ["edge", "new", "old", "timeless"]
    with sqlite3.connect(gallery / "truth.sqlite") as reader, Gallery(gallery) as kept:
        kept.delete(kept.select(Where(identities=["edge"])))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        told = said(capsys, "compact", gallery)
        assert "3 items in" in told
        assert "bytes of the log stay, in which deleted items may stand: another process reads the gallery" in told
    reader.close()
    assert said(capsys, "compact", gallery).strip() == f"3 items in {gallery}"
    assert "`reseen index` makes one" in refused(capsys, "compact", tmp_path / "none")


def test_names_are_shown_as_they_are(place, capsys, tmp_path):
    """Names that rich would take for markup or emoji, and characters that a terminal would obey."""
    names = ["[/b]", "[red]Bob[/red]", ":dog:", "a\x1b[31mb\x1b]0;c\x07", "two\nlines", "\u202egnirts"]
    tool = ["--model", place / "model.safetensors"]
    said(capsys, "index", tmp_path / "gallery", *tool, "--pictures", place / "people", "--identities", "folders")
    with Gallery(tmp_path / "gallery") as kept:
        for number, name in enumerate(names):
            kept.rename(f"person {number}", name)
    for number, name in enumerate(names):
        picture = tmp_path / "[bold]x[red].png"
        Image.fromarray(person(number, 77)).save(picture)
        for extra in ([], ["--by", "identity"], ["--out", tmp_path / "page.html", "--force", "true"]):
            table = said(capsys, "search", tmp_path / "gallery", *tool, picture, "--k", "3", *extra)
            assert visible(name) in table
            assert table.isprintable() or set(filter(is_hidden, table)) == {"\n"}
            assert table.startswith("[bold]x[red].png")
    listing = said(capsys, "label", tmp_path / "gallery")
    assert all(visible(name) in listing for name in names)
    told = refused(capsys, "search", tmp_path / "gallery", *tool, picture, "--cameras", "\x1b[31m[red]")
    assert "\\x1b[31m[red]" in told


def test_a_stranger_is_none_of_these(place, capsys, tmp_path):
    Image.fromarray(person(2, 78)).save(tmp_path / "known.png")
    Image.fromarray(np.full((*SIZE, 3), (0, 0, 255), np.uint8)).save(tmp_path / "stranger.png")
    told = said(capsys, "search", *words(place), tmp_path, "--by", "identity", "--k", 1, "--false_alarms", 0.1)
    assert re.search(r"known.png +person 2", told)
    assert re.search(r"stranger.png +none of these", told)
    assert "stranger.png: none of these" in said(
        capsys, "search", *words(place), tmp_path / "stranger.png", "--false_alarms", 0.1
    )
    assert "none of these" not in said(capsys, "search", *words(place), tmp_path / "stranger.png")


def test_two_pictures_are_compared(place, capsys, tmp_path):
    first, second = (place / "people" / "person 1" / f"{n}.png" for n in range(2))
    model = ["--model", place / "model.safetensors"]
    plain = said(capsys, "compare", first, second, *model)
    assert "similarity 0.9" in plain
    assert "no probability: name a calibrated gallery" in plain
    sure = said(capsys, "compare", first, second, *model, "--gallery", place / "gallery", "--out", tmp_path / "c.html")
    assert "the same individual with a probability of" in sure
    assert [line.split()[0] for line in sure.splitlines() if line.endswith("the same")] == ["20.00%", "10.00%"]
    assert (tmp_path / "c.html").read_text().count("data:image/jpeg") == 2


def test_the_calibration_page_shows_its_diagram(place):
    page = (place / "calibration.html").read_text()
    for word in ("Reliability diagram", "isotonic", "logistic", "ECE", "Open-set identification"):
        assert word in page


@pytest.fixture(scope="module")
def video(place: Path) -> tuple[Path, Path, Path]:
    """Two people in ten frames under tracks 1 and 2, then one of them and a stranger as 3 and 4; and who is who."""
    av = pytest.importorskip("av")
    with av.open(str(place / "video.avi"), "w") as file:
        stream = file.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "bgr0"
        for number in range(20):
            pixels = np.zeros((32, 64, 3), np.uint8)
            left, right = (0, 1) if number < 10 else (0, 9)
            pixels[:, :16], pixels[:, 32:48] = person(left, 100 + number), person(right, 200 + number)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    with (place / "boxes.txt").open("w") as boxes:
        for frame in range(1, 21):
            first = 1 if frame <= 10 else 3
            boxes.write(f"{frame},{first},1,1,16,32,1\n{frame},{first + 1},33,1,16,32,1\n")
    with (place / "people.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("track", "identity"), (1, "Ann"), (2, "Bob"), (3, "Ann"), (4, "Eve")])
    return place / "video.avi", place / "boxes.txt", place / "people.csv"


def test_who_of_a_video_comes_back(place, video, capsys, tmp_path):
    film, boxes, people = video
    tool = [tmp_path / "gallery", "--model", place / "model.safetensors"]
    indexed = said(
        capsys,
        "index",
        *tool,
        "--video",
        film,
        "--boxes",
        boxes,
        "--people",
        people,
        "--camera",
        "yard",
        "--start",
        1000,
        "--end",
        2,
    )
    assert "20 pictures, 20 of them new" in indexed
    with Gallery(tmp_path / "gallery") as gallery:
        items = [item for item in gallery.items(gallery.select()) if item]
    assert {(item.identity, item.track, item.camera) for item in items} == {("Ann", 1, "yard"), ("Bob", 2, "yard")}
    assert min(item.time for item in items) == 1000
    found = said(
        capsys,
        "search",
        *tool,
        film,
        "--boxes",
        boxes,
        "--people",
        people,
        "--begin",
        2,
        "--every",
        2,
        "--by",
        "identity",
        "--k",
        1,
        "--out",
        tmp_path / "page.html",
    )
    assert "track 3  Ann" in found
    assert "first answer right: 1 of 1 queries whose individual is in the gallery" in found
    assert "answered although not in the gallery: 1 of 1 queries" in found
    assert "track 4" in (tmp_path / "page.html").read_text()


MISTAKES = {
    "no model": (["index", "{new}", "--model", "{place}/none", "--pictures", "{place}/people"], "{place}/none"),
    "a model that is none": (
        ["index", "{new}", "--model", "{place}/people.csv", "--pictures", "{place}/people"],
        "people.csv",
    ),
    "no pictures": (
        ["index", "{new}", "--model", "{model}", "--pictures", "{place}/none"],
        "expected pictures in {place}/none, found none",
    ),
    "nothing to index": (
        ["index", "{new}", "--model", "{model}"],
        "expected one of --pictures, --table, --video with --boxes, --vectors",
    ),
    "two things to index": (
        ["index", "{new}", "--model", "{model}", "--pictures", "{place}/people", "--table", "{place}/people.csv"],
        "expected one of --pictures, --table, --video with --boxes, --vectors",
    ),
    "a table without paths": (["index", "{new}", "--model", "{model}", "--table", "{place}/people.csv"], "column path"),
    "a video without boxes": (["index", "{new}", "--model", "{model}", "--video", "{place}/video.avi"], "--boxes"),
    "boxes that are a video": (
        ["index", "{new}", "--model", "{model}", "--video", "{place}/video.avi", "--boxes", "{place}/video.avi"],
        "expected lines of text",
    ),
    "a window with nothing in it": (
        [
            "index",
            "{new}",
            "--model",
            "{model}",
            "--video",
            "{place}/video.avi",
            "--boxes",
            "{place}/boxes.txt",
            "--begin",
            "99",
        ],
        "check --begin and --end",
    ),
    "every 0th frame": (
        [
            "index",
            "{new}",
            "--model",
            "{model}",
            "--video",
            "{place}/video.avi",
            "--boxes",
            "{place}/boxes.txt",
            "--every",
            "0",
        ],
        "got 0",
    ),
    "people of a folder": (
        ["index", "{new}", "--model", "{model}", "--pictures", "{place}/people", "--people", "{place}/people.csv"],
        "expected --people with --video",
    ),
    "a gallery where a file lies": (
        ["index", "{place}/people.csv", "--model", "{model}", "--pictures", "{place}/people"],
        "found a file; name another place",
    ),
    "no gallery": (["search", "{new}", "{place}/people", "--model", "{model}"], "`reseen index` makes one"),
    "no picture": (["search", "{gallery}", "{place}/none.png", "--model", "{model}"], "no such file"),
    "a picture that is none": (
        ["search", "{gallery}", "{place}/boxes.txt", "--model", "{model}"],
        "expected a picture",
    ),
    "a video without its boxes": (["search", "{gallery}", "{place}/video.avi", "--model", "{model}"], "--boxes"),
    "no answers": (["search", "{gallery}", "{picture}", "--model", "{model}", "--k", "0"], "k"),
    "people without a video": (
        ["search", "{gallery}", "{picture}", "--model", "{model}", "--people", "{place}/people.csv"],
        "--boxes",
    ),
    "a rate that was not asked for": (
        ["search", "{gallery}", "{picture}", "--model", "{model}", "--false_alarms", "0.5"],
        "(0.2, 0.1), got 0.5",
    ),
    "comparing with nobody": (["compare", "{picture}", "{place}/none.png", "--model", "{model}"], "no such file"),
    "calibrating nothing": (["calibrate", "{new}"], "`reseen index` makes one"),
    "a prior of one": (["calibrate", "{gallery}", "--prior", "1"], "between 0 and 1"),
    "a rate of two": (["calibrate", "{gallery}", "--rates", "[2]"], "between 0 and 1"),
    "no Milvus there": (["search", "milvus://127.0.0.1:1/people", "{picture}", "--model", "{model}"], "milvus://"),
    "half an address": (["search", "milvus://nowhere", "{picture}", "--model", "{model}"], "milvus://host:port/name"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake, place, video, tmp_path, capsys):
    arguments, expected = MISTAKES[mistake]
    here = {
        "new": tmp_path / "new",
        "place": place,
        "model": place / "model.safetensors",
        "gallery": place / "gallery",
        "picture": place / "people" / "person 1" / "1.png",
    }
    told = refused(capsys, *(word.format(**here) for word in arguments))
    assert expected.format(**here) in told


def test_a_gallery_of_another_model_is_refused(place, capsys, tmp_path):
    torch.manual_seed(1)
    checkpoint.save(tmp_path / "other.safetensors", Embedder(ModelSpec("tests.training.tiny.Tiny", *SIZE)))
    picture = place / "people" / "person 1" / "1.png"
    told = refused(capsys, "search", place / "gallery", picture, "--model", tmp_path / "other.safetensors")
    assert "index the pictures anew into another gallery" in told
    assert f"expected a gallery of vectors of {tmp_path / 'other.safetensors'} (model " in told
    assert f" of {place / 'model.safetensors'} (model " in told  # the one to use


def test_too_little_to_calibrate_with(place, capsys, tmp_path):
    said(
        capsys,
        "index",
        tmp_path / "g",
        "--model",
        place / "model.safetensors",
        "--pictures",
        place / "people" / "person 1",
    )
    assert "at least 10 labelled pairs" in refused(capsys, "calibrate", tmp_path / "g")
    assert "run reseen calibrate" in refused(
        capsys,
        "search",
        tmp_path / "g",
        place / "people",
        "--model",
        place / "model.safetensors",
        "--false_alarms",
        0.1,
    )
