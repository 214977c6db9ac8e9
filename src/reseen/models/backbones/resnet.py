"""Changes to timm's ResNets and their kin, made in place on a network that timm built."""

from __future__ import annotations

from torch import nn


def is_resnet(network: nn.Module) -> bool:
    """Tell whether a network has the four stages of timm's ResNets."""
    return all(hasattr(network, f"layer{stage}") for stage in (1, 2, 3, 4))


def keep_last_map(network: nn.Module) -> None:
    """Take the stride out of the last stage, so that its map is twice as high and wide; no weight changes.

    Raises:
        ValueError: The network is no ResNet.
    """
    if not is_resnet(network):
        raise ValueError(f"expected a ResNet of timm, got {type(network).__name__}")
    first = network.get_submodule("layer4.0")
    for name, module in list(first.named_modules()):
        if getattr(module, "stride", None) not in (2, (2, 2)):
            continue
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
        elif not list(module.parameters()):
            # Average pooling of the shortcut, or an anti-aliasing filter: all that it does is to shrink the map.
            first.set_submodule(name, nn.Identity())
