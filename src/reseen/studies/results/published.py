"""Published figures beside those measured with the same settings on the same data."""

from __future__ import annotations

import csv
import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from reseen import losses, training
from reseen.errors import RunError
from reseen.recipes import FOLDER, Published, published, published_data, settings_of
from reseen.recipes.objective import weight_of
from reseen.reporting import Repeated, Section, table
from reseen.studies.settings import Settings, changed, terms_of

# What changes neither the training's outcome nor what is measured.
INCOMPARABLE = {"data", "evaluate_every", "init", "log_with", "out", "resume", "save_every", "seed", "workers"}
DEFAULT_OUTPUT = "embedding"


@dataclass(frozen=True)
class Measured:
    """Scores of a study under one condition.

    Attributes:
        name: Of the condition.
        settings: Of one of its runs.
        mean_ap: From 0 to 1, over the seeds.
        rank_1: As ``mean_ap``.
    """

    name: str
    settings: Mapping[str, Any]
    mean_ap: Repeated
    rank_1: Repeated


def beside(measured: Sequence[Measured]) -> Section | None:
    """Return measured figures beside those published for the same data and recipe; None where there are none."""
    pairs = [(m, row) for m in measured for row in same(m.settings)]
    if not pairs:
        return None
    rows = [[m.name, m.mean_ap, _share(p.mean_ap), m.rank_1, _share(p.rank_1), p.source] for m, p in pairs]
    notes = [note for _, row in pairs for note in (row.note, _count_note(row)) if note]
    sentences = ["Same data and same recipe, in percent.", *(f"Of the paper: {note}." for note in dict.fromkeys(notes))]
    columns = ["", "mAP here", "published", "rank 1 here", "published", "source"]
    return Section("Beside the papers", table(columns, rows, percent=True), " ".join(sentences))


@functools.cache
def published_counts() -> tuple[dict[str, str], ...]:
    """Return what the papers say of the size of data sets: paper, table, data, identities, images, note."""
    with (FOLDER / "published_counts.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _count_note(row: Published) -> str:
    """Return how large a row's data is by its paper, where that is not what others say."""
    here = {"paper": row.paper, "data": row.data.partition("_")[0]}
    count = next((count for count in published_counts() if count["note"] and here.items() <= count.items()), None)
    if count is None:
        return ""
    return f"it counts {count['identities']} identities on {count['images']} pictures; {count['note']}"


def same(settings: Mapping[str, Any]) -> list[Published]:
    """Return the published rows of the same data and the same settings."""
    name, ours = published_data(settings["data"]).name, canonical(settings)
    return [row for row in published() if row.data == name and _settings_of(row.recipe, row.changes) == ours]


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


@functools.cache
def _settings_of(recipe: str, changes: str) -> Settings | None:
    try:
        settings = settings_of(recipe) if recipe else None
    except RunError:
        return None
    return None if settings is None else canonical(changed(settings, parse_changes(changes)))


def parse_changes(changes: str) -> Settings:
    """Return ``loss_weight=0.3; loss.temperature=0.05`` as values by name."""
    pairs = (part.split("=", 1) for part in changes.split(";") if part.strip())
    return {name.strip(): yaml.safe_load(value) for name, value in pairs}


def canonical(settings: Mapping[str, Any]) -> Settings:
    """Return the settings that count, in one form: short names of classes, losses as terms, nothing empty."""
    comparable = {key: value for key, value in settings.items() if key not in INCOMPARABLE}
    comparable["terms"] = [
        {"output": DEFAULT_OUTPUT, **term, "weight": weight_of(term), "role": None} for term in terms_of(settings)
    ]
    plain: Settings = _plain(comparable)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "class_path" in value:
            name = str(value["class_path"]).rpartition(".")[2]
            return {"class": name, "with": _plain({**_defaults(name), **(value.get("init_args") or {})})}
        classes = {k: {"class_path": v} for k, v in value.items() if k in ("loss", "candidates") and isinstance(v, str)}
        return {str(k): _plain(v) for k, v in {**value, **classes}.items() if v not in (None, {}, [])}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _defaults(name: str) -> Settings:
    """Return the arguments of a loss or a candidate source that are not given."""
    kind = getattr(losses, name, getattr(training, name, None))
    parameters = inspect.signature(kind).parameters.values() if kind is not None else ()
    return {p.name: p.default for p in parameters if p.default is not p.empty}
