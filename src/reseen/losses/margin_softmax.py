"""Margin softmax losses: cross-entropy over scaled cosines that ask more of the true identity."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Candidates, compare, cosine
from reseen.losses.base import ClassifierLoss, mean_over_anchors


class MarginSoftmaxLoss(ClassifierLoss):
    """Base class of margin softmax losses: cosines to identities' weights, with a margin, scaled, as logits.

    Args:
        num_identities: None until `build` is called.
        dim: Components of the embedding; None likewise.
        margin: Its meaning is each loss's own.
        scale: Of the logits.
        smoothing: As of `IdentityLoss`; the papers have none, fast-reid's strong baseline has 0.1.
    """

    role = "identity"

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

    def initial_weight(self, num_identities: int, dim: int) -> Tensor:
        """Return random directions."""
        return 0.01 * torch.randn(num_identities, dim)

    @abstractmethod
    def target_logits(self, s: Tensor) -> Tensor:
        """Return the true identities' logits before scaling, of the shape of their cosines."""

    def other_logits(self, s: Tensor) -> Tensor:
        """Return the other identities' logits before scaling, of the shape of their cosines."""
        return s

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the loss of embeddings (A, D) with labels (A,) from 0 to C - 1; candidates play no part."""
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, labels, weight = self.checked_weight(embeddings, labels)
            identities = torch.arange(len(weight), device=labels.device)
            s = cosine(compare(embeddings, labels, Candidates(weight, identities, None)))
            true = labels[:, None]
            logits = self.scale * self.other_logits(s).scatter(1, true, self.target_logits(s.gather(1, true)))
            terms = F.cross_entropy(logits, labels, label_smoothing=self.smoothing, reduction="none")
            return mean_over_anchors(terms, candidates)


class CosFaceLoss(MarginSoftmaxLoss):
    """CosFace: the true cosine less a margin, ``s - m`` (arXiv:1801.09414, equation 4)."""

    def target_logits(self, s: Tensor) -> Tensor:
        """Return the cosines less the margin."""
        return s - self.margin


class ArcFaceLoss(MarginSoftmaxLoss):
    """ArcFace: the true angle plus a margin, 0.5 by default, ``cos(theta + m)`` (arXiv:1801.07698, equation 3).

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

    def target_logits(self, s: Tensor) -> Tensor:
        """Return the cosines of a wider angle."""
        m = self.margin
        sine = (1 - s.square()).clamp(min=torch.finfo(s.dtype).eps).sqrt()
        wider = s * math.cos(m) - sine * math.sin(m)
        return torch.where(s > -math.cos(m), wider, s - m * math.sin(m))


class CircleSoftmaxLoss(MarginSoftmaxLoss):
    """Circle loss with identities' weights for candidates (arXiv:2002.10857, section 3.3), as in fast-reid's baseline.

    ``a_p (s - (1 - m))`` for the true identity and ``a_n (s - m)`` for the others, with ``a_p = [1 + m - s]_+`` and
    ``a_n = [s + m]_+`` without gradient.
    """

    def target_logits(self, s: Tensor) -> Tensor:
        """Return ``a_p (s - (1 - m))``."""
        return F.relu(1 + self.margin - s.detach()) * (s - (1 - self.margin))

    def other_logits(self, s: Tensor) -> Tensor:
        """Return ``a_n (s - m)``."""
        return F.relu(s.detach() + self.margin) * (s - self.margin)
