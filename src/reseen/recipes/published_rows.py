"""Published results: the rows of the papers' tables."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reseen.recipes.files import FOLDER
from reseen.types import Benchmark, PublishedData

SCORES = ("mean_ap", "rank_1", "rank_5")


@dataclass(frozen=True)
class Published:
    """A row of a paper's table.

    Attributes:
        paper: Which ...
        table: ... and where in it.
        row: What the row is about, in the paper's words or close to them.
        data: The data set, and where there are several tests which one.
        mean_ap: In percent, as all scores; None where the paper gives none.
        rank_1: As ``mean_ap``.
        rank_5: As ``mean_ap``.
        recipe: What repeats it; empty where nothing does.
        note: What is wrong or unclear in the paper, and what stands here.
        changes: What sets the row apart from the recipe, as ``loss_weight=0.3; loss.temperature=0.05``.
    """

    paper: str
    table: str
    row: str
    data: str
    mean_ap: float | None
    rank_1: float | None
    rank_5: float | None
    recipe: str
    note: str
    changes: str

    @property
    def source(self) -> str:
        """Where it stands."""
        return f"{self.row}, {self.table}" if self.paper == "other" else f"{self.paper}, {self.table}: {self.row}"


@functools.cache
def published() -> tuple[Published, ...]:
    """Return the rows of the papers' tables."""
    with (FOLDER / "published.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Published(**{key: _score(value) if key in SCORES else value for key, value in row.items()})  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        )


def published_data(data: Mapping[str, Any]) -> PublishedData:
    """Return what the papers' tables say of a data set, from its settings: class_path and init_args."""
    from reseen import datasets

    kind: type[Benchmark] = getattr(datasets, str(data.get("class_path")).rpartition(".")[2], Benchmark)
    return kind.published(**(data.get("init_args") or {}))


def _score(text: str) -> float | None:
    return float(text) if text else None
