"""A study without its trainings: the real engine, and in place of each training figures made of its settings."""

import hashlib
import json
import subprocess

import numpy as np
import pandas as pd
import pytest
import yaml

from reseen.cli import main
from reseen.studies.runner import engine

DATA = [
    *("--data", "Synthetic", "--data.num_train_identities", "8", "--data.num_test_identities", "4"),
    *("--data.num_cameras", "2", "--data.images_per_camera", "2", "--data.height", "32"),
]
QUERIES = 20


def precision(settings: dict) -> np.ndarray:
    """Return the average precision of each query (QUERIES,) that a pretended training has with these settings."""
    seed = int(hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).uniform(0.2, 0.9, QUERIES)


@pytest.fixture
def started(monkeypatch):
    """Replace trainings by what ``precision`` says; the names of those that were started, in their order."""
    names = []

    def start(folder, run, **_):
        names.append(run.name)
        own = folder / run.name
        own.mkdir(exist_ok=True)
        found = precision(yaml.safe_load((folder / f"{run.name}.yaml").read_text()))
        table = {"repeat": 0, "query": range(QUERIES), "average_precision": found}
        pd.DataFrame(table).to_csv(own / "per_query.csv", index=False)
        report = {
            "mean_ap": found.mean(),
            "mean_inp": found.min(),
            "cmc": [float(found.max())] * 20,
            "protocol": "pretended, all",
            "num_queries": QUERIES,
            "training_seconds": 90.0,
        }
        (own / "report.json").write_text(json.dumps(report))
        return subprocess.Popen(["true"])

    monkeypatch.setattr(engine, "_start", start)
    return names


@pytest.fixture
def study(started, tmp_path):
    """Do a study with these words on its command line; return its folder and its page."""

    def do(name, *words, data=DATA):
        main(["study", name, "--out", str(tmp_path / "study"), "--jobs", "2", *data, *map(str, words)])
        return tmp_path / "study", (tmp_path / "study" / "study.html").read_text()

    return do
