"""Supervised contrastive loss."""

from __future__ import annotations

import torch
from torch import Tensor

from reseen.geometry import Relation, cosine, masked_logsumexp, masked_mean
from reseen.losses.base import PairLoss


class SupConLoss(PairLoss):
    """Supervised contrastive loss: each positive, among everyone else, as a classification.

    ``mean_i mean_p -log( exp(s_ip/t) / sum_{j != i} exp(s_ij/t) )``, cosines s (arXiv:2004.11362, equation 2).

    Args:
        temperature: t.

    Note:
        The paper's further factor t/base temperature is 1, as in its code. Anchors without a positive are left out.
    """

    measure = cosine

    def __init__(self, temperature: float = 0.07):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"expected a temperature above 0, got {temperature}")
        self.temperature = temperature

    def per_anchor(self, s: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's term, and whether it has a positive: (rows, 2)."""
        s = s / self.temperature
        kept = pair.positive.any(1)
        everyone = masked_logsumexp(s, pair.positive | pair.negative).masked_fill(~kept, 0)
        return torch.stack([everyone - masked_mean(s, pair.positive), kept.to(s.dtype)], dim=1)

    def reduce(self, terms: Tensor, labels: Tensor, anchor_mask: Tensor) -> Tensor:
        """Return the mean over anchors with a positive."""
        return masked_mean(terms[:, 0], anchor_mask & (terms[:, 1] > 0), dim=0)
