"""Scores of an evaluation, or of several side by side: tables and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from reseen.evaluation import Report, Roc, ScoreHistogram, score_histogram
from reseen.model_evaluation import Outcome
from reseen.reporting.axes import Axis
from reseen.reporting.lists import searched_together
from reseen.reporting.page import Repeated, percent, render, table
from reseen.reporting.plots import Series, histogram, line_chart
from reseen.types import Benchmark

RANKS = 20
SETTING_RANKS = (1, 10, 20)
MAX_CAMERAS = 40
_BINS, _SHOWN_BINS = 2**14, 2**6
_FALSE_ALARMS = (1e-3, 1e-2)


class _Score(NamedTuple):
    name: str
    value: str
    note: str = ""


class _Interval(NamedTuple):
    low: float
    value: float
    high: float


def headline(report: Report) -> Markup:
    """Return mAP with its interval, the ranks, mINP, and how many queries they are of."""
    deviation = report.deviation or {}

    def spread(name: str) -> str:
        return f"± {percent(deviation[name])} over {len(report.first_ranks)} repeats" if name in deviation else ""

    low, high = report.interval
    note = f"{percent(low)} to {percent(high)} with 95 % confidence"
    skipped = f"{report.num_skipped:,} left out without a match" if report.num_skipped else "none left out"
    return render(
        "scores.html",
        main=_Score("mAP", percent(report.mean_ap), ", ".join(filter(None, [note, spread("mean_ap")]))),
        interval=_Interval(100 * low, 100 * report.mean_ap, 100 * high),
        others=[
            _Score("rank 1", percent(report.cmc(1)), spread("rank_1")),
            _Score("rank 5", percent(report.cmc(5))),
            _Score("rank 10", percent(report.cmc(10))),
            _Score("mINP", percent(report.mean_inp), spread("mean_inp")),
            _Score("queries", f"{report.num_queries:,}", skipped),
        ],
    )


def setting_columns() -> list[str]:
    """Return the names of what ``setting_rows`` gives."""
    return ["setting", *(f"rank {rank}" for rank in SETTING_RANKS), "mAP", "mINP"]


def setting_rows(reports: Sequence[Report]) -> list[list[str]]:
    """Return one row for each setting, as papers' tables have them: percent, with the deviation over repeats."""
    names = [report.protocol.partition(", ")[2] or report.protocol for report in reports]
    return [[name, *map(_spread, _by_repeat(report))] for name, report in zip(names, reports, strict=True)]


def _by_repeat(report: Report) -> list[Repeated]:
    repeats = report.per_query.dropna(subset="average_precision").groupby("repeat")
    ranks = [Repeated(tuple(float((f <= rank).mean()) for f in report.first_ranks)) for rank in SETTING_RANKS]
    means = [Repeated(tuple(repeats[name].mean())) for name in ("average_precision", "inverse_negative_penalty")]
    return [*ranks, *means]


def _spread(values: Repeated) -> str:
    return f"{percent(values.mean)} ± {percent(values.deviation)}" if len(values.values) > 1 else percent(values.mean)


def match_curve(reports: Mapping[str, Report], *, ranks: int = RANKS) -> Markup:
    """Return the cumulative match curves."""
    at = range(1, ranks + 1)
    series = [Series(name, at, [report.cmc(rank) for rank in at]) for name, report in reports.items()]
    lowest = min(report.cmc(1) for report in reports.values())
    y = Axis("queries with a match", limits=(float(np.floor(5 * min(lowest, 0.99)) / 5), 1), percent=True)
    return line_chart("Queries with a match up to each rank", series, x=Axis("rank", limits=(1, ranks)), y=y)


def precision_spread(reports: Mapping[str, Report]) -> Markup:
    """Return how the queries' average precisions are distributed."""
    edges = np.linspace(0, 1, 21)
    counts = {
        name: np.histogram(report.per_query["average_precision"].dropna(), edges)[0] for name, report in reports.items()
    }
    x = Axis("average precision of a query", percent=True)
    return histogram("How well single queries do", edges, counts, x=x, share_of="queries")


def score_charts(outcome: Outcome, benchmark: Benchmark) -> list[Markup]:
    """Return how positive and negative pairs score, before any re-ranking, and how well a threshold parts them."""
    protocol = benchmark.protocol
    query_rows, gallery_rows = searched_together(outcome, protocol)
    histogram = score_histogram(outcome.query[query_rows], outcome.gallery[gallery_rows], protocol, bins=_BINS)
    if not histogram.positive.any() or not histogram.negative.any():
        return []
    return [_score_histogram(histogram), _roc_chart(histogram)]


def _score_histogram(found: ScoreHistogram) -> Markup:
    used = np.flatnonzero(found.positive + found.negative)
    width = max(1, -(-(used[-1] + 1 - used[0]) // _SHOWN_BINS))
    starts = np.arange(used[0], used[-1] + 1, width)
    counts = {
        "same individual": np.add.reduceat(found.positive[: used[-1] + 1], starts),
        "different": np.add.reduceat(found.negative[: used[-1] + 1], starts),
    }
    edges = found.edges[np.append(starts, min(starts[-1] + width, _BINS))]
    return histogram("How pairs score", edges, counts, x=Axis("cosine similarity"), share_of="pairs of its kind")


def _roc_chart(histogram: ScoreHistogram) -> Markup:
    roc = Roc.from_histogram(histogram)
    corners = np.append(np.diff(roc.false_positive_rate) > 0, True) & (roc.false_positive_rate > 0)
    at = "; ".join(
        f"threshold {roc.threshold_at(rate):.2f} accepts {percent(roc.tpr_at(rate))} % of the pairs of one identity "
        f"and {100 * rate:g} % of the pairs of two"
        for rate in _FALSE_ALARMS
    )
    lowest = 10.0 ** np.floor(np.log10(roc.false_positive_rate[corners & (roc.true_positive_rate > 0)].min()))
    x = Axis("false positive rate", limits=(max(1e-6, lowest), 1), log=True, percent=True)
    y = Axis("true positive rate", limits=(0, 1), percent=True)
    series = Series("ROC", roc.false_positive_rate[corners], roc.true_positive_rate[corners])
    return line_chart("ROC: one threshold for all pairs", [series], x=x, y=y, note=at)


def camera_table(report: Report, benchmark: Benchmark) -> Markup | None:
    """Return what each camera has and how well its queries are answered, or None where cameras are unknown."""
    import pandas as pd

    counted = report.per_query.dropna(subset="average_precision")
    cameras = pd.Series([s.camera for s in benchmark.query], dtype=object).dropna()
    if not len(cameras):
        return None
    searched = pd.Series([s.camera for s in benchmark.gallery], dtype=object).value_counts()
    rows = []
    for camera, number in cameras.value_counts().head(MAX_CAMERAS).items():
        own = counted[counted["camera"] == camera]
        figures = (
            [float(own["average_precision"].mean()), float((own["first_rank"] == 1).mean())] if len(own) else [None] * 2
        )
        identities = len({s.identity for s in benchmark.query if s.camera == camera})
        rows.append([camera, int(number), identities, int(searched.get(camera, 0)), *figures])
    rows.sort(key=lambda row: (isinstance(row[0], str), row[0]))
    names = ["camera", "queries", "identities", "gallery", "mAP", "rank 1"]
    left = f"The {MAX_CAMERAS} cameras with the most queries." if cameras.nunique() > MAX_CAMERAS else ""
    return table(names, rows, percent=True, caption=left)
