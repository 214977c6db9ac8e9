"""Batch-hard contrastive loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, masked_max, masked_min, normalized_euclidean
from reseen.losses.base import PairLoss


class HardContrastiveLoss(PairLoss):
    """Batch-hard contrastive loss: the farthest positive near, the nearest negative beyond a margin.

    ``mean_i max_p d_ip + [margin - min_n d_in]_+``, Euclidean distance of normalised embeddings.

    Args:
        margin: In units of distance, which ends at 2.

    Note:
        The FIDI paper names this loss (BCL) without an equation; this form is assumed. A side of which an anchor has
        nothing costs 0.
    """

    measure = normalized_euclidean
    num_hardest = 1

    def __init__(self, margin: float = 1.0):
        super().__init__()
        self.margin = margin

    def per_anchor(self, d: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's term from distances."""
        return masked_max(d, pair.positive).clamp(min=0) + F.relu(self.margin - masked_min(d, pair.negative))
