"""The networks that a study looks at, given to it or trained by it, and their vectors, kept on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed

from reseen import checkpoint
from reseen.embedding import embed_to
from reseen.models import Embedder, ModelSpec
from reseen.samples import Embeddings, Sample
from reseen.studies.engine import Run, commands, perform
from reseen.studies.settings import with_loss
from reseen.studies.trials import over, title_of

BEFORE = "before training"


@dataclass(frozen=True)
class Network:
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


def given(runs: Sequence[Path]) -> list[Network]:
    """Return networks that were trained elsewhere, under the names of their folders, spaces for underscores.

    Raises:
        ValueError: Two have the same name.
    """
    names = [run.resolve().name.replace("_", " ") for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"expected runs in folders with names of their own, got {', '.join(names)}")
    return [Network(name, 0, run) for name, run in zip(names, runs, strict=True)]


def trained(
    out: Path,
    base: Mapping[str, Any],
    *,
    names: Sequence[str],
    weights: Mapping[str, float] | None = None,
    seeds: int = 1,
    jobs: int = 1,
) -> tuple[list[Network], list[str]]:
    """Train with each loss beside the identity loss, where that is not done yet.

    Args:
        out: The study's folder.
        base: What all runs share, as ``reseen train --config`` takes it.
        names: Losses.
        weights: Weight of a loss, by name; that of the settings where absent.
        seeds: How often each.
        jobs: Trainings at the same time.

    Returns:
        The networks, and the commands that train them.

    Raises:
        RunError: As `perform`.
    """
    runs: list[Run] = []
    for name in names:
        settings = with_loss(base, name, weight=(weights or {}).get(name))
        runs += over(seeds, {"loss": title_of(name, alone=False)}, settings)
    perform(runs, out, jobs=jobs)
    found = [Network(str(run.conditions["loss"]), int(run.conditions["seed"]), out / "runs" / run.name) for run in runs]
    return found, commands(out, runs)


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
