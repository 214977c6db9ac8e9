"""Visible and infrared pictures as a user meets them: from the files of SYSU-MM01, RegDB or a table to the tables."""

import csv
import json
import re

import pytest
from PIL import Image

from reseen import checkpoint
from reseen.cli import main
from reseen.datasets import SYSUMM01, RegDB, Synthetic
from reseen.embedding.model import embed
from reseen.evaluation import evaluate
from tests.datasets.miniatures import regdb, sysumm01

# What shrinks a recipe to seconds without touching what it is about.
SMALL = {
    "model": {
        **{"backbone": "tests.training.tiny.Tiny", "weights": None, "pooling": "own", "resnet": {"last_stride": 1}},
        **{"height": 32, "width": 16},
    },
    "batches": {"identities": 2},
    "schedule": {"epochs": 2},
    "workers": 0,
}
FLAGS = [
    *("--model.backbone", "tests.training.tiny.Tiny", "--model.weights", "null", "--model.pooling", "own"),
    *("--model.resnet.last_stride", "1", "--model.height", "32", "--model.width", "16"),
    *("--schedule.epochs", "2", "--workers", "0"),
]


@pytest.fixture(scope="module")
def sysu(tmp_path_factory):
    """A run of expAT's recipe on SYSU-MM01 in miniature."""
    folder = tmp_path_factory.mktemp("sysu")
    arguments = ["--data.root", str(sysumm01(folder, permutations=True)["root"]), "--batches.identities", "2", *FLAGS]
    main(["train", "--config", "sysu_mm01/expat", *arguments, "--out", str(folder / "run")])
    return folder


def rows(printed):
    """Return the lines of a table of settings: name -> the figures."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines()]
    return {name: figures for name, *figures in lines if len(figures) == 5}


def test_sysu_mm01_from_files_to_the_table_of_four_settings(sysu, capsys):
    main(["evaluate", str(sysu / "run"), "--out", str(sysu / "again")])
    printed = capsys.readouterr().out
    model = checkpoint.load(sysu / "run" / "last.safetensors")
    report = json.loads((sysu / "again" / "report.json").read_text())
    assert report["further"] == json.loads((sysu / "run" / "report.json").read_text())["further"]
    for found, (search, shots, name) in zip(
        [report, *report["further"]],
        [("all", 1, "single"), ("all", 10, "multi"), ("indoor", 1, "single"), ("indoor", 10, "multi")],
        strict=True,
    ):
        data = SYSUMM01(sysu, search=search, shots=shots, with_val=False)
        alone = evaluate(embed(model, data.query), embed(model, data.gallery), data.protocol)
        assert found["protocol"] == data.protocol.name == f"sysu_mm01, {search} search, {name} shot"
        assert found["repeats"] == 10
        assert found["mean_ap"] == pytest.approx(alone.mean_ap)
        assert found["cmc"][0] == pytest.approx(alone.cmc(1))
        row = rows(printed)[f"{search} search, {name} shot"]
        assert row[3] == f"{100 * alone.mean_ap:.1f} ± {100 * alone.deviation['mean_ap']:.1f}"


def test_the_report_shows_lists_across_modalities_and_every_setting(sysu):
    main(["report", str(sysu / "run"), "--lists", "2"])
    page = (sysu / "run" / "report.html").read_text()
    assert "Every setting" in page
    assert "indoor search, multi shot" in page
    assert "infrared" in page
    assert "visible" in page


def test_regdb_trains_evaluates_and_resumes_every_division(tmp_path, capsys):
    arguments = [
        *("study", "splits", "--recipe", "regdb/expat", "--data", "RegDB", "--data.root", str(regdb(tmp_path)["root"])),
        *("--count", "2", "--out", str(tmp_path / "study"), "--settings", json.dumps(SMALL)),
    ]
    main(arguments)
    with (tmp_path / "study" / "settings.csv").open() as file:
        first = list(csv.DictReader(file))
    assert [(row["trial"], row["setting"]) for row in first] == [
        (trial, way) for trial in "12" for way in ("visible to thermal", "thermal to visible")
    ]
    for row in first:
        trial = int(row["trial"])
        run = tmp_path / "study" / "runs" / row["trial"]
        data = RegDB(tmp_path, trial=trial, direction=row["setting"].replace(" ", "_"))
        model = checkpoint.load(run / "last.safetensors")
        alone = evaluate(embed(model, data.query), embed(model, data.gallery), data.protocol)
        assert float(row["mean_ap"]) == pytest.approx(alone.mean_ap)
        assert float(row["rank_1"]) == pytest.approx(alone.cmc(1))
    kept = tmp_path / "study" / "runs" / "1" / "last.safetensors"
    when = kept.stat().st_mtime_ns
    (tmp_path / "study" / "runs" / "2" / "report.json").unlink()
    capsys.readouterr()
    main(arguments)
    assert kept.stat().st_mtime_ns == when
    with (tmp_path / "study" / "settings.csv").open() as file:
        assert list(csv.DictReader(file)) == first
    assert "thermal" in capsys.readouterr().out


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV of drawn people under visible and thermal cameras, with its modalities."""
    folder = tmp_path_factory.mktemp("both")
    data = Synthetic(
        num_train_identities=4, num_test_identities=3, num_cameras=3, images_per_camera=2, height=32, modality="both"
    )
    with (folder / "people.csv").open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(["path", "identity", "camera", "modality", "split"])
        for split in ("train", "query", "gallery"):
            for sample in getattr(data, split):
                Image.fromarray(sample.draw()).save(folder / sample.path)
                part = "train" if split == "train" else "test"
                written.writerow([sample.path, sample.identity, sample.camera, sample.modality, part])
    return folder / "people.csv"


