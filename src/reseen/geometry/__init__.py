"""Pairs of anchors and candidates: their relation (positive, negative, neither), similarities and reductions."""

from reseen.geometry.candidates import Candidates, Crossing, MemoryCandidates
from reseen.geometry.pairs import Pairs, Relation, compare
from reseen.geometry.reductions import (
    chunks,
    masked_logsumexp,
    masked_max,
    masked_mean,
    masked_min,
    masked_softmean,
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
    "chunks",
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
    "smallest",
    "unit",
]
