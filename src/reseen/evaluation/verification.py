"""Verification: histogram of scores and ROC over all pairs pooled.

Dimensions: B bins.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.errors import DataError
from reseen.evaluation.rounding import ErrorBound
from reseen.evaluation.similarity import Codes, Reranking
from reseen.evaluation.task import RetrievalTask, build_task
from reseen.evaluation.tiles import Tile, query_portions, tile_columns, tile_function
from reseen.parallel import parallel_for
from reseen.types import Embeddings, Protocol

Counts = NDArray[np.int64]
FINE_BINS = 2**16
# Roundings of the place among the bins.
EDGE = 2**-50


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """Histogram of the scores of positive and of negative pairs; pairs that are neither are not counted.

    Attributes:
        edges: (B + 1,) from -1 to 1, rising; bin i holds the scores from edge i up to edge i + 1.
        positive: (B,) pairs of one identity.
        negative: (B,) pairs of two.
    """

    edges: NDArray[np.float64]
    positive: Counts
    negative: Counts


@dataclass(frozen=True, eq=False)
class Roc:
    """Receiver operating characteristic: error rates where pairs from a threshold upwards are accepted.

    Attributes:
        thresholds: (B + 1,) falling from 1 to -1; a pair is accepted from its threshold upwards.
        false_positive_rate: (B + 1,) share of the negatives that are accepted, rising.
        true_positive_rate: (B + 1,) share of the positives that are accepted, rising.
    """

    thresholds: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]

    @classmethod
    def from_histogram(cls, histogram: ScoreHistogram) -> Roc:
        """Return the curve with the histogram's edges as thresholds; it must hold pairs of both kinds."""
        shares = (_share_from_above(counts) for counts in (histogram.negative, histogram.positive))
        return cls(histogram.edges[::-1], *shares)

    def tpr_at(self, fpr: float) -> float:
        """Return the share of positives accepted at the lowest threshold that lets through at most ``fpr``."""
        return float(self.true_positive_rate[self._last(fpr)])

    def threshold_at(self, fpr: float) -> float:
        """Return the lowest threshold whose false positive rate is at most ``fpr``."""
        return float(self.thresholds[self._last(fpr)])

    def _last(self, fpr: float) -> int:
        if not 0 <= fpr <= 1:
            raise ValueError(f"expected a false positive rate from 0 to 1, got {fpr}")
        return int(np.searchsorted(self.false_positive_rate, fpr, side="right")) - 1


def score_histogram(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    bins: int = 100,
    reranking: Reranking | None = None,
) -> ScoreHistogram:
    """Count the scores of all positive and all negative pairs, a tile at a time.

    Args:
        query: What is searched with.
        gallery: What is searched in.
        protocol: Who is positive, negative or neither.
        bins: Bins of equal width between -1 and 1.
        reranking: Improves the scores or the vectors first.
    """
    task = build_task(query, gallery, protocol, reranking=reranking)
    task = dataclasses.replace(task, scores=task.scores.double())
    bound, edges = ErrorBound(task.scores), np.linspace(-1, 1, bins + 1)
    pairs = np.zeros((2, bins), np.int64)
    for queries in query_portions(task):
        for attempt in bound.attempts():
            with attempt:
                pairs += _count_pairs(task, bound, queries, edges)
    return ScoreHistogram(edges, positive=pairs[1], negative=pairs[0] - pairs[1])


def _count_pairs(task: RetrievalTask, bound: ErrorBound, queries: Codes, edges: NDArray[np.float64]) -> Counts:
    """Return the number of pairs of some queries in each bin, of either kind and positive (2, B)."""
    tile_of, bins, adding = tile_function(task, queries), len(edges) - 1, Lock()
    pairs = np.zeros((2, bins), np.int64)

    def count(columns: slice) -> None:
        tile = tile_of(columns)
        scores = _clear_of_edges(bound, queries, tile, edges)
        kinds = [torch.histc(part, bins, min=-1, max=1).long() for part in (scores, scores[tile.positive])]
        with adding:
            pairs[:] += torch.stack(kinds).cpu().numpy()

    parallel_for(count, tile_columns(task, queries, threads=True), threads=task.scores.parallel)
    return pairs


def _clear_of_edges(bound: ErrorBound, queries: Codes, tile: Tile, edges: NDArray[np.float64]) -> Tensor:
    """Return the scores of a tile, each that is near an edge in the middle of its bin."""
    bins = len(edges) - 1
    # Scores beyond the ends count in the last bins; minus infinity has to stay outside.
    scores = tile.scores.double().clamp(-1, 1).masked_fill_(tile.scores.isneginf(), -torch.inf)
    place = (scores + 1) * (bins / 2)
    nearest = place.round()
    at = ((place - nearest).abs() <= bins * (bound.value + EDGE)).nonzero(as_tuple=True)
    row, column = (index.cpu().numpy() for index in at)
    exact = bound.exact(queries[row], tile.columns.start + column, tile.scores[at].cpu().numpy())
    upper = nearest[at].cpu().numpy().astype(np.intp)
    # An edge belongs to the bin above it, the last to the one below.
    own = np.where(exact >= edges[upper], upper, upper - 1).clip(0, bins - 1)
    scores[at] = torch.from_numpy((edges[own] + edges[own + 1]) / 2).to(scores)
    return scores


def roc(query: Embeddings, gallery: Embeddings, protocol: Protocol, *, reranking: Reranking | None = None) -> Roc:
    """Return the receiver operating characteristic of all pairs pooled, with thresholds 1/32768 apart.

    Raises:
        DataError: There is no positive pair, or no negative one.

    Example:
        >>> from reseen.protocols import cross_camera
        >>> from reseen.types import Sample
        >>> query = Embeddings.of(torch.eye(2), [Sample("a.jpg", 0, camera=1), Sample("b.jpg", 1, camera=1)])
        >>> entries = [Sample("c.jpg", 0, camera=2), Sample("d.jpg", 1, camera=2), Sample("e.jpg", 2, camera=2)]
        >>> gallery = Embeddings.of(torch.eye(2)[[0, 1, 0]], entries)
        >>> roc(query, gallery, cross_camera).tpr_at(0.25)  # one of four negatives scores as high as the positives
        1.0
    """
    histogram = score_histogram(query, gallery, protocol, bins=FINE_BINS, reranking=reranking)
    if not histogram.positive.any() or not histogram.negative.any():
        raise DataError(f"expected positive and negative pairs under {protocol.name}, got one kind only")
    return Roc.from_histogram(histogram)


def _share_from_above(counts: Counts) -> NDArray[np.float64]:
    accepted = np.concatenate([[0], np.cumsum(counts[::-1])])
    share: NDArray[np.float64] = accepted / accepted[-1]
    return share