def test_a_table_with_modalities_is_searched_both_ways(table, tmp_path, capsys):
    arguments = ["train", "--data", "Table", "--data.path", str(table), "--out", str(tmp_path / "run"), *FLAGS]
    batches = ["--batches.identities", "2", "--batches.images", "2", "--batches.by_modality", "true"]
    loss = ["--loss", "CrossModal", "--loss.loss", "ExpATLoss", "--model.neck", "common"]
    varied = ["--augmentation.visible.exchange", "0.5", "--augmentation.visible.grey", "0.5"]
    main([*arguments, *batches, *loss, *varied, "--model.modalities.norms", "true"])
    names = list(rows(capsys.readouterr().out))
    assert names == ["setting", "cross_camera", "visible to infrared", "infrared to visible"]
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    # Three identities; a query of each under each camera, two visible and one thermal.
    assert [one["num_queries"] for one in report["further"]] == [6, 3]
    narrowed = ["--data.query_modality", "infrared", "--data.gallery_modality", "visible", "--data.path", str(table)]
    main(["evaluate", str(tmp_path / "run"), "--data", "Table", *narrowed, "--out", str(tmp_path / "narrow")])
    narrow = json.loads((tmp_path / "narrow" / "report.json").read_text())
    assert narrow["mean_ap"] == pytest.approx(report["further"][1]["mean_ap"])
    assert "further" not in narrow


def test_an_identity_without_an_infrared_picture_is_named_in_one_line(table, tmp_path, capsys):
    lines = table.read_text().splitlines()
    lacking = [line for line in lines if ",infrared,train" not in line or not line.startswith("person_0002")]
    assert len(lacking) < len(lines)
    other = table.parent / "lacking.csv"
    other.write_text("\n".join(lacking))
    arguments = ["--data", "Table", "--data.path", str(other), "--batches.by_modality", "true", *FLAGS]
    with pytest.raises(SystemExit) as stopped:
        main(["train", *arguments, "--batches.identities", "2", "--out", str(tmp_path / "run")])
    assert stopped.value.code == 1
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "expected infrared pictures of every identity, got none of 2" in said
