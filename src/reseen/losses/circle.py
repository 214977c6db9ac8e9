"""Circle loss over pairs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, cosine, masked_logsumexp
from reseen.losses.base import PairLoss


class CircleLoss(PairLoss):
    """Circle loss: each similarity is pulled the harder the farther it is from where it should be.

    ``mean_i softplus( LSE_p(-g a_p (s_ip - (1 - m))) + LSE_n(g a_n (s_in - m)) )`` with ``a_p = [1 + m - s]_+`` and
    ``a_n = [s + m]_+`` without gradient, cosines s (arXiv:2002.10857, equations 6 and 8).

    Args:
        margin: m, the radius that cosines of positives and negatives shall keep to.
        scale: g.

    Note:
        An anchor without a positive or without a negative counts as 0.
    """

    measure = cosine

    def __init__(self, margin: float = 0.25, scale: float = 128.0):
        super().__init__()
        self.margin = margin
        self.scale = scale

    def per_anchor(self, s: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's term."""
        m = self.margin
        a_p, a_n = F.relu(1 + m - s.detach()), F.relu(s.detach() + m)
        positive = masked_logsumexp(-self.scale * a_p * (s - (1 - m)), pair.positive)
        negative = masked_logsumexp(self.scale * a_n * (s - m), pair.negative)
        return F.softplus(positive + negative)
