"""Networks that a study is given."""

from pathlib import Path

import pytest
import yaml

from reseen.datasets import Synthetic
from reseen.errors import CheckpointError
from reseen.studies.runner import Study, StudyOptions
from reseen.studies.runner.networks import TrainedNetwork, finished_networks, trained
from reseen.studies.sensitivity import sensitivity

SMALL = Synthetic(num_train_identities=4, num_test_identities=4, height=16)


def test_runs_are_called_as_their_folders(runs: list[Path]) -> None:
    assert [network.name for network in finished_networks(runs)] == ["one", "two"]
    assert finished_networks([Path("runs/CE_+_FIDI-0")]) == [TrainedNetwork("CE + FIDI-0", 0, Path("runs/CE_+_FIDI-0"))]
    assert finished_networks(runs)[0].load().spec.height == 16


def test_names_must_differ() -> None:
    with pytest.raises(ValueError, match="names of their own, got a b, a b"):
        finished_networks([Path("x/a_b"), Path("y/a_b")])


def test_a_run_without_weights_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"last\.safetensors") as raised:
        finished_networks([tmp_path])[0].load()
    assert "\n" not in str(raised.value)


def test_each_loss_is_trained_with_each_seed(started: list[str], tmp_path: Path) -> None:
    study = Study(sensitivity, {"data": SMALL, "options": StudyOptions(tmp_path, seeds=2), "grid": {}})
    found = trained(study, ["FIDILoss", "IdentityLoss"], {"FIDILoss": 0.5})
    assert [(n.name, n.seed) for n in found] == [("CE + FIDI", 0), ("CE + FIDI", 1), ("CE alone", 0), ("CE alone", 1)]
    assert [n.folder.name for n in found] == started
    assert all(n.folder.is_dir() for n in found)
    assert yaml.safe_load(found[1].folder.with_suffix(".yaml").read_text())["terms"][1]["weight"] == 0.5
