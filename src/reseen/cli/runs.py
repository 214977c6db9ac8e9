"""Model and data of a finished run, for the verbs that take a run."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import restricted_string_type

from reseen import checkpoint
from reseen.cli.mistakes import plain_message
from reseen.cli.yaml_files import parse_yaml, read_yaml
from reseen.errors import RunError
from reseen.models import Embedder
from reseen.trust import named_classes, require_trusted
from reseen.types import Benchmark
from reseen.zoo import is_hub_address

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    FunctionPath = str
else:
    FunctionPath = restricted_string_type("FunctionPath", r"^[^\W\d]\w*(\.[^\W\d]\w*)+$", docstring="package.function")


def model_of(run: Path) -> Embedder:
    """Return the model of a run: its last weights. A checkpoint or a published model may be named instead.

    Not the best ones: they are the best on the very pictures that a score is then taken on, which flatters it.

    Raises:
        RunError: The folder holds no model.
        CheckpointError: The file is damaged.
    """
    return checkpoint.load(checkpoint_of(run))


def checkpoint_of(run: Path) -> Path:
    """Return the file that ``model_of`` loads.

    Raises:
        RunError: There is nothing of that name.
        CheckpointError: The folder holds no model.
    """
    if checkpoint.is_published(run) or is_hub_address(str(run)):
        return run
    if not run.exists():
        raise RunError(
            f"expected a run with last.safetensors in {run}, found no such folder; train one first, or give a "
            "name that reseen models lists"
        )
    return checkpoint.file_of(run)


def data_of(run: Path) -> Benchmark:
    """Return the data that a run was trained and measured on, from the configuration it wrote.

    Raises:
        RunError: The run has no configuration, or its data cannot be named again.
        TrustError: Its data is of a package that the user has not named.
    """
    settings = config_of(run)
    _warn_of_changes(run, settings)
    return _build(settings.get("data"), run)


def _warn_of_changes(run: Path, settings: dict[str, Any]) -> None:
    """Say if the data of a configuration are not those that its weights were trained on, as the weights know them."""
    weights = run / "last.safetensors" if run.is_dir() else run
    known = checkpoint.describe(weights).config if weights.is_file() else None
    if known and parse_yaml(known, source=weights).get("data") != settings.get("data"):
        folder = run if run.is_dir() else run.parent
        logger.warning("%s/config.yaml names other data than the run was trained on: it was changed since", folder)


def config_of(run: Path) -> dict[str, Any]:
    """Return the configuration that a run wrote.

    Raises:
        RunError: There is none, or the file is damaged.
    """
    path = (run if run.is_dir() else run.parent) / "config.yaml"
    if not path.is_file():
        raise RunError(f"expected the run's configuration at {path}, found none; name the data with --data")
    return read_yaml(path)


def _build(data: Any, run: Path) -> Benchmark:
    require_trusted(named_classes({"data": data}), source=f"{run}/config.yaml")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=Benchmark, required=True)
    try:
        benchmark: Benchmark = parser.instantiate(parser.parse_object({"data": data})).data
    except ArgumentError as error:
        raise RunError(
            f"expected data that can be named again in {run}/config.yaml, got: {plain_message(str(error))}; "
            "name it with --data"
        ) from error
    return benchmark
