"""Pairs of anchors and candidates: their relation (positive, negative, neither), similarities and reductions."""

from reseen.geometry.candidates import Candidates, Crossing, MemoryCandidates
from reseen.geometry.pairs import Pairs, Relation, compare
from reseen.geometry.reductions import (
    masked_logsumexp,
    masked_max,
    masked_mean,
    masked_min,
    masked_softmean,
    row_blocks,
    smallest,
)
from reseen.geometry.similarity import Measure, cosine, euclidean, inner_product, normalized_euclidean, unit

__all__ = [
    "Candidates",
    "Crossing",
    "Measure",
    "MemoryCandidates",
    "Pairs",
    "Relation",
    "compare",
    "cosine",
    "euclidean",
    "inner_product",
    "masked_logsumexp",
    "masked_max",
    "masked_mean",
    "masked_min",
    "masked_softmean",
    "normalized_euclidean",
    "row_blocks",
    "smallest",
    "unit",
]
