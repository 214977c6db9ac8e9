"""Base class of networks: a backbone with pooling and necks, and its outputs.

Dimensions: B images, D components of the embedding, d components of a branch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, SideInfo
from reseen.models.layers.necks import build_neck
from reseen.models.layers.pooling import POOLINGS


class Outputs(NamedTuple):
    """Outputs of a network, which the losses of a training step take.

    Attributes:
        feature: (B, D), before the neck.
        embedding: (B, D), after the neck; what is searched with.
        branches: Name -> (B, d) of each branch, after its neck; empty for networks with one branch.
    """

    feature: Tensor
    embedding: Tensor
    branches: Mapping[str, Tensor]


@dataclass(frozen=True)
class HeadOptions:
    """Options of a network's pooling, reduction and neck.

    Attributes:
        pooling: One of ``POOLINGS``, or ``own`` for the network's own choice.
        dim: Components of the feature, or of each branch; None for the network's own choice.
        neck: One of ``NECKS``, ``none``, or ``own`` for the network's own choice.
        per_modality: Whether necks have a norm per modality.
    """

    pooling: str = "own"
    dim: int | None = None
    neck: str = "own"
    per_modality: bool = False

    def build_pooling(self, *, own: str) -> nn.Module:
        """Return a new pooling layer: the one asked for, or the network's own."""
        return POOLINGS[own if self.pooling == "own" else self.pooling]()

    def build_neck(self, dim: int, *, own: str) -> nn.Module:
        """Return a new neck for vectors (B, dim): the one asked for, or the network's own."""
        return build_neck(own if self.neck == "own" else self.neck, dim, per_modality=self.per_modality)


class Network(nn.Module, ABC):
    """Base class of networks; a subclass is named by ``package.Class`` as ``network`` of a ``ModelSpec``.

    Args:
        backbone: Gives the features; its parameters become the network's.
        options: Pooling, dimension and neck.

    Attributes:
        dims: Name of an output (``feature``, ``embedding``, ``branch.NAME``) -> its number of components.
    """

    dims: dict[str, int]

    def __init__(self, backbone: Backbone, options: HeadOptions) -> None:
        super().__init__()
        self.backbone = backbone

    @abstractmethod
    def forward(self, images: Tensor, side: SideInfo) -> Outputs:
        """Return the outputs for normalised images (B, 3, H, W)."""

    def pretrained(self) -> list[nn.Module]:
        """Return the modules whose weights come from the backbone: what is frozen while the rest is warmed up."""
        return [self.backbone]
