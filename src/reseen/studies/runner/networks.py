"""Networks of a study, from finished runs or trained by it, with their embeddings cached on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate.utils import set_seed

from reseen import checkpoint
from reseen.embedding.model import embed_to
from reseen.models import Embedder, ModelSpec
from reseen.studies.runner.study import Study
from reseen.types import Embeddings, Sample

BEFORE_TRAINING = "before training"


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network.

    Attributes:
        name: What tables call it.
        seed: Of its training; 0 for a run that was given.
        folder: Its run.
    """

    name: str
    seed: int
    folder: Path

    def load(self) -> Embedder:
        """Return it with its last weights.

        Raises:
            CheckpointError: There are none, or they are damaged.
        """
        return checkpoint.load(self.folder / "last.safetensors")


def finished_networks(runs: Sequence[Path]) -> list[TrainedNetwork]:
    """Return networks that were trained elsewhere, under the names of their folders, spaces for underscores.

    Raises:
        ValueError: Two have the same name.
    """
    names = [run.resolve().name.replace("_", " ") for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"expected runs in folders with names of their own, got {', '.join(names)}")
    return [TrainedNetwork(name, 0, run) for name, run in zip(names, runs, strict=True)]


def trained(study: Study, names: Sequence[str], weights: Mapping[str, float] | None = None) -> list[TrainedNetwork]:
    """Train with each loss beside the identity loss, where that is not done yet.

    Args:
        study: Whose networks they are.
        names: Losses, as in `named_loss`.
        weights: Weight of a loss, by name; that of the settings where absent.

    Raises:
        RunError: As `engine.perform`.
    """
    for title, settings in study.losses(names, weights).items():
        study.train({"loss": title}, settings)
    study.perform()
    return [TrainedNetwork(str(r.conditions["loss"]), int(r.conditions["seed"]), study.folder(r)) for r in study.runs]


def networks_of(
    study: Study, runs: Sequence[Path], names: Sequence[str], weights: Mapping[str, float] | None = None
) -> list[TrainedNetwork]:
    """Return the networks that a study looks at: those of finished runs, or where none are given, trained ones."""
    return finished_networks(runs) if runs else trained(study, names, weights)


def before_training(spec: ModelSpec) -> Embedder:
    """Return the network of a spec as a training with seed 0 finds it."""
    set_seed(0)
    return Embedder(spec)


def vectors(
    folder: Path, model: Embedder, samples: Sequence[Sample], *, batch_size: int = 64, workers: int = 0
) -> Embeddings:
    """Return vectors of samples; what a folder has of them already is not made again.

    Raises:
        RunError: The folder holds vectors of another network or of other samples.
    """
    return embed_to(folder, model, samples, batch_size=batch_size, num_workers=workers, progress=True)
