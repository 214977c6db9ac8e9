"""Losses side by side, over several seeds, with tests of significance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from reseen.reporting import Axis, Repeated, Section, bar_chart, charts, table
from reseen.studies.results.table import downloads, show
from reseen.studies.runner import Study, StudyOptions
from reseen.studies.settings import changed
from reseen.types import Benchmark

SCORES = ["", "mAP", "rank 1", "mINP", "minutes"]


def losses(
    data: Benchmark,
    options: StudyOptions,
    *,
    names: Sequence[str] = ("IdentityLoss", "HardTripletLoss", "AdaSPLoss", "FIDILoss"),
    alone: Sequence[str] = (),
    weights: dict[str, float] | None = None,
    others: dict[str, dict[str, Any]] | None = None,
    recipes: Sequence[str] = (),
) -> None:
    """Train with each loss under the same conditions, several times, and say which differences are more than noise.

    Each loss is trained together with the identity loss (CE + loss). The page gives mean and deviation over the seeds
    and, for each row, the difference to the first with its 95 % interval and the probability of one as large if there
    were none: paired, over seeds and queries at once.

    Args:
        data: What to train and test on.
        options: The study's folder, seeds, recipe and settings.
        names: Losses to train with, each beside the identity loss; IdentityLoss for that one alone. Arguments stand
            behind a name, as in FIDILoss(beta=0.7).
        alone: Losses to train with on their own.
        weights: Weight of a loss beside the identity loss, by name; that of the settings, or its own, where absent.
        others: More rows: name -> what it changes, as in {"FIDI 0.7": {"loss": "FIDILoss", "loss.beta": 0.7}}.
        recipes: More rows: whole recipes, such as those of one of a paper's tables.
    """
    study = Study(losses, locals())
    rows = study.losses(names, weights) | study.losses(alone, alone=True)
    rows |= {name: changed(study.settings, changes) for name, changes in (others or {}).items()}
    rows |= {name: study.settings_on(study.data, recipe=name) for name in recipes}
    if not rows:
        raise ValueError("expected a loss or a recipe to train with, got none")
    groups = {name: study.train({"loss": name}, row) for name, row in rows.items()}
    results = study.perform().groupby("loss", sort=False)
    first, *others_of = groups.values()
    compared = study.differences([(group, first) for group in others_of])
    p = {str(one.first["loss"]): one.difference.cells()[-1] for one in compared}
    figures = {name: _figures(results.get_group(name)) for name in rows}
    summary = [[name, *figures[name][:2], p.get(name)] for name in rows]
    show([*SCORES[:3], "p"], summary, title=data.name)
    cells = [[name, *figures[name], f"{study.minutes(groups[name]):.1f}"] for name in rows]
    scores = table(SCORES, cells, percent=True, best=SCORES[1:4]) + _bars(figures) + downloads("results.csv")
    study.write(
        f"Losses on {data.name}",
        lead="The same network, batches, schedule and seeds; only the loss differs.",
        sections=[
            Section("Scores", scores, f"Scores {study.averaged}."),
            study.noise(compared),
            study.published("loss"),
        ],
    )


def _figures(group: pd.DataFrame) -> list[Repeated]:
    return [Repeated(tuple(group[name])) for name in ("mean_ap", "rank_1", "mean_inp")]


def _bars(figures: dict[str, list[Repeated]]) -> Markup:
    def bars(title: str, column: int) -> Markup:
        cells = {name: row[column] for name, row in figures.items()}
        means = {name: round(cell.mean, 3) for name, cell in cells.items()}
        deviations = {name: round(cell.deviation, 3) for name, cell in cells.items() if len(cell.values) > 1}
        return bar_chart(title, means, axis=Axis("mean over the seeds", percent=True), spread=deviations)

    return charts(bars("mAP", 0), bars("Rank 1", 1))
