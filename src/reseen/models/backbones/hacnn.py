"""HACNN, with the names of torchreid's published weights, so that these load as they are.

Li et al., Harmonious Attention Network for Person Re-Identification, arXiv:1802.08122.

Dimensions: B images, C channels, h x w positions of a map, R regions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, SideInfo
from reseen.models.backbones.torchreid import ConvNorm

REGIONS = 4


class Streams(nn.Module):
    """Inception blocks of HACNN, whose streams stand side by side; ``shrink``: with half of the height and width."""

    def __init__(self, inputs: int, outputs: int, *, shrink: bool) -> None:
        super().__init__()
        quarter = outputs // 4
        stride = 2 if shrink else 1

        def stream(*strides: int) -> nn.Sequential:
            layers = [ConvNorm(quarter, quarter, 3, stride=stride, bias=True) for stride in strides]
            return nn.Sequential(ConvNorm(inputs, quarter, bias=True), *layers)

        self.stream1 = stream(stride)
        if shrink:
            self.stream2 = stream(1, 2)
            self.stream3 = nn.Sequential(nn.MaxPool2d(3, 2, 1), ConvNorm(inputs, 2 * quarter, bias=True))
        else:
            self.stream2, self.stream3 = stream(1), stream(1)
            self.stream4 = nn.Sequential(nn.AvgPool2d(3, 1, 1), ConvNorm(inputs, quarter, bias=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w)."""
        return torch.cat([stream(x) for stream in self.children()], dim=1)


class SpatialAttention(nn.Module):
    """Attention of every position, from the mean of all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNorm(1, 1, 3, stride=2, bias=True)
        self.conv2 = ConvNorm(1, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 1, h, w)."""
        y = self.conv1(x.mean(1, keepdim=True))
        y = F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=True)
        attention: Tensor = self.conv2(y)
        return attention


class ChannelAttention(nn.Module):
    """Attention of every channel, from the mean of all positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels // 16, bias=True)
        self.conv2 = ConvNorm(channels // 16, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, 1, 1)."""
        attention: Tensor = self.conv2(self.conv1(x.mean((2, 3), keepdim=True)))
        return attention


class SoftAttention(nn.Module):
    """Attention of positions times that of channels, mixed by a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial_attn = SpatialAttention()
        self.channel_attn = ChannelAttention(channels)
        self.conv = ConvNorm(channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, h, w), from 0.5 to 1."""
        attention: Tensor = self.conv(self.spatial_attn(x) * self.channel_attn(x))
        return attention.sigmoid()


class HardAttention(nn.Module):
    """Centres of the regions, from the mean of all positions; they start one above the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, 2 * REGIONS)
        nn.init.zeros_(self.fc.weight)
        with torch.no_grad():
            self.fc.bias.copy_(torch.tensor([0, -0.75, 0, -0.25, 0, 0.25, 0, 0.75]))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, R, 2), from -1 to 1: to the right and downwards."""
        centres: Tensor = self.fc(x.mean((2, 3)))
        return centres.tanh().view(-1, REGIONS, 2)


class HarmoniousAttention(nn.Module):
    """Soft and hard attention of one map (figure 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.soft_attn = SoftAttention(channels)
        self.hard_attn = HardAttention(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map times its soft attention, and the centres of its regions (B, R, 2)."""
        return x * self.soft_attn(x), self.hard_attn(x)


def cut_regions(x: Tensor, centres: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B R, C, *size): of every map as many regions as it has centres, each as wide and a quarter as high."""
    height, width = x.shape[2:]
    # By hand: affine_grid fixes the number of pictures where the network is exported.
    across = torch.linspace(-1, 1, width, dtype=x.dtype, device=x.device).expand(height, width)
    down = torch.linspace(-1, 1, height, dtype=x.dtype, device=x.device)[:, None].expand(height, width) / REGIONS
    grid = torch.stack([across, down], dim=2) + centres.flatten(0, 1)[:, None, None]
    maps = x.repeat_interleave(REGIONS, dim=0)
    return F.interpolate(F.grid_sample(maps, grid, align_corners=True), size=size, mode="bilinear", align_corners=True)


class HACNN(Backbone):
    """HACNN; its vector is that of the whole picture beside that of its regions, each of length 1.

    Args:
        size: Height and width of the pictures: 160 and 64.

    Raises:
        ValueError: The pictures are of another size.

    Note:
        Corners are aligned where maps are resampled, as in the torch of its time. The norms of the regions' network
        see all regions together in training, there one region at a time.
    """

    channels = 384
    dim = 1024
    grid = (10, 4)

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        if size != (160, 64):
            raise ValueError(f"expected pictures of 160x64 for HACNN, got {size[0]}x{size[1]}")
        self.conv = ConvNorm(3, 32, 3, stride=2, bias=True)
        inputs = 32
        for number, outputs in enumerate((128, 256, 384), start=1):
            block = nn.Sequential(Streams(inputs, outputs, shrink=False), Streams(outputs, outputs, shrink=True))
            self.add_module(f"inception{number}", block)
            self.add_module(f"ha{number}", HarmoniousAttention(outputs))
            self.add_module(f"local_conv{number}", Streams(inputs, outputs, shrink=True))
            inputs = outputs
        self.fc_global = nn.Sequential(nn.Linear(inputs, 512), nn.BatchNorm1d(512), nn.ReLU())
        self.fc_local = nn.Sequential(nn.Linear(inputs * REGIONS, 512), nn.BatchNorm1d(512), nn.ReLU())

    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        """Return (B, 384, 40 + R): a map of 10 x 4, then the mean of every region."""
        x, local = self.conv(images), torch.zeros((), device=images.device)
        for number, size in enumerate(((24, 28), (12, 14), (6, 7)), start=1):
            before = x
            x, centres = self.get_submodule(f"ha{number}")(self.get_submodule(f"inception{number}")(x))
            regions = cut_regions(before, centres, size) + local
            local = self.get_submodule(f"local_conv{number}")(regions)
        means = local.mean((2, 3)).view(len(images), REGIONS, -1).mT
        return torch.cat([x.flatten(2), means], dim=2)

    def map(self, raw: Tensor) -> Tensor:
        """Return the map of the whole picture (B, 384, 10, 4)."""
        return raw[:, :, :-REGIONS].reshape(len(raw), -1, *self.grid)

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, 1024)."""
        return self._join(self.map(raw).mean((2, 3)), raw[:, :, -REGIONS:])

    def head(self, pooled: Tensor) -> Tensor:
        """Return (B, 1024) from (B, 384), which stand for every region too."""
        return self._join(pooled, pooled[:, :, None].expand(-1, -1, REGIONS))

    def _join(self, whole: Tensor, regions: Tensor) -> Tensor:
        vectors = (self.fc_global(whole), self.fc_local(regions.mT.flatten(1)))
        return torch.cat([F.normalize(vector) for vector in vectors], dim=1)

    def drop_head(self) -> None:
        """Remove the linear layers."""
        self.fc_global = self.fc_local = nn.Sequential()
