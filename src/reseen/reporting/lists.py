"""Ranked lists of a report: a query and its first answers, right or wrong, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from reseen.evaluation import Report, ranked_list
from reseen.model_evaluation import Outcome
from reseen.reporting.page import percent, render
from reseen.reporting.pictures import PictureList, Shot, sample_thumbnail
from reseen.types import Benchmark, Protocol, Sample

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class RankedPictures(PictureList):
    """One query's ranked list.

    Attributes:
        sample: Who is searched for.
        first: What came first; None where nothing was found at all.
    """

    sample: Sample
    first: Sample | None


def searched_together(outcome: Outcome, protocol: Protocol) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of query and gallery that are searched with and in: those of the first repeat."""
    if protocol.trials is None:
        return np.arange(len(outcome.query)), np.arange(len(outcome.gallery))
    trial = next(iter(protocol.trials(outcome.query, outcome.gallery)))
    return trial.query, trial.gallery


def queries_of_first_repeat(report: Report) -> pd.DataFrame:
    """Return the table of the queries that count in the first repeat, by their row."""
    table = report.per_query
    counted: pd.DataFrame = table[table["repeat"] == 0].dropna(subset="average_precision").set_index("query")
    return counted


def worst_and_best(report: Report, count: int) -> tuple[list[int], list[int]]:
    """Return rows of the worst and of the best queries, one query of an identity, and none in both."""
    table = queries_of_first_repeat(report)
    order = table.sort_values(["average_precision", "first_rank"], ascending=[True, False], kind="stable")
    worst = order.drop_duplicates("identity").head(count).index.tolist()
    # Among equally good queries those with more matches have achieved more.
    order = table.sort_values(["average_precision", "num_positives"], ascending=False, kind="stable")
    best = order.drop(index=worst).drop_duplicates("identity").head(count).index.tolist()
    return worst, best


def ranked_pictures(
    outcome: Outcome, benchmark: Benchmark, queries: Sequence[int], *, top: int = 10
) -> list[RankedPictures]:
    """Search with some queries and return their lists with pictures.

    Args:
        outcome: The evaluation; under repeats, its first is shown.
        benchmark: Whose query and gallery were embedded. Tracks are shown picture by picture.
        queries: Rows of ``benchmark.query``.
        top: Places shown.
    """
    protocol = benchmark.protocol(by_track=False)
    query_rows, gallery_rows = searched_together(outcome, protocol)
    query, gallery = outcome.query[query_rows], outcome.gallery[gallery_rows]
    first_places = ranked_list(query, gallery, protocol, top=top, reranking=outcome.reranking)
    table = queries_of_first_repeat(outcome.report)
    across = len({s.modality for s in (*benchmark.query, *benchmark.gallery)}) > 1
    lists = []
    for row in queries:
        sample, figures = benchmark.query[row], table.loc[row]
        at = int(np.flatnonzero(query_rows == row)[0])
        there = first_places.rows[at] >= 0
        entries = [benchmark.gallery[n] for n in gallery_rows[first_places.rows[at][there]]]
        right = first_places.positive[at][there]
        places = zip(range(1, top + 1), entries, first_places.scores[at], right, strict=False)
        missed = None
        if not right.any() and outcome.reranking is None:
            same = np.flatnonzero(gallery.identities == sample.identity)
            own = ranked_list(query[at : at + 1], gallery[same], protocol, top=1)
            match = benchmark.gallery[gallery_rows[same[own.rows[0, 0]]]]
            rank = int(figures.first_rank)
            missed = _answer_shot(rank, match, own.scores[0, 0], True, across, first_line=f"rank {rank:,}")
        lists.append(
            RankedPictures(
                title=_who(sample),
                sample=sample,
                first=entries[0] if entries else None,
                facts=_facts(figures, hits=int(right.sum()), places=len(entries)),
                query=Shot(
                    sample_thumbnail(sample),
                    alt=f"query: {_who(sample)}",
                    lines=("query", *_where(sample, across)),
                    kind="query",
                    source=sample.path,
                ),
                found=tuple(_answer_shot(*place, across) for place in places),
                missed=missed,
            )
        )
    return lists


def render_lists(lists: Sequence[PictureList], *, ratio: float | None = None) -> Markup:
    """Return the lists below one another, in frames of a ratio of width to height; that of most queries if None."""
    ratios = [one.ratio for one in lists if one.ratio] or [0.5]
    return render("lists.html", lists=lists, ratio=float(np.median(ratios)) if ratio is None else ratio)


def _answer_shot(
    place: int, sample: Sample, score: float, right: bool, across: bool, *, first_line: str | None = None
) -> Shot:
    verdict: Literal["right", "wrong"] = "right" if right else "wrong"
    lines = (f"{score:.2f}", *_where(sample, across))
    return Shot(
        sample_thumbnail(sample),
        alt=f"rank {place}, {verdict}: {_who(sample)}, score {score:.2f}",
        lines=lines if first_line is None else (first_line, *lines),
        kind=verdict,
        source=sample.path,
    )


def _facts(figures: Any, *, hits: int, places: int) -> tuple[str, ...]:
    first, matches = int(figures.first_rank), int(figures.num_positives)
    return (
        f"AP {percent(figures.average_precision)}",
        f"first match at rank {first:,}",
        f"{hits} of {matches} {'match' if matches == 1 else 'matches'} in the first {places}",
    )


def _who(sample: Sample) -> str:
    return f"identity {sample.identity}" + ("" if sample.camera is None else f", camera {sample.camera}")


def _where(sample: Sample, across: bool) -> tuple[str, ...]:
    camera = () if sample.camera is None else (f"cam {sample.camera}",)
    return (*camera, sample.modality) if across and sample.modality is not None else camera
