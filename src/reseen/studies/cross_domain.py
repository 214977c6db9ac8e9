"""``reseen study cross-domain``: train on each of several data sets, test on all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reseen.reporting import Axis, Repeated, Section, charts, heat_map, table
from reseen.samples import Benchmark
from reseen.studies.engine import Run, commands, perform
from reseen.studies.page import downloads, write_study
from reseen.studies.published import Measured, beside
from reseen.studies.settings import Settings, shared
from reseen.studies.table import over_seeds, show
from reseen.studies.trials import averaged


def cross_domain(
    data: list[Benchmark],
    *,
    out: Path,
    names: Sequence[str] = (),
    models: Sequence[Path] = (),
    seeds: int = 3,
    jobs: int = 1,
    recipe: str | None = None,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train on each of several data sets and test on all of them; or test models that are trained already.

    As in `reseen study cross-domain --data+=Market1501 --data.root A --data+=MSMT17 --data.root B --out runs/cross`.
    A data set without pictures to train on is only tested on.

    Args:
        data: The data sets.
        out: The study's folder; started again, it does what is missing.
        names: What to call the data sets; by their own names if not given.
        models: Folders of runs (or checkpoints) to test on every data set, instead of training.
        seeds: How often to train on each, each time with another seed.
        jobs: Trainings or tests at the same time.
        recipe: Its settings are started from, as in market1501/adasp_mgn.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: All settings as plain values, from the command line.
    """
    if names and len(names) != len(data):
        raise ValueError(f"expected a name for each of {len(data)} data sets, got {len(names)}: {', '.join(names)}")
    names = _distinct(names or [benchmark.name for benchmark in data])
    given = dict(zip(names, (resolved or {})["data"], strict=True))
    if silent := [name for name, benchmark in zip(names, data, strict=True) if not benchmark.query]:
        raise ValueError(f"expected pictures to search with in every data set, got none in {', '.join(silent)}")
    trained = [] if models else [name for name, benchmark in zip(names, data, strict=True) if benchmark.train]
    runs = _tests(models, given, settings or {})
    for name in trained:
        base = shared({"data": given[name]}, recipe=recipe, settings=settings)
        for seed in range(seeds):
            training = Run({"trained on": name, "tested on": name, "seed": seed}, {**base, "seed": seed})
            tests: Settings = {key: base[key] for key in ("mirrored", "workers") if key in base}
            runs.append(training)
            runs += [
                Run({**training.conditions, "tested on": other}, {"data": given[other], **tests}, model=training.name)
                for other in names
                if other != name
            ]
    results = perform(runs, out, jobs=jobs)
    rows = over_seeds(results, ["trained on", "tested on"])
    sources = list(dict.fromkeys(results["trained on"]))

    def grid(figure: str) -> list[list[Repeated]]:
        cells = rows.set_index(["trained on", "tested on"])[figure]
        return [[cells[source, target] for target in names] for source in sources]

    def rows_of(figure: str) -> list[list[object]]:
        return [[source, *cells] for source, cells in zip(sources, grid(figure), strict=True)]

    def drawn(title: str, figure: str) -> Any:
        means = [[cell.mean for cell in row] for row in grid(figure)]
        short = [name if len(name) <= 13 else f"{name[:12]}…" for name in (*sources, *names)]
        down, across = short[: len(sources)], short[len(sources) :]
        return heat_map(
            title, down, across, means, down="trained", across="tested on", axis=Axis(f"{title}, %", percent=True)
        )

    columns = ["trained on", *names]
    show(columns, rows_of("mean_ap"), title="mAP, tested on")
    own = [
        Measured(str(run.conditions["trained on"]), run.settings, *_scores(rows, run)) for run in runs if _is_first(run)
    ]
    write_study(
        out,
        f"Across {len(data)} data sets",
        name="cross-domain",
        lead="A row for each " + ("model" if models else "data set trained on") + ", a column for each tested on.",
        sections=[
            Section(
                "Scores",
                table(columns, rows_of("mean_ap"), percent=True, best=names, caption="mAP")
                + table(columns, rows_of("rank_1"), percent=True, best=names, caption="Rank 1")
                + downloads("results.csv"),
                f"Scores {averaged(1 if models else seeds)}; each data set under its own protocol. Compare "
                "from top to bottom, not from left to right: data sets differ in how hard they are.",
            ),
            Section("From one to another", charts(drawn("mAP", "mean_ap"), drawn("Rank 1", "rank_1"))),
            beside(own),
        ],
        resolved=resolved,
        commands=commands(out, runs),
    )


def _tests(models: Sequence[Path], given: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Run]:
    titles = _distinct([path.stem if path.suffix else path.name for path in models])
    return [
        Run({"trained on": title, "tested on": name, "seed": 0}, {**settings, "data": data}, model=str(path))
        for title, path in zip(titles, models, strict=True)
        for name, data in given.items()
    ]


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where several are alike."""
    counts = Counter(names)
    return [f"{number} {name}" if counts[name] > 1 else name for number, name in enumerate(names, start=1)]


def _is_first(run: Run) -> bool:
    return run.model is None and run.conditions["seed"] == 0


def _scores(rows: Any, run: Run) -> tuple[Repeated, Repeated]:
    source = run.conditions["trained on"]
    row = rows[(rows["trained on"] == source) & (rows["tested on"] == source)].iloc[0]
    return row["mean_ap"], row["rank_1"]
