"""Attention maps of several networks on the same pictures, side by side, and how wide they are.

FIDI paper (Yan et al., IEEE TMM 2022), section V-C and Figure 5: the triplet loss is said to look at single small
parts, FIDI at many, over the whole person.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup
from rich.progress import track
from torch import Tensor

from reseen.embedding.model import fingerprint_of_model
from reseen.errors import DataError
from reseen.evaluation.report import NORMAL_95
from reseen.models import Embedder
from reseen.reporting import Axis, Section, bar_chart, charts, table
from reseen.reporting.attention_page import heat, side_by_side
from reseen.studies.results.table import downloads, show, write_csv
from reseen.studies.runner import Study, TrainingOptions
from reseen.studies.runner.networks import BEFORE_TRAINING, before_training, networks_of
from reseen.types import Benchmark, Sample

HALF = 0.5
MEASURES = ("area", "height", "spread")

AttentionTarget = Literal["similarity", "norm"]
Pair = tuple[Sample, Sample]


class Extent(NamedTuple):
    """How wide a map of attention is; shares of the picture, 0 to 1.

    Attributes:
        area: Positions with half of the highest attention or more.
        height: Rows with such a position.
        spread: The area that attention would cover if it were even: (sum of h)^2 / (N sum of h^2).
    """

    area: float
    height: float
    spread: float


def attention(
    data: Benchmark,
    options: TrainingOptions,
    *,
    names: Sequence[str] = ("HardTripletLoss", "FIDILoss"),
    runs: Sequence[Path] = (),
    weights: dict[str, float] | None = None,
    target: AttentionTarget = "similarity",
    shown: int = 8,
    measured: int = 200,
    seed: int = 0,
) -> None:
    """Show where networks look in the same pictures, side by side (Grad-CAM), and measure how much of them.

    The FIDI paper (Figure 5) shows that a network trained with the triplet loss looks at single small parts, and one
    trained with FIDI at parts all over the person.

    Args:
        data: Queries, each with a picture of the same individual, if possible by another camera.
        options: The study's folder, recipe and settings.
        names: Losses to train with, each beside the identity loss. Arguments stand behind a name, as in
            FIDILoss(beta=0.7).
        runs: Trained runs to look at; nothing is trained then.
        weights: Weight of a loss beside the identity loss, by name; that of the settings, or its own, where absent.
        target: What the maps explain: similarity to the other picture, or the norm of the embedding.
        shown: Queries on the page, each of another individual if there are so many.
        measured: Queries to measure on.
        seed: Draws the queries and the other pictures.
    """
    study = Study(attention, locals())
    networks = networks_of(study, runs, names, weights)
    models = {network.name: network.load() for network in networks}
    models = {BEFORE_TRAINING: before_training(next(iter(models.values())).spec), **models}
    pairs = matching(data, measured, seed=seed)
    extents = [_extents(model, name, pairs, target, study.out).assign(network=name) for name, model in models.items()]
    results = pd.concat(extents, ignore_index=True)
    results = results[["network", *(c for c in results if c != "network")]]
    study.csv(results, "attention.csv")
    cells = comparison_rows(results, to=networks[0].name)
    show(["", *MEASURES], [row[:4] for row in cells], title=f"Attention in % of the picture, {data.name}")
    pictures = [query for query, _ in pairs[:shown]]
    others = [other for _, other in pairs[:shown]] if target == "similarity" else None
    looks = side_by_side(models, pictures, references=others)
    study.write(
        f"Where networks look, {data.name}",
        lead="The same pictures to each network: does it look at single parts, or all over?",
        sections=[
            Section(
                "How wide they look",
                table(["", *MEASURES, "area above", "from", "to"], cells, percent=True) + downloads("attention.csv"),
                f"Means over {len(pairs):,} pictures, in percent of the picture. Area: positions with half of the "
                "highest attention or more. Height: rows with such a position. Spread: the area that even attention "
                f"would cover. The last columns: area above that of {networks[0].name} on the same pictures, with 95 % "
                "confidence.",
            ),
            Section("Side by side", _bars(results)),
            Section("The same pictures", looks.body, looks.note),
        ],
    )


def matching(data: Benchmark, count: int, *, seed: int = 0) -> list[Pair]:
    """Return so many queries, each with another picture of the same individual; one of each individual come first.

    The other picture is by another camera where there is one, else another one of the gallery. Queries without any
    are left out.

    Raises:
        DataError: No query has one.
    """
    rng = np.random.default_rng(seed)
    gallery: dict[object, list[Sample]] = {}
    for sample in data.gallery:
        gallery.setdefault(sample.identity, []).append(sample)
    pairs: list[Pair] = []
    turns: list[int] = []
    seen: dict[object, int] = {}
    for row in rng.permutation(len(data.query)):
        query = data.query[row]
        others = [s for s in gallery.get(query.identity, []) if (s.path, s.box) != (query.path, query.box)]
        others = [s for s in others if s.camera != query.camera] or others
        if others:
            pairs.append((query, others[rng.integers(len(others))]))
            turns.append(seen.setdefault(query.identity, 0))
            seen[query.identity] += 1
    if not pairs:
        raise DataError(f"expected queries of {data.name} with another picture in the gallery, found none")
    return [pairs[n] for n in np.argsort(turns, kind="stable")[:count]]


def extent(map_: Tensor) -> Extent:
    """Return how wide a map (h, w) of 0 to 1, its highest 1, is; all nought where it is nought everywhere."""
    wide = map_ >= HALF
    squares = float(map_.double().square().sum())
    even = float(map_.double().sum()) ** 2 / (map_.numel() * squares) if squares else 0.0
    return Extent(float(wide.double().mean()), float(wide.any(1).double().mean()), even)


def comparison_rows(results: pd.DataFrame, *, to: str) -> list[list[Any]]:
    """Return a row for each network: its measures, and its area above another's on the same pictures, with its ends."""
    area = results.pivot(index="query", columns="network", values="area")
    means = results.groupby("network", sort=False)[list(MEASURES)].mean()
    rows: list[list[Any]] = []
    for name, measures in means.iterrows():
        difference = area[name] - area[to]
        half = NORMAL_95 * float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else 1.0
        mean = float(difference.mean())
        rows.append([name, *map(float, measures), *([None] * 3 if name == to else [mean, mean - half, mean + half])])
    return rows


def _extents(model: Embedder, name: str, pairs: Sequence[Pair], target: AttentionTarget, out: Path) -> pd.DataFrame:
    """Return the extents on the first picture of each pair; once measured, they are kept."""
    asked = repr((target, [(s.path, s.box) for pair in pairs for s in pair], fingerprint_of_model(model)))
    table = out / "extents" / f"{name}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.csv"
    if not table.is_file():
        rows = []
        for number, (query, other) in enumerate(track(pairs, f"Looking: {name}")):
            measures = extent(heat(model, query, reference=other if target == "similarity" else None))
            rows.append({"query": number, "path": query.path, "identity": query.identity, **measures._asdict()})
        write_csv(pd.DataFrame(rows), table)
    return pd.read_csv(table)


def _bars(results: pd.DataFrame) -> Markup:
    means = results.groupby("network", sort=False)[list(MEASURES)].mean()
    bars = {measure: {str(name): float(mean) for name, mean in means[measure].items()} for measure in MEASURES}
    axis = Axis("of the picture", percent=True)
    return charts(*(bar_chart(measure.capitalize(), lengths, axis=axis) for measure, lengths in bars.items()))
