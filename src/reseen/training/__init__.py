"""Training: the loop, its objective, schedule, candidate sources and run folder."""

from reseen.training.candidate_source import BatchCandidates, CandidateSource
from reseen.training.cluster_contrast import ClusterContrast
from reseen.training.loop import train
from reseen.training.loss_adapter import FromPML
from reseen.training.moreid import MoReID
from reseen.training.objective import Objective, Term
from reseen.training.run import BestScore
from reseen.training.run_folder import RunFolder
from reseen.training.schedule import Schedule

__all__ = [
    "BatchCandidates",
    "BestScore",
    "CandidateSource",
    "ClusterContrast",
    "FromPML",
    "MoReID",
    "Objective",
    "RunFolder",
    "Schedule",
    "Term",
    "train",
]
