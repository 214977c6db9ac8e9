"""Networks of published weights which timm's differ from in a layer or a token: SOLIDER, PASS, CLIP-ReID.

Dimensions: B images, N tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone
from reseen.models.backbones.timm import TimmBackbone, create
from reseen.models.backbones.vit import ViTBackbone, cut_patches


def solider(size: tuple[int, int], *, variant: str) -> Backbone:
    """Return a Swin whose reductions have a bias, for SOLIDER's semantic weight is part of them.

    Chen et al., Beyond Appearance: a Semantic Controllable Self-Supervised Learning Framework for Human-Centric Visual
    Tasks, arXiv:2303.17602. Windows are whole and shifted where a map is smaller than one, as in its code.

    Args:
        size: Height and width of the pictures.
        variant: ``tiny``, ``small`` or ``base``.
    """
    name = f"swin_{variant}_patch4_window7_224"
    network: Any = create(name, img_size=size, always_partition=True, strict_img_size=False)
    for stage in network.layers[1:]:
        old = stage.downsample.reduction
        stage.downsample.reduction = nn.Linear(old.in_features, old.out_features)
    backbone = TimmBackbone(network, size)
    backbone.mean = backbone.std = (0.5,) * 3
    return backbone


def pass_vit(size: tuple[int, int], *, variant: str) -> Backbone:
    """Return a ViT with three part tokens beside the class token, none of which has a position of its own.

    Zhu et al., PASS: Part-Aware Self-Supervised Pre-Training for Person Re-Identification, arXiv:2203.03931.

    Args:
        size: Height and width of the pictures.
        variant: ``small`` or ``base``.
    """
    network = create(f"vit_{variant}_patch16_224", reg_tokens=3, no_embed_class=True)
    cut_patches(network, size, stride=None)
    backbone = ViTBackbone(network, size)
    backbone.mean = backbone.std = (0.5,) * 3
    return backbone


class ClipReID(ViTBackbone):
    """CLIP's ViT-B/16; its vector is the class token before and after the projection to the space of texts.

    Li et al., CLIP-ReID: Exploiting Vision-Language Model for Image Re-Identification without Concrete Text Labels,
    arXiv:2211.13977. Without the embeddings of cameras, which it adds to the class token only.

    Args:
        size: Height and width of the pictures.
        stride: Pixels from patch to patch; None for the patch size.
    """

    def __init__(self, size: tuple[int, int], *, stride: int | None = None) -> None:
        network: Any = create("vit_base_patch16_clip_quickgelu_224")
        cut_patches(network, size, stride=stride)
        network.projection = nn.Linear(768, 512, bias=False)
        super().__init__(network, size)
        self.mean = self.std = (0.5,) * 3

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, 1280) from tokens (B, N, 768)."""
        token = raw[:, 0]
        return torch.cat([token, self.network.projection(token)], dim=1)


PUBLISHED: dict[str, Callable[[tuple[int, int]], Backbone]] = {
    **{f"solider_swin_{variant}": partial(solider, variant=variant) for variant in ("tiny", "small", "base")},
    **{f"pass_vit_{variant}": partial(pass_vit, variant=variant) for variant in ("small", "base")},
    "clip_reid_vit_b16": ClipReID,
}
"""Name of a backbone -> what builds it for a size of pictures."""
