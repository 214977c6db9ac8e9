"""Sparse pairwise losses (SP-H, SP-LH, AdaSP): few pairs for each identity, instead of some for each image.

The three of "Adaptive Sparse Pairwise Loss for Object Re-Identification" (CVPR 2023, arXiv:2303.18247). For an identity
c with images R_c, cosines s and temperature t, all soft:

    S-_c    t LSE_{i in c, j not in c}( s_ij/t)         its hardest negative pair
    S_h,c  -t LSE_{i, j in c}(-s_ij/t)                  its hardest positive pair
    S_lh,c  t LSE_{i in c}(-LSE_{j in c}(-s_ij/t))      the least hard among each image's hardest positive pairs

    L = mean_c softplus((S-_c - S+_c)/t)
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, cosine, masked_logsumexp
from reseen.losses.base import PairLoss
from reseen.types import ObjectKind


class SparseLoss(PairLoss):
    """Base class of sparse pairwise losses; they differ in the positive pair that stands for an identity.

    Args:
        temperature: t. The published code has 0.04 for persons and 0.05 for vehicles.

    Note:
        As in the published code an image is a positive of its own, at similarity 1; an identity seen once thus only
        pushes negatives. Identities without any positive (across modalities, or among proxies) are left out. The
        paper's equations were not at hand: this is what the published code computes on batches sorted by identity with
        equal counts, here on any batch.
    """

    measure = cosine

    def __init__(self, temperature: float = 0.04):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"expected a temperature above 0, got {temperature}")
        self.temperature = temperature

    def default_weight(self, kind: ObjectKind | None = None) -> float:
        """Return 0.5 for vehicles, else 0.1, as in the published code."""
        return 0.5 if kind == "vehicle" else 0.1

    @abstractmethod
    def positive(self, hardest: Tensor, least_hard: Tensor) -> Tensor:
        """Return S+/t from S_h/t and S_lh/t."""

    def per_anchor(self, s: Tensor, pair: Relation) -> Tensor:
        """Return each image's hardest negative and positive pair, in units of t, and if it has one: (rows, 3)."""
        s = s / self.temperature
        hardest_negative = masked_logsumexp(s, pair.negative)
        positive = pair.positive | pair.itself
        hardest_positive = -masked_logsumexp(-s, positive)
        return torch.stack([hardest_negative, hardest_positive, positive.any(1).to(s.dtype)], dim=1)

    def reduce(self, terms: Tensor, labels: Tensor, anchor_mask: Tensor) -> Tensor:
        """Return the mean over identities, each as often as it has anchors and divided by their number."""
        hardest_negative, hardest_positive, has_positive = terms.unbind(1)
        with_positive = anchor_mask & (has_positive > 0)
        together = (labels[:, None] == labels) & with_positive
        hardest_positive = hardest_positive.masked_fill(~with_positive, 0)
        columns = torch.stack([hardest_negative, -hardest_positive, hardest_positive])[:, None]
        together_of = masked_logsumexp(columns.expand(-1, len(labels), -1), together, dim=-1)
        negative, hardest, least_hard = together_of[0], -together_of[1], together_of[2]
        weights = with_positive.to(terms.dtype) / together.sum(1).clamp(min=1)
        hardest, least_hard = hardest.masked_fill(~with_positive, 0), least_hard.masked_fill(~with_positive, 0)
        terms = F.softplus(negative - self.positive(hardest, least_hard))
        return (weights * terms).sum() / weights.sum().clamp(min=1)


class SPHLoss(SparseLoss):
    """SP-H: the hardest positive pair of an identity. The equations are in the module's docstring."""

    def positive(self, hardest: Tensor, least_hard: Tensor) -> Tensor:
        """Return S_h."""
        return hardest


class SPLHLoss(SparseLoss):
    """SP-LH: the least hard of its images' hardest positive pairs. Equations: see the module."""

    def positive(self, hardest: Tensor, least_hard: Tensor) -> Tensor:
        """Return S_lh."""
        return least_hard


class AdaSPLoss(SparseLoss):
    """AdaSP: an adaptive weight between SP-H and SP-LH, nearer to SP-H the more alike an identity's images are.

    ``S+ = w S_h + (1 - w) S_lh`` with ``w = 2 S_h S_lh / (S_h + S_lh)`` where S_h >= 0, else 0; w without gradient.

    Example:
        >>> apart, identities = torch.eye(4).requires_grad_(), torch.tensor([0, 0, 1, 1])
        >>> AdaSPLoss()(apart, identities).backward()
        >>> apart.grad.isfinite().all()
        tensor(True)
    """

    def positive(self, hardest: Tensor, least_hard: Tensor) -> Tensor:
        """Return the adaptive mean of S_h and S_lh."""
        h, lh = self.temperature * hardest.detach(), self.temperature * least_hard.detach()
        w = torch.where(h > 0, 2 * h * lh / (h + lh), 0)
        return w * hardest + (1 - w) * least_hard
