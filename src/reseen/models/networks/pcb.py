"""PCB: one vector for each of six strips of the map.

Sun et al., Beyond Part Models: Person Retrieval with Refined Part Pooling, arXiv:1711.09349, figure 2, without the
refinement of section 3.4.
"""

from __future__ import annotations

from torch import Tensor

from reseen.models.backbones.base import Backbone, SideInfo
from reseen.models.networks.base import HeadOptions, Network, Outputs
from reseen.models.networks.branch_heads import BranchHeads


class PCB(Network):
    """PCB with vectors ``strip_1`` (top) to ``strip_6`` (bottom).

    Args:
        backbone: Gives the map.
        strips: How many.
        options: The paper's own are ``average`` pooling, 256 components, and the neck ``rectified``; ``dim`` is that of
            each vector.
    """

    def __init__(self, backbone: Backbone, options: HeadOptions, *, strips: int = 6) -> None:
        super().__init__(backbone, options)
        backbone.drop_head()
        self.pooling = options.build_pooling(own="average")
        self.strips = strips
        dims = dict.fromkeys([f"strip_{i}" for i in range(1, strips + 1)], options.dim or 256)
        self.reductions = BranchHeads(backbone.channels, dims, options)
        self.dims = self.reductions.dims

    def forward(self, images: Tensor, side: SideInfo) -> Outputs:
        """Return the outputs for normalised images (B, 3, H, W)."""
        features = self.backbone.map(self.backbone(images, side))
        outputs: Outputs = self.reductions(self.pooling(features, self.strips).unbind(2), side)
        return outputs
