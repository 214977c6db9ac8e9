"""Experiment trackers get the numbers of metrics.jsonl, by accelerate."""

from pathlib import Path

import pytest

from reseen.errors import RunError
from reseen.training.metrics_logger import MetricsLogger, require_trackers


def test_numbers_go_to_the_trackers_under_their_names(tmp_path: Path) -> None:
    seen: list[tuple[dict[str, float], int]] = []
    logger = MetricsLogger(tmp_path / "metrics.jsonl", log=lambda numbers, step: seen.append((numbers, step)))
    logger.write(step=3, epoch=0.5, loss=1.5, terms={"AdaSPLoss on feature": 0.25})
    assert seen == [({"loss": 1.5, "terms/AdaSPLoss on feature": 0.25}, 3)]
    assert "0.25" in (tmp_path / "metrics.jsonl").read_text()


def test_a_tracker_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: [])
    with pytest.raises(RunError, match="expected the library of wandb, which is not installed; run: pip install wandb"):
        require_trackers(["wandb"])
    with pytest.raises(RunError, match=r"pip install 'reseen\[tensorboard\]'"):
        require_trackers(["tensorboard"])
    with pytest.raises(ValueError, match=r"expected log_with among .*mlflow"):
        require_trackers(["weights"])
