"""Batch-hard triplet loss and its weighted-regularised form."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, euclidean, masked_max, masked_min, masked_softmean
from reseen.losses.base import PairLoss


class HardTripletLoss(PairLoss):
    """Batch-hard triplet loss: the farthest positive nearer than the nearest negative by a margin.

    ``mean_i [max_p d_ip - min_n d_in + margin]_+`` (Hermans et al., arXiv:1703.07737, equation 5), or, where margin is
    None, ``mean_i softplus(max_p d_ip - min_n d_in)``. Euclidean distance, of embeddings as they are.

    Args:
        margin: In units of distance; None for the soft margin.

    Note:
        An anchor without a positive has a farthest positive distance of 0, as in the published codes, which count the
        anchor itself as one. The mean is over all anchors, also those whose term is 0.

    Example:
        >>> x, identities = torch.eye(3)[[0, 0, 1, 2]], torch.tensor([0, 0, 1, 2])
        >>> HardTripletLoss(margin=2.0)(x, identities)  # 2 less the distance of 1.4 between identities
        tensor(0.5858)
    """

    measure = euclidean
    num_hardest = 1

    def __init__(self, margin: float | None = 0.3):
        super().__init__()
        self.margin = margin

    def per_anchor(self, d: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's triplet term from distances."""
        farthest_positive = masked_max(d, pair.positive).clamp(min=0)
        nearest_negative = masked_min(d, pair.negative)
        if self.margin is None:
            return F.softplus(farthest_positive - nearest_negative)
        return F.relu(farthest_positive - nearest_negative + self.margin)


class WeightedTripletLoss(PairLoss):
    """Weighted triplet loss: all triplets of an anchor at once, the hard ones weighing more; no margin.

    ``mean_i softplus(sum_p w_ip d_ip - sum_n w_in d_in)`` with ``w_ip = softmax_p(d_ip)``, ``w_in = softmax_n(-d_in)``
    (AGW, arXiv:2001.04193, equation 5). Euclidean distance, of embeddings as they are.

    Note:
        As in the published codes the anchor itself is among its positives, at distance 0. Their weights vanish once
        negatives are farther than about 14; ours are exact softmax weights. An anchor without a negative counts as 0.
    """

    measure = euclidean

    def per_anchor(self, d: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's term from distances."""
        positive = masked_softmean(d, d, pair.positive | pair.itself)
        negative = masked_softmean(d, -d, pair.negative)
        return F.softplus(positive - negative) * pair.negative.any(1)
