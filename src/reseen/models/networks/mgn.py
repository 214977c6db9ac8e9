"""MGN: branches for the whole picture, its halves and its thirds, each with a last stage of its own.

Wang et al., Learning Discriminative Features with Multiple Granularities for Person Re-Identification,
arXiv:1804.01438, figure 3 and table 1.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, SideInfo
from reseen.models.backbones.resnet import keep_last_map
from reseen.models.networks.base import HeadOptions, Network, Outputs
from reseen.models.networks.branch_heads import BranchHeads

# Into how many strips each tail's map is cut; the first tail is the backbone's own.
STRIPS = (1, 2, 3)


class MGN(Network):
    """MGN with three tails on one trunk, and eight vectors: ``global``, ``global_2``, ``part_2_1`` ... ``part_3_3``.

    A tail with strips gives a vector of its whole map and one of each strip, from top to bottom. Where the backbone
    keeps a stride in its last stage, the tail without strips keeps it and the others do not, as in the paper; where it
    has none, no tail has, as in fast-reid.

    Args:
        backbone: Its own tail serves the whole; the two other tails start as copies.
        options: The paper's own are ``max`` pooling, 256 components, and the neck ``rectified``; ``dim`` is that of
            components of each vector.

    Raises:
        ValueError: The backbone cannot be cut before its last stage.

    Note:
        The paper gives its classifiers the global vectors before the reduction, of 2048 components. Here every loss
        takes the reduced vectors, as fast-reid and later reproductions have it.
    """

    def __init__(self, backbone: Backbone, options: HeadOptions) -> None:
        super().__init__(backbone, options)
        backbone.drop_head()
        # A tuple does not register its modules: they are the backbone's, and are registered there.
        self._parts = backbone.parts()
        self.tails = nn.ModuleList([copy.deepcopy(self._parts.tail) for _ in STRIPS[1:]])
        for tail in self.tails:
            if hasattr(tail, "layer4"):
                keep_last_map(tail)
        self.pooling = options.build_pooling(own="max")
        dims = dict.fromkeys([name for strips in STRIPS for name in _names(strips)], options.dim or 256)
        self.reductions = BranchHeads(backbone.channels, dims, options)
        self.dims = self.reductions.dims

    def forward(self, images: Tensor, side: SideInfo) -> Outputs:
        """Return the outputs for normalised images (B, 3, H, W)."""
        shared = self._parts.body(self._parts.stem(images), side)
        pooled: list[Tensor] = []
        for strips, tail in zip(STRIPS, (self._parts.tail, *self.tails), strict=True):
            features = self.backbone.map(tail(shared))
            pooled += self.pooling(features).unbind(2)
            if strips > 1:
                pooled += self.pooling(features, strips).unbind(2)
        outputs: Outputs = self.reductions(pooled, side)
        return outputs

    def pretrained(self) -> list[nn.Module]:
        """Return the modules whose weights come from the backbone."""
        return [self.backbone, self.tails]


def _names(strips: int) -> list[str]:
    if strips == 1:
        return ["global"]
    return [f"global_{strips}", *(f"part_{strips}_{i}" for i in range(1, strips + 1))]
