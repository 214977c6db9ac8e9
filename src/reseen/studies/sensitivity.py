"""``reseen study sensitivity``: a grid over one or two settings."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reseen.reporting import Axis, Repeated, Section, Series, bar_chart, charts, heat_map, line_chart, table
from reseen.samples import Benchmark
from reseen.studies.engine import commands, perform
from reseen.studies.page import downloads, write_study
from reseen.studies.published import beside
from reseen.studies.settings import changed, shared
from reseen.studies.table import over_seeds, show
from reseen.studies.trials import averaged, measured, over

Cells = Mapping[tuple[Any, ...], Repeated]


def sensitivity(
    data: Benchmark,
    *,
    out: Path,
    grid: dict[str, list[Any]],
    seeds: int = 3,
    jobs: int = 1,
    recipe: str | None = None,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train with every combination of the values of one or two settings, and say how much they matter.

    Settings are named as flags of `reseen train` are. The papers' own: {"loss_weight": [0.1, 0.3, 0.5, 0.7, 0.9]} and
    {"loss.temperature": [0.01, 0.02, ...]} for AdaSP (tables S3, S4), {"loss.alpha": ...} and {"loss.beta": ...} for
    FIDI (Figure 9), {"scheme.momentum": [0.995, 0.997, 0.999]} for MoReID.

    Args:
        data: What to train and test on.
        out: The study's folder; started again, it does what is missing.
        grid: Setting -> values; one setting, or two.
        seeds: How often, each time with another seed.
        jobs: Trainings at the same time.
        recipe: Its settings are started from, as in market1501/adasp_mgn.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: All settings as plain values, from the command line.
    """
    if len(grid) not in (1, 2) or not all(grid.values()):
        raise ValueError(f"expected values of one setting or two, got {grid}")
    base = shared(resolved, recipe=recipe, settings=settings)
    names = list(grid)
    runs = []
    for values in itertools.product(*grid.values()):
        point = dict(zip(names, values, strict=True))
        runs += over(seeds, {name: _plain(value) for name, value in point.items()}, changed(base, point))
    results = perform(runs, out, jobs=jobs)
    rows = over_seeds(results, names)
    keys = [tuple(row[name] for name in names) for _, row in rows.iterrows()]
    scores = {figure: dict(zip(keys, rows[figure], strict=True)) for figure in ("mean_ap", "rank_1")}
    columns = [*names, "mAP", "rank 1"]
    cells = [[*map(str, key), scores["mean_ap"][key], scores["rank_1"][key]] for key in keys]
    show(columns, cells, title=data.name)
    means = [cell.mean for cell in scores["mean_ap"].values()]
    best = keys[means.index(max(means))]
    write_study(
        out,
        f"{' and '.join(names)}, {data.name}",
        name="sensitivity",
        lead=f"Everything else the same: how much does it matter what {' and '.join(names)} {_is(names)}?",
        sections=[
            Section(
                "Scores",
                table(columns, cells, percent=True, best=["mAP", "rank 1"]) + downloads("results.csv"),
                f"Scores {averaged(seeds)}. From the worst to "
                f"the best value mAP rises by {100 * (max(means) - min(means)):.1f}; best at "
                f"{' and '.join(f'{name} {value}' for name, value in zip(names, best, strict=True))}.",
            ),
            Section(
                "How it depends",
                charts(_drawn("mAP", scores["mean_ap"], grid), _drawn("Rank 1", scores["rank_1"], grid)),
            ),
            beside(measured(runs, results, names)),
        ],
        resolved=resolved,
        commands=commands(out, runs),
    )


def _is(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _plain(value: Any) -> str | int | float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _drawn(title: str, cells: Cells, grid: Mapping[str, Sequence[Any]]) -> Markup:
    """Return a heat map for two settings, a curve for one of numbers, bars for one of anything else."""
    axis = Axis(f"{title}, %", percent=True)
    if len(grid) == 2:
        (down, rows), (across, columns) = grid.items()
        heights = [[cells[_plain(row), _plain(column)].mean for column in columns] for row in rows]
        return heat_map(
            title,
            [str(row) for row in rows],
            [str(column) for column in columns],
            heights,
            down=down,
            across=across,
            axis=axis,
        )
    ((name, values),) = grid.items()
    found = [cells[(_plain(value),)] for value in values]
    if all(isinstance(_plain(value), (int, float)) for value in values):
        line = Series(title, values, [cell.mean for cell in found], [cell.deviation for cell in found])
        return line_chart(title, [line], x=Axis(name), y=axis)
    means = {str(value): cell.mean for value, cell in zip(values, found, strict=True)}
    deviations = {str(value): cell.deviation for value, cell in zip(values, found, strict=True)}
    return bar_chart(title, means, axis=axis, spread=deviations)
