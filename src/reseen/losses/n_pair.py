"""N-pair loss over an anchor's hardest negatives."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, euclidean, inner_product, masked_min
from reseen.losses.base import PairLoss


class NPairLoss(PairLoss):
    """N-pair loss: the hardest positive against several of the hardest negatives, whoever they show.

    ``mean_i log(1 + sum_n exp(f_in - f_ip))`` (Sohn, NeurIPS 2016) as the supplement of "Negative Samples are at Large"
    (ECCV 2022, section B) mines it: 15 negatives regardless of their identities.

    Args:
        num_negatives: How many; all where there are fewer.
        metric: f is the negated ``"euclidean"`` distance of embeddings as they are, or their ``"inner_product"``.

    Note:
        The supplement gives no equation; that f is the distance which it mines by is assumed. Anchors without a
        positive or without a negative count as 0.
    """

    def __init__(self, num_negatives: int = 15, metric: Literal["euclidean", "inner_product"] = "euclidean"):
        super().__init__()
        if num_negatives < 1:
            raise ValueError(f"expected num_negatives of at least 1, got {num_negatives}")
        if metric not in ("euclidean", "inner_product"):
            raise ValueError(f"expected metric 'euclidean' or 'inner_product', got {metric!r}")
        self.num_hardest = self.num_negatives = num_negatives
        self.metric = metric
        self.measure = euclidean if metric == "euclidean" else inner_product

    def per_anchor(self, measured: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's term."""
        f = -measured if self.metric == "euclidean" else measured
        num = min(self.num_negatives, f.shape[1])
        hardest = f.masked_fill(~pair.negative, -torch.inf).topk(num, dim=1).values
        over = hardest - masked_min(f, pair.positive)[:, None]
        return F.pad(over, (1, 0)).logsumexp(1)  # the zero in front is the 1 of the equation
