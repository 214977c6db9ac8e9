"""Two runs to look at, trained once."""

from pathlib import Path

import pytest
from tests.studies.pretended import started, study
from tests.training import tiny

from reseen.training import Schedule

__all__ = ["runs", "started", "study"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = [tmp_path_factory.mktemp("runs") / name for name in ("one", "two")]
    for seed, folder in enumerate(folders):
        tiny.run(folder, model=tiny.model(seed=seed), schedule=Schedule(epochs=1, warmup=0), evaluate_every=None)
    return folders
