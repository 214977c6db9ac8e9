"""The verbs of a model at work, as a user types them: on drawn people whose clothes tell them apart."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reseen import checkpoint
from reseen.cli import main
from reseen.gallery import Gallery
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
    assert [line.split()[0] for line in one.splitlines()[2:]] == ["1", "2", "3"]
    assert "person 3" in one.splitlines()[2]


def test_a_camera_is_asked_for_by_name(place, capsys):
    picture = place / "people" / "person 1" / "1.png"
    for cameras, found in (("gate", True), ("[gate, 7]", True), ("7", False)):
        table = said(capsys, "search", *words(place), picture, "--cameras", cameras)
        assert ("person 1" in table) == found
        assert ("no sighting to compare with" in table) != found


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
    for word in ("Promised and kept", "isotonic", "logistic", "ECE", "Who of these, or none?"):
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
    "nothing to index": (["index", "{new}", "--model", "{model}"], "expected one of --pictures, --table, or --video"),
    "two things to index": (
        ["index", "{new}", "--model", "{model}", "--pictures", "{place}/people", "--table", "{place}/people.csv"],
        "expected one of --pictures, --table, or --video",
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
