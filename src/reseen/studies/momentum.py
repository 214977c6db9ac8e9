"""MoReID: losses without and with its dictionary of past negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from reseen.studies.runner import Study, StudyOptions
from reseen.types import Benchmark

COLUMNS = ["", "mAP without", "mAP with", "above", "from", "to", "p", "rank 1 without", "rank 1 with"]


def momentum(
    data: Benchmark,
    options: StudyOptions,
    *,
    names: Sequence[str] = ("HardTripletLoss", "HELoss", "NPairLoss", "RankedListLoss"),
    weights: dict[str, float] | None = None,
    dictionary: dict[str, Any] | None = None,
) -> None:
    """Train with each loss without and with MoReID's dictionary, and say which differences are more than noise.

    The HE paper (ECCV 2022) holds that losses which can use many negatives gain by a large dictionary of them, and its
    HE loss most.

    Args:
        data: What to train and test on.
        options: The study's folder, seeds, recipe and settings.
        names: Losses to train with, each beside the identity loss. Arguments stand behind a name, as in
            HELoss(metric=cosine).
        weights: Weight of a loss beside the identity loss, by name; that of the settings, or its own, where absent.
        dictionary: Arguments of MoReID, as in {"momentum": 0.9, "memory_size": 1024}; the paper's where absent.
    """
    study = Study(momentum, locals())
    sources = {"without": None, "with": {"class_path": "reseen.training.MoReID", "init_args": dictionary or {}}}
    groups = {
        (loss, which): study.train({"loss": loss, "dictionary": which}, {**settings, "candidates": candidates})
        for loss, settings in study.losses(names, weights).items()
        for which, candidates in sources.items()
    }
    study.perform()
    averages = study.over_seeds("loss", "dictionary").set_index(["loss", "dictionary"])
    losses = dict.fromkeys(loss for loss, _ in groups)
    gains = {loss: study.paired(groups[loss, "with"], groups[loss, "without"]) for loss in losses}
    study.csv(pd.DataFrame([{"loss": loss, **vars(gain)} for loss, gain in gains.items()]), "gains.csv")
    cells: list[list[object]] = []
    for loss, gain in gains.items():
        scores = {name: [averages[name][loss, which] for which in sources] for name in ("mean_ap", "rank_1")}
        cells.append([loss, *scores["mean_ap"], *gain.cells(), *scores["rank_1"]])
    study.write(
        f"A dictionary of negatives, {data.name}",
        lead="The same network, batches, schedule and seeds, with and without keys of past batches as candidates.",
        sections=[
            study.scores(
                COLUMNS,
                cells,
                f"Scores {study.averaged}. Above: mAP with the dictionary less that without, its 95 % interval, and "
                f"the probability p of a difference as large if there were none; paired, over {study.paired_over}.",
                title=f"{data.name}: without and with a dictionary",
                best=["mAP without", "mAP with"],
                files=["results.csv", "gains.csv"],
            ),
            study.published("loss", "dictionary"),
        ],
    )
