"""Pictures per identity: losses with 8, 16 and 32 of each in batches of one size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from reseen.reporting import Axis, Repeated, Section, Series, charts, line_chart
from reseen.studies.runner import Run, Study, StudyOptions
from reseen.studies.settings import merged
from reseen.types import Benchmark

MAX_BANDS = 3  # more of them hide each other


def instances(
    data: Benchmark,
    options: StudyOptions,
    *,
    counts: Sequence[int] = (8, 16, 32),
    batch: int = 128,
    names: Sequence[str] = (
        "HardTripletLoss",
        "MultiSimilarityLoss",
        "SupConLoss",
        "EasyPositiveLoss",
        "SPHLoss",
        "SPLHLoss",
        "AdaSPLoss",
    ),
    alone: bool = True,
    weights: dict[str, float] | None = None,
) -> None:
    """Train with ever more pictures of ever fewer identities in a batch, and say what each loss loses.

    Pictures of one individual differ the more, the more of them meet in a batch: the AdaSP supplement (Figure S1) holds
    that losses which compare all of them suffer, and sparse ones little.

    Args:
        data: What to train and test on.
        options: The study's folder, seeds, recipe and settings.
        counts: Pictures of each identity in a batch; losses are given against the first.
        batch: Pictures in a batch, a multiple of each count.
        names: Losses to train with. Arguments stand behind a name, as in HardTripletLoss(margin=null).
        alone: Each by itself; otherwise beside the identity loss.
        weights: Weight of a loss beside the identity loss, by name; that of the settings, or its own, where absent.
    """
    if wrong := [count for count in counts if batch % count or batch < 2 * count]:
        raise ValueError(f"expected a batch of two identities or more, got {batch} pictures for {wrong} of each")
    study = Study(instances, locals())
    groups: dict[tuple[str, int], list[Run]] = {}
    for loss, settings in study.losses(names, weights, alone=alone).items():
        for count in counts:
            batches = {"batches": {"identities": batch // count, "images": count}}
            groups[loss, count] = study.train({"loss": loss, "instances": count}, merged(settings, batches))
    losses = list(dict.fromkeys(study.perform()["loss"]))
    compared = study.differences(
        [(runs, groups[loss, counts[0]]) for (loss, count), runs in groups.items() if count != counts[0]]
        + [(runs, groups[losses[0], count]) for (loss, count), runs in groups.items() if loss != losses[0]]
    )
    mean_ap = study.over_seeds("loss", "instances").set_index(["loss", "instances"])["mean_ap"]
    lost = {key: _lost(mean_ap[key], mean_ap[key[0], counts[0]]) for key in groups}
    rows = [
        {"loss": loss, "instances": count, "lost": cell.mean, "deviation": cell.deviation}
        for (loss, count), cell in lost.items()
    ]
    study.csv(pd.DataFrame(rows), "lost.csv")
    cells = [
        [loss, *(mean_ap[loss, count] for count in counts), *(lost[loss, count] for count in counts[1:])]
        for loss in losses
    ]
    columns = ["", *(f"mAP, {count}" for count in counts), *(f"lost, {count}" for count in counts[1:])]
    scores = [_curve(loss, counts, mean_ap[loss][list(counts)], banded=len(losses) <= MAX_BANDS) for loss in losses]
    shares = [Series(loss, counts, [lost[loss, count].mean for count in counts]) for loss in losses]
    x = Axis("pictures of an identity in a batch")
    study.write(
        f"Pictures of an identity, {data.name}",
        lead=f"Batches of {batch} pictures: the more of each identity, the fewer identities. Which losses bear it?",
        sections=[
            study.scores(
                columns,
                cells,
                f"mAP {study.averaged}; lost: how many percent of the mAP at {counts[0]} pictures (less than nothing: "
                "a gain).",
                title=f"{data.name}: mAP by pictures of an identity, and share lost",
                best=columns[1 : 1 + len(counts)],
                files=["results.csv", "lost.csv"],
            ),
            Section(
                "By number of pictures",
                charts(
                    line_chart("mAP", scores, x=x, y=Axis("mAP, %", percent=True)),
                    line_chart("mAP lost", shares, x=x, y=Axis(f"lost against {counts[0]}, %", percent=True)),
                ),
                "As Figure S1 of the AdaSP supplement, which prints no figures but says: on VeRi-776 SP-LH and AdaSP "
                "lose less than 12 % at 32, MS more than 23 %, SupCon drops sharply, and the triplet loss is about "
                "level with SP-H.",
            ),
            study.noise(compared),
            study.published("loss", "instances"),
        ],
    )


def _lost(mean_ap: Repeated, at_first: Repeated) -> Repeated:
    """Return which share of a seed's mAP is lost, seed by seed."""
    pairs = zip(mean_ap.values, at_first.values, strict=True)
    return Repeated(tuple(1 - value / start if start else 0.0 for value, start in pairs))


def _curve(name: str, counts: Sequence[int], cells: Iterable[Repeated], *, banded: bool) -> Series:
    means, deviations = zip(*((cell.mean, cell.deviation) for cell in cells), strict=True)
    return Series(name, counts, means, deviations if banded else None)
