"""Base of studies: arguments, trainings, results and the files that a study writes.

A study is a function of data and options. It makes a `Study` of its arguments, says with which settings to train,
and writes a page of the results::

    study = Study(my_study, locals())
    for title, settings in study.losses(names).items():
        study.train({"loss": title}, settings)
    study.perform()
"""

from __future__ import annotations

import inspect
import logging
import shlex
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from reseen.description import described
from reseen.files import write_atomically
from reseen.model_evaluation import read_results
from reseen.reporting import Section, facts, table, write_page
from reseen.studies.results.published import Measured, beside
from reseen.studies.results.significance import Difference, paired
from reseen.studies.results.table import downloads, over_seeds, show, write_csv
from reseen.studies.runner.engine import Run, commands, perform
from reseen.studies.settings import Settings, shared, title_of, with_loss

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutputOptions:
    """Output options of a study.

    Attributes:
        out: Folder of the study; started again, it does the trainings that are missing.
    """

    out: Path


@dataclass(frozen=True)
class TrainingOptions(OutputOptions):
    """Options of a study that trains each network once.

    Attributes:
        jobs: Trainings (or evaluations) at a time.
        recipe: Recipe whose settings are the defaults, as market1501/adasp_mgn.
        settings: Settings of all trainings, as `reseen train --config` takes them.
    """

    jobs: int = 1
    recipe: str | None = None
    settings: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"expected one job or more, got {self.jobs}")


@dataclass(frozen=True)
class StudyOptions(TrainingOptions):
    """Options of a study that trains over several seeds.

    Attributes:
        seeds: Number of seeds; each network is trained once with each.
    """

    seeds: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds < 1:
            raise ValueError(f"expected one seed or more, got {self.seeds}")


@dataclass(frozen=True)
class Compared:
    """Two ways of training, by their conditions, and by how much the mAP of the first is above that of the second."""

    first: Mapping[str, str | int | float]
    second: Mapping[str, str | int | float]
    difference: Difference


def named(conditions: Mapping[str, str | int | float]) -> str:
    """Return what tables call a way of training: its conditions."""
    return ", ".join(map(str, conditions.values()))


def _conditions(run: Run) -> dict[str, str | int | float]:
    return {name: value for name, value in run.conditions.items() if name != "seed"}


