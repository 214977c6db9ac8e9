"""Cross-domain evaluation: train on each data set, test on all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reseen.labels import numbered
from reseen.reporting import Axis, Repeated, Section, charts, heat_map, table
from reseen.studies.results.published import Measured, beside
from reseen.studies.results.table import downloads, show
from reseen.studies.runner import Run, Study, StudyOptions
from reseen.types import Benchmark


def cross_domain(
    data: list[Benchmark], options: StudyOptions, *, names: Sequence[str] = (), models: Sequence[Path] = ()
) -> None:
    """Train on each of several data sets and test on all of them; or test models that are trained already.

    As in `reseen study cross-domain --data+=Market1501 --data.root A --data+=MSMT17 --data.root B --out runs/cross`.
    A data set without pictures to train on is only tested on.

    Args:
        data: The data sets.
        options: The study's folder, seeds, recipe and settings.
        names: What to call the data sets; by their own names if not given.
        models: Folders of runs (or checkpoints) to test on every data set, instead of training.
    """
    if names and len(names) != len(data):
        raise ValueError(f"expected a name for each of {len(data)} data sets, got {len(names)}: {', '.join(names)}")
    study = Study(cross_domain, locals())
    names = numbered(names or [benchmark.name for benchmark in data])
    if silent := [name for name, benchmark in zip(names, data, strict=True) if not benchmark.query]:
        raise ValueError(f"expected pictures to search with in every data set, got none in {', '.join(silent)}")
    described = dict(zip(names, study.data, strict=True))
    study.add(*_tests(models, described, options.settings or {}))
    trained = [] if models else [name for name, benchmark in zip(names, data, strict=True) if benchmark.train]
    for name in trained:
        base = study.settings_on(described[name])
        shared = {key: base[key] for key in ("mirrored", "workers") if key in base}
        for seed in range(options.seeds):
            training = Run({"trained on": name, "tested on": name, "seed": seed}, {**base, "seed": seed})
            tests = {other: {"data": settings, **shared} for other, settings in described.items() if other != name}
            study.add(training)
            study.add(*(Run({**training.conditions, "tested on": o}, s, training.name) for o, s in tests.items()))
    sources = list(dict.fromkeys(study.perform()["trained on"]))
    rows = study.over_seeds("trained on", "tested on").set_index(["trained on", "tested on"])

    def grid(figure: str) -> list[list[Repeated]]:
        return [[rows[figure][source, target] for target in names] for source in sources]

    def scores(title: str, figure: str) -> Markup:
        cells = [[source, *row] for source, row in zip(sources, grid(figure), strict=True)]
        if figure == "mean_ap":
            show(columns, cells, title="mAP, tested on")
        return table(columns, cells, percent=True, best=names, caption=title)

    def drawn(title: str, figure: str) -> Markup:
        means = [[cell.mean for cell in row] for row in grid(figure)]
        down, across = ([n if len(n) <= 13 else f"{n[:12]}…" for n in labels] for labels in (sources, names))
        axis = Axis(f"{title}, %", percent=True)
        return heat_map(title, down, across, means, down="trained", across="tested on", axis=axis)

    columns = ["trained on", *names]
    own = {name: next(run for run in study.runs if run.conditions["trained on"] == name) for name in trained}
    averaged = "in percent, of one seed" if models else study.averaged
    study.write(
        f"Across {len(data)} data sets",
        lead="A row for each " + ("model" if models else "data set trained on") + ", a column for each tested on.",
        sections=[
            Section(
                "Scores",
                scores("mAP", "mean_ap") + scores("Rank 1", "rank_1") + downloads("results.csv"),
                f"Scores {averaged}; each data set under its own protocol. Compare "
                "from top to bottom, not from left to right: data sets differ in how hard they are.",
            ),
            Section("From one to another", charts(drawn("mAP", "mean_ap"), drawn("Rank 1", "rank_1"))),
            beside(
                [
                    Measured(name, run.settings, rows["mean_ap"][name, name], rows["rank_1"][name, name])
                    for name, run in own.items()
                ]
            ),
        ],
    )


def _tests(models: Sequence[Path], described: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Run]:
    titles = numbered([path.stem if path.suffix else path.name for path in models])
    return [
        Run({"trained on": title, "tested on": name, "seed": 0}, {**settings, "data": data}, model=str(path))
        for title, path in zip(titles, models, strict=True)
        for name, data in described.items()
    ]
