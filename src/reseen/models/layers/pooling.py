"""Pooling layers: a feature map to one vector, or to one for each horizontal strip.

Dimensions: B images, C channels, h x w positions, S strips from top to bottom.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AveragePooling(nn.Module):
    """The mean over positions."""

    def forward(self, features: Tensor, strips: int = 1) -> Tensor:
        """Return (B, C, S) from a map (B, C, h, w)."""
        if strips == 1:
            return features.mean((2, 3))[:, :, None]
        return F.adaptive_avg_pool2d(features, (strips, 1)).squeeze(3)


class MaxPooling(nn.Module):
    """The maximum over positions."""

    def forward(self, features: Tensor, strips: int = 1) -> Tensor:
        """Return (B, C, S) from a map (B, C, h, w)."""
        if strips == 1:
            return features.amax((2, 3))[:, :, None]
        return F.adaptive_max_pool2d(features, (strips, 1)).squeeze(3)


class GeMPooling(nn.Module):
    """The generalised mean over positions, ``mean(x ** p) ** (1 / p)`` with ``p`` learned.

    Radenović et al., Fine-tuning CNN Image Retrieval with No Human Annotation, arXiv:1711.02512, equation 3. Values
    under ``floor`` count as ``floor``. The power is taken in float32 under autocast too.

    Args:
        power: Where ``p`` starts; 1 is the mean, infinity the maximum.
        floor: Keeps the power and its gradient finite.
    """

    def __init__(self, power: float = 3.0, *, floor: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([power]))
        self.floor = floor

    def forward(self, features: Tensor, strips: int = 1) -> Tensor:
        """Return (B, C, S) from a map (B, C, h, w), in the map's type."""
        with torch.autocast(features.device.type, enabled=False):
            powers = features.float().clamp(min=self.floor) ** self.p.float()
            mean = powers.mean((2, 3))[:, :, None] if strips == 1 else _strip_means(powers, strips)
            pooled = mean ** (1 / self.p.float())
        return pooled.to(features.dtype)


def _strip_means(features: Tensor, strips: int) -> Tensor:
    return F.adaptive_avg_pool2d(features, (strips, 1)).squeeze(3)


POOLINGS: dict[str, type[nn.Module]] = {"average": AveragePooling, "max": MaxPooling, "gem": GeMPooling}
