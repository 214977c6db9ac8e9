"""Network with one global vector: backbone, pooling, neck."""

from __future__ import annotations

from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, SideInfo
from reseen.models.networks.base import HeadOptions, Network, Outputs


class GlobalNetwork(Network):
    """Network with one vector for the whole picture.

    Args:
        backbone: Gives the features.
        options: The network's own are the backbone's pooling and dimension, and the neck ``bnneck``.
    """

    def __init__(self, backbone: Backbone, options: HeadOptions) -> None:
        super().__init__(backbone, options)
        self.pooling = None if options.pooling == "own" else options.build_pooling(own="average")
        self.reduction = nn.Identity() if options.dim is None else nn.Linear(backbone.dim, options.dim, bias=False)
        dim = options.dim or backbone.dim
        self.dims = {"feature": dim, "embedding": dim}
        self.neck = options.build_neck(dim, own="bnneck")

    def forward(self, images: Tensor, side: SideInfo) -> Outputs:
        """Return the outputs for normalised images (B, 3, H, W)."""
        raw = self.backbone(images, side)
        if self.pooling is None:
            vectors = self.backbone.pool(raw)
        else:
            vectors = self.backbone.head(self.pooling(self.backbone.map(raw)).squeeze(2))
        feature, embedding = self.neck(self.reduction(vectors), side)
        return Outputs(feature, embedding, {})
