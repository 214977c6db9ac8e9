"""``reseen study data-fraction``: ever fewer identities to train on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reseen.reporting import Axis, Repeated, Section, Series, charts, line_chart, table
from reseen.samples import Benchmark
from reseen.studies.engine import commands, perform
from reseen.studies.page import downloads, write_study
from reseen.studies.published import beside
from reseen.studies.settings import Settings, shared, with_loss
from reseen.studies.table import over_seeds, show
from reseen.studies.trials import averaged, measured, over, title_of
from reseen.training import Schedule

SUBSET = "reseen.datasets.Subset"
LENGTHS = ("epochs", "warmup", "cosine_after", "freeze")


def data_fraction(
    data: Benchmark,
    *,
    out: Path,
    fractions: Sequence[float] = (1.0, 0.75, 0.5, 0.25),
    draw: int = 0,
    same_steps: bool = False,
    names: Sequence[str] = ("HardTripletLoss", "FIDILoss"),
    weights: dict[str, float] | None = None,
    seeds: int = 3,
    jobs: int = 1,
    recipe: str | None = None,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train on ever fewer identities, each choice part of the one before, and say how each loss bears it.

    The FIDI paper (Figures 6 and 7) holds that FIDI with three quarters of CUHK03 beats the triplet loss with all.

    Args:
        data: What to train and test on; the test stays whole.
        out: The study's folder; started again, it does what is missing.
        fractions: Shares of the identities to train on.
        draw: Seed of the choice of identities.
        same_steps: Train on fewer identities for as many steps as on all; otherwise for as many epochs.
        names: Losses to train with, each beside the identity loss.
        weights: Weight of a loss beside the identity loss, by name; that of the settings (or 1) where absent.
        seeds: How often, each time with another seed.
        jobs: Trainings at the same time.
        recipe: Its settings are started from, as in market1501/adasp_mgn.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: All settings as plain values, from the command line.
    """
    base = shared(resolved, recipe=recipe, settings=settings)
    weights = weights or {}
    runs = []
    for name in names:
        for fraction in fractions:
            part = base
            if fraction != 1:
                arguments = {"source": base["data"], "share": fraction, "seed": draw}
                part = {**base, "data": {"class_path": SUBSET, "init_args": arguments}}
            part = _longer(part, 1 / fraction) if same_steps else part
            trained = with_loss(part, name, weight=weights.get(name))
            runs += over(seeds, {"loss": title_of(name, alone=False), "identities": fraction}, trained)
    results = perform(runs, out, jobs=jobs)
    found = over_seeds(results, ["loss", "identities"]).set_index(["loss", "identities"])
    losses = list(dict.fromkeys(results["loss"]))
    columns = ["", *(f"{100 * fraction:g} %" for fraction in fractions)]

    def cells(figure: str) -> list[list[Any]]:
        return [[loss, *(found.loc[loss, fraction][figure] for fraction in fractions)] for loss in losses]

    def curve(title: str, figure: str) -> Any:
        lines = [_line(row[0], fractions, row[1:]) for row in cells(figure)]
        x = Axis("identities to train on, %", percent=True)
        return line_chart(title, lines, x=x, y=Axis(f"{title}, %", percent=True))

    show(columns, cells("mean_ap"), title=f"{data.name}: mAP by share of identities")
    count = len({sample.identity for sample in data.train})
    length = "steps" if same_steps else "epochs"
    write_study(
        out,
        f"Fewer identities, {data.name}",
        name="data-fraction",
        lead=f"Trained on ever fewer of {count:,} identities, for as many {length}, and tested on the same pictures.",
        sections=[
            Section(
                "Scores",
                table(columns, cells("mean_ap"), percent=True, best=columns[1:], caption="mAP")
                + table(columns, cells("rank_1"), percent=True, best=columns[1:], caption="Rank 1")
                + downloads("results.csv"),
                f"Scores {averaged(seeds)}. A smaller share is part of a larger one.",
            ),
            Section(
                "By share of identities",
                charts(curve("mAP", "mean_ap"), curve("Rank 1", "rank_1")),
                "As Figures 6 and 7 of the FIDI paper, which print no figures; bands: one standard deviation.",
            ),
            beside(measured(runs, results, ["loss", "identities"])),
        ],
        resolved=resolved,
        commands=commands(out, runs),
    )


def _longer(settings: Settings, factor: float) -> Settings:
    """Return settings with every length in epochs times a factor."""
    schedule: Mapping[str, Any] = {
        "epochs": Schedule.epochs,
        "warmup": Schedule.warmup,
        **(settings.get("schedule") or {}),
    }
    lengths = {name: schedule[name] * factor for name in LENGTHS if schedule.get(name)}
    whole = {name: round(lengths[name]) for name in ("epochs", "freeze") if name in lengths}
    milestones = [at * factor for at in schedule["milestones"]] if schedule.get("milestones") else None
    return {**settings, "schedule": {**schedule, **lengths, **whole, "milestones": milestones}}


def _line(name: str, fractions: Sequence[float], cells: Sequence[Repeated]) -> Series:
    return Series(name, fractions, [cell.mean for cell in cells], [cell.deviation for cell in cells])
