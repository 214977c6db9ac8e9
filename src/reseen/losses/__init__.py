"""Losses over embeddings: one file each, and wrappers that widen any of them."""

from reseen.losses.base import Loss, PairLoss, SizedLoss
from reseen.losses.identity import IdentityLoss
from reseen.losses.sparse import AdaSPLoss, SPHLoss, SPLHLoss
from reseen.losses.triplet import HardTripletLoss, WeightedTripletLoss

__all__ = [
    "AdaSPLoss",
    "HardTripletLoss",
    "IdentityLoss",
    "Loss",
    "PairLoss",
    "SPHLoss",
    "SPLHLoss",
    "SizedLoss",
    "WeightedTripletLoss",
]
