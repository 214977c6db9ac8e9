"""Non-local blocks for ResNets: attention over all positions of a map.

Wang et al., Non-local Neural Networks, arXiv:1711.07971, the dot-product form of equation 4, as in AGW
(Ye et al., arXiv:2001.04193) and fast-reid.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from reseen.models.backbones.resnet import blocks, last_activation


class NonLocal(nn.Module):
    """Add to each position the mean over all positions of their values, weighted by resemblance.

    The last norm starts at zero, so that a new block changes nothing.

    Args:
        channels: Of the map.
        middle: Of queries, keys and values.
    """

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, middle, 1)
        self.phi = nn.Conv2d(channels, middle, 1)
        self.g = nn.Conv2d(channels, middle, 1)
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv2d(middle, channels, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of ``x``."""
        query, key, value = self.theta(x).flatten(2), self.phi(x).flatten(2), self.g(x).flatten(2)
        resemblance = query.mT @ key / key.shape[2]
        gathered = torch.einsum("bij,bcj->bci", resemblance, value).view(*value.shape[:2], *x.shape[2:])
        added: Tensor = self.W(gathered)
        return x + added


def add_non_local(network: nn.Module, *, one_channel: bool = False) -> None:
    """Put non-local blocks after the last two blocks of stage 2 and the last three of stage 3, or nine where it has 23.

    Args:
        network: A ResNet of timm, changed in place.
        one_channel: Queries, keys and values of one channel, as in fast-reid's weights, rather than half.

    Raises:
        ValueError: The network is no ResNet.
    """
    for stage, count in ((2, 2), (3, 9 if len(blocks(network, 3)) == 23 else 3)):
        for block in blocks(network, stage)[-count:]:
            name, channels = last_activation(block)
            added = NonLocal(channels, 1 if one_channel else channels // 2)
            setattr(block, name, nn.Sequential(OrderedDict(act=getattr(block, name), non_local=added)))
