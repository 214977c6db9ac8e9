"""How far identities overlap, before training and after it with each loss.

FIDI paper (Yan et al., IEEE TMM 2022), section V-C, Table I and Figure 1.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from reseen import evaluation
from reseen.evaluation import evaluate
from reseen.recipes import FOLDER, published_data
from reseen.reporting import Axis, Repeated, Section, bar_chart, charts, histogram, table
from reseen.studies.fidelity.distances import Spread, average_distances, binned
from reseen.studies.results.table import cell_text, downloads, over_seeds, show
from reseen.studies.runner import Study, StudyOptions
from reseen.studies.runner.networks import BEFORE_TRAINING, TrainedNetwork, before_training, networks_of, vectors
from reseen.types import Benchmark, Embeddings, Sample

logger = logging.getLogger(__name__)

PARTS = ("train", "test")
ERRORS = ("error_1", "error_2")
MAP = "mean_ap"
COLUMNS = ["train Error-I", "train Error-II", "test Error-I", "test Error-II", "mAP"]
# Rows of Table I, by what the tables here call them.
PAPER = {"PF": BEFORE_TRAINING, "BCL": "CE + HardContrastive", "BTL": "CE + HardTriplet", "FIDI": "CE + FIDI"}


def fidelity(
    data: Benchmark,
    options: StudyOptions,
    *,
    names: Sequence[str] = ("HardContrastiveLoss", "HardTripletLoss", "FIDILoss"),
    runs: Sequence[Path] = (),
    weights: dict[str, float] | None = None,
    include_distractors: bool = False,
    batch_size: int = 64,
    workers: int = 0,
) -> None:
    """Count how many pictures of others are nearer than one's own, on training and on test pictures.

    Error-I: pictures of other identities nearer to an anchor than the farthest of its own. Error-II: pictures of its
    own farther than the nearest of another. Each is a mean over all pictures as anchors, before training and after it
    with each loss (FIDI paper, Table I), beside the distribution of average distances (its Figure 1).

    Args:
        data: Its training pictures, and its query and gallery together as test pictures.
        options: The study's folder, seeds, recipe and settings.
        names: Losses to train with, each beside the identity loss. Arguments stand behind a name, as in
            FIDILoss(beta=0.7).
        runs: Trained runs to look at; nothing is trained then.
        weights: Weight of a loss beside the identity loss, by name; that of the settings, or its own, where absent.
        include_distractors: Let identities that are nobody's stand as others; otherwise they are left out.
        batch_size: Pictures to embed at a time.
        workers: Processes that read pictures.
    """
    study = Study(fidelity, locals())
    networks = networks_of(study, runs, names, weights)
    spec = networks[0].load().spec
    test = [*data.query, *data.gallery]
    parts = {"train": data.train, "test": unique(test)}
    rows: list[dict[str, Any]] = []
    spreads: list[Spread] = []
    for number, network in enumerate([TrainedNetwork(BEFORE_TRAINING, 0, study.out), *networks]):
        logger.info("network %d of %d: %s, seed %d", number + 1, len(networks) + 1, network.name, network.seed)
        model = before_training(spec) if network.name == BEFORE_TRAINING else network.load()
        for part, samples in parts.items():
            folder = study.out / "embeddings" / f"{network.name}-{network.seed}-{part}".replace(" ", "_")
            embeddings = vectors(folder, model, samples, batch_size=batch_size, workers=workers)
            errors = evaluation.fidelity(
                embeddings, distractors=data.distractors, include_distractors=include_distractors
            )
            averages = average_distances(embeddings[errors.rows])
            conditions: dict[str, str | int] = {"network": network.name, "seed": network.seed, "part": part}
            spreads.append(Spread(conditions, averages))
            rows.append(
                {
                    **conditions,
                    "error_1": errors.error_1,
                    "error_2": errors.error_2,
                    "anchors": errors.num_anchors,
                    "same": float(averages.same.mean()),
                    "different": float(averages.different.mean()),
                    MAP: _mean_ap(data, embeddings, samples) if part == "test" else None,
                }
            )
    results: pd.DataFrame = pd.DataFrame(rows)
    study.csv(results, "fidelity.csv")
    distances = binned(spreads)
    study.csv(distances, "distances.csv")
    table_1 = _table_1(results)
    show(["", *COLUMNS], _formatted(table_1), title=f"Fidelity, {data.name}")
    study.write(
        f"Fidelity, {data.name}",
        lead="How many pictures of others stand nearer than one's own, before training and after it with each loss?",
        sections=_sections(results, distances, table_1, _published(study.data, spec.backbone)),
    )


def unique(samples: Sequence[Sample]) -> list[Sample]:
    """Return each picture once: some data sets have their queries in the gallery too."""
    return list({_key(sample): sample for sample in samples}.values())


def _key(sample: Sample) -> tuple[object, ...]:
    return sample.path, sample.box


def _mean_ap(data: Benchmark, embeddings: Embeddings, samples: Sequence[Sample]) -> float:
    place = {_key(sample): row for row, sample in enumerate(samples)}
    query, gallery = (np.array([place[_key(s)] for s in part]) for part in (data.query, data.gallery))
    return evaluate(embeddings[query], embeddings[gallery], data.protocol).mean_ap


def _table_1(results: pd.DataFrame) -> list[list[Any]]:
    """Return the rows of Table I, each figure over the seeds."""
    cells = over_seeds(results, ["network", "part"], figures=[*ERRORS, MAP]).set_index(["network", "part"])
    return [
        [
            name,
            *(cells.loc[(name, part), error] for part in PARTS for error in ERRORS),
            cells.loc[(name, "test"), "mean_ap"],
        ]
        for name in dict.fromkeys(results["network"])
    ]


def _formatted(table_1: list[list[Any]]) -> list[list[str]]:
    return [[row[0], *map(_plain, row[1:-1]), cell_text(row[-1])] for row in table_1]


def _plain(cell: Repeated) -> str:
    return f"{cell.mean:.4g}" + (f" ± {cell.deviation:.2g}" if len(cell.values) > 1 else "")


def _sections(
    results: pd.DataFrame, distances: pd.DataFrame, table_1: list[list[Any]], published: Section | None
) -> list[Section | None]:
    anchors = results.groupby("part")["anchors"].first()
    return [
        Section(
            "Erroneous cases",
            table(["", *COLUMNS], _formatted(table_1)) + downloads("fidelity.csv"),
            f"Error-I: pictures of others nearer than the farthest of one's own. Error-II: one's own farther than the "
            f"nearest of others. Means over {anchors['train']:,} pictures to train on and {anchors['test']:,} to test "
            "on; fewer is better. mAP in percent.",
        ),
        published,
        _claims({row[0]: row[1:] for row in table_1}),
        Section(
            "Side by side",
            charts(*(_bars(table_1, part, error) for part in PARTS for error in ERRORS)),
        ),
        Section(
            "Average distances",
            Markup("").join(charts(*_histograms(distances, part)) for part in PARTS) + downloads("distances.csv"),
            "From each picture to those of its own identity and to those of all others, as Figure 1 of the FIDI paper; "
            "Euclidean, between vectors of length 1.",
        ),
    ]


def _bars(table_1: list[list[Any]], part: str, error: str) -> Markup:
    title = COLUMNS[2 * PARTS.index(part) + ERRORS.index(error)]
    cells = {row[0]: row[1 + COLUMNS.index(title)] for row in table_1}
    means = {name: round(cell.mean, 2) for name, cell in cells.items()}
    deviations = {name: round(cell.deviation, 2) for name, cell in cells.items() if len(cell.values) > 1}
    return bar_chart(title, means, axis=Axis("pictures per anchor"), spread=deviations)


def _histograms(distances: pd.DataFrame, part: str) -> list[Markup]:
    figures = []
    for network, group in distances[distances["part"] == part].groupby("network", sort=False):
        bins = group.groupby(["low", "high"], as_index=False)[["same", "different"]].sum()
        edges = np.append(bins["low"], bins["high"].iloc[-1])
        counts = {"same identity": bins["same"], "others": bins["different"]}
        x = Axis("average distance", limits=(float(edges[0]), float(edges[-1])))
        figures.append(histogram(f"{network}, {part}", edges, counts, x=x, share_of="pictures"))
    return figures


def _claims(rows_by_name: Mapping[str, Sequence[Repeated]]) -> Section | None:
    """Return what the paper concludes from Table I, and whether it holds here; None where a loss is missing."""
    if not set(PAPER.values()) <= set(rows_by_name):
        return None
    train_1, _, test_1, test_2 = range(4)
    mean = {row: [cell.mean for cell in rows_by_name[name]] for row, name in PAPER.items()}
    losses = [row for row in PAPER if row != "PF"]

    def figures(n: int) -> str:
        return ", ".join(f"{row} {mean[row][n]:.4g}" for row in losses)

    def fewest(n: int) -> bool:
        return min(losses, key=lambda row: mean[row][n]) == "FIDI"

    lower = all(mean[row][n] < mean["PF"][n] for row in losses for n in range(4))
    memorised = max(mean["BCL"][train_1], mean["BTL"][train_1]) < mean["FIDI"][train_1]
    claims = [
        ("Training with any of the three lowers all four errors", lower, "as above"),
        ("On training pictures BCL and BTL have fewer Error-I cases than FIDI", memorised, figures(train_1)),
        ("On test pictures FIDI has the fewest Error-I cases", fewest(test_1), figures(test_1)),
        ("On test pictures FIDI has the fewest Error-II cases", fewest(test_2), figures(test_2)),
    ]
    rows = [[claim, "yes" if held else "no", means] for claim, held, means in claims]
    note = "Batch-hard contrastive (BCL) and triplet (BTL), and FIDI, by the means above; whether a difference is more "
    return Section(
        "Does the paper's reading hold here?",
        table(["", "here", "means"], rows),
        f"{note}than noise, the deviations say.",
    )


def _published(data: Mapping[str, Any], backbone: str) -> Section | None:
    """Return the rows of Table I for this data set; None where it has none, or the network is no ResNet-50.

    Of the paper's training nothing is known but the network and the losses.
    """
    name = (published_data(data).name or "").partition("_")[0]
    with (FOLDER / "published_fidelity.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == name and "resnet50" in backbone]
    if not rows:
        return None
    by = {(row["features"], row["split"]): [float(row[error]) for error in ERRORS] for row in rows}
    cells = [[f"{row}: {PAPER[row]}", *by[row, "train"], *by[row, "test"]] for row in PAPER]
    note = (
        "FIDI, Table I, ResNet-50. The paper does not say how distractors count; Market-1501's Error-II of PF on test "
        "pictures (506.7) is possible only if all distractors count as one identity."
    )
    return Section("Published", table(["", *COLUMNS[:4]], cells), note)
