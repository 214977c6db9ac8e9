"""Data efficiency: losses on 100, 75, 50 and 25 % of the identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from reseen.reporting import Axis, Section, Series, charts, line_chart, table
from reseen.studies.results.table import downloads, show
from reseen.studies.runner import Run, Study, StudyOptions
from reseen.studies.settings import Settings
from reseen.training import Schedule
from reseen.training.schedule import DEFAULT_EPOCHS
from reseen.types import Benchmark

SUBSET = "reseen.datasets.Subset"
LENGTHS = ("epochs", "warmup", "cosine_after", "freeze")


def data_fraction(
    data: Benchmark,
    options: StudyOptions,
    *,
    fractions: Sequence[float] = (1.0, 0.75, 0.5, 0.25),
    draw: int = 0,
    same_steps: bool = False,
    names: Sequence[str] = ("HardTripletLoss", "FIDILoss"),
    weights: dict[str, float] | None = None,
) -> None:
    """Train on ever fewer identities, each choice part of the one before, and say how each loss bears it.

    The FIDI paper (Figures 6 and 7) holds that FIDI with three quarters of CUHK03 beats the triplet loss with all.

    Args:
        data: What to train and test on; the test stays whole.
        options: The study's folder, seeds, recipe and settings.
        fractions: Shares of the identities to train on.
        draw: Seed of the choice of identities.
        same_steps: Train on fewer identities for as many steps as on all; otherwise for as many epochs.
        names: Losses to train with, each beside the identity loss. Arguments stand behind a name, as in
            FIDILoss(beta=0.7).
        weights: Weight of a loss beside the identity loss, by name; that of the settings, or its own, where absent.
    """
    study = Study(data_fraction, locals())
    groups: dict[tuple[str, float], list[Run]] = {}
    for loss, settings in study.losses(names, weights).items():
        for fraction in fractions:
            part = settings
            if fraction != 1:
                arguments = {"source": study.data, "share": fraction, "seed": draw}
                part = {**settings, "data": {"class_path": SUBSET, "init_args": arguments}}
            part = _longer(part, 1 / fraction) if same_steps else part
            groups[loss, fraction] = study.train({"loss": loss, "identities": fraction}, part)
    losses = list(dict.fromkeys(study.perform()["loss"]))
    others = {key: runs for key, runs in groups.items() if key[0] != losses[0]}
    same = [(runs, groups[losses[0], fraction]) for (_, fraction), runs in others.items()]
    fewer = [(runs, groups[losses[0], fractions[0]]) for (_, share), runs in others.items() if share != fractions[0]]
    compared = study.differences(same + fewer)
    averages = study.over_seeds("loss", "identities").set_index(["loss", "identities"])
    columns = ["", *(f"{100 * fraction:g} %" for fraction in fractions)]

    def cells(figure: str) -> list[list[Any]]:
        return [[loss, *(averages.loc[loss, fraction][figure] for fraction in fractions)] for loss in losses]

    def curve(title: str, figure: str) -> Markup:
        lines = [
            Series(loss, fractions, [cell.mean for cell in row], [cell.deviation for cell in row])
            for loss, *row in cells(figure)
        ]
        x = Axis("identities to train on, %", percent=True)
        return line_chart(title, lines, x=x, y=Axis(f"{title}, %", percent=True))

    show(columns, cells("mean_ap"), title=f"{data.name}: mAP by share of identities")
    tables = [
        table(columns, cells(figure), percent=True, best=columns[1:], caption=title)
        for title, figure in (("mAP", "mean_ap"), ("Rank 1", "rank_1"))
    ]
    count = len({sample.identity for sample in data.train})
    length = "steps" if same_steps else "epochs"
    study.write(
        f"Fewer identities, {data.name}",
        lead=f"Trained on ever fewer of {count:,} identities, for as many {length}, and tested on the same pictures.",
        sections=[
            Section(
                "Scores",
                Markup("").join(tables) + downloads("results.csv"),
                f"Scores {study.averaged}. A smaller share is part of a larger one.",
            ),
            Section(
                "By share of identities",
                charts(curve("mAP", "mean_ap"), curve("Rank 1", "rank_1")),
                "As Figures 6 and 7 of the FIDI paper, which print no figures; bands: one standard deviation.",
            ),
            study.noise(compared),
            study.published("loss", "identities"),
        ],
    )


def _longer(settings: Settings, factor: float) -> Settings:
    """Return settings with every length in epochs times a factor."""
    schedule: Mapping[str, Any] = {
        "epochs": DEFAULT_EPOCHS,
        "warmup": Schedule.warmup,
        **(settings.get("schedule") or {}),
    }
    lengths = {name: schedule[name] * factor for name in LENGTHS if schedule.get(name)}
    whole = {name: round(lengths[name]) for name in ("epochs", "freeze") if name in lengths}
    milestones = [at * factor for at in schedule["milestones"]] if schedule.get("milestones") else None
    return {**settings, "schedule": {**schedule, **lengths, **whole, "milestones": milestones}}
