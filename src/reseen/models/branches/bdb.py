"""BDB: beside the whole, a branch in which one region is hidden from the entire batch at once.

Dai et al., Batch DropBlock Network for Person Re-identification and Beyond, arXiv:1811.07130, figure 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, Side
from reseen.models.branches.reduction import Reductions
from reseen.models.outputs import Outputs
from reseen.models.pooling import POOLINGS


class Bottleneck(nn.Module):
    """A residual block of ResNet, which keeps channels and size.

    Args:
        channels: Of the map; a quarter of them inside.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 4
        self.residual = nn.Sequential(
            nn.Conv2d(channels, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, middle, 3, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of ``x``."""
        residual: Tensor = self.residual(x)
        return (x + residual).relu()


class BatchDropBlock(nn.Module):
    """In training, zero one rectangle of the map, the same for the whole batch and drawn anew for each.

    Args:
        height: Of the rectangle, as a share of the map.
        width: As ``height``.
    """

    def __init__(self, *, height: float, width: float) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, features: Tensor) -> Tensor:
        """Return the shape of ``features`` (B, C, h, w)."""
        if not self.training:
            return features
        rows = _hidden(features.shape[2], self.height, device=features.device)
        columns = _hidden(features.shape[3], self.width, device=features.device)
        return features.masked_fill(rows[:, None] & columns, 0)


def _hidden(length: int, share: float, *, device: torch.device) -> Tensor:
    """Return (length,) bool: a run of ``share`` of the positions, drawn on the CPU."""
    run = round(share * length)
    start = torch.randint(length - run + 1, ()).to(device, non_blocking=True)
    positions = torch.arange(length, device=device)
    return (positions >= start) & (positions < start + run)


class BDB(nn.Module):
    """Vectors ``global``, averaged over the map, and ``drop``, the maximum over the map with a region hidden.

    Args:
        backbone: Gives the map.
        height: Of the hidden region, as a share of the map.
        width: As ``height``.
        pooling: One of ``POOLINGS`` for both branches, or ``own`` for the paper's: ``average`` and ``max``.
        dim: Components of ``global``, and half of those of ``drop``; None for the paper's 512.
        neck: What ends each branch; ``own`` for the paper's ``rectified``.
        per_modality: Whether the necks have a norm per modality.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        height: float = 0.33,
        width: float = 1.0,
        pooling: str = "own",
        dim: int | None = None,
        neck: str = "own",
        per_modality: bool = False,
    ) -> None:
        super().__init__()
        backbone.drop_head()
        self.backbone = backbone
        self.bottleneck = Bottleneck(backbone.channels)
        self.hide = BatchDropBlock(height=height, width=width)
        self.pool_global = POOLINGS["average" if pooling == "own" else pooling]()
        self.pool_drop = POOLINGS["max" if pooling == "own" else pooling]()
        reduced = dim or 512
        dims = {"global": reduced, "drop": 2 * reduced}
        self.reductions = Reductions(backbone.channels, dims, neck=neck, per_modality=per_modality)
        self.dims = self.reductions.dims

    def forward(self, images: Tensor, side: Side) -> Outputs:
        """Return the outputs for normalised images (B, 3, H, W)."""
        features = self.backbone.map(self.backbone(images, side))
        hidden = self.hide(self.bottleneck(features))
        pooled = [self.pool_global(features).squeeze(2), self.pool_drop(hidden).squeeze(2)]
        outputs: Outputs = self.reductions(pooled, side)
        return outputs

    def pretrained(self) -> list[nn.Module]:
        """Return the modules whose weights come from the backbone."""
        return [self.backbone]
