"""Identities as directions: cross-entropy over scaled cosines that ask more of the true one."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Candidates, compare, cosine
from reseen.losses.base import SizedLoss, mean_over_anchors


class MarginSoftmaxLoss(SizedLoss):
    """What the three share: cosines of embeddings and identities' weights, with a margin, scaled, as logits.

    Args:
        num_identities: None until `size_to` is called.
        dim: Components of the embedding; None likewise.
        margin: Its meaning is each loss's own.
        scale: Of the logits.
        smoothing: As of `IdentityLoss`; the papers have none, fast-reid's strong baseline has 0.1.
    """

    def __init__(
        self,
        num_identities: int | None = None,
        dim: int | None = None,
        *,
        margin: float = 0.35,
        scale: float = 64.0,
        smoothing: float = 0.0,
    ):
        super().__init__(num_identities, dim)
        self.margin = margin
        self.scale = scale
        self.smoothing = smoothing

    def initial(self, num_identities: int, dim: int) -> Tensor:
        """Return random directions."""
        return 0.01 * torch.randn(num_identities, dim)

    @abstractmethod
    def with_margin(self, s: Tensor, true: Tensor) -> Tensor:
        """Return logits (A, C) before scaling from cosines s (A, C) and a mask of the true identities."""

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the loss of embeddings (A, D) with labels (A,) from 0 to C - 1; candidates play no part."""
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, weight = self.sized(embeddings, labels)
            identities = torch.arange(len(weight), device=labels.device)
            s = cosine(compare(embeddings, labels, Candidates(weight, identities, None)))
            true = labels[:, None] == identities
            logits = self.scale * self.with_margin(s, true)
            terms = F.cross_entropy(logits, labels, label_smoothing=self.smoothing, reduction="none")
            return mean_over_anchors(terms, candidates)


class CosFaceLoss(MarginSoftmaxLoss):
    """The true cosine less a margin: ``s - m`` (arXiv:1801.09414, equation 4)."""

    def with_margin(self, s: Tensor, true: Tensor) -> Tensor:
        """Return cosines, the true ones less the margin."""
        return torch.where(true, s - self.margin, s)


class ArcFaceLoss(MarginSoftmaxLoss):
    """The true angle plus a margin, 0.5 by default: ``cos(theta + m)`` (arXiv:1801.07698, equation 3).

    Note:
        Where theta + m would pass half a turn, ``s - m sin m`` keeps on falling with theta, as in the published code.
    """

    def __init__(
        self,
        num_identities: int | None = None,
        dim: int | None = None,
        *,
        margin: float = 0.5,
        scale: float = 64.0,
        smoothing: float = 0.0,
    ):
        super().__init__(num_identities, dim, margin=margin, scale=scale, smoothing=smoothing)

    def with_margin(self, s: Tensor, true: Tensor) -> Tensor:
        """Return cosines, the true ones of a wider angle."""
        m = self.margin
        sine = (1 - s.square()).clamp(min=torch.finfo(s.dtype).eps).sqrt()
        wider = s * math.cos(m) - sine * math.sin(m)
        return torch.where(true, torch.where(s > -math.cos(m), wider, s - m * math.sin(m)), s)


class CircleSoftmaxLoss(MarginSoftmaxLoss):
    """Circle loss with identities' weights for candidates (arXiv:2002.10857, section 3.3), as in fast-reid's baseline.

    ``a_p (s - (1 - m))`` for the true identity and ``a_n (s - m)`` for the others, with ``a_p = [1 + m - s]_+`` and
    ``a_n = [s + m]_+`` without gradient.
    """

    def with_margin(self, s: Tensor, true: Tensor) -> Tensor:
        """Return self-paced similarities."""
        m = self.margin
        a_p, a_n = F.relu(1 + m - s.detach()), F.relu(s.detach() + m)
        return torch.where(true, a_p * (s - (1 - m)), a_n * (s - m))
