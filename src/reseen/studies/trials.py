"""Trainings over seeds and losses: what most studies are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reseen.reporting import Repeated
from reseen.studies.engine import Run, seconds_of
from reseen.studies.published import Measured
from reseen.studies.table import over_seeds


def over(seeds: int, conditions: Mapping[str, str | int | float], settings: Mapping[str, Any]) -> list[Run]:
    """Return a training for each seed from 0.

    Raises:
        ValueError: There is no seed.
    """
    if seeds < 1:
        raise ValueError(f"expected one seed or more, got {seeds}")
    return [Run({**conditions, "seed": seed}, {**settings, "seed": seed}) for seed in range(seeds)]


def averaged(seeds: int) -> str:
    """Return what a cell of a table is."""
    return "in percent, of one seed" if seeds == 1 else f"in percent, mean ± standard deviation over {seeds} seeds"


def paired_over(seeds: int) -> str:
    """Return what the difference of two rows is taken over."""
    return "the queries (one seed tells nothing of others)" if seeds == 1 else "seeds and queries at once"


def title_of(loss: str, *, alone: bool) -> str:
    """Return how a loss stands in tables: beside the identity loss (CE), or alone."""
    name = loss.rpartition(".")[2].removesuffix("Loss")
    return ("identity loss" if alone else "CE alone") if name == "Identity" else name if alone else f"CE + {name}"


def measured(runs: Sequence[Run], results: pd.DataFrame, by: Sequence[str]) -> list[Measured]:
    """Return what was found under each condition, with the settings that it was found with."""
    settings = {tuple(run.conditions[name] for name in by): run.settings for run in runs}
    rows = [(tuple(row[name] for name in by), row) for _, row in over_seeds(results, by).iterrows()]
    return [Measured(", ".join(map(str, key)), settings[key], row["mean_ap"], row["rank_1"]) for key, row in rows]


def minutes(out: Path, runs: Sequence[Run]) -> Repeated:
    """Return how long trainings took."""
    return Repeated(tuple(seconds_of(out, run) / 60 for run in runs))
