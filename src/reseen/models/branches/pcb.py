"""PCB: one vector for each of six strips of the map.

Sun et al., Beyond Part Models: Person Retrieval with Refined Part Pooling, arXiv:1711.09349, figure 2, without the
refinement of section 3.4.
"""

from __future__ import annotations

from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, Side
from reseen.models.branches.reduction import Reductions
from reseen.models.outputs import Outputs
from reseen.models.pooling import POOLINGS


class PCB(nn.Module):
    """Vectors ``strip_1`` (top) to ``strip_6`` (bottom).

    Args:
        backbone: Gives the map.
        strips: How many.
        pooling: One of ``POOLINGS``, or ``own`` for the paper's ``average``.
        dim: Components of each vector; None for the paper's 256.
        neck: What ends each branch; ``own`` for ``rectified``.
        per_modality: Whether the necks have a norm per modality.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        strips: int = 6,
        pooling: str = "own",
        dim: int | None = None,
        neck: str = "own",
        per_modality: bool = False,
    ) -> None:
        super().__init__()
        backbone.drop_head()
        self.backbone = backbone
        self.pooling = POOLINGS["average" if pooling == "own" else pooling]()
        self.strips = strips
        dims = dict.fromkeys([f"strip_{i}" for i in range(1, strips + 1)], dim or 256)
        self.reductions = Reductions(backbone.channels, dims, neck=neck, per_modality=per_modality)
        self.dims = self.reductions.dims

    def forward(self, images: Tensor, side: Side) -> Outputs:
        """Return the outputs for normalised images (B, 3, H, W)."""
        features = self.backbone.map(self.backbone(images, side))
        outputs: Outputs = self.reductions(self.pooling(features, self.strips).unbind(2), side)
        return outputs

    def pretrained(self) -> list[nn.Module]:
        """Return the modules whose weights come from the backbone."""
        return [self.backbone]
