"""``reseen study losses``: losses side by side, under the same conditions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table as Grid

from reseen import losses as available
from reseen.samples import Benchmark
from reseen.studies.engine import Run, per_query, perform, seconds_of
from reseen.studies.settings import merged

IDENTITY = {"loss": {"class_path": "reseen.losses.IdentityLoss"}, "on": "embedding", "weight": 1.0}


def losses(
    data: Benchmark,
    *,
    out: Path,
    names: Sequence[str] = ("IdentityLoss", "HardTripletLoss", "AdaSPLoss", "FIDILoss"),
    alone: Sequence[str] = (),
    weights: dict[str, float] | None = None,
    on: str = "feature",
    seeds: int = 3,
    jobs: int = 1,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train with each loss under the same conditions, several times, and print one table.

    Each loss is trained together with the identity loss (CE + loss). The table gives mean and deviation over the seeds,
    and the probability that a difference to the first row as large as the one seen is noise (paired over the queries).

    Args:
        data: What to train and test on.
        out: The study's folder; started again, it does what is missing.
        names: Losses to train with, each beside the identity loss; IdentityLoss for that one alone.
        alone: Losses to train with on their own.
        weights: Weight of a loss beside the identity loss, by name; 1 where absent.
        on: The output that the losses are taken on.
        seeds: How often, each time with another seed.
        jobs: Trainings at the same time.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: The data as the command line gave it.
    """
    weights = weights or {}
    base = merged({"data": (resolved or {})["data"]}, settings or {})
    runs = []
    for kind, chosen in (("CE + loss", names), ("alone", alone)):
        for name in chosen:
            getattr(available, name)  # A name that is not there should stop the study now, not after an hour.
            for seed in range(seeds):
                conditions: dict[str, str | int | float] = {"terms": kind, "loss": name, "seed": seed}
                runs.append(Run(conditions, merged(base, {"seed": seed, "terms": _terms(kind, name, on, weights)})))
    results = perform(runs, out, jobs=jobs)
    results["minutes"] = [seconds_of(out, run) / 60 for run in runs]
    _print(results, [per_query(out, run) for run in runs], seeds)


def _terms(kind: str, name: str, on: str, weights: dict[str, float]) -> list[dict[str, Any]]:
    metric = {"loss": {"class_path": f"reseen.losses.{name}"}, "on": on, "weight": weights.get(name, 1.0)}
    if kind == "alone":
        return [{**metric, "weight": 1.0}]
    return [IDENTITY] if name == "IdentityLoss" else [IDENTITY, metric]


def noise(first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], *, draws: int = 10_000) -> float:
    """Return how probable a mean difference as large as the one seen is if the two are alike.

    A sign-flip permutation test over queries, each query's average precision averaged over the seeds.
    """
    difference = (_by_query(first) - _by_query(second)).dropna().to_numpy()
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(draws, len(difference)))
    return float((np.abs(signs @ difference) >= abs(difference.sum()) - 1e-12).mean())


def _by_query(tables: Sequence[pd.DataFrame]) -> pd.Series:
    return pd.concat(tables).groupby(["repeat", "query"])["average_precision"].mean()


def _print(results: pd.DataFrame, queries: Sequence[pd.DataFrame], seeds: int) -> None:
    grid = Grid("terms", "loss", "mAP", "rank 1", "minutes", "noise?", title=f"mean ± deviation over {seeds} seeds")
    groups = results.groupby(["terms", "loss"], sort=False)
    tables = {key: [queries[row] for row in rows] for key, rows in groups.indices.items()}
    first = next(iter(tables.values()))
    for key, group in groups:
        spread = [
            f"{100 * group[c].mean():.1f} ± {100 * group[c].std(ddof=len(group) > 1):.1f}"
            for c in ("mean_ap", "rank_1")
        ]
        probability = "" if tables[key] is first else f"{noise(tables[key], first):.3f}"
        grid.add_row(*map(str, key), *spread, f"{group['minutes'].mean():.1f}", probability)
    Console().print(grid)
