"""``reseen study momentum``: each loss without and with a dictionary of past negatives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reseen.reporting import Section, table
from reseen.samples import Benchmark
from reseen.studies.engine import commands, per_query, perform
from reseen.studies.page import downloads, write_study
from reseen.studies.settings import shared, with_loss
from reseen.studies.significance import paired
from reseen.studies.table import over_seeds, show, write_csv
from reseen.studies.trials import averaged, over, paired_over, title_of

COLUMNS = ["", "mAP without", "mAP with", "above", "from", "to", "p", "rank 1 without", "rank 1 with"]


def momentum(
    data: Benchmark,
    *,
    out: Path,
    names: Sequence[str] = ("HardTripletLoss", "HELoss", "NPairLoss", "RankedListLoss"),
    weights: dict[str, float] | None = None,
    dictionary: dict[str, Any] | None = None,
    seeds: int = 3,
    jobs: int = 1,
    recipe: str | None = None,
    settings: dict[str, Any] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train with each loss without and with MoReID's dictionary, and say which differences are more than noise.

    The HE paper (ECCV 2022) holds that losses which can use many negatives gain by a large dictionary of them, and its
    HE loss most.

    Args:
        data: What to train and test on.
        out: The study's folder; started again, it does what is missing.
        names: Losses to train with, each beside the identity loss.
        weights: Weight of a loss beside the identity loss, by name; that of the settings (or 1) where absent.
        dictionary: Arguments of MoReID, as in {"momentum": 0.9, "memory_size": 1024}; the paper's where absent.
        seeds: How often, each time with another seed.
        jobs: Trainings at the same time.
        recipe: Its settings are started from, as in market1501/adasp_mgn.
        settings: Anything that `reseen train --config` takes, for all runs alike.
        resolved: All settings as plain values, from the command line.
    """
    base = shared(resolved, recipe=recipe, settings=settings)
    schemes = {"without": None, "with": {"class_path": "reseen.training.MoReID", "init_args": dictionary or {}}}
    titles = {name: title_of(name, alone=False) for name in names}
    groups = {
        (titles[name], which): over(
            seeds,
            {"loss": titles[name], "dictionary": which},
            {**with_loss(base, name, weight=(weights or {}).get(name)), "scheme": scheme},
        )
        for name in names
        for which, scheme in schemes.items()
    }
    runs = [run for group in groups.values() for run in group]
    results = perform(runs, out, jobs=jobs)
    found = over_seeds(results, ["loss", "dictionary"]).set_index(["loss", "dictionary"])
    queries = {key: [per_query(out, run) for run in group] for key, group in groups.items()}
    gains = {loss: paired(queries[loss, "with"], queries[loss, "without"]) for loss in titles.values()}
    write_csv(pd.DataFrame([{"loss": loss, **vars(gain)} for loss, gain in gains.items()]), out / "gains.csv")
    cells: list[list[object]] = []
    for loss, gain in gains.items():
        scores = {name: [found[name][loss, which] for which in schemes] for name in ("mean_ap", "rank_1")}
        cells.append([loss, *scores["mean_ap"], *gain.cells(), *scores["rank_1"]])
    show(COLUMNS, cells, title=f"{data.name}: without and with a dictionary")
    write_study(
        out,
        f"A dictionary of negatives, {data.name}",
        name="momentum",
        lead="The same network, batches, schedule and seeds, with and without keys of past batches as candidates.",
        sections=[
            Section(
                "Scores",
                table(COLUMNS, cells, percent=True, best=["mAP without", "mAP with"])
                + downloads("results.csv", "gains.csv"),
                f"Scores {averaged(seeds)}. Above: mAP with the dictionary less that without, its 95 % interval, and "
                "the probability p of a difference as large if there were none; paired, over "
                f"{paired_over(seeds)}.",
            )
        ],
        resolved=resolved,
        commands=commands(out, runs),
    )
