"""IBN-a and IBN-b: instance norm beside batch norm in ResNets.

Pan et al., Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net, arXiv:1807.09441, figure 3.
Both are made in place on a network of timm and keep the values of the norms that they replace.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from reseen.models.backbones.resnet import blocks, last_activation


class InstanceBatchNorm(nn.Module):
    """Instance norm on the first half of the channels, batch norm on the others.

    Args:
        norm: The batch norm to replace, whose values go on in both halves.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.split = norm.num_features // 2
        self.IN = nn.InstanceNorm2d(self.split, eps=norm.eps, affine=True)
        self.BN = nn.BatchNorm2d(norm.num_features - self.split, eps=norm.eps, momentum=norm.momentum)
        values = norm.state_dict()
        self.IN.load_state_dict({name: values[name][: self.split] for name in ("weight", "bias")})
        self.BN.load_state_dict({name: v[self.split :] if v.ndim else v for name, v in values.items()})

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of ``x``."""
        instance, batch = x[:, : self.split], x[:, self.split :]
        return torch.cat([self.IN(instance), self.BN(batch)], dim=1)


def add_ibn_a(network: nn.Module) -> None:
    """Put instance norm into half of the first norm of every block of the first three stages.

    Raises:
        ValueError: The network is no ResNet.
    """
    for stage in (1, 2, 3):
        for block in blocks(network, stage):
            block.bn1 = InstanceBatchNorm(_batch_norm(block))


def add_ibn_b(network: nn.Module) -> None:
    """Put instance norm in place of the stem's norm, and after the addition in the last blocks of stages 1 and 2.

    Raises:
        ValueError: The network is no ResNet.
    """
    for stage in (1, 2):
        last = blocks(network, stage)[-1]
        name, channels = last_activation(last)
        norm = nn.InstanceNorm2d(channels, affine=True)
        setattr(last, name, nn.Sequential(OrderedDict(IN=norm, act=getattr(last, name))))
    old = _batch_norm(network)
    network.bn1 = nn.InstanceNorm2d(old.num_features, eps=old.eps, affine=True)
    network.bn1.load_state_dict({name: old.state_dict()[name] for name in ("weight", "bias")})


def _batch_norm(module: nn.Module) -> nn.BatchNorm2d:
    norm = module.get_submodule("bn1")
    if not isinstance(norm, nn.BatchNorm2d):
        raise ValueError(f"expected batch norm to replace, got {type(norm).__name__}")
    return norm
