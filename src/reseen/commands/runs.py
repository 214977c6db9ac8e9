"""What the verbs that work on a finished run share: its model and its data."""

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from reseen import checkpoint
from reseen.errors import RunError
from reseen.models import Embedder
from reseen.samples import Benchmark
from reseen.trust import named_classes, require_trusted


def model_of(run: Path) -> Embedder:
    """Return the model of a run: its last weights. A checkpoint file may be named instead.

    Not the best ones: they are the best on the very pictures that a score is then taken on, which flatters it.

    Raises:
        RunError: The folder holds no model.
        CheckpointError: The file is damaged.
    """
    return checkpoint.load(checkpoint_of(run))


def checkpoint_of(run: Path) -> Path:
    """Return the file that ``model_of`` loads."""
    if run.is_file():
        return run
    if (run / "last.safetensors").is_file():
        return run / "last.safetensors"
    found = "no such folder" if not run.is_dir() else ", ".join(sorted(p.name for p in run.iterdir())) or "nothing"
    raise RunError(f"expected a run with last.safetensors in {run}, found {found}; train one first")


def data_of(run: Path) -> Benchmark:
    """Return the data that a run was trained and measured on, from the configuration it wrote.

    Raises:
        RunError: The run has no configuration, or its data cannot be named again.
        TrustError: Its data is of a package that the user has not named.
    """
    return _build(config_of(run).get("data"), run)


def config_of(run: Path) -> dict[str, Any]:
    """Return the configuration that a run wrote."""
    path = (run if run.is_dir() else run.parent) / "config.yaml"
    if not path.is_file():
        raise RunError(f"expected the run's configuration at {path}, found none; name the data with --data")
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    return config


def _build(data: Any, run: Path) -> Benchmark:
    require_trusted(named_classes({"data": data}), source=f"{run}/config.yaml")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=Benchmark, required=True)
    try:
        benchmark: Benchmark = parser.instantiate(parser.parse_object({"data": data})).data
    except ArgumentError as error:
        raise RunError(f"expected data that can be named again in {run}/config.yaml, got: {error}") from error
    return benchmark
