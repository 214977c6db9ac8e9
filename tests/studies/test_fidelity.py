"""The fidelity study: its distances against a loop, its tables against the metric, and that it goes on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.studies.small import SYNTHETIC, TRAINING

from reseen import checkpoint, evaluation
from reseen.cli import main
from reseen.datasets import Synthetic
from reseen.embedding.model import embed
from reseen.evaluation import evaluate
from reseen.studies.fidelity.distances import Averages, Spread, average_distances, binned
from reseen.studies.fidelity.study import _published, unique
from reseen.studies.runner.networks import BEFORE_TRAINING
from reseen.types import Embeddings, Sample


def test_average_distances_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reseen.studies.fidelity.distances.ROWS", 3)
    vectors = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    names = ["a", "b", "a", "c", "b", "a", "c", "b"]
    found = average_distances(Embeddings(vectors, names))
    unit = [v / v.norm() for v in vectors.double()]
    for i in range(8):
        apart = {j: float((unit[i] - unit[j]).norm()) for j in range(8) if j != i}
        assert found.same[i] == pytest.approx(np.mean([d for j, d in apart.items() if names[j] == names[i]]), abs=1e-6)
        others = [d for j, d in apart.items() if names[j] != names[i]]
        assert found.different[i] == pytest.approx(np.mean(others), abs=1e-6)


def test_every_anchor_is_in_one_bin() -> None:
    rng = np.random.default_rng(0)
    spreads = [Spread({"network": n}, Averages(rng.random(30), rng.random(30))) for n in "ab"]
    found = binned(spreads)
    assert found.groupby("network")[["same", "different"]].sum().to_numpy().tolist() == [[30, 30], [30, 30]]
    first = found[(found["network"] == "a") & (found["low"] <= 0.5) & (found["high"] > 0.5)].iloc[0]
    inside = (spreads[0].averages.same >= first["low"]) & (spreads[0].averages.same < first["high"])
    assert first["same"] == inside.sum()


def test_a_picture_that_is_query_and_gallery_counts_once() -> None:
    one, other = Sample("a.jpg", 1, camera=1), Sample("b.jpg", 1, camera=2)
    assert unique([one, other, one]) == [one, other]


@pytest.mark.parametrize(
    ("data", "backbone", "there"),
    [("Market1501", "timm:resnet50", True), ("Market1501", "osnet_x0_25", False), ("Folder", "timm:resnet50", False)],
)
def test_published_rows_stand_beside_their_own_data_only(data: str, backbone: str, there: bool) -> None:
    section = _published({"class_path": f"reseen.datasets.{data}"}, backbone)
    assert (section is not None) == there
    assert section is None or "11,687" in section.body or "1.169e+04" in section.body


def test_the_study_says_what_the_metric_says(runs: list[Path], tmp_path: Path) -> None:
    flags = ["study", "fidelity", "--out", str(tmp_path), *SYNTHETIC, "--runs", f"[{runs[0]}]"]
    main(flags)
    results = pd.read_csv(tmp_path / "fidelity.csv").set_index(["network", "part"])
    assert list(results.index) == [(n, p) for n in ("before training", "one") for p in ("train", "test")]
    data = Synthetic(num_train_identities=4, num_test_identities=4, num_cameras=2, images_per_camera=3, height=16)
    model = checkpoint.load(runs[0] / "last.safetensors")
    own = evaluation.fidelity(embed(model, data.train))
    assert results.loc[("one", "train"), ["error_1", "error_2"]].tolist() == [own.error_1, own.error_2]
    report = evaluate(embed(model, data.query), embed(model, data.gallery), data.protocol)
    assert results.loc[("one", "test"), "mean_ap"] == pytest.approx(report.mean_ap, abs=1e-12)

    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    vectors = {path: path.stat().st_mtime_ns for path in tmp_path.glob("embeddings/*/vectors.npy")}
    (tmp_path / "fidelity.csv").unlink()
    main(flags)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == files
    assert {path: path.stat().st_mtime_ns for path in vectors} == vectors
    assert len(vectors) == 4
    assert "Average distances" in (tmp_path / "study.html").read_text()


@pytest.mark.slow
def test_the_study_trains_with_each_loss_once(tmp_path: Path) -> None:
    flags = ["study", "fidelity", "--out", str(tmp_path), "--seeds", "1", *SYNTHETIC, *TRAINING]
    main(flags)
    page = (tmp_path / "study.html").read_text()
    assert "On test pictures FIDI has the fewest Error-I cases" in page
    assert "reseen train --config" in page
    networks = [BEFORE_TRAINING, *(f"CE + {name}" for name in ("HardContrastive", "HardTriplet", "FIDI"))]
    assert pd.read_csv(tmp_path / "fidelity.csv")["network"].unique().tolist() == networks
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/last.safetensors")}
    main(flags)
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert len(trained) == 3
