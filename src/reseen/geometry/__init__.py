"""An anchor, its candidates, and a three-way relation: positive, negative, or neither."""

from reseen.geometry.candidates import Candidates, Crossing, Stored
from reseen.geometry.masked import chunks, masked_logsumexp, masked_max, masked_mean, masked_min, masked_softmean
from reseen.geometry.measures import chord, cosine, euclidean, inner_product, unit
from reseen.geometry.pairs import Pairs, Relation, compare
from reseen.geometry.smallest import smallest

__all__ = [
    "Candidates",
    "Crossing",
    "Pairs",
    "Relation",
    "Stored",
    "chord",
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
    "smallest",
    "unit",
]
