"""OSNet: omni-scale features, mixed by a gate that all scales share; OSNet-IBN and OSNet-AIN, for other places.

Zhou et al., Omni-Scale Feature Learning for Person Re-Identification, arXiv:1905.00953, and Learning Generalisable
Omni-Scale Representations for Person Re-Identification, arXiv:1910.06827. Modules bear the names that the authors'
published weights of OSNet and OSNet-IBN use, so that these load as they are; those of OSNet-AIN are renamed.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, BackboneParts, SideInfo

# Output channels of the stem and the three stages (section 3.3, table 1), at each width multiplier.
WIDTHS = {
    "x1_0": (64, 256, 384, 512),
    "x0_75": (48, 192, 288, 384),
    "x0_5": (32, 128, 192, 256),
    "x0_25": (16, 64, 96, 128),
}
DIM = 512

Place = Literal["inside", "after"] | None
"""Where a block has an instance norm: inside the residual, in place of the last batch norm; after the addition."""

# The place in each of the two blocks of the three stages. OSNet-AIN's are those that its search found (figure 5).
PLACES: dict[str, tuple[tuple[Place, Place], ...]] = {
    "osnet": ((None, None), (None, None), (None, None)),
    "osnet_ibn": (("after", "after"), (None, None), (None, None)),
    "osnet_ain": (("inside", "inside"), (None, "inside"), ("inside", None)),
}
NAMES = tuple(f"{kind}_{width}" for kind in PLACES for width in WIDTHS)


class ConvNorm(nn.Module):
    """Convolution and norm, then ReLU unless ``linear``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        padding: int = 0,
        linear: bool = False,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs) if norm is None else norm
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w)."""
        x = self.bn(self.conv(x))
        return x if self.linear else F.relu(x, inplace=True)


class LightConv(nn.Module):
    """A 3x3 convolution in two: pointwise, then depthwise (figure 3b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of ``x``."""
        x = self.bn(self.conv2(self.conv1(x)))
        return F.relu(x, inplace=True)


class AggregationGate(nn.Module):
    """Weigh the channels of one scale by a small network that all scales share (equation 3)."""

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of ``x``."""
        weight: Tensor = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * weight.sigmoid()


class OmniScaleBlock(nn.Module):
    """A residual block with streams of one to four light convolutions: receptive fields 3, 5, 7 and 9 (figure 4).

    Args:
        inputs: Channels.
        outputs: Channels.
        instance: Where it has an instance norm.
    """

    def __init__(self, inputs: int, outputs: int, *, instance: Place = None) -> None:
        super().__init__()
        middle = outputs // 4
        self.conv1 = ConvNorm(inputs, middle)
        self.conv2a = LightConv(middle)
        self.conv2b = nn.Sequential(*[LightConv(middle) for _ in range(2)])
        self.conv2c = nn.Sequential(*[LightConv(middle) for _ in range(3)])
        self.conv2d = nn.Sequential(*[LightConv(middle) for _ in range(4)])
        self.gate = AggregationGate(middle)
        self.conv3 = ConvNorm(middle, outputs, linear=True, norm=nn.Identity() if instance == "inside" else None)
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance else None
        self.instance = instance
        self.downsample = ConvNorm(inputs, outputs, linear=True) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.conv1(x)
        mixed = (
            self.gate(self.conv2a(y))
            + self.gate(self.conv2b(y))
            + self.gate(self.conv2c(y))
            + self.gate(self.conv2d(y))
        )
        residual = self.conv3(mixed)
        if self.IN is not None and self.instance == "inside":
            return F.relu(self.IN(residual) + shortcut)
        added = residual + shortcut
        return F.relu(added if self.IN is None else self.IN(added))


class OSNet(Backbone):
    """OSNet, OSNet-IBN or OSNet-AIN at one of four widths; its own vector has 512 components at all of them.

    Args:
        name: ``osnet_x1_0``, ``osnet_x0_75``, ``osnet_x0_5`` or ``osnet_x0_25``; ``osnet_ibn_`` and ``osnet_ain_`` for
            those with instance norms.

    Raises:
        ValueError: There is no such network.
    """

    dim = DIM

    def __init__(self, name: str = "osnet_x0_25") -> None:
        super().__init__()
        if name not in NAMES:
            raise ValueError(f"expected one of {', '.join(NAMES)}, got {name!r}")
        kind, _, width = name.partition("_x")
        stem, two, three, four = WIDTHS[f"x{width}"]
        places = PLACES[kind]
        self.channels = four
        norm = None if kind == "osnet" else nn.InstanceNorm2d(stem, affine=True)
        self.conv1 = ConvNorm(3, stem, kernel=7, stride=2, padding=3, norm=norm)
        self.conv2 = self._stage(stem, two, places[0], shrink=True)
        self.conv3 = self._stage(two, three, places[1], shrink=True)
        self.conv4 = self._stage(three, four, places[2], shrink=False)
        self.conv5 = ConvNorm(four, four)
        self.fc: nn.Module = nn.Sequential(nn.Linear(four, DIM), nn.BatchNorm1d(DIM), nn.ReLU())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)

    @staticmethod
    def _stage(inputs: int, outputs: int, places: tuple[Place, Place], *, shrink: bool) -> nn.Sequential:
        blocks: list[nn.Module] = [
            OmniScaleBlock(inputs, outputs, instance=places[0]),
            OmniScaleBlock(outputs, outputs, instance=places[1]),
        ]
        if shrink:
            blocks.append(nn.Sequential(ConvNorm(outputs, outputs), nn.AvgPool2d(2)))
        return nn.Sequential(*blocks)

    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        """Return the map (B, C, H / 16, W / 16)."""
        features: Tensor = self.conv5(self.conv4(self._body(self.conv1(images), side)))
        return features

    def _body(self, x: Tensor, side: SideInfo) -> Tensor:
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        middle: Tensor = self.conv3(self.conv2(x))
        return middle

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, 512): the average of the map, then a linear layer with batch norm and ReLU."""
        vector: Tensor = self.fc(raw.mean((2, 3)))
        return vector

    def drop_head(self) -> None:
        """Remove the linear layer."""
        self.fc = nn.Identity()

    def parts(self) -> BackboneParts:
        """Return the network cut after the first layer and before the last stage."""
        return BackboneParts(self.conv1, self._body, nn.Sequential(self.conv4, self.conv5))
