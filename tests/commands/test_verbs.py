"""The verbs as a user meets them: a table of pictures in, a trained, measured, visible model out."""

import csv
import dataclasses
import inspect
import itertools
import json
import re
import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from reseen import losses
from reseen.cli import main
from reseen.cli.parser import verb
from reseen.commands.train import Augmentation
from reseen.datasets import Synthetic, Table
from reseen.errors import RunError
from reseen.loading import IdentityBatchSampler, training_transform
from reseen.model_evaluation import read_results
from reseen.models import Embedder, ModelSpec
from reseen.recipes.defaults import DEFAULT_TERMS
from reseen.training import Schedule, train
from reseen.training.objective import default_terms
from reseen.types import Embeddings

TINY = [
    *("--model.backbone", "tests.training.tiny.Tiny", "--model.height", "32", "--model.width", "16"),
    *("--batches.identities", "4", "--batches.images", "2", "--schedule.epochs", "2"),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV of drawn people with splits, as a user would write it."""
    folder = tmp_path_factory.mktemp("own")
    data = Synthetic(num_train_identities=6, num_test_identities=4, num_cameras=2, images_per_camera=2, height=32)
    with (folder / "people.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "identity", "camera", "split"])
        for split in ("train", "query", "gallery"):
            for sample in getattr(data, split):
                Image.fromarray(sample.draw()).save(folder / sample.path)
                rows.writerow([sample.path, f"person {sample.identity}", f"camera {sample.camera}", split])
    return folder / "people.csv"


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    main(["train", "--data", "Table", "--data.path", str(table), "--out", str(out), *TINY])
    return out


def failing(capsys, *arguments):
    """Run a verb that should fail; return its exit status and what it said, which must be one line."""
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    return stopped.value.code, said


def test_a_run_says_how_good_it_is_and_repeats_itself(run, tmp_path):
    report = json.loads((run / "report.json").read_text())
    assert report["num_queries"] == 8
    assert report["num_skipped"] == 0
    assert report["protocol"] == "cross_camera"
    assert 0 < report["mean_inp"] <= report["mean_ap"] <= 1
    assert report["cmc"] == sorted(report["cmc"])
    main(["train", "--config", str(run / "config.yaml"), "--out", str(tmp_path / "again")])
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    assert again.keys() == report.keys()
    assert {k for k in again if again[k] != report[k]} <= {"training_seconds", "crc32"}


def test_evaluate_gives_what_training_gave(run, table, tmp_path, capsys):
    trained = json.loads((run / "report.json").read_text())
    main(["evaluate", str(run), "--data", "Table", "--data.path", str(table), "--out", str(tmp_path)])
    assert f"mAP {100 * trained['mean_ap']:.1f}" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["mean_ap"] == pytest.approx(trained["mean_ap"])


def test_evaluate_takes_the_runs_own_data_and_reranks(run, tmp_path):
    main(["evaluate", str(run), "--reranking", "average_query_expansion", "--out", str(tmp_path)])
    assert json.loads((tmp_path / "report.json").read_text())["reranking"] == "average_query_expansion"


def turned(query: Embeddings, gallery: Embeddings) -> tuple[Embeddings, Embeddings]:
    """Re-ranking that finds what is least alike first."""
    return dataclasses.replace(query, vectors=-query.vectors), gallery


def test_evaluate_takes_a_reranking_of_ones_own(run, tmp_path, capsys):
    figures = {}
    for name in (None, "tests.commands.test_verbs.turned"):
        main(["evaluate", str(run), "--out", str(tmp_path), *(["--reranking", name] if name else [])])
        figures[name] = json.loads((tmp_path / "report.json").read_text())
    assert figures[name]["reranking"] == name
    assert figures[name]["mean_ap"] < figures[None]["mean_ap"]
    for wrong in (
        *("tests.commands.test_verbs.TINY", "tests.commands.test_verbs.nothing", "no.such_function"),
        "math.cos",  # a function of one
    ):
        status, line = failing(capsys, "evaluate", run, "--reranking", wrong)
        assert status == 1
        assert wrong in line
    (tmp_path / "their.yaml").write_text("reranking: os.abort\n")
    assert "--trust os" in failing(capsys, "evaluate", run, "--config", tmp_path / "their.yaml")[1]


def test_embed_writes_vectors_that_numpy_reads(run, tmp_path):
    main(["embed", str(run), "--out", str(tmp_path), "--npy", "true"])
    assert np.load(tmp_path / "query" / "vectors.npy").shape[0] == 8


def test_report_is_one_page(run, tmp_path):
    main(["report", str(run), "--out", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "people" in page
    assert "<img" in page
    assert 'src="http' not in page


def test_a_page_is_not_written_over_unless_forced(run, tmp_path, capsys):
    page = tmp_path / "page.html"
    page.write_text("mine")
    status, line = failing(capsys, "report", run, "--out", page)
    assert (status, page.read_text()) == (1, "mine")
    assert "name another, or say --force true" in line
    main(["report", str(run), "--out", str(page), "--force", "true"])
    assert "<img" in page.read_text()


def test_what_is_written_and_what_weights_gave_is_said_once(run, table, tmp_path, capsys):
    weights = tmp_path / "weights.pth"
    torch.save(Embedder(ModelSpec("osnet_x0_25", height=32, width=16)).network.backbone.state_dict(), weights)
    words = [*TINY, "--model.backbone", "osnet_x0_25", "--model.weights", str(weights)]
    main(["train", "--data", "Table", "--data.path", str(table), "--out", str(tmp_path / "new"), *words])
    assert " ".join(capsys.readouterr().out.split()).count(": loaded ") == 1
    main(["evaluate", str(run), "--out", str(tmp_path / "scores")])
    assert f"written: {tmp_path}/scores/report.json, {tmp_path}/scores/per_query.csv" in capsys.readouterr().out


def test_check_data_passes_sound_data_and_stops_at_unsound(table, tmp_path, capsys):
    main(["check-data", "--data", "Table", "--data.path", str(table), "--out", str(tmp_path / "counts.png")])
    assert (tmp_path / "counts.png").stat().st_size > 0
    capsys.readouterr()
    lines = table.read_text().splitlines()
    (table.parent / "leak.csv").write_text("\n".join([*lines, lines[1].replace("train", "gallery")]))
    status, _ = failing(capsys, "check-data", "--data", "Table", "--data.path", table.parent / "leak.csv")
    assert status == 1


def test_a_checkpoint_of_another_run_is_a_start(run, table, tmp_path):
    data = ["--data", "Table", "--data.path", str(table)]
    main(["train", *data, "--init", str(run), "--out", str(tmp_path / "next"), *TINY])
    assert (tmp_path / "next" / "last.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nonsense"], 2, "got 'nonsense'"),
        (["study", "nonsense"], 2, "losses"),
        (["train", "--data", "Nonsense", "--out", "x"], 2, "Nonsense"),
        (["train", "--data", "Synthetic", "--data.colour", "red", "--out", "x"], 2, "colour"),
        (["train", "--config", "market1501/nonsense", "--out", "x"], 1, "market1501/nonsense"),
        (["evaluate", "no/such/run"], 1, "no/such/run"),
        (["check-data", "--data", "Market1501", "--data.root", "no/such/root"], 1, "no/such/root"),
        (["check-data", "--data", "Table", "--data.path", "no/such.csv"], 1, "no/such.csv"),
    ],
)
def test_a_mistake_is_one_line(arguments, status, said, capsys):
    code, line = failing(capsys, *arguments)
    assert code == status
    assert said in line


def test_more_identities_in_a_batch_than_there_are(table, tmp_path, capsys):
    arguments = ["train", "--data", "Table", "--data.path", table, "--out", tmp_path / "new", *TINY]
    status, said = failing(capsys, *arguments, "--batches.identities", "7")
    assert status == 1
    assert "6" in said
    assert "7" in said


def test_a_run_is_not_overwritten(run, table, capsys):
    before = (run / "last.safetensors").read_bytes()
    status, said = failing(capsys, "train", "--data", "Table", "--data.path", table, "--out", run, *TINY)
    assert status == 1
    assert str(run) in said
    assert (run / "last.safetensors").read_bytes() == before


def test_half_a_checkpoint(run, tmp_path, capsys):
    half = tmp_path / "half.safetensors"
    whole = (run / "last.safetensors").read_bytes()
    half.write_bytes(whole[: len(whole) // 2])
    status, said = failing(capsys, "evaluate", half, "--data", "Synthetic")
    assert status == 1
    assert "half.safetensors" in said


def test_a_picture_cut_short_is_named(table, tmp_path, capsys):
    victim = next(table.parent.glob("*.png"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    try:
        status, said = failing(capsys, "train", "--data", "Table", "--data.path", table, "--out", tmp_path / "n", *TINY)
    finally:
        victim.write_bytes(whole)
    assert status == 1
    assert victim.name in said


def test_help_explains(capsys):
    main(["--help"])
    assert "check-data" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--help"])
    assert stopped.value.code == 0
    assert "--loss_weight" in capsys.readouterr().out


def test_two_runs_are_compared_on_one_page(run, tmp_path, capsys):
    main(["train", "--config", str(run / "config.yaml"), "--seed", "1", "--out", str(tmp_path / "second")])
    main(["report", str(run), str(tmp_path / "second"), "--title", "Seeds <0> & 1"])
    page = (tmp_path / "second" / "comparison.html").read_text()
    assert "<h1>Seeds &lt;0&gt; &amp; 1</h1>" in page
    assert "mAP of second minus that of first" in page
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert all(after <= before + 1 for before, after in itertools.pairwise([0, *levels]))
    assert failing(capsys, "report", run, run)[1].endswith("twice; name another one")


def test_a_page_is_named_shows_its_pictures_on_paper_and_says_everything_aloud(run, tmp_path):
    main(["report", str(run), "--title", "Our gates", "--out", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "<title>Our gates</title>" in page
    assert 'loading="lazy"' not in page  # a printed page has no scrolling
    assert "print-color-adjust: exact" in page
    assert "prefers-color-scheme: dark" in page
    spoken = re.findall(r'(?:aria-label|alt)="(.*?)"', page)
    assert spoken
    assert not [said for said in spoken if re.search(r"(^|[.:;] ?)[,:;]|None|^\s*$", said)]


def test_nothing_is_written_over_by_itself(run, tmp_path, capsys):
    taken = tmp_path / "model.onnx"
    taken.write_text("mine")
    status, line = failing(capsys, "export", run, taken)
    assert (status, taken.read_text()) == (1, "mine")
    assert "expected a new file at" in line
    assert "--force true" in line


def test_training_from_python_is_a_run_like_any_other(table, tmp_path, capsys):
    data = Table(table)
    model = Embedder(ModelSpec("tests.training.tiny.Tiny", height=32, width=16))
    schedule = Schedule(epochs=1)
    train(data, model, batches=IdentityBatchSampler(4, 2), schedule=schedule, out=tmp_path / "run")
    assert "epoch 1: mAP" in "".join(capsys.readouterr())  # on standard error, or where a verb has set up the log
    settings = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert settings["data"]["init_args"]["path"] == str(table)
    assert [(term["output"], term["weight"]) for term in settings["terms"]] == [("embedding", 1.0), ("feature", 0.1)]
    main(["evaluate", str(tmp_path / "run")])
    main(["report", str(tmp_path / "run")])
    main(["train", "--config", str(tmp_path / "run" / "config.yaml"), "--out", str(tmp_path / "again")])
    again = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())
    assert {name: again[name] for name in settings if name != "terms"} == {
        name: settings[name] for name in settings if name != "terms"
    }


def test_what_plain_values_cannot_say_is_named_in_the_configuration(table, tmp_path):
    model = Embedder(ModelSpec("tests.training.tiny.Tiny", height=32, width=16))
    crop = training_transform((32, 16), erase=None)
    train(
        Table(table),
        model,
        batches=IdentityBatchSampler(4, 2),
        schedule=Schedule(epochs=1),
        out=tmp_path / "run",
        transform=crop,
        evaluate_every=None,
    )
    text = (tmp_path / "run" / "config.yaml").read_text()
    assert text.startswith("# Left out, as plain values cannot say it: augmentation.\n")
    assert "augmentation" not in yaml.safe_load(text)


def test_defaults_are_one_set_in_python_and_on_the_command_line():
    command, function = (inspect.signature(each).parameters for each in (verb("train"), train))
    shared = set(command) & set(function) - {"data", "model", "out"}
    assert shared >= {"terms", "batches", "schedule", "candidates", "evaluate_every", "patience", "precision", "seed"}
    assert {name: command[name].default for name in shared} == {name: function[name].default for name in shared}
    augmentation = {name: value for name, value in vars(Augmentation()).items() if name != "visible"}
    transform = inspect.signature(training_transform).parameters
    assert augmentation == {name: transform[name].default for name in augmentation}
    assert [(type(t.loss), t.output, t.weight) for t in default_terms()] == [
        (getattr(losses, t["loss"]["class_path"].rpartition(".")[2]), t["output"], t["weight"]) for t in DEFAULT_TERMS
    ]


def test_data_changed_since_the_training_are_said(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "copy")
    main(["evaluate", str(copy), "--out", str(tmp_path)])
    assert "names other data" not in capsys.readouterr().out
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("same_camera: auto", "same_camera: keep"))
    main(["evaluate", str(copy), "--out", str(tmp_path)])
    said = " ".join(capsys.readouterr().out.split())
    assert "config.yaml names other data than the run was trained on" in said


@pytest.mark.parametrize("name", ["report.json", "per_query.csv"])
def test_results_are_read_as_they_were_written_or_not_at_all(run, tmp_path, name):
    copy = shutil.copytree(run, tmp_path / "copy")
    facts, queries = read_results(copy)
    assert facts == {k: v for k, v in json.loads((run / "report.json").read_text()).items() if "crc32" not in k}
    assert len(queries) == facts["num_queries"]
    text = (copy / name).read_text()
    (copy / name).write_text(text.replace("1", "2", 1))
    with pytest.raises(RunError, match=r"expected whole results in .*copy"):
        read_results(copy)
