"""Hard-distance elastic loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, cosine, euclidean, smallest
from reseen.losses.base import PairLoss


class HELoss(PairLoss):
    """Hard-distance elastic loss: the least cost of a boundary between an anchor's positives and negatives.

    ``L_i = min_t sum_p [d_ip - t]_+ + sum_n [t - d_in]_+`` ("Negative Samples are at Large", ECCV 2022). At the best t
    as many positives lie beyond it as negatives within, so that, positives sorted from the farthest and negatives from
    the nearest, ``L_i = sum_k [p_k - n_k]_+``: no margin, no temperature, nothing to tune. The mean over anchors.

    Args:
        metric: ``"euclidean"`` of embeddings as they are, the paper's choice, or ``"cosine"``, negated.

    Note:
        The equation is second-hand (public notes on the paper, consistent with its supplement); the mean over anchors
        is assumed. It is 0, with no gradient, where an anchor's images separate, and also where all embeddings
        coincide: it needs a classification loss beside it.
    """

    def __init__(self, metric: Literal["euclidean", "cosine"] = "euclidean"):
        super().__init__()
        if metric not in ("euclidean", "cosine"):
            raise ValueError(f"expected metric 'euclidean' or 'cosine', got {metric!r}")
        self.metric = metric
        self.measure = euclidean if metric == "euclidean" else cosine

    def per_anchor(self, measured: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's cost at its best boundary."""
        d = measured if self.metric == "euclidean" else -measured
        num = pair.positive_columns
        positives = -smallest((-d[:, :num]).masked_fill(~pair.positive[:, :num], torch.inf), num)
        negatives = smallest(d.masked_fill(~pair.negative, torch.inf), num)
        return F.relu(positives - negatives).sum(1)
