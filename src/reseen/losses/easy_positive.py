"""Easy-positive loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, cosine, masked_max, masked_mean
from reseen.losses.base import PairLoss


class EasyPositiveLoss(PairLoss):
    """Easy-positive loss: only the most alike positive shall beat the most alike negative.

    ``mean_i softplus((max_n s_in - max_p s_ip)/t)``, cosines s (arXiv:1904.04370, equation 4): an identity may keep
    views apart that share little.

    Args:
        temperature: t.

    Note:
        As in the published code of AdaSP only anchors with both similarities above 0 count. That code also drops
        positives of similarity above 0.9999, and exact copies with them; here the anchor is left out by its place.
    """

    measure = cosine
    num_hardest = 1
    positives = "easiest"

    def __init__(self, temperature: float = 0.1):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"expected a temperature above 0, got {temperature}")
        self.temperature = temperature

    def per_anchor(self, s: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's term, and whether it counts: (rows, 2)."""
        positive, negative = masked_max(s, pair.positive), masked_max(s, pair.negative)
        kept = ~((positive <= 0) | (negative <= 0))  # NaN is kept
        term = F.softplus((negative - positive).masked_fill(~kept, 0) / self.temperature)
        return torch.stack([term, kept.to(s.dtype)], dim=1)

    def reduce(self, terms: Tensor, labels: Tensor, anchor_mask: Tensor) -> Tensor:
        """Return the mean over the anchors that count."""
        return masked_mean(terms[:, 0], anchor_mask & (terms[:, 1] > 0), dim=0)
