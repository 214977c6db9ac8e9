"""What stands between the feature and the embedding.

Every neck gives both from a vector (B, D): the feature, which metric losses take, and the embedding, which the
classifier takes and which is searched with.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from reseen.models.backbones.base import Side


class Necked(NamedTuple):
    """Two views of the same vectors, (B, D) each."""

    feature: Tensor
    embedding: Tensor


class NoNeck(nn.Module):
    """The embedding is the feature."""

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, vectors: Tensor, side: Side) -> Necked:
        """Return the vectors twice."""
        return Necked(vectors, vectors)


class BNNeck(nn.Module):
    """Batch norm between the feature and the embedding, with its bias fixed at zero.

    Luo et al., Bag of Tricks and A Strong Baseline for Deep Person Re-identification, arXiv:1903.07071, section 4.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(dim)
        self.bn.bias.requires_grad_(False)

    def forward(self, vectors: Tensor, side: Side) -> Necked:
        """Return the vectors before and after the norm."""
        return Necked(vectors, self.bn(vectors))


NECKS: dict[str, type[nn.Module]] = {"none": NoNeck, "bnneck": BNNeck}
