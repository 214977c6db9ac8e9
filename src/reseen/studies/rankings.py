"""Ranked lists of two networks on the queries where they differ most; Figure 8 of the FIDI paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from reseen.evaluation import evaluate, ranked_list
from reseen.reporting import Axis, Outcome, Section, Series, charts, line_chart
from reseen.reporting.comparison import comparison_sections
from reseen.reporting.lists import queries_of_first_repeat, searched_together
from reseen.studies.results.table import downloads, show
from reseen.studies.runner import Study, TrainingOptions
from reseen.studies.runner.networks import TrainedNetwork, networks_of, vectors
from reseen.types import Benchmark

PLACES = 20
PLACE_BY_PLACE = (
    "How often a place of the list holds a match, over the queries with so many matches. Figure 8 of the FIDI paper is "
    "to show that the triplet loss loses more towards the end of the list than FIDI."
)


def rankings(
    data: Benchmark,
    options: TrainingOptions,
    *,
    names: Sequence[str] = ("HardTripletLoss", "FIDILoss"),
    runs: Sequence[Path] = (),
    weights: dict[str, float] | None = None,
    lists: int = 4,
    top: int = 10,
    batch_size: int = 64,
    workers: int = 0,
) -> None:
    """Show what two networks find for the queries on which they differ most, best and worst for each.

    Args:
        data: What to search.
        options: The study's folder, recipe and settings.
        names: Two losses to train with, each beside the identity loss. Arguments stand behind a name, as in
            FIDILoss(beta=0.7).
        runs: Two trained runs to compare; nothing is trained then.
        weights: Weight of a loss beside the identity loss, by name; that of the settings, or its own, where absent.
        lists: How many queries to show where the second is better, and as many where the first is.
        top: Places shown of each list.
        batch_size: Pictures to embed at a time.
        workers: Processes that read pictures.
    """
    if len(runs or names) != 2:
        raise ValueError(f"expected two networks to compare, got {len(runs or names)}: name two losses or two runs")
    study = Study(rankings, locals())
    networks = networks_of(study, runs, names, weights)
    outcomes = {n.name: _outcome(n, data, study.out, batch_size=batch_size, workers=workers) for n in networks}
    queries = differences(outcomes)
    study.csv(queries, "queries.csv")
    places = pd.concat([by_place(o, data).assign(network=name) for name, o in outcomes.items()], ignore_index=True)
    study.csv(places, "places.csv")
    rows = [[name, o.report.mean_ap, o.report.cmc(1)] for name, o in outcomes.items()]
    show(["", "mAP", "rank 1"], rows, title=data.name)
    study.write(
        f"{' and '.join(outcomes)}, {data.name}",
        lead="What two networks find for the queries on which they differ most.",
        sections=[
            *comparison_sections(outcomes, benchmark=data, lists=lists, top=top),
            Section("Place by place", charts(_place_chart(places)), PLACE_BY_PLACE),
            Section("As tables", downloads("queries.csv", "places.csv"), "Every query, and every place, by both."),
        ],
    )


def differences(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return the queries that count for both of two networks, the largest difference first.

    Returns:
        ``query`` (its row), ``path``, ``identity``, ``camera``, for each network ``average_precision`` and
        ``first_rank`` with its name behind them, and ``gain``: by how much the second's average precision is higher.
    """
    tables = {name: queries_of_first_repeat(outcome.report) for name, outcome in outcomes.items()}
    first, second = tables.values()
    both = first.index.intersection(second.index)
    queries: pd.DataFrame = first.loc[both, ["path", "identity", "camera"]]
    for name, table in tables.items():
        for figure in ("average_precision", "first_rank"):
            queries[f"{figure}, {name}"] = table[figure]
    queries["gain"] = second["average_precision"] - first["average_precision"]
    order = queries["gain"].abs().sort_values(ascending=False, kind="stable").index
    ordered: pd.DataFrame = queries.loc[order].reset_index(names="query")
    return ordered


def by_place(outcome: Outcome, data: Benchmark, *, places: int = PLACES) -> pd.DataFrame:
    """Return how often a place of the ranked list holds a match, over the queries that have so many matches.

    Returns:
        ``place``, ``right`` (share), ``queries``; up to the place for which no query has enough matches.
    """
    protocol = data.protocol(by_track=False)
    query, gallery = searched_together(outcome, protocol)
    lists = ranked_list(outcome.query[query], outcome.gallery[gallery], protocol, top=places)
    counted = queries_of_first_repeat(outcome.report)["num_positives"]
    matches = counted.reindex(query, fill_value=0).to_numpy()
    rows = [
        {"place": place, "right": float(lists.positive[enough, place - 1].mean()), "queries": int(enough.sum())}
        for place in range(1, places + 1)
        if (enough := matches >= place).any()
    ]
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def _place_chart(places: pd.DataFrame) -> Markup:
    series = [Series(str(name), own["place"], own["right"]) for name, own in places.groupby("network", sort=False)]
    return line_chart("Right, place by place", series, x=Axis("place"), y=Axis("right", limits=(0, 1), percent=True))


def _outcome(network: TrainedNetwork, data: Benchmark, out: Path, *, batch_size: int, workers: int) -> Outcome:
    model = network.load()
    query, gallery = (
        vectors(out / "embeddings" / f"{network.name}-{part}", model, samples, batch_size=batch_size, workers=workers)
        for part, samples in (("query", data.query), ("gallery", data.gallery))
    )
    return Outcome(evaluate(query, gallery, data.protocol), query, gallery)
