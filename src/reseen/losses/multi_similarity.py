"""Multi-similarity loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, cosine, masked_logsumexp, masked_max, masked_min
from reseen.losses.base import PairLoss


class MultiSimilarityLoss(PairLoss):
    """Multi-similarity loss: pairs out of order, weighed against one another and against a common level.

    Of cosines s, negatives with ``s > min_P s - slack`` and positives with ``s < max_N s + slack`` are kept; then
    ``mean_i (1/a) log(1 + sum_p exp(-a (s_ip - l))) + (1/b) log(1 + sum_n exp(b (s_in - l)))`` (CVPR 2019,
    arXiv:1904.06627, equations 11 to 13).

    Args:
        alpha: a, how sharply positives weigh by similarity.
        beta: b, how sharply negatives do.
        base: l, the similarity where weights turn.
        slack: How far out of order a pair is kept.

    Note:
        The published code also drops positives of similarity 1, to drop the anchor itself: exact copies go with it.
        Here the anchor is left out by its place. The mean is over all anchors; those that keep no pair count as 0.
    """

    measure = cosine

    def __init__(self, alpha: float = 2.0, beta: float = 40.0, base: float = 0.5, slack: float = 0.1):
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.slack = slack

    def per_anchor(self, s: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's term."""
        least_positive = masked_min(s.detach(), pair.positive)[:, None]
        most_negative = masked_max(s.detach(), pair.negative)[:, None]
        # Dropped is what is seen to be in order, so that NaN stays.
        positive = pair.positive & ~(s >= most_negative + self.slack)
        negative = pair.negative & ~(s <= least_positive - self.slack)
        pull = F.softplus(masked_logsumexp(-self.alpha * (s - self.base), positive)) / self.alpha
        push = F.softplus(masked_logsumexp(self.beta * (s - self.base), negative)) / self.beta
        return pull + push
