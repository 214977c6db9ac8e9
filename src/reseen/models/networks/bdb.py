"""BDB: a global branch, and a branch in which one region is dropped for the whole batch.

Dai et al., Batch DropBlock Network for Person Re-identification and Beyond, arXiv:1811.07130, figure 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, SideInfo
from reseen.models.networks.base import HeadOptions, Network, Outputs
from reseen.models.networks.branch_heads import BranchHeads


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


class BDB(Network):
    """BDB with vectors ``global``, averaged over the map, and ``drop``, the maximum with a region hidden.

    Args:
        backbone: Gives the map.
        height: Of the hidden region, as a share of the map.
        width: As ``height``.
        options: The paper's own are ``average`` and ``max`` pooling, 512 components, and the neck ``rectified``;
            ``dim`` is that of ``global``, and half of that of ``drop``.
    """

    def __init__(self, backbone: Backbone, options: HeadOptions, *, height: float = 0.33, width: float = 1.0) -> None:
        super().__init__(backbone, options)
        backbone.drop_head()
        self.bottleneck = Bottleneck(backbone.channels)
        self.hide = BatchDropBlock(height=height, width=width)
        self.pool_global = options.build_pooling(own="average")
        self.pool_drop = options.build_pooling(own="max")
        reduced = options.dim or 512
        dims = {"global": reduced, "drop": 2 * reduced}
        self.reductions = BranchHeads(backbone.channels, dims, options)
        self.dims = self.reductions.dims

    def forward(self, images: Tensor, side: SideInfo) -> Outputs:
        """Return the outputs for normalised images (B, 3, H, W)."""
        features = self.backbone.map(self.backbone(images, side))
        hidden = self.hide(self.bottleneck(features))
        pooled = [self.pool_global(features).squeeze(2), self.pool_drop(hidden).squeeze(2)]
        outputs: Outputs = self.reductions(pooled, side)
        return outputs
