"""timm's ResNets as backbones, and in-place changes to them: stride, stem."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reseen.models.backbones.base import BackboneParts
from reseen.models.backbones.timm import SequentialBody, TimmBackbone

STAGES = (1, 2, 3, 4)


def is_resnet(network: nn.Module) -> bool:
    """Tell whether a network has the four stages of timm's ResNets."""
    return all(hasattr(network, f"layer{stage}") for stage in STAGES)


def blocks(network: nn.Module, stage: int) -> list[nn.Module]:
    """Return the blocks of a stage, counted from 1.

    Raises:
        ValueError: The network is no ResNet.
    """
    if not is_resnet(network):
        raise ValueError(
            f"expected a ResNet of timm, got {type(network).__name__}; leave the ResNet options as they are"
        )
    return list(network.get_submodule(f"layer{stage}").children())


def last_activation(block: nn.Module) -> tuple[str, int]:
    """Return the name of the activation that ends a block, and the block's channels.

    Raises:
        ValueError: The block has none by the names of timm's ResNets.
    """
    for activation, norm in (("act3", "bn3"), ("act2", "bn2")):
        if hasattr(block, activation):
            return activation, int(getattr(block, norm).num_features)
    raise ValueError(f"expected a block of timm's ResNet, got {type(block).__name__}, whose last activation is unknown")


def keep_last_map(network: nn.Module) -> None:
    """Take the stride out of the last stage, so that its map is twice as high and wide; no weight changes.

    Args:
        network: A ResNet, or a part of one that has its last stage as ``layer4``.
    """
    first = network.get_submodule("layer4.0")
    for name, module in list(first.named_modules()):
        if getattr(module, "stride", None) not in (2, (2, 2)):
            continue
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
        elif isinstance(module, nn.AvgPool2d) and module.padding == 1:
            module.stride = 1  # ResNeSt's pooling within a block, which its authors keep without the stride.
        elif not list(module.parameters()):
            # Average pooling of the shortcut, or an anti-aliasing filter: all that it does is to shrink the map.
            first.set_submodule(name, nn.Identity())


def change_stem(network: nn.Module, stem: str) -> None:
    """Give a ResNet the stem of the project that its weights come from.

    Args:
        network: Changed in place.
        stem: ``strong-baseline`` or ``fast-reid``.
    """
    if stem == "strong-baseline":
        network.act1 = nn.Identity()
    else:
        network.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)


class ResNetBackbone(TimmBackbone):
    """A ResNet of timm, cut where MGN cuts it."""

    def parts(self) -> BackboneParts:
        """Return the network cut after the stem and after the first block of stage 3 (arXiv:1804.01438, 3.1)."""
        network = self.network
        third = list(network.layer3)
        return BackboneParts(
            super().parts().stem,
            SequentialBody(network.layer1, network.layer2, third[0]),
            nn.Sequential(OrderedDict(layer3=nn.Sequential(*third[1:]), layer4=network.layer4)),
        )
