"""Two-stream layers: separate modules for visible and infrared pictures."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, BackboneParts, SideInfo


def route(modules: Sequence[nn.Module], x: Tensor, modalities: Tensor | None) -> Tensor:
    """Apply to each row the module of its modality.

    Args:
        modules: One for each modality.
        x: (B, ...).
        modalities: (B,) int64, each the index of a module.

    Returns:
        (B, ...), rows in the order of ``x``.

    Raises:
        ValueError: There are no modalities, or one without a module.

    Note:
        The number of rows of a modality is the shape of a tensor, for which the device is waited for.
    """
    if modalities is None:
        raise ValueError("expected modalities (B,), got None; this network treats visible (0) and infrared (1) apart")
    rows = [(modalities == m).nonzero().squeeze(1) for m in range(len(modules))]
    order = torch.cat(rows)
    if len(order) != len(x):
        raise ValueError(f"expected {len(x)} modalities of 0 to {len(modules) - 1}, got {modalities.tolist()}")
    parts = [module(x[own]) for module, own in zip(modules, rows, strict=True) if len(own)]
    return torch.cat(parts)[order.argsort()]


class TwoStream(Backbone):
    """A backbone with a second stem, for infrared pictures; all after the stem is shared.

    Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, arXiv:2001.04193, section 4.4.

    Args:
        backbone: Goes on as the visible stream; the infrared stem starts as a copy of its own.

    Raises:
        ValueError: The backbone's stem cannot be told from the rest.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels, self.dim = backbone.channels, backbone.dim
        self.mean, self.std = backbone.mean, backbone.std
        # A tuple does not register its modules: they are the backbone's, and are registered there.
        self._parts = backbone.parts()
        self.infrared = copy.deepcopy(self._parts.stem)

    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        """Return the raw features."""
        features: Tensor = self._parts.tail(self._body(images, side))
        return features

    def _body(self, images: Tensor, side: SideInfo) -> Tensor:
        return self._parts.body(route([self._parts.stem, self.infrared], images, side.modalities), side)

    def parts(self) -> BackboneParts:
        """Return the backbone's parts, with both stems in the body."""
        return BackboneParts(nn.Identity(), self._body, self._parts.tail)

    def map(self, raw: Tensor) -> Tensor:
        """Return the raw features as a map (B, C, h, w)."""
        return self.backbone.map(raw)

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, D): the backbone's own pooling and head."""
        return self.backbone.pool(raw)

    def head(self, pooled: Tensor) -> Tensor:
        """Return (B, D): the backbone's own head."""
        return self.backbone.head(pooled)

    def drop_head(self) -> None:
        """Remove the backbone's own head."""
        self.backbone.drop_head()
