"""The network of most papers: backbone, pooling, neck."""

from __future__ import annotations

from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, Side
from reseen.models.necks import build_neck
from reseen.models.outputs import Outputs
from reseen.models.pooling import POOLINGS


class Plain(nn.Module):
    """One vector for the whole picture.

    Args:
        backbone: Gives the features.
        pooling: ``own``, or one of ``POOLINGS``.
        dim: Components of the feature; None for the backbone's own.
        neck: One of ``NECKS``, or ``own`` for ``bnneck``.
        per_modality: Whether the neck has a norm per modality.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        pooling: str = "own",
        dim: int | None = None,
        neck: str = "own",
        per_modality: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = None if pooling == "own" else POOLINGS[pooling]()
        self.reduction = nn.Identity() if dim is None else nn.Linear(backbone.dim, dim, bias=False)
        self.dims = {"feature": dim or backbone.dim, "embedding": dim or backbone.dim}
        self.neck = build_neck("bnneck" if neck == "own" else neck, self.dims["feature"], per_modality=per_modality)

    def forward(self, images: Tensor, side: Side) -> Outputs:
        """Return the outputs for normalised images (B, 3, H, W)."""
        raw = self.backbone(images, side)
        if self.pooling is None:
            vectors = self.backbone.pool(raw)
        else:
            vectors = self.backbone.head(self.pooling(self.backbone.map(raw)).squeeze(2))
        feature, embedding = self.neck(self.reduction(vectors), side)
        return Outputs(feature, embedding, {})

    def pretrained(self) -> list[nn.Module]:
        """Return the modules whose weights come from the backbone."""
        return [self.backbone]
