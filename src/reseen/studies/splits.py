"""Mean of a recipe over all divisions of its data (RegDB's ten), setting by setting."""

from __future__ import annotations

import inspect
from typing import Any

import pandas as pd

from reseen.studies.results.table import over_seeds
from reseen.studies.runner import Run, Study, TrainingOptions
from reseen.studies.settings import changed
from reseen.types import Benchmark

ARGUMENTS = ("trial", "split")
FIGURES = {"rank_1": "rank 1", "rank_10": "rank 10", "rank_20": "rank 20", "mean_ap": "mAP", "mean_inp": "mINP"}


def splits(data: Benchmark, options: TrainingOptions, *, argument: str | None = None, count: int = 10) -> None:
    """Train and test a network for each division of the data, and print the mean over them, setting by setting.

    RegDB's figures are means over ten divisions, in both directions; those of the first CUHK03 are means over twenty.

    Args:
        data: The data set, with any of its divisions.
        options: The study's folder, recipe and settings.
        argument: What of the data set says which division, counted from 1; its trial or split if not given.
        count: How many divisions.
    """
    study = Study(splits, locals())
    argument = _argument(data) if argument is None else argument
    numbers = range(1, count + 1)
    study.add(*(Run({argument: number}, changed(study.settings, {f"data.{argument}": number})) for number in numbers))
    study.perform()
    rows = [
        {argument: number, "setting": report["protocol"].split(", ")[-1], **_figures(report)}
        for number, run in zip(numbers, study.runs, strict=True)
        for report in study.reports(run)
    ]
    settings = pd.DataFrame(rows)
    study.csv(settings, "settings.csv")
    title = f"{type(data).__name__}, mean of {count} divisions"
    study.write(
        title,
        lead="A network for each division of the identities; each setting is averaged over the divisions.",
        sections=[
            study.scores(
                ["setting", *FIGURES.values()],
                over_seeds(settings, ["setting"], figures=list(FIGURES)).to_numpy().tolist(),
                f"In percent, mean ± standard deviation over {count} divisions.",
                title=title,
                files=["settings.csv", "results.csv"],
            )
        ],
    )


def _argument(data: Benchmark) -> str:
    known = inspect.signature(type(data)).parameters
    argument = next((name for name in ARGUMENTS if name in known), None)
    if argument is None:
        raise ValueError(
            f"expected data with a {' or a '.join(ARGUMENTS)}, got {type(data).__name__}; name its argument "
            "with --argument"
        )
    return argument


def _figures(report: dict[str, Any]) -> dict[str, float]:
    ranks = {f"rank_{rank}": report["cmc"][rank - 1] for rank in (1, 10, 20)}
    return {**ranks, "mean_ap": report["mean_ap"], "mean_inp": report["mean_inp"]}
