"""Measures of a search: CMC, AP, INP, ROC, histograms, ranked lists, and fidelity."""

from reseen.metrics.counting import positive_ranks
from reseen.metrics.fidelity import Fidelity, fidelity
from reseen.metrics.ranked_list import RankedLists, ranked_list
from reseen.metrics.ranking import PositiveRanks, average_precision, inverse_negative_penalty
from reseen.metrics.verification import Roc, ScoreHistogram, roc, score_histogram

__all__ = [
    "Fidelity",
    "PositiveRanks",
    "RankedLists",
    "Roc",
    "ScoreHistogram",
    "average_precision",
    "fidelity",
    "inverse_negative_penalty",
    "positive_ranks",
    "ranked_list",
    "roc",
    "score_histogram",
]
