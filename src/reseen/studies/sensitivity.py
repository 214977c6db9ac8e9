"""Sensitivity: a grid over one or two settings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from reseen.reporting import Axis, Repeated, Section, Series, bar_chart, charts, heat_map, line_chart
from reseen.studies.runner import Run, Study, StudyOptions
from reseen.studies.settings import changed
from reseen.types import Benchmark

Cells = Mapping[tuple[Any, ...], Repeated]


def sensitivity(data: Benchmark, options: StudyOptions, *, grid: dict[str, list[Any]]) -> None:
    """Train with every combination of the values of one or two settings, and say how much they matter.

    Each value is compared with the first of its setting, paired over seeds and queries.

    Settings are named as flags of `reseen train` are. The papers' own: {"loss_weight": [0.1, 0.3, 0.5, 0.7, 0.9]} and
    {"loss.temperature": [0.01, 0.02, ...]} for AdaSP (tables S3, S4), {"loss.alpha": ...} and {"loss.beta": ...} for
    FIDI (Figure 9), {"candidates.momentum": [0.995, 0.997, 0.999]} for MoReID.

    Args:
        data: What to train and test on.
        options: The study's folder, seeds, recipe and settings.
        grid: Setting -> values; one setting, or two.
    """
    if len(grid) not in (1, 2) or not all(grid.values()):
        raise ValueError(f"expected values of one setting or two, got {grid}")
    study = Study(sensitivity, locals())
    names = list(grid)
    groups: dict[tuple[str | int | float, ...], list[Run]] = {}
    for values in itertools.product(*grid.values()):
        point = dict(zip(names, values, strict=True))
        conditions = {name: _plain(value) for name, value in point.items()}
        groups[tuple(conditions.values())] = study.train(conditions, changed(study.settings, point))
    study.perform()
    compared = study.differences(_pairs(groups))
    rows = study.over_seeds(*names)
    keys = [tuple(row[name] for name in names) for _, row in rows.iterrows()]
    scores = {figure: dict(zip(keys, rows[figure], strict=True)) for figure in ("mean_ap", "rank_1")}
    cells = [[*map(str, key), scores["mean_ap"][key], scores["rank_1"][key]] for key in keys]
    means = [cell.mean for cell in scores["mean_ap"].values()]
    best = " and ".join(f"{name} {value}" for name, value in zip(names, keys[means.index(max(means))], strict=True))
    note = (
        f"Scores {study.averaged}. From the worst to the best value mAP rises by {100 * (max(means) - min(means)):.1f}"
        f"; best at {best}."
    )
    drawn = charts(_chart("mAP", scores["mean_ap"], grid), _chart("Rank 1", scores["rank_1"], grid))
    study.write(
        f"{' and '.join(names)}, {data.name}",
        lead="Everything else the same: how much does it matter what "
        f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'}?",
        sections=[
            study.scores([*names, "mAP", "rank 1"], cells, note, title=data.name, best=["mAP", "rank 1"]),
            Section("How it depends", drawn),
            study.noise(compared),
            study.published(*names),
        ],
    )


def _pairs(groups: Mapping[tuple[str | int | float, ...], list[Run]]) -> list[tuple[list[Run], list[Run]]]:
    """Return each point of the grid beside that with the first value of a setting, all else the same."""
    pairs = []
    for place, start in enumerate(next(iter(groups))):
        for key, runs in groups.items():
            if key[place] != start:
                base = tuple(start if n == place else value for n, value in enumerate(key))
                pairs.append((runs, groups[base]))
    return pairs


def _plain(value: Any) -> str | int | float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _chart(title: str, cells: Cells, grid: Mapping[str, Sequence[Any]]) -> Markup:
    """Return a heat map for two settings, a curve for one of numbers, bars for one of anything else."""
    axis = Axis(f"{title}, %", percent=True)
    if len(grid) == 2:
        (down, rows), (across, columns) = grid.items()
        heights = [[cells[_plain(row), _plain(column)].mean for column in columns] for row in rows]
        labels = [list(map(str, values)) for values in (rows, columns)]
        return heat_map(title, labels[0], labels[1], heights, down=down, across=across, axis=axis)
    ((name, values),) = grid.items()
    repeated = [cells[(_plain(value),)] for value in values]
    means, deviations = [cell.mean for cell in repeated], [cell.deviation for cell in repeated]
    if all(isinstance(_plain(value), (int, float)) for value in values):
        return line_chart(title, [Series(title, values, means, deviations)], x=Axis(name), y=axis)
    bars = [dict(zip(map(str, values), lengths, strict=True)) for lengths in (means, deviations)]
    return bar_chart(title, bars[0], axis=axis, spread=bars[1])
