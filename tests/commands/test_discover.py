"""`reseen discover` and `reseen adapt` as a user types them, on drawn people of two colours each."""

import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reseen import checkpoint
from reseen.cli import main
from reseen.datasets import Table
from reseen.gallery import Gallery
from reseen.gallery.verdicts import mark_links
from reseen.models import Embedder, ModelSpec
from reseen.zoo import DEFAULT
from tests.commands.test_gallery_verbs import SIZE, person, refused, said
from tests.training.test_resume import in_child
from tests.training.tiny import same

PEOPLE, EACH = 6, 6
OPTIONS = ("--clustering.k1", 6, "--clustering.k2", 2, "--clustering.min_samples", 3)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a folder of pictures whose names say the camera, and a gallery of the folder."""
    place = tmp_path_factory.mktemp("discover")
    torch.manual_seed(0)
    checkpoint.save(place / "model.safetensors", Embedder(ModelSpec("tests.training.tiny.Tiny", *SIZE)))
    (place / "seen").mkdir()
    for number in range(PEOPLE * EACH):
        picture = Image.fromarray(person(number % PEOPLE, number))
        picture.save(place / "seen" / f"{number:02d}_cam{number // PEOPLE % 2}.png")
    model = str(place / "model.safetensors")
    main(["index", str(place / "gallery"), "--model", model, "--pictures", str(place / "seen")])
    return place


def truth(path: str) -> int:
    return int(Path(path).name[:2]) % PEOPLE


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def folder(place: Path) -> tuple[object, ...]:
    return "--pictures", place / "seen", "--pattern", r"cam(?P<camera>\d)", "--model", place / "model.safetensors"


def test_a_folder_becomes_individuals(place, capsys, tmp_path):
    out = tmp_path / "out"
    told = said(capsys, "discover", *folder(place), "--out", out, *OPTIONS)
    assert "36 pictures: 6 groups, 0 pictures in none" in told
    found = rows(out / "individuals.csv")
    groups = {row["identity"]: {truth(r["path"]) for r in found if r["identity"] == row["identity"]} for row in found}
    assert len(groups) == PEOPLE
    assert all(len(people) == 1 for people in groups.values())
    assert {row["camera"] for row in found} == {"0", "1"}
    facts = json.loads((out / "discovery.json").read_text())
    assert (facts["groups"], facts["pictures in none"]) == (6, 0)
    assert facts["individuals"][0] <= 6 <= facts["individuals"][1]
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg") >= 36
    assert "http" not in page.replace("http://www.w3.org", "")


def test_its_table_is_a_data_set(place, capsys, tmp_path):
    said(capsys, "discover", *folder(place), "--out", tmp_path, *OPTIONS)
    data = Table(tmp_path / "individuals.csv", test_identities=2)
    assert len({s.identity for s in data.train}) == 4
    assert len(data.train) == 24


def test_answers_hold(place, capsys, tmp_path):
    said(capsys, "discover", *folder(place), "--out", tmp_path, *OPTIONS)
    asked = rows(tmp_path / "questions.csv")
    assert asked
    assert all(row["same"] == "" for row in asked)
    joined = next(row for row in asked if row["kind"] == "join")
    parted = next(row for row in asked if row["kind"] == "split")
    with (tmp_path / "answers.csv").open("w", newline="") as file:
        answers = csv.writer(file)
        answers.writerow(["first", "second", "same"])
        answers.writerow([joined["first"], joined["second"], "yes"])
        answers.writerow([parted["first"], parted["second"], "no"])
    said(capsys, "discover", *folder(place), "--out", tmp_path, *OPTIONS, "--pairs", tmp_path / "answers.csv")
    who = {row["id"]: row["identity"] for row in rows(tmp_path / "individuals.csv")}
    assert who[joined["first"]] == who[joined["second"]] != ""
    assert who[parted["first"]] != who[parted["second"]]
    answers = {(joined["first"], joined["second"]): "yes", (parted["first"], parted["second"]): "no"}
    table = tmp_path / "questions.csv"
    for _ in range(2):  # What was said is not asked again, and stands in the table, to be given once more with it.
        again = {(row["first"], row["second"]): row for row in rows(table)}
        assert {pair: row["same"] for pair, row in again.items() if row["same"]} == answers
        assert {again[pair]["kind"] for pair in answers} == {"answered"}
        said(capsys, "discover", *folder(place), "--out", tmp_path, *OPTIONS, "--pairs", table)


def test_a_gallery_keeps_the_answers_as_marks(place, capsys, tmp_path):
    gallery = tmp_path / "gallery"
    said(capsys, "copy", place / "gallery", gallery)
    said(capsys, "discover", "--gallery", gallery, "--out", tmp_path / "out", *OPTIONS)
    found = rows(tmp_path / "out" / "individuals.csv")
    first, second = found[0]["id"], found[1]["id"]  # Two people.
    assert found[0]["identity"] != found[1]["identity"]
    (tmp_path / "answers.csv").write_text(f"first,second,same\n{first},{second},yes\n")
    words = ("discover", "--gallery", gallery, "--out", tmp_path / "out", *OPTIONS)
    said(capsys, *words, "--pairs", tmp_path / "answers.csv")
    with Gallery(gallery) as kept:
        (mark,) = kept.marks()
        one, other = (v / np.linalg.norm(v) for v in kept.vectors([first, second]))
    assert (mark.query, mark.item, mark.same) == (first, second, True)
    assert mark.similarity == pytest.approx(float(one @ other), abs=1e-5)
    told = said(capsys, *words)
    assert "36 pictures: 5 groups" in told  # The mark is enough.
    said(capsys, "label", gallery, "--table", tmp_path / "out" / "individuals.csv")
    with Gallery(gallery) as kept:
        assert len(kept.identities()) == 5


def test_marks_of_searches_link_what_was_found(place, tmp_path):
    with Gallery(place / "gallery") as whole:
        whole.copy(tmp_path / "gallery")
    with Gallery(tmp_path / "gallery") as kept:
        ids = kept.select()
        for item, same in ((0, True), (2, True), (3, False), (4, False)):
            kept.mark("a picture's digest", ids[item], similarity=0.5, same=same)
        kept.mark("another's", ids[5], similarity=0.5, same=False)
        links = mark_links(kept, {name: row for row, name in enumerate(ids)})
    assert {frozenset(pair) for pair in links.must.tolist()} == {frozenset({0, 2})}
    joined = {0, 2}
    assert {frozenset(pair) & joined != set() for pair in links.cannot.tolist()} == {True}
    assert {(set(pair) - joined).pop() for pair in links.cannot.tolist()} == {3, 4}


def test_labels_are_compared_with_and_not_used(place, capsys, tmp_path):
    with (tmp_path / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "identity", "track"])
        table.writerows((path, truth(str(path)), "a" if n in (0, 1) else "") for n, path in
                        enumerate(sorted((place / "seen").iterdir())))  # fmt: skip
    words = ("--table", tmp_path / "table.csv", "--model", place / "model.safetensors", "--out", tmp_path / "out")
    told = said(capsys, "discover", *words, *OPTIONS)
    assert "36 pictures: 6 groups" in told  # A track puts a picture of one person with another's.
    facts = json.loads((tmp_path / "out" / "discovery.json").read_text())
    assert 0.5 < facts["ARI"] < 1
    assert facts["must-links"] == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "expected one of --gallery, --pictures, --table or --data"),
        (("--gallery", "gallery", "--pictures", "seen"), "expected one of --gallery, --pictures"),
        (("--gallery", "gallery", "--model", "model.safetensors"), "expected --gallery without --model"),
        (("--pictures", "seen", "--model", "osnet_x0_25_market"), "reseen models has osnet_x0_25_m"),
        (("--pictures", "seen", "--model", "model.safetensors", "--pattern", "x(?P<camera>.)"), "to match x"),
        (("--pictures", "seen", "--model", "model.safetensors", "--pattern", "(?P<colour>.)"), "groups among"),
        (("--pictures", "none", "--model", "model.safetensors"), "expected a folder of pictures"),
        (("--gallery", "gallery", "--clustering.eps", "2"), "expected eps between 0 and 1"),
    ],
)
def test_mistakes_are_one_line(words, expected, place, capsys, tmp_path):
    words = [place / word if (place / word).exists() or word == "none" else word for word in words]
    assert expected in refused(capsys, "discover", "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_contradicting_answers_leave_the_gallery_as_it_was(place, capsys, tmp_path):
    said(capsys, "copy", place / "gallery", tmp_path / "gallery")
    with Gallery(tmp_path / "gallery") as kept:
        one, two, three = kept.select()[:3]
    (tmp_path / "answers.csv").write_text(f"first,second,same\n{one},{two},yes\n{two},{three},yes\n{one},{three},no\n")
    words = ("--gallery", tmp_path / "gallery", "--out", tmp_path / "out", "--pairs", tmp_path / "answers.csv")
    assert "expected pairs that agree with one another" in refused(capsys, "discover", *words)
    with Gallery(tmp_path / "gallery") as kept:
        assert kept.marks() == []


@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_killed_while_it_writes(which, place, tmp_path):
    """Each file is the whole old one or the whole new one, and another call mends everything."""
    out = tmp_path / "out"
    words = [str(w) for w in ("discover", *folder(place), "--out", out, *OPTIONS)]
    main(words)
    before = {path.name: path.read_text() for path in out.iterdir()}

    def work() -> None:
        replace, moved = Path.replace, []

        def die(self: Path, to: Path) -> None:
            moved.append(to)
            if len(moved) == which:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(self, to)

        Path.replace = die  # type: ignore[method-assign, assignment]
        main([*words, "--clustering.eps", "0.3"])

    child = in_child(work)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    main(words)
    after = {path.name: path.read_text() for path in out.iterdir() if not path.name.startswith(".")}
    for files in (before, after):
        del files["index.html"]  # It has the time in it.
    assert after == before


ADAPT = (
    *OPTIONS, "--rounds", 1, "--batches.identities", 4, "--batches.images", 2, "--schedule.epochs", 1,
    "--augmentation.pad", 2,
)  # fmt: skip


def test_a_model_is_adapted_to_a_folder(place, capsys, tmp_path):
    out = tmp_path / "run"
    told = said(capsys, "adapt", *folder(place), "--out", out, *ADAPT)
    assert "its effect on the scores is unknown" in told
    assert "adaptation.html" in told
    model, first = checkpoint.load(out), checkpoint.load(place / "model.safetensors")
    result = json.loads((out / "adaptation.json").read_text())
    assert same(model, first) == (result["chosen"] == 0)
    again = refused(capsys, "adapt", *folder(place), "--out", out, *ADAPT)
    assert "expected a new folder for the adaptation" in again
    assert "ended: groups were stable" in said(
        capsys, "adapt", *folder(place), "--out", out, *ADAPT, "--resume", "true"
    )


@pytest.mark.parametrize("name", [None, "osnet_x0_25_market1501"])
def test_published_models_are_taken_by_name_and_one_if_none_is_given(name, place, capsys, tmp_path, monkeypatch):
    backbone = "osnet_ain_x1_0" if name is None else "osnet_x0_25"
    torch.save(
        Embedder(ModelSpec(backbone, neck="none")).network.backbone.state_dict(), tmp_path / f"{name or DEFAULT}.pth"
    )
    monkeypatch.setenv("RESEEN_MODELS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    words = ("--pictures", place / "seen", *(() if name is None else ("--model", name)), *OPTIONS)
    told = said(capsys, "discover", *words, "--out", tmp_path / "found")
    assert "36 pictures: " in told
    assert (f"no model given: taking {DEFAULT}" in told) == (name is None)
    opened: list[Embedder] = []
    monkeypatch.setattr("reseen.adaptation.adapt", lambda embedder, *rest, **named: opened.append(embedder) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main([str(word) for word in ("adapt", *words, "--out", tmp_path / "run")])
    assert opened[0].spec.weights == (name or DEFAULT)


def test_a_model_is_adapted_to_a_data_set_and_scored_on_it(place, capsys, tmp_path):
    for number in range(PEOPLE * EACH):
        name = f"{number % PEOPLE}_{number // PEOPLE % 2}_{number}.png"
        Image.fromarray(person(number % PEOPLE, number)).save(tmp_path / name)
    pattern = r"^(?P<identity>\d)_(?P<camera>\d)_"
    data = ("--data", "Folder", "--data.root", tmp_path, "--data.pattern", pattern, "--data.test_identities", 2)
    words = ("adapt", "--model", place / "model.safetensors", *data)
    told = said(capsys, *words, "--out", tmp_path / "run", *ADAPT)
    assert "On the test pictures mAP went from" in told
    assert "expected --data Transfer" in refused(capsys, *words, "--out", tmp_path / "joint", "--joint", "true")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "expected one of --data, --pictures or --table"),
        (
            ("--pictures", "seen", "--model", "model.safetensors", "--spec.backbone", "osnet_x0_25"),
            "expected --model or --spec.backbone with --spec.weights, got both",
        ),
        (("--pictures", "seen", "--model", "osnet_x0_25_market"), "reseen models lists"),
        (("--pictures", "seen", "--model", "model.safetensors", "--joint", "true"), "expected --data Transfer"),
    ],
)
def test_mistakes_of_adapt_are_one_line(words, expected, place, capsys, tmp_path):
    words = [place / word if (place / word).exists() else word for word in words]
    assert expected in refused(capsys, "adapt", "--out", tmp_path / "out", *words)
