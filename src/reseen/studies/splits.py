"""``reseen study splits``: one recipe on every division of its data, as RegDB and the first CUHK03 are measured."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reseen.reporting import Repeated, Section, table
from reseen.samples import Benchmark
from reseen.studies.engine import Run, commands, perform, reports_of
from reseen.studies.page import downloads, write_study
from reseen.studies.settings import changed, shared
from reseen.studies.table import over_seeds, show, write_csv

ARGUMENTS = ("trial", "split")


def splits(
    data: Benchmark,
    *,
    out: Path,
    argument: str | None = None,
    count: int = 10,
    jobs: int = 1,
    recipe: str | None = None,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train and test a network for each division of the data, and print the mean over them, setting by setting.

    RegDB's figures are means over ten divisions, in both directions; those of the first CUHK03 are means over twenty.

    Args:
        data: The data set, with any of its divisions.
        out: The study's folder; started again, it does what is missing.
        argument: What of the data set says which division, counted from 1; its trial or split if not given.
        count: How many divisions.
        jobs: Trainings at the same time.
        recipe: Its settings are started from, as in market1501/adasp_mgn.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: All settings as plain values, from the command line.
    """
    argument = _argument(data) if argument is None else argument
    base = shared(resolved, recipe=recipe, settings=settings)
    numbers = range(1, count + 1)
    runs = [Run({argument: number}, changed(base, {f"data.{argument}": number})) for number in numbers]
    perform(runs, out, jobs=jobs)
    rows = [
        {argument: number, "setting": report["protocol"].split(", ")[-1], **_figures(report)}
        for number, run in zip(numbers, runs, strict=True)
        for report in reports_of(out, run)
    ]
    found = pd.DataFrame(rows)
    write_csv(found, out / "settings.csv")
    columns, cells = _table(found)
    title = f"{type(data).__name__}, mean of {count} divisions"
    show(columns, cells, title=title)
    write_study(
        out,
        title,
        name="splits",
        lead="A network for each division of the identities; each setting is averaged over the divisions.",
        sections=[
            Section(
                "Scores",
                table(columns, cells, percent=True) + downloads("settings.csv", "results.csv"),
                f"In percent, mean ± standard deviation over {count} divisions.",
            )
        ],
        resolved=resolved,
        commands=commands(out, runs),
    )


def _argument(data: Benchmark) -> str:
    known = inspect.signature(type(data)).parameters
    found = next((name for name in ARGUMENTS if name in known), None)
    if found is None:
        raise ValueError(
            f"expected data with a {' or a '.join(ARGUMENTS)}, got {type(data).__name__}; name its argument "
            "with --argument"
        )
    return found


def _figures(report: dict[str, Any]) -> dict[str, float]:
    ranks = {f"rank_{rank}": report["cmc"][rank - 1] for rank in (1, 10, 20)}
    return {**ranks, "mean_ap": report["mean_ap"], "mean_inp": report["mean_inp"]}


def _table(found: pd.DataFrame) -> tuple[list[str], Sequence[list[str | Repeated]]]:
    names = {"rank_1": "rank 1", "rank_10": "rank 10", "rank_20": "rank 20", "mean_ap": "mAP", "mean_inp": "mINP"}
    means = over_seeds(found, ["setting"], figures=list(names))
    return ["setting", *names.values()], means.to_numpy().tolist()
