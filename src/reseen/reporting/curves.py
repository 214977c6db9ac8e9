"""Training curves, from a run's ``metrics.jsonl``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reseen.reporting.axes import Axis
from reseen.reporting.plots import Series, line_chart
from reseen.sealed import unseal

logger = logging.getLogger(__name__)

# The charts, and which values of metrics.jsonl are drawn on each, by the beginning of their names.
_CHARTS = (
    ("Losses", ("loss", "terms/"), Axis("loss")),
    ("Scores on the way", ("mean_ap", "mean_inp", "rank_1"), Axis("score", limits=(0, 1), percent=True)),
    ("Learning rate", ("learning_rate",), Axis("learning rate")),
)
_NAMES = {"loss": "weighted sum", "mean_ap": "mAP", "mean_inp": "mINP", "rank_1": "rank 1", "learning_rate": ""}


def learning_curves(path: Path) -> list[Markup]:
    """Return charts of losses, scores and learning rate over the epochs; none where there is no file or nothing in it.

    A last line that is cut short, as by a run that is being written, is ignored; so are damaged ones, which are counted
    in the log.
    """
    values: dict[str, tuple[list[float], list[float]]] = {}
    for entry in _entries(path):
        at = entry.get("epoch", entry.get("step"))
        for name, value in _flat(entry).items():
            if at is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
                xs, ys = values.setdefault(name, ([], []))
                xs.append(at)
                ys.append(value)
    figures = []
    for title, beginnings, axis in _CHARTS:
        series = [
            Series(_NAMES.get(name, name.removeprefix("terms/")), *points)
            for name, points in values.items()
            if name.startswith(beginnings)
        ]
        if series:
            figures.append(line_chart(title, series, x=Axis("epoch"), y=axis))
    return figures + _of_candidates(
        {name.removeprefix("candidates/"): p for name, p in values.items() if "candidates/" in name}
    )


def _of_candidates(values: Mapping[str, tuple[list[float], list[float]]]) -> list[Markup]:
    """Return a chart for each metric of a candidate source, with a line for each output of the network."""
    charts: dict[str, list[Series]] = {}
    for name, points in values.items():
        title, _, output = name.partition(" on ")
        charts.setdefault(title, []).append(Series(output, *points))
    return [line_chart(title[0].upper() + title[1:], s, x=Axis("epoch"), y=Axis(title)) for title, s in charts.items()]


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    entries, damaged = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            entries.append(unseal(line))
        except ValueError:
            damaged += line.endswith(b"\n")
    if damaged:
        logger.warning("%s: %d damaged lines are left out of the curves", path, damaged)
    return entries


def _flat(entry: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return ``{"losses": {"adasp": 1}}`` as ``{"losses/adasp": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}/")
        else:
            flat[before + name] = value
    return flat
