"""How often dense and sparse sampling draw positive pairs that show nothing in common.

AdaSP supplement (arXiv:2303.18247), section 1: by simulation against closed forms, and measured in training batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from rich.progress import track

from reseen import losses as available
from reseen.geometry import unit
from reseen.loading import IdentityBatchSampler, number_identities
from reseen.losses import PairLoss
from reseen.models import ModelSpec
from reseen.reporting import Axis, Section, Series, charts, line_chart, table
from reseen.studies.harmful_pairs import harm, positive_pairs
from reseen.studies.harmful_pairs.positive_pairs import ADASP, ALL, DENSE, EASY, SPH, SPLH
from reseen.studies.results.table import downloads, show
from reseen.studies.runner import OutputOptions, Study
from reseen.studies.runner.networks import BEFORE_TRAINING, before_training, finished_networks, vectors
from reseen.types import Benchmark

SAMPLINGS = (ALL, DENSE, SPH, ADASP, SPLH, EASY)
DRAWN_IN_CHART = (ALL, DENSE, SPH, SPLH, EASY)
UNDER_ASSUMPTION = (DENSE, SPH, SPLH)
LOSSES = (
    "SupConLoss",
    "MultiSimilarityLoss",
    "CircleLoss",
    "HardTripletLoss",
    "SPHLoss",
    "AdaSPLoss",
    "SPLHLoss",
    "EasyPositiveLoss",
)


def harmful_pairs(
    data: Benchmark,
    options: OutputOptions,
    *,
    model: ModelSpec | None = None,
    runs: Sequence[Path] = (),
    instances: Sequence[int] = (4, 8, 16),
    identities: int = 8,
    num_batches: int = 200,
    names: Sequence[str] = LOSSES,
    draws: int = 20_000,
    batch_size: int = 64,
    workers: int = 0,
    seed: int = 0,
) -> None:
    """Count how often ways of choosing positive pairs choose harmful ones, which show nothing in common.

    Simulated as the AdaSP supplement assumes, beside closed forms; and measured in training batches. On `Synthetic` it
    is known which pairs are harmful. On other data a positive pair counts as harmful that the first network finds
    less alike than it finds half of the pairs of different identities.

    Args:
        data: Its training pictures are used.
        options: The study's folder.
        model: A network with its weights before training.
        runs: Trained runs; their last weights are used.
        instances: Pictures of an identity in a batch, one number after the other.
        identities: Identities in a batch.
        num_batches: Batches to look at for each number of instances.
        names: Losses over pairs, of whose pull on positive pairs the harmful share is measured.
        draws: Identities to simulate for each number of harmful pairs.
        batch_size: Pictures to embed at a time.
        workers: Processes that read pictures.
        seed: Of everything random.
    """
    study = Study(harmful_pairs, locals())
    losses = {name: _pair_loss(name) for name in names}
    if model is None and not runs:
        raise ValueError("expected a network to embed with, got none: name --model.weights FILE or --runs '[FOLDER]'")
    networks = {} if model is None else {BEFORE_TRAINING: before_training(model)}
    networks |= {network.name: network.load() for network in finished_networks(runs)}
    units = {}
    for name, network in networks.items():
        folder = study.out / "embeddings" / name.replace(" ", "_")
        units[name] = unit(vectors(folder, network, data.train, batch_size=batch_size, workers=workers).vectors.float())
    labels = np.asarray(number_identities(data.train)[1])
    judge, rule = harm.judge_of(data.train, next(iter(units.values())), seed=seed)
    parts = []
    for count in track(instances, "Counting"):
        parts.append(harm.simulated(count, blocks=draws, seed=seed).assign(part="simulated", instances=count))
        batches = harm.rows_of(IdentityBatchSampler(identities, count), data.train, num_batches, seed=seed)
        blocks = batches.reshape(-1, count)
        harmful = judge(blocks)
        for name, u in units.items():
            drawn = harm.measured(harm.block_cosines(u, blocks), harmful, labels[blocks[:, 0]])
            pulls = [harm.pull(loss, u[batches], harmful) for loss in losses.values()]
            pulled = pd.DataFrame({"sampling": list(losses), "share": pulls, "harmful": drawn["harmful"].iloc[0]})
            for part, rows in (("drawn", drawn), ("pull", pulled)):
                parts.append(rows.assign(part=part, features=name, instances=count))
    results = pd.concat(parts, ignore_index=True)
    first = ["part", "features", "instances", "pairs", "harmful", "sampling", "share"]
    results = results[[*first, *(c for c in results if c not in first)]]
    study.csv(results, "results.csv")
    columns, rows = _shares(results, "drawn", SAMPLINGS)
    show(columns, rows, title=f"Share of harmful pairs in %: {rule}")
    study.write(
        f"Harmful positive pairs, {data.name}",
        sections=_sections(results, rule, list(losses)),
        lead="A positive pair that shows nothing in common teaches a network to see what is not there. "
        "Which way of choosing pairs chooses how many of them?",
    )


def _pair_loss(name: str) -> PairLoss:
    kind = getattr(available, name, None)
    if not (isinstance(kind, type) and issubclass(kind, PairLoss)):
        raise ValueError(f"expected losses over pairs in --names, got {name!r}: choose among those of docs/losses.md")
    return kind()


def _shares(results: pd.DataFrame, part: str, samplings: Sequence[str]) -> tuple[list[str], list[list[object]]]:
    """Return a table with a row for each network and number of instances, a column for each sampling."""
    rows: list[list[object]] = []
    for features, of_network in results[results["part"] == part].groupby("features", sort=False):
        for count, group in of_network.groupby("instances", sort=False):
            shares = group.set_index("sampling")["share"]
            rows.append([features, int(count), *(float(shares[name]) for name in samplings)])
    return ["network", "instances", *(name.removesuffix("Loss") for name in samplings)], rows


def _sections(results: pd.DataFrame, rule: str, losses: Sequence[str]) -> list[Section]:
    drawn = results[results["part"] == "drawn"]
    by_network = [_chart(str(name), group) for name, group in drawn.groupby("features", sort=False)]
    return [
        Section(
            "What each sampling draws",
            table(*_shares(results, "drawn", SAMPLINGS), percent=True) + charts(*by_network),
            f"Harmful: {rule}. Share of the drawn pairs, in percent. Every pair: no mining (SupCon). Each image's "
            "hardest: batch-hard triplet, the supplement's dense sampling. SP-H: an identity's hardest pair. SP-LH: "
            "the least hard among each image's hardest. AdaSP: these two by its weights.",
        ),
        Section(
            "Sparse against dense",
            _above_dense(drawn),
            "By how much more of what SP-LH draws is harmful than of each image's hardest, in percent, with the 95 % "
            "interval over identities: pictures of one identity are not independent.",
        ),
        Section(
            "What the losses pull on",
            table(*_shares(results, "pull", losses), percent=True),
            "The harmful share of a loss's gradient on positive pairs, in percent, on vectors of length 1.",
        ),
        Section(
            "Is it the supplement's argument?",
            _argument(drawn),
            "Measured, beside the same batches if harmful pairs were always less alike than all others, as the "
            "supplement assumes, and beside the closed form if moreover chance alone said which pairs are harmful. "
            "By equation: S2 and S3 with the terms counted here; S3 takes the assumption for granted. "
            "Situation I: identities with fewer harmful entries in their matrix than instances. Less alike: how often "
            "a harmful pair is less alike than another of its identity; the supplement assumes 100, and 50 is chance.",
        ),
        Section(
            "Simulated under its assumptions",
            _simulated(results) + charts(*_curves(results["instances"].unique().tolist())) + downloads("results.csv"),
            "So many pairs of an identity are harmful, chosen at random, and less alike than all others; simulated and "
            "by closed form, in percent. A pair stands twice in the matrix, so situation I is 2 x pairs < instances.",
        ),
    ]


def _chart(features: str, rows: pd.DataFrame) -> Markup:
    by_name = {name: rows[rows["sampling"] == name] for name in DRAWN_IN_CHART}
    series = [Series(name, group["instances"], group["share"]) for name, group in by_name.items()]
    y = Axis("harmful", limits=(0, min(1.0, 1.1 * float(rows["share"].max())) or 1.0), percent=True)
    return line_chart(f"Drawn from batches, {features}", series, x=Axis("instances of an identity"), y=y)


def _above_dense(drawn: pd.DataFrame) -> Markup:
    rows: list[list[object]] = []
    for features, of_network in drawn[drawn["sampling"] == SPLH].groupby("features", sort=False):
        for one in of_network.itertuples():
            above, half = one.above_dense, one.half
            rows.append([features, one.instances, above, above - half, above + half])
    return table(["network", "instances", "SP-LH above dense", "from", "to"], rows, percent=True)


def _argument(drawn: pd.DataFrame) -> Markup:
    rows: list[list[object]] = []
    for features, of_network in drawn.groupby("features", sort=False):
        for one in of_network[of_network["sampling"].isin((DENSE, SPLH))].itertuples():
            equation = None if np.isnan(one.equation) else one.equation
            shares = [one.share, one.same_blocks, one.closed_form, equation, one.rare, one.less_alike]
            rows.append([features, one.instances, one.sampling, *shares])
    columns = ["measured", "if least alike", "and by chance", "by equation", "situation I", "less alike"]
    return table(["network", "instances", "sampling", *columns], rows, percent=True)


def _simulated(results: pd.DataFrame) -> Markup:
    columns = ["instances", "pairs", *(f"{name}{how}" for name in UNDER_ASSUMPTION for how in ("", ", closed"))]
    rows: list[list[object]] = []
    simulated = results[results["part"] == "simulated"]
    for (count, pairs), group in simulated.groupby(["instances", "pairs"], sort=False):
        by_name = group.set_index("sampling")
        figures = [float(by_name.loc[name, how]) for name in UNDER_ASSUMPTION for how in ("share", "closed_form")]
        rows.append([int(count), int(pairs), *figures])
    return table(columns, rows, percent=True)


def _curves(instances: Sequence[int]) -> list[Markup]:
    shares = np.linspace(0, 1, 51)
    y = Axis("of the drawn pairs", limits=(0, 1), percent=True)
    figures = []
    for count in instances:
        closed = [positive_pairs.with_share(count, share) for share in shares]
        series = [Series(ALL, shares, shares)]
        series += [Series(name, shares, [one[name] for one in closed]) for name in UNDER_ASSUMPTION]
        title = f"Closed form, {count} instances"
        figures.append(line_chart(title, series, x=Axis("harmful among all positive pairs", percent=True), y=y))
    return figures
