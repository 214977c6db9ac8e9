"""Base class of backbones.

Dimensions: B images, C channels of the map, h x w its positions, D components of the network's own vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class SideInfo(NamedTuple):
    """Side information of a batch: cameras, views, modalities; None where unknown.

    Attributes:
        cameras: (B,) int64, index of the camera, for networks with camera embeddings; -1 for one that is not known.
        views: (B,) int64, index of the viewpoint, for networks with view embeddings; -1 likewise.
        modalities: (B,) int64, 0 visible and 1 infrared, for networks that treat the two apart.
    """

    cameras: Tensor | None = None
    views: Tensor | None = None
    modalities: Tensor | None = None


class BackboneParts(NamedTuple):
    """A backbone cut in three, which run one after the other. The modules are the backbone's own, not copies.

    Attributes:
        stem: Images -> Tensor; what a two-stream network has twice.
        body: Tensor and side -> Tensor; what branches share.
        tail: Tensor -> raw features; what each branch of MGN has for itself.
    """

    stem: nn.Module
    body: Callable[[Tensor, SideInfo], Tensor]
    tail: nn.Module


class Backbone(nn.Module, ABC):
    """Base class of backbones: normalised images to features.

    Calling it gives the *raw* features in the network's own layout, which ``map`` and ``pool`` understand.

    Attributes:
        channels: C, channels of the feature map.
        dim: D, components of the network's own vector.
        mean: The red, green and blue that the network takes for zero, in 0..1.
        std: As ``mean``, the scale.
        names: What published names of weights lack at their front, such as ``network.``.
    """

    channels: int
    dim: int
    names: str = ""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @abstractmethod
    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        """Return the raw features of normalised images (B, 3, H, W)."""

    @abstractmethod
    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, D): the network's own pooling and all that it does between there and its classifier."""

    def map(self, raw: Tensor) -> Tensor:
        """Return the raw features as a map (B, C, h, w)."""
        return raw

    def head(self, pooled: Tensor) -> Tensor:
        """Return (B, D) from vectors (B, C) pooled elsewhere: what the network does after its own pooling."""
        return self.pool(pooled[:, :, None, None])

    def drop_head(self) -> None:
        """Remove what only ``pool`` and ``head`` use, for networks that take the map and nothing else."""

    def layers(self) -> dict[str, int]:
        """Return the layer of every parameter by its name, 0 for the first, for learning rates that differ by layer.

        Raises:
            ValueError: The network does not say.
        """
        raise ValueError(f"expected a network of timm for learning rates by layer, got {type(self).__name__}")

    def checkpoint_gradients(self) -> None:
        """Keep no activations within blocks for the gradient, which computes them again: less memory, more time.

        Raises:
            ValueError: The network cannot.
        """
        raise ValueError(f"expected a network of timm for gradient checkpointing, got {type(self).__name__}")

    def adapt(self, name: str, tensor: Tensor) -> Tensor:
        """Return a published tensor in the shape that a weight of this network has at this size of picture."""
        return tensor

    def parts(self) -> BackboneParts:
        """Return the network in three parts.

        Raises:
            ValueError: The network cannot be cut.
        """
        raise ValueError(f"expected a network that can be cut into stem, body and tail, got {type(self).__name__}")
