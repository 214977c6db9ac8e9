"""Evaluation of embeddings under a protocol: CMC, mAP, mINP, ROC, ranked lists, fidelity and re-ranking."""

from reseen.evaluation.evaluator import evaluate, evaluate_further
from reseen.evaluation.matrix import MatrixScores, evaluate_matrix
from reseen.evaluation.overlap import Fidelity, fidelity
from reseen.evaluation.precision import average_precision, inverse_negative_penalty
from reseen.evaluation.ranked_lists import RankedLists, ranked_list
from reseen.evaluation.ranks import PositiveRanks, positive_ranks
from reseen.evaluation.report import Report
from reseen.evaluation.similarity import Cosine, Reranking, Scores
from reseen.evaluation.task import RetrievalTask, build_task
from reseen.evaluation.verification import Roc, ScoreHistogram, roc, score_histogram

__all__ = [
    "Cosine",
    "Fidelity",
    "MatrixScores",
    "PositiveRanks",
    "RankedLists",
    "Report",
    "Reranking",
    "RetrievalTask",
    "Roc",
    "ScoreHistogram",
    "Scores",
    "average_precision",
    "build_task",
    "evaluate",
    "evaluate_further",
    "evaluate_matrix",
    "fidelity",
    "inverse_negative_penalty",
    "positive_ranks",
    "ranked_list",
    "roc",
    "score_histogram",
]
