"""All pairs pooled: how positives and negatives score, and how well one threshold tells them apart.

Dimensions: B bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reseen.errors import DataError
from reseen.protocols.search import search
from reseen.samples import Embeddings, Protocol
from reseen.scores import Reranking

Counts = NDArray[np.int64]
FINE_BINS = 2**16


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """How many pairs of a query and a gallery entry score what; pairs that are neither are not counted.

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
    """What happens when every pair from some score upwards is accepted.

    Attributes:
        thresholds: (B + 1,) falling from 1 to -1; a pair is accepted from its threshold upwards.
        false_positive_rate: (B + 1,) share of the negatives that are accepted, rising.
        true_positive_rate: (B + 1,) share of the positives that are accepted, rising.
    """

    thresholds: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]

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
    ready = search(query, gallery, protocol, reranking=reranking)
    positive, total = torch.zeros(bins, dtype=torch.int64), torch.zeros(bins, dtype=torch.int64)
    for queries in ready.queries():
        for tile in ready.tiles(queries):
            # Rounding may carry a cosine past one; minus infinity has to stay outside.
            scores = torch.where(tile.scores.isneginf(), tile.scores, tile.scores.clamp(-1, 1))
            total += torch.histc(scores, bins, min=-1, max=1).long().cpu()
            positive += torch.histc(scores[tile.positive], bins, min=-1, max=1).long().cpu()
    return ScoreHistogram(np.linspace(-1, 1, bins + 1), positive.numpy(), (total - positive).numpy())


def roc(query: Embeddings, gallery: Embeddings, protocol: Protocol, *, reranking: Reranking | None = None) -> Roc:
    """Return the receiver operating characteristic of all pairs pooled, with thresholds 1/32768 apart.

    Raises:
        DataError: There is no positive pair, or no negative one.
    """
    histogram = score_histogram(query, gallery, protocol, bins=FINE_BINS, reranking=reranking)
    if not histogram.positive.any() or not histogram.negative.any():
        raise DataError(f"expected positive and negative pairs under {protocol.name}, got one kind only")
    return Roc(histogram.edges[::-1], _share_from_above(histogram.negative), _share_from_above(histogram.positive))


def _share_from_above(counts: Counts) -> NDArray[np.float64]:
    accepted = np.concatenate([[0], np.cumsum(counts[::-1])])
    share: NDArray[np.float64] = accepted / accepted[-1]
    return share
