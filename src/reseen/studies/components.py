"""``reseen study components``: parts of a recipe, each on and off."""

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from reseen.reporting import Axis, Repeated, Section, bar_chart, charts, table
from reseen.samples import Benchmark
from reseen.studies.engine import commands, perform
from reseen.studies.page import downloads, write_study
from reseen.studies.published import beside
from reseen.studies.settings import changed, shared, with_loss
from reseen.studies.table import over_seeds, show
from reseen.studies.trials import averaged, measured, over, title_of

Parts = dict[str, dict[str, dict[str, Any]]]
Found = dict[tuple[str, ...], dict[str, Repeated]]  # states of the parts -> loss -> mAP

PARTS: Parts = {
    "AutoAug": {"on": {"augmentation.auto_augment": 0.1}, "off": {"augmentation.auto_augment": None}},
    "IBN": {"on": {"model.resnet.ibn": "a"}, "off": {"model.resnet.ibn": None}},
    "non-local": {"on": {"model.resnet.non_local": "agw"}, "off": {"model.resnet.non_local": None}},
}


def components(
    data: Benchmark,
    *,
    out: Path,
    parts: Parts | None = None,
    which: Literal["all", "without_one"] = "all",
    names: Sequence[str] = ("HardTripletLoss", "HELoss"),
    weights: dict[str, float] | None = None,
    seeds: int = 3,
    jobs: int = 1,
    recipe: str | None = None,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train with every combination of parts of a recipe, and say what each part gives, and a loss beside each.

    Without --parts: AutoAugment, IBN and non-local blocks of a ResNet, as in the HE supplement (table E).

    Args:
        data: What to train and test on.
        out: The study's folder; started again, it does what is missing.
        parts: Name -> settings, named as flags are, that turn it on, and those that turn it off, as in
            {"erasing": {"on": {"augmentation.erase": 0.5}, "off": {"augmentation.erase": null}}}.
        which: Every combination, or as in the paper: nothing, all but one, all.
        names: Losses to train with, each beside the identity loss; gains are over the first.
        weights: Weight of a loss beside the identity loss, by name; that of the settings (or 1) where absent.
        seeds: How often, each time with another seed.
        jobs: Trainings at the same time.
        recipe: Its settings are started from, as in market1501/adasp_mgn.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: All settings as plain values, from the command line.
    """
    chosen = PARTS if parts is None else parts
    if wrong := [name for name, states in chosen.items() if set(states) != {"on", "off"}]:
        raise ValueError(f"expected settings for on and for off of each part, got others for {', '.join(wrong)}")
    base = shared(resolved, recipe=recipe, settings=settings)
    weights = weights or {}
    titles = [title_of(name, alone=False) for name in names]
    runs = []
    for states in _combinations(list(chosen), which):
        with_parts = base
        for name, state in states.items():
            with_parts = changed(with_parts, chosen[name][str(state)])
        for title, name in zip(titles, names, strict=True):
            trained = with_loss(with_parts, name, weight=weights.get(name))
            runs += over(seeds, {**states, "loss": title}, trained)
    results = perform(runs, out, jobs=jobs)
    rows = over_seeds(results, [*chosen, "loss"])
    found: Found = {}
    for _, row in rows.iterrows():
        found.setdefault(tuple(row[name] for name in chosen), {})[row["loss"]] = row["mean_ap"]
    columns = [*chosen, *titles, *(f"gain of {title}" for title in titles[1:])]
    cells: list[list[object]] = []
    for states_of, by_loss in found.items():
        scores = [by_loss[title] for title in titles]
        gains = [f"{100 * (score.mean - scores[0].mean):+.1f}" for score in scores[1:]]
        cells.append([*states_of, *scores, *gains])
    show(columns, cells, title=f"{data.name}: mAP")
    sections = [
        Section(
            "Scores",
            table(columns, cells, percent=True, best=titles) + downloads("results.csv"),
            f"mAP {averaged(seeds)}.",
        ),
        _effects(found, list(chosen), titles) if which == "all" else None,
        beside(measured(runs, results, [*chosen, "loss"])),
    ]
    write_study(
        out,
        f"{', '.join(chosen)}: {data.name}",
        name="components",
        lead="Each part on and off: what does it give, and does a loss gain whichever are on?",
        sections=sections,
        resolved=resolved,
        commands=commands(out, runs),
    )


def _combinations(parts: Sequence[str], which: str) -> list[dict[str, str | int | float]]:
    """Return which parts are on: from nothing to everything."""
    every = [dict(zip(parts, states, strict=True)) for states in itertools.product(("off", "on"), repeat=len(parts))]
    counts = {"all": range(len(parts) + 1), "without_one": (0, len(parts) - 1, len(parts))}[which]
    on = [(list(states.values()).count("on"), states) for states in every]
    return [dict(states) for count, states in sorted(on, key=lambda pair: pair[0]) if count in counts]


def _effects(found: Found, parts: Sequence[str], titles: Sequence[str]) -> Section:
    """Return what each part gives, averaged over the states of the others."""
    gains = {title: {part: _gain(found, place, title) for place, part in enumerate(parts)} for title in titles}
    every = [0.0, *(gain for of_parts in gains.values() for gain in of_parts.values())]
    axis = Axis("mAP gained, %", (min(every), max(every) or 0.001), percent=True)
    figures = [bar_chart(title, of_parts, axis=axis) for title, of_parts in gains.items()]
    note = "mAP with it minus mAP without, over all states of the others."
    return Section("What each part gives", charts(*figures), note)


def _gain(found: Found, place: int, title: str) -> float:
    def level(state: str) -> float:
        return statistics.fmean(by_loss[title].mean for states, by_loss in found.items() if states[place] == state)

    return round(level("on") - level("off"), 3)