class Study:
    """The trainings of a study and what they found.

    Args:
        function: The study; its name is that of ``reseen study NAME``.
        arguments: What the function was called with, ``data`` and ``options`` among them: its ``locals()``.

    Attributes:
        out: The study's folder.
        seeds: How often each network is trained.
        data: The data as plain values; a list where there are several.
        runs: What is to be done, in the order of the tables.
        results: One row per run, once `perform` has done them.

    Raises:
        ValueError: The data is nothing that another process can make again.
    """

    results: pd.DataFrame

    def __init__(self, function: Callable[..., None], arguments: Mapping[str, Any]) -> None:
        self.name = function.__name__.replace("_", "-")
        self.options: OutputOptions = arguments["options"]
        self.out, self.seeds = Path(self.options.out), int(getattr(self.options, "seeds", 1))
        own = [name for name in inspect.signature(function).parameters if name != "options"]
        self.arguments: Settings = described({name: arguments[name] for name in own})
        self.data: Any = self.arguments["data"]
        self.runs: list[Run] = []

    @cached_property
    def settings(self) -> Settings:
        """What all trainings share: the recipe, changed by the settings, on the study's data."""
        return self.settings_on(self.data)

    def settings_on(self, data: Any, *, recipe: str | None = None) -> Settings:
        """Return what trainings share on this data, with this recipe in place of the study's where one is named."""
        options = self.options
        assert isinstance(options, TrainingOptions)
        return shared(data, recipe=recipe or options.recipe, settings=options.settings)

    def losses(
        self, names: Sequence[str], weights: Mapping[str, float] | None = None, *, alone: bool = False
    ) -> dict[str, Settings]:
        """Return settings that train with each of several losses, by the titles that tables give them.

        Args:
            names: As in `named_loss`.
            weights: Weight of a loss beside the identity loss, by name; that of the settings where absent.
            alone: Each by itself, of weight 1.
        """
        weights = weights or {}

        def weight(name: str) -> float | None:
            return 1.0 if alone else weights.get(name, weights.get(name.partition("(")[0]))

        return {
            title_of(name, alone=alone): with_loss(self.settings, name, weight=weight(name), alone=alone)
            for name in names
        }

    def train(self, conditions: Mapping[str, str | int | float], settings: Mapping[str, Any]) -> list[Run]:
        """Add a training for each seed from 0, and return them.

        Args:
            conditions: What sets them apart from the study's other trainings; columns of its tables.
            settings: What ``reseen train --config`` takes.
        """
        seeds = range(self.seeds)
        return self.add(*(Run({**conditions, "seed": seed}, {**settings, "seed": seed}) for seed in seeds))

    def add(self, *runs: Run) -> list[Run]:
        """Add runs that are set apart otherwise, and return them."""
        self.runs += runs
        return list(runs)

    def perform(self) -> pd.DataFrame:
        """Do what is not done yet, and return a row for each run: its conditions and its scores.

        Raises:
            RunError: As `engine.perform`.
        """
        self.results = perform(self.runs, self.out, jobs=getattr(self.options, "jobs", 1))
        return self.results

    def folder(self, run: Run) -> Path:
        """Return the folder of a run."""
        return self.out / "runs" / run.name

    def reports(self, run: Run) -> list[dict[str, Any]]:
        """Return what a run's report.json holds of each setting that it was measured in."""
        report, _ = read_results(self.folder(run))
        return [report, *report.get("further", [])]

    def minutes(self, runs: Sequence[Run]) -> float:
        """Return how long runs trained on average, or their last part where they were interrupted."""
        return statistics.fmean(read_results(self.folder(run))[0]["training_seconds"] / 60 for run in runs)

    def over_seeds(self, *by: str) -> pd.DataFrame:
        """Return a row for each condition, with ``mean_ap`` and ``rank_1`` over its runs as ``Repeated``."""
        return over_seeds(self.results, by)

    def paired(self, first: Sequence[Run], second: Sequence[Run]) -> Difference:
        """Return by how much the mAP of one way of training is above that of another, over seeds and queries."""
        tables = [[read_results(self.folder(run))[1] for run in runs] for runs in (first, second)]
        return paired(*tables)

    def differences(self, pairs: Sequence[tuple[Sequence[Run], Sequence[Run]]]) -> list[Compared]:
        """Return by how much the first of each pair of ways of training is above the second; write differences.csv."""
        found = [Compared(_conditions(one[0]), _conditions(other[0]), self.paired(one, other)) for one, other in pairs]
        rows = [{**one.first, "over": named(one.second), **vars(one.difference)} for one in found]
        if rows:
            self.csv(pd.DataFrame(rows), "differences.csv")
        return found

    def noise(self, compared: Sequence[Compared]) -> Section | None:
        """Return a section of a page that says which of the differences are more than noise; None without any."""
        if not compared:
            return None
        columns = ["", "above", "difference", "from", "to", "p"]
        cells = [[named(one.first), named(one.second), *one.difference.cells()] for one in compared]
        note = (
            "mAP of the first above that of the second, its 95 % interval, and the probability p of a difference as "
            f"large if there were none; paired, over {self.paired_over}. Queries of one individual are not independent "
            "of each other: this speaks of the individuals of this test."
        )
        return Section("More than noise?", table(columns, cells) + downloads("differences.csv"), note)

    @property
    def averaged(self) -> str:
        """What a cell of a table is."""
        if self.seeds == 1:
            return "in percent, of one seed"
        return f"in percent, mean ± standard deviation over {self.seeds} seeds"

    @property
    def paired_over(self) -> str:
        """What the difference of two rows is taken over."""
        return "the queries (one seed tells nothing of others)" if self.seeds == 1 else "seeds and queries at once"

    def csv(self, rows: pd.DataFrame, name: str) -> None:
        """Write a table into the study's folder."""
        write_csv(rows, self.out / name)

    def scores(
        self,
        columns: Sequence[str],
        cells: Sequence[Sequence[object]],
        note: str,
        *,
        title: str = "",
        best: Sequence[str] = (),
        files: Sequence[str] = ("results.csv",),
    ) -> Section:
        """Print a table to the terminal, and return it as a section with links to files."""
        show(columns, cells, title=title)
        return Section("Scores", table(columns, cells, percent=True, best=best) + downloads(*files), note)

    def published(self, *by: str) -> Section | None:
        """Return what was measured under each condition beside what was published for the same data and settings."""
        settings = {tuple(run.conditions[name] for name in by): run.settings for run in self.runs}
        rows = [(tuple(row[name] for name in by), row) for _, row in self.over_seeds(*by).iterrows()]
        return beside(
            [Measured(", ".join(map(str, key)), settings[key], row["mean_ap"], row["rank_1"]) for key, row in rows]
        )

    def write(self, title: str, *, lead: str, sections: Sequence[Section | None]) -> Path:
        """Write the study's page, ``study.html``, and the settings that repeat it, ``study.yaml``; return the page.

        Args:
            title: What was studied on which data.
            lead: What the study asks, in a sentence or two.
            sections: What was found; None is left out.
        """
        options = {field.name: described(getattr(self.options, field.name)) for field in fields(self.options)}
        settings = yaml.safe_dump({**self.arguments, **options}, sort_keys=False)
        self.out.mkdir(parents=True, exist_ok=True)
        write_atomically(self.out / "study.yaml", settings.encode())
        again = shlex.join(["reseen", "study", self.name, "--config", f"{self.out}/study.yaml", "--out", f"{self.out}"])
        files = {"study.yaml: every setting": settings}
        if self.runs:
            files[f"the {len(self.runs)} commands it runs"] = "\n".join(commands(self.out, self.runs))
        body = Markup("<pre><code>{}</code></pre>").format(again) + facts({}, files=files)
        note = "The first command makes this page; started again, it does only what is missing. Every run is a folder."
        page = write_page(
            self.out / "study.html",
            title,
            sections=[*sections, Section("Commands", body, note)],
            eyebrow=f"reseen study {self.name}",
            lead=lead,
        )
        logger.info("wrote %s", page)
        return page
