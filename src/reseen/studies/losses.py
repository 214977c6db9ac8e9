"""``reseen study losses``: losses side by side, under the same conditions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from reseen.reporting import Axis, Repeated, Section, bar_chart, charts, table
from reseen.samples import Benchmark
from reseen.studies.engine import commands, per_query, perform
from reseen.studies.page import downloads, write_study
from reseen.studies.published import Measured, beside
from reseen.studies.settings import changed, shared, with_loss
from reseen.studies.significance import Difference, paired
from reseen.studies.table import show, write_csv
from reseen.studies.trials import averaged, minutes, over, paired_over, title_of

SCORES = ["", "mAP", "rank 1", "mINP", "minutes"]


def losses(
    data: Benchmark,
    *,
    out: Path,
    names: Sequence[str] = ("IdentityLoss", "HardTripletLoss", "AdaSPLoss", "FIDILoss"),
    alone: Sequence[str] = (),
    weights: dict[str, float] | None = None,
    others: dict[str, dict[str, Any]] | None = None,
    recipes: Sequence[str] = (),
    seeds: int = 3,
    jobs: int = 1,
    recipe: str | None = None,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train with each loss under the same conditions, several times, and say which differences are more than noise.

    Each loss is trained together with the identity loss (CE + loss). The page gives mean and deviation over the seeds
    and, for each row, the difference to the first with its 95 % interval and the probability of one as large if there
    were none: paired, over seeds and queries at once.

    Args:
        data: What to train and test on.
        out: The study's folder; started again, it does what is missing.
        names: Losses to train with, each beside the identity loss; IdentityLoss for that one alone.
        alone: Losses to train with on their own.
        weights: Weight of a loss beside the identity loss, by name; that of the settings (or 1) where absent.
        others: More rows: name -> what it changes, as in {"FIDI 0.7": {"loss": "FIDILoss", "loss.beta": 0.7}}.
        recipes: More rows: whole recipes, such as those of one of a paper's tables.
        seeds: How often, each time with another seed.
        jobs: Trainings at the same time.
        recipe: Its settings are started from, as in market1501/adasp_mgn.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: All settings as plain values, from the command line.
    """
    base = shared(resolved, recipe=recipe, settings=settings)
    weights = weights or {}
    rows = {title_of(name, alone=False): with_loss(base, name, weight=weights.get(name)) for name in names}
    rows |= {title_of(name, alone=True): with_loss(base, name, weight=1.0, alone=True) for name in alone}
    rows |= {name: changed(base, changes) for name, changes in (others or {}).items()}
    rows |= {name: shared(resolved, recipe=name, settings=settings) for name in recipes}
    if not rows:
        raise ValueError("expected a loss or a recipe to train with, got none")
    groups = {name: over(seeds, {"loss": name}, row) for name, row in rows.items()}
    runs = [run for group in groups.values() for run in group]
    results = perform(runs, out, jobs=jobs).groupby("loss", sort=False)
    first = next(iter(rows))
    differences = {
        name: paired([per_query(out, r) for r in group], [per_query(out, r) for r in groups[first]])
        for name, group in groups.items()
        if name != first
    }
    found = {name: _figures(results.get_group(name)) for name in rows}
    if differences:
        write_csv(_comparison(first, differences), out / "differences.csv")
    cells = [[name, *found[name], f"{minutes(out, groups[name]).mean:.1f}"] for name in rows]
    said = {name: difference.cells() for name, difference in differences.items()}
    shown = [[name, *found[name][:2], said[name][-1] if name in said else None] for name in rows]
    show([*SCORES[:3], "p"], shown, title=data.name)
    measured = [Measured(name, rows[name], found[name][0], found[name][1]) for name in rows]
    files = ["results.csv", *(["differences.csv"] if differences else [])]
    write_study(
        out,
        f"Losses on {data.name}",
        name="losses",
        lead="The same network, batches, schedule and seeds; only the loss differs.",
        sections=[
            Section(
                "Scores",
                table(SCORES, cells, percent=True, best=SCORES[1:4]) + _bars(found) + downloads(*files),
                f"Scores {averaged(seeds)}.",
            ),
            _noise(said, first, seeds),
            beside(measured),
        ],
        resolved=resolved,
        commands=commands(out, runs),
    )


def _figures(group: pd.DataFrame) -> list[Repeated]:
    return [Repeated(tuple(group[name])) for name in ("mean_ap", "rank_1", "mean_inp")]


def _comparison(first: str, differences: dict[str, Difference]) -> pd.DataFrame:
    table: pd.DataFrame = pd.DataFrame([{"loss": name, "over": first, **vars(d)} for name, d in differences.items()])
    return table


def _noise(said: dict[str, list[str]], first: str, seeds: int) -> Section | None:
    if not said:
        return None
    columns = ["", "difference", "from", "to", "p"]
    note = (
        f"mAP above that of {first}, its 95 % interval, and the probability p of a difference as large if there were "
        f"none; paired, over {paired_over(seeds)}. Queries of one individual are not independent of each other: this "
        "speaks of the individuals of this test."
    )
    return Section("More than noise?", table(columns, [[name, *row] for name, row in said.items()]), note)


def _bars(found: dict[str, list[Repeated]]) -> Markup:
    def bars(title: str, column: int) -> Markup:
        means = {name: round(row[column].mean, 3) for name, row in found.items()}
        deviations = {
            name: round(row[column].deviation, 3) for name, row in found.items() if len(row[column].values) > 1
        }
        return bar_chart(title, means, axis=Axis("mean over the seeds", percent=True), spread=deviations)

    return charts(bars("mAP", 0), bars("Rank 1", 1))
