"""Networks of published weights which timm's differ from in a layer or a token: SOLIDER, PASS, ICS, CLIP-ReID.

Dimensions: B images, N tokens, C channels, h x w positions of a map.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reseen.models.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from reseen.models.backbones.hacnn import HACNN
from reseen.models.backbones.timm import TimmBackbone, create
from reseen.models.backbones.torchreid import MLFN, MobileNetV2, ShuffleNet
from reseen.models.backbones.vit import ViTBackbone, cut_patches
from reseen.models.layers.ibn import InstanceBatchNorm
from reseen.models.spec import ViTOptions


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


class PartTokens(ViTBackbone):
    """A ViT with part tokens; its vector is the class token beside their mean."""

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, 2 C) from tokens (B, N, C)."""
        return torch.cat([raw[:, 0], raw[:, 1 : self.prefix].mean(1)], dim=1)


def pass_vit(size: tuple[int, int], *, variant: str, parts: bool = False) -> Backbone:
    """Return a ViT with three part tokens beside the class token, none of which has a position of its own.

    Zhu et al., PASS: Part-Aware Self-Supervised Pre-Training for Person Re-Identification, arXiv:2203.03931.

    Args:
        size: Height and width of the pictures.
        variant: ``small`` or ``base``.
        parts: Whether the mean of the part tokens is in the vector, as where its authors train further.
    """
    network = create(f"vit_{variant}_patch16_224", reg_tokens=3, no_embed_class=True)
    cut_patches(network, size, stride=None)
    backbone = (PartTokens if parts else ViTBackbone)(network, size, ViTOptions())
    backbone.mean = backbone.std = (0.5,) * 3
    return backbone


def ics_vit(size: tuple[int, int], options: ViTOptions, *, variant: str) -> Backbone:
    """Return a ViT whose patches come from a stem of convolutions with instance and batch norms.

    Luo et al., Self-Supervised Pre-Training for Transformer-Based Person Re-Identification, arXiv:2111.12084, 3.3.

    Args:
        size: Height and width of the pictures.
        options: As for every ViT, but that patches do not overlap.
        variant: ``small`` or ``base``.

    Raises:
        ValueError: Patches are to overlap.
    """
    if options.patch_stride is not None:
        raise ValueError(f"expected no patch_stride for a stem of convolutions, got {options.patch_stride}")
    network: Any = create(f"vit_{variant}_patch16_224", drop_path_rate=options.drop_path)
    cut_patches(network, size, stride=None)
    stem = nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        InstanceBatchNorm(nn.BatchNorm2d(64)),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        InstanceBatchNorm(nn.BatchNorm2d(64)),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
    )
    patches = nn.Conv2d(64, network.embed_dim, 8, stride=8)
    network.patch_embed.proj = nn.Sequential(OrderedDict(conv=stem, proj=patches))
    return ViTBackbone(network, size, options)


class ClipReID(ViTBackbone):
    """CLIP's ViT-B/16; its vector is the class token before and after the projection to the space of texts.

    Li et al., CLIP-ReID: Exploiting Vision-Language Model for Image Re-Identification without Concrete Text Labels,
    arXiv:2211.13977. Its embeddings of cameras and views are added to the class token alone, with a factor of 1.

    Args:
        size: Height and width of the pictures.
        options: As for every ViT.
    """

    def __init__(self, size: tuple[int, int], options: ViTOptions) -> None:
        network: Any = create("vit_base_patch16_clip_quickgelu_224", drop_path_rate=options.drop_path)
        cut_patches(network, size, stride=options.patch_stride)
        network.projection = nn.Linear(768, 512, bias=False)
        super().__init__(network, size, options)
        self.mean = self.std = (0.5,) * 3

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, 1280) from tokens (B, N, 768)."""
        token = raw[:, 0]
        return torch.cat([token, self.network.projection(token)], dim=1)


class AttentionPooling(nn.Module):
    """CLIP's pooling of a map: its mean, by attention to all positions, then a linear layer.

    Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
    arXiv:2103.00020, section 2.4.

    Args:
        channels: C, of the map; every head of the attention has 64 of them.
        positions: Of the map, each of which has an embedding, as its mean has.
        dim: Components of the vector.
    """

    def __init__(self, channels: int, positions: int, dim: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(positions + 1, channels) / channels**0.5)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.projection = nn.Linear(channels, dim)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, dim) from a map (B, C, h, w)."""
        tokens = features.flatten(2).mT
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1) + self.positions
        inputs = (self.query(tokens[:, :1]), self.key(tokens), self.value(tokens))
        query, key, value = (x.unflatten(2, (-1, 64)).transpose(1, 2) for x in inputs)
        vector: Tensor = self.projection(F.scaled_dot_product_attention(query, key, value).flatten(1))
        return vector


class ClipReIDResNet(TimmBackbone):
    """CLIP's ResNet-50 without its last stride; its vector is the mean of the map beside CLIP's pooling of it.

    Li et al., CLIP-ReID, arXiv:2211.13977.

    Args:
        size: Height and width of the pictures, multiples of 16.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        network: Any = create("resnet50_clip")
        first = network.stages[3][0]
        first.conv2_kxk.aa = nn.Identity()
        first.shortcut.pool = nn.Identity()
        self.positions = (size[0] // 16, size[1] // 16)
        network.head = AttentionPooling(2048, self.positions[0] * self.positions[1], 1024)
        super().__init__(network, size)
        self.mean, self.std = IMAGENET_MEAN, IMAGENET_STD

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, 3072) from a map (B, 2048, h, w)."""
        return torch.cat([raw.mean((2, 3)), self.network.head(raw)], dim=1)

    def head(self, pooled: Tensor) -> Tensor:
        """Return (B, 3072) from (B, 2048): the pooling of positions that are all alike."""
        return self.pool(pooled[:, :, None, None].expand(-1, -1, *self.positions))


PUBLISHED: dict[str, Callable[[tuple[int, int]], Backbone]] = {
    **{f"solider_swin_{variant}": partial(solider, variant=variant) for variant in ("tiny", "small", "base")},
    **{f"pass_vit_{variant}": partial(pass_vit, variant=variant) for variant in ("small", "base")},
    **{f"pass_vit_{variant}_parts": partial(pass_vit, variant=variant, parts=True) for variant in ("small", "base")},
    "clip_reid_resnet50": ClipReIDResNet,
    "mobilenetv2_x1_0": partial(MobileNetV2, width=1.0),
    "mobilenetv2_x1_4": partial(MobileNetV2, width=1.4),
    "mlfn": MLFN,
    "shufflenet": ShuffleNet,
    "hacnn": HACNN,
}
"""Name of a backbone -> what builds it for a size of pictures."""

PUBLISHED_VITS: dict[str, Callable[[tuple[int, int], ViTOptions], Backbone]] = {
    **{f"ics_vit_{variant}": partial(ics_vit, variant=variant) for variant in ("small", "base")},
    "clip_reid_vit_b16": ClipReID,
}
"""As ``PUBLISHED``, of those that take a ViT's options."""
