"""Comparison page of two models on the same queries: figures, and the lists where they differ most.

The layout follows Figure 8 of the FIDI paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from reseen.evaluation import Report
from reseen.evaluation.report import NORMAL_95
from reseen.model_evaluation import Outcome
from reseen.reporting.lists import queries_of_first_repeat, ranked_pictures
from reseen.reporting.page import Section, charts, render, table, write_page
from reseen.reporting.scores import match_curve, precision_spread
from reseen.types import Benchmark

if TYPE_CHECKING:
    import pandas as pd


def write_comparison(
    outcomes: Mapping[str, Outcome],
    out: str | Path,
    *,
    benchmark: Benchmark,
    lists: int = 4,
    top: int = 10,
    title: str | None = None,
) -> Path:
    """Write a page about two models on one benchmark.

    Args:
        outcomes: Name -> evaluation, of two models.
        out: Path of the page.
        benchmark: What both searched.
        lists: How many queries to show where the second is better, and as many where the first is.
        top: Places shown of each list.
        title: Of the page; None for the models' names.

    Returns:
        The path written.

    Raises:
        ValueError: There are not two, or they have no query in common.
    """
    sections = comparison_sections(outcomes, benchmark=benchmark, lists=lists, top=top)
    return write_page(
        out, title or " and ".join(outcomes), sections=sections, eyebrow=f"Comparison on {benchmark.name}"
    )


def comparison_sections(
    outcomes: Mapping[str, Outcome], *, benchmark: Benchmark, lists: int = 4, top: int = 10
) -> list[Section | None]:
    """Return the sections of that page, for a page of one's own; see `write_comparison`."""
    if len(outcomes) != 2:
        raise ValueError(f"expected two models to compare, got {len(outcomes)}: {', '.join(outcomes)}")
    first, second = outcomes
    reports = {name: outcome.report for name, outcome in outcomes.items()}
    gains = gain(reports[first], reports[second])
    if not len(gains):
        raise ValueError("expected evaluations of the same queries, got none that counts in both")
    by_gain = gains.sort_values(kind="stable")
    return [
        Section("", _figures(reports), _difference(gains, first, second)),
        Section("Ranking", charts(match_curve(reports), precision_spread(reports))),
        _lists(
            f"Where {second} is better", outcomes, benchmark, by_gain[by_gain > 0].index[::-1][:lists].tolist(), top
        ),
        _lists(f"Where {first} is better", outcomes, benchmark, by_gain[by_gain < 0].index[:lists].tolist(), top),
    ]


def gain(first: Report, second: Report) -> pd.Series[float]:
    """Return by how much the second's average precision is higher, by row of the query; those that count in both."""
    columns = [queries_of_first_repeat(report)["average_precision"] for report in (first, second)]
    difference: pd.Series[float] = (columns[1] - columns[0]).dropna()
    return difference


def _figures(reports: Mapping[str, Report]) -> Markup:
    columns = ["model", "mAP", "rank 1", "rank 5", "rank 10", "mINP"]
    rows = [[n, r.mean_ap, r.cmc(1), r.cmc(5), r.cmc(10), r.mean_inp] for n, r in reports.items()]
    return table(columns, rows, percent=True, best=columns[1:])


def _difference(gains: pd.Series[float], first: str, second: str) -> str:
    mean, count = float(gains.mean()), len(gains)
    half = NORMAL_95 * float(gains.std()) / math.sqrt(count) if count > 1 else 1.0
    return (
        f"mAP of {second} minus that of {first}: {100 * mean:+.1f}, with 95 % confidence {100 * (mean - half):+.1f} to "
        f"{100 * (mean + half):+.1f} over {count:,} queries; {int((gains > 0).sum()):,} are better, "
        f"{int((gains < 0).sum()):,} worse."
    )


def _lists(
    heading: str, outcomes: Mapping[str, Outcome], benchmark: Benchmark, queries: list[int], top: int
) -> Section | None:
    if not queries:
        return None
    columns = {name: ranked_pictures(outcome, benchmark, queries, top=top) for name, outcome in outcomes.items()}
    cards = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    ratios = sorted(next(iter(card.values())).ratio or 0.5 for card in cards)
    body = render("comparison.html", cards=cards, ratio=ratios[len(ratios) // 2])
    return Section(heading, body, "The largest difference in average precision first.")
