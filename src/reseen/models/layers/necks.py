"""Necks: layers between feature and embedding.

Every neck gives both from vectors (B, D): the feature, which metric losses take, and the embedding, which the
classifier takes and which is searched with.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from reseen.models.backbones.base import SideInfo
from reseen.models.layers.two_stream import route


class Necked(NamedTuple):
    """Two views of the same vectors, (B, D) each."""

    feature: Tensor
    embedding: Tensor


class NoNeck(nn.Module):
    """The embedding is the feature."""

    def forward(self, vectors: Tensor, side: SideInfo) -> Necked:
        """Return the vectors twice."""
        return Necked(vectors, vectors)


class NormNeck(nn.Module):
    """Base class of necks on a batch norm, whose bias is fixed at zero if ``centred``.

    Args:
        norm: ``Norm`` or ``NormPerModality``.
    """

    centred = True

    def __init__(self, norm: Norm | NormPerModality) -> None:
        super().__init__()
        self.bn = norm
        if self.centred:
            freeze_bias(norm)


class BNNeck(NormNeck):
    """Batch norm between the feature and the embedding, with its bias fixed at zero.

    Luo et al., Bag of Tricks and A Strong Baseline for Deep Person Re-identification, arXiv:1903.07071, section 4.
    """

    def forward(self, vectors: Tensor, side: SideInfo) -> Necked:
        """Return the vectors before and after the norm."""
        return Necked(vectors, self.bn(vectors, side))


class CommonNorm(NormNeck):
    """Batch norm whose output is both: metric loss and classifier act on the same vectors.

    Ye et al., Bi-directional Exponential Angular Triplet Loss, arXiv:2006.00878, the common space batch
    normalization; its bias is fixed at zero, so that angles are those about the origin.
    """

    def forward(self, vectors: Tensor, side: SideInfo) -> Necked:
        """Return the normalised vectors twice."""
        normalised = self.bn(vectors, side)
        return Necked(normalised, normalised)


class Rectified(NormNeck):
    """Batch norm and ReLU, whose output is both; what ends each branch of MGN, BDB and PCB in their papers."""

    centred = False

    def forward(self, vectors: Tensor, side: SideInfo) -> Necked:
        """Return the normalised and rectified vectors twice."""
        rectified = F.relu(self.bn(vectors, side))
        return Necked(rectified, rectified)


class RectifiedBNNeck(Rectified):
    """Batch norm and ReLU, then a second batch norm, whose output is both: MGN's in fast-reid's published weights."""

    def __init__(self, norm: Norm | NormPerModality) -> None:
        super().__init__(norm)
        self.second = copy.deepcopy(norm)
        freeze_bias(self.second)

    def forward(self, vectors: Tensor, side: SideInfo) -> Necked:
        """Return the rectified and again normalised vectors twice."""
        normalised = self.second(super().forward(vectors, side).embedding, side)
        return Necked(normalised, normalised)


class Norm(nn.BatchNorm1d):
    """Batch norm that does not look at the modality."""

    def forward(self, vectors: Tensor, side: SideInfo) -> Tensor:  # type: ignore[override]
        """Return the shape of ``vectors``."""
        return super().forward(vectors)


class NormPerModality(nn.Module):
    """Batch norm of visible and of infrared vectors apart.

    Args:
        dim: Components of the vectors.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm1d(dim), nn.BatchNorm1d(dim)])

    def forward(self, vectors: Tensor, side: SideInfo) -> Tensor:
        """Return the shape of ``vectors``."""
        return route(list(self.norms), vectors, side.modalities)


def freeze_bias(module: nn.Module) -> None:
    """Fix the bias of every batch norm in a module at zero, where it starts."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.bias.requires_grad_(False)


NECKS: dict[str, type[NormNeck]] = {
    "bnneck": BNNeck,
    "common": CommonNorm,
    "rectified": Rectified,
    "rectified_bnneck": RectifiedBNNeck,
}


def build_neck(name: str, dim: int, *, per_modality: bool = False) -> nn.Module:
    """Return a neck for vectors (B, dim).

    Args:
        name: One of ``NECKS``, or ``none``.
        dim: Components of the vectors.
        per_modality: Whether each modality has a norm of its own.

    Raises:
        ValueError: There is no norm to have one of per modality.
    """
    if name == "none":
        if per_modality:
            raise ValueError("expected a neck with a norm for modalities.norms, got neck 'none'; choose another neck")
        return NoNeck()
    return NECKS[name](NormPerModality(dim) if per_modality else Norm(dim))
