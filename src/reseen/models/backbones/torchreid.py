"""Networks of torchreid's model zoo beside OSNet, ResNet and HACNN: MobileNetV2, MLFN, ShuffleNet.

Modules bear the names that its published weights use, so that these load as they are.

Dimensions: B images, C channels, h x w positions of a map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, SideInfo


class ConvNorm(nn.Module):
    """Convolution, batch norm and ReLU, or ReLU6 where the convolution has no bias, as in MobileNetV2."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.bn = nn.BatchNorm2d(outputs)
        self.six = not bias

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w)."""
        x = self.bn(self.conv(x))
        return F.relu6(x) if self.six else F.relu(x)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: more channels, a convolution of each, fewer channels without ReLU."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.conv1 = ConvNorm(inputs, middle)
        self.dwconv2 = ConvNorm(middle, middle, 3, stride=stride, groups=middle)
        self.conv3 = nn.Sequential(nn.Conv2d(middle, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w)."""
        y: Tensor = self.conv3(self.dwconv2(self.conv1(x)))
        return x + y if self.residual else y


class Chain(Backbone):
    """Base class of networks whose modules run one after the other."""

    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        """Return the map (B, C, H / 32, W / 32)."""
        for module in self.children():
            images = module(images)
        return images

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, C): the mean of the map."""
        return raw.mean((2, 3))


class MobileNetV2(Chain):
    """MobileNetV2 at a width; unlike timm's its first block has a convolution before the one of each channel.

    Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381, table 2.

    Args:
        size: Height and width of the pictures; any.
        width: Factor of the channels, 1.0 or 1.4.
    """

    # Expansion, channels, blocks and stride of the first block, of each stage.
    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self, size: tuple[int, int], *, width: float = 1.0) -> None:
        super().__init__()
        inputs = int(32 * width)
        self.conv1 = ConvNorm(3, inputs, 3, stride=2)
        for number, (expansion, channels, count, stride) in enumerate(self.STAGES, start=2):
            blocks = []
            for block in range(count):
                outputs = int(channels * width)
                step = stride if block == 0 else 1
                blocks.append(InvertedResidual(inputs, outputs, expansion=expansion, stride=step))
                inputs = outputs
            self.add_module(f"conv{number}", nn.Sequential(*blocks))
        self.channels = self.dim = int(1280 * width)
        self.conv9 = ConvNorm(inputs, self.channels)


class FactorBlock(nn.Module):
    """MLFN's block: a residual block whose groups are weighed by a small network of its input (figure 2).

    Args:
        inputs: Channels.
        outputs: Channels.
        stride: Of the grouped convolution.
        hidden: Channels within the small network.
    """

    GROUPS = 32

    def __init__(self, inputs: int, outputs: int, *, stride: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        middle = outputs // 2
        self.fm_conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.fm_bn1 = nn.BatchNorm2d(middle)
        self.fm_conv2 = nn.Conv2d(middle, middle, 3, stride, 1, groups=self.GROUPS, bias=False)
        self.fm_bn2 = nn.BatchNorm2d(middle)
        self.fm_conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.fm_bn3 = nn.BatchNorm2d(outputs)
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1)]
        for one, two in zip((inputs, *hidden), (*hidden, self.GROUPS), strict=True):
            layers += [nn.Conv2d(one, two, 1), nn.BatchNorm2d(two), nn.ReLU()]
        self.fsm = nn.Sequential(*layers[:-1], nn.Sigmoid())
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, outputs, h, w) and the weights of the groups (B, 32, 1, 1)."""
        weights = self.fsm(x)
        y = F.relu(self.fm_bn1(self.fm_conv1(x)))
        y = F.relu(self.fm_bn2(self.fm_conv2(y)))
        y = y * weights.repeat_interleave(y.shape[1] // self.GROUPS, dim=1)
        y = F.relu(self.fm_bn3(self.fm_conv3(y)))
        return F.relu(self.downsample(x) + y), weights


class MLFN(Backbone):
    """MLFN; its map has the weights of all blocks' groups as further channels, alike at every position.

    Chang et al., Multi-Level Factorisation Net for Person Re-Identification, arXiv:1803.09132.

    Args:
        size: Height and width of the pictures; any.
    """

    # Channels, blocks, and those within the small networks, of each stage.
    STAGES = ((256, 3, (128, 64)), (512, 4, (256, 128)), (1024, 6, (512, 128)), (2048, 3, (512, 128)))
    dim = 1024

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(64)
        blocks, inputs = [], 64
        for stage, (outputs, count, hidden) in enumerate(self.STAGES):
            for block in range(count):
                stride = 2 if block == 0 and stage > 0 else 1
                blocks.append(FactorBlock(inputs, outputs, stride=stride, hidden=hidden))
                inputs = outputs
        self.feature = nn.ModuleList(blocks)
        factors = FactorBlock.GROUPS * len(blocks)
        self.channels = inputs + factors
        self.fc_x = nn.Sequential(nn.Conv2d(inputs, self.dim, 1, bias=False), nn.BatchNorm2d(self.dim), nn.ReLU())
        self.fc_s = nn.Sequential(nn.Conv2d(factors, self.dim, 1, bias=False), nn.BatchNorm2d(self.dim), nn.ReLU())
        self.split = [inputs, factors]

    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        """Return the map (B, C, H / 32, W / 32)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, stride=2, padding=1)
        factors = []
        for block in self.feature:
            x, weights = block(x)
            factors.append(weights)
        return torch.cat([x, torch.cat(factors, dim=1).expand(-1, -1, *x.shape[2:])], dim=1)

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, 1024): projections of the mean of the map and of the weights, averaged (equation 4)."""
        features, factors = torch.split(raw.mean((2, 3), keepdim=True), self.split, dim=1)
        vector: Tensor = (self.fc_x(features) + self.fc_s(factors)) / 2
        return vector.flatten(1)

    def drop_head(self) -> None:
        """Remove both projections."""
        self.fc_x = self.fc_s = nn.Sequential()


class ShuffleBlock(nn.Module):
    """ShuffleNet's block: grouped convolutions, and channels dealt out to the groups in between (figure 2).

    Args:
        inputs: Channels.
        outputs: Channels; where there are more than inputs, the input is shrunk and put before the block's own.
        first_groups: Of the first convolution.
    """

    GROUPS = 3

    def __init__(self, inputs: int, outputs: int, *, first_groups: int = GROUPS) -> None:
        super().__init__()
        middle = outputs // 4
        self.shrink = inputs != outputs
        outputs = outputs - inputs if self.shrink else outputs
        self.conv1 = nn.Conv2d(inputs, middle, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, 2 if self.shrink else 1, 1, groups=middle, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1, groups=self.GROUPS, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w)."""
        y = F.channel_shuffle(F.relu(self.bn1(self.conv1(x))), self.GROUPS)
        y = self.bn3(self.conv3(self.bn2(self.conv2(y))))
        return F.relu(torch.cat([F.avg_pool2d(x, 3, 2, 1), y], dim=1) if self.shrink else x + y)


class ShuffleNet(Chain):
    """ShuffleNet with three groups.

    Zhang et al., ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices, arXiv:1707.01083.

    Args:
        size: Height and width of the pictures; any.
    """

    # Channels and blocks of each stage (table 1).
    STAGES = ((240, 4), (480, 8), (960, 4))

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        inputs = 24
        first = nn.Conv2d(3, inputs, 3, 2, 1, bias=False)
        self.conv1 = nn.Sequential(first, nn.BatchNorm2d(inputs), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        for number, (outputs, count) in enumerate(self.STAGES, start=2):
            blocks = [ShuffleBlock(inputs, outputs, first_groups=1 if number == 2 else ShuffleBlock.GROUPS)]
            blocks += [ShuffleBlock(outputs, outputs) for _ in range(count - 1)]
            self.add_module(f"stage{number}", nn.Sequential(*blocks))
            inputs = outputs
        self.channels = self.dim = inputs
