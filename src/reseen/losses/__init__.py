"""Losses over embeddings: one file each, and wrappers that change the candidates of any of them."""

from reseen.losses.across_ranks import AcrossRanks
from reseen.losses.base import ClassifierLoss, Loss, PairLoss, Wrapper
from reseen.losses.center import CenterLoss
from reseen.losses.circle import CircleLoss
from reseen.losses.contrastive import HardContrastiveLoss
from reseen.losses.cross_batch_memory import CrossBatchMemory
from reseen.losses.cross_modal import CrossModal
from reseen.losses.easy_positive import EasyPositiveLoss
from reseen.losses.exp_at import ExpATLoss
from reseen.losses.fidi import FIDILoss
from reseen.losses.hard_elastic import HELoss
from reseen.losses.identity import IdentityLoss
from reseen.losses.margin_softmax import ArcFaceLoss, CircleSoftmaxLoss, CosFaceLoss
from reseen.losses.memory_bank import MemoryBank
from reseen.losses.multi_similarity import MultiSimilarityLoss
from reseen.losses.n_pair import NPairLoss
from reseen.losses.random_triplets import RandomTriplets
from reseen.losses.ranked_list import RankedListLoss
from reseen.losses.sparse import AdaSPLoss, SPHLoss, SPLHLoss
from reseen.losses.sup_con import SupConLoss
from reseen.losses.triplet import HardTripletLoss, WeightedTripletLoss

__all__ = [
    "AcrossRanks",
    "AdaSPLoss",
    "ArcFaceLoss",
    "CenterLoss",
    "CircleLoss",
    "CircleSoftmaxLoss",
    "ClassifierLoss",
    "CosFaceLoss",
    "CrossBatchMemory",
    "CrossModal",
    "EasyPositiveLoss",
    "ExpATLoss",
    "FIDILoss",
    "HELoss",
    "HardContrastiveLoss",
    "HardTripletLoss",
    "IdentityLoss",
    "Loss",
    "MemoryBank",
    "MultiSimilarityLoss",
    "NPairLoss",
    "PairLoss",
    "RandomTriplets",
    "RankedListLoss",
    "SPHLoss",
    "SPLHLoss",
    "SupConLoss",
    "WeightedTripletLoss",
    "Wrapper",
]
