"""``reseen study instances``: more pictures of fewer identities in batches of one size."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from reseen.reporting import Axis, Repeated, Section, Series, charts, line_chart, table
from reseen.samples import Benchmark
from reseen.studies.engine import commands, perform
from reseen.studies.page import downloads, write_study
from reseen.studies.published import beside
from reseen.studies.settings import merged, shared, with_loss
from reseen.studies.table import over_seeds, show, write_csv
from reseen.studies.trials import averaged, measured, over, title_of

MOST_BANDS = 3  # more of them hide each other


def instances(
    data: Benchmark,
    *,
    out: Path,
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
    seeds: int = 3,
    jobs: int = 1,
    recipe: str | None = None,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train with ever more pictures of ever fewer identities in a batch, and say what each loss loses.

    Pictures of one individual differ the more, the more of them meet in a batch: the AdaSP supplement (Figure S1) holds
    that losses which compare all of them suffer, and sparse ones little.

    Args:
        data: What to train and test on.
        out: The study's folder; started again, it does what is missing.
        counts: Pictures of each identity in a batch; losses are given against the first.
        batch: Pictures in a batch, a multiple of each count.
        names: Losses to train with.
        alone: Each by itself; otherwise beside the identity loss.
        weights: Weight of a loss beside the identity loss, by name; that of the settings (or 1) where absent.
        seeds: How often, each time with another seed.
        jobs: Trainings at the same time.
        recipe: Its settings are started from, as in market1501/adasp_mgn.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: All settings as plain values, from the command line.
    """
    if wrong := [count for count in counts if batch % count or batch < 2 * count]:
        raise ValueError(f"expected a batch of two identities or more, got {batch} pictures for {wrong} of each")
    base = shared(resolved, recipe=recipe, settings=settings)
    weights = weights or {}
    runs = []
    for name in names:
        trained = with_loss(base, name, weight=1.0 if alone else weights.get(name), alone=alone)
        for count in counts:
            batches = {"batches": {"identities": batch // count, "images": count}}
            runs += over(seeds, {"loss": title_of(name, alone=alone), "instances": count}, merged(trained, batches))
    results = perform(runs, out, jobs=jobs)
    found = over_seeds(results, ["loss", "instances"]).set_index(["loss", "instances"])["mean_ap"]
    means = found.map(lambda value: value.mean).unstack()[list(counts)].loc[list(dict.fromkeys(results["loss"]))]
    lost = 1 - means.div(means[counts[0]], axis=0)
    write_csv(lost.reset_index().melt("loss", var_name="instances", value_name="lost"), out / "lost.csv")
    cells = [[loss, *found[loss][list(counts)], *lost.loc[loss][list(counts[1:])]] for loss in means.index]
    columns = ["", *(f"mAP, {count}" for count in counts), *(f"lost, {count}" for count in counts[1:])]
    show(columns, cells, title=f"{data.name}: mAP by pictures of an identity, and share lost")
    across = Axis("pictures of an identity in a batch")
    scores = [_curve(loss, counts, found[loss][list(counts)], banded=len(means) <= MOST_BANDS) for loss in means.index]
    shares = [Series(loss, counts, lost.loc[loss][list(counts)]) for loss in means.index]
    write_study(
        out,
        f"Pictures of an identity, {data.name}",
        name="instances",
        lead=f"Batches of {batch} pictures: the more of each identity, the fewer identities. Which losses bear it?",
        sections=[
            Section(
                "Scores",
                table(columns, cells, percent=True, best=columns[1 : 1 + len(counts)])
                + downloads("results.csv", "lost.csv"),
                f"mAP {averaged(seeds)}; lost: how many percent of the mAP at "
                f"{counts[0]} pictures (less than nothing: a gain).",
            ),
            Section(
                "By number of pictures",
                charts(
                    line_chart("mAP", scores, x=across, y=Axis("mAP, %", percent=True)),
                    line_chart("mAP lost", shares, x=across, y=Axis(f"lost against {counts[0]}, %", percent=True)),
                ),
                "As Figure S1 of the AdaSP supplement, which prints no figures but says: on VeRi-776 the sparse losses "
                "lose less than 12 % at 32, MS more than 23 %, SupCon drops sharply.",
            ),
            beside(measured(runs, results, ["loss", "instances"])),
        ],
        resolved=resolved,
        commands=commands(out, runs),
    )


def _curve(name: str, counts: Sequence[int], cells: Iterable[Repeated], *, banded: bool) -> Series:
    means, deviations = zip(*((cell.mean, cell.deviation) for cell in cells), strict=True)
    return Series(name, counts, means, deviations if banded else None)
