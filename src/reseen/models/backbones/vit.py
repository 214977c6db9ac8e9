"""timm's ViTs and DeiTs with patches that overlap and with embeddings of camera and viewpoint.

He et al., TransReID: Transformer-based Object Re-Identification, arXiv:2102.04378, sections 3.1 and 3.3.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reseen.models.backbones.base import BackboneParts, SideInfo
from reseen.models.backbones.timm import TimmBackbone
from reseen.models.spec import ViTOptions
from reseen.upstream import with_positions


def is_vit(network: nn.Module) -> bool:
    """Tell whether a network is one of timm's ViTs or DeiTs."""
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(network, VisionTransformer)


def cut_patches(network: Any, size: tuple[int, int], *, stride: int | None) -> None:
    """Cut pictures of a size into patches that begin every ``stride`` pixels; position embeddings are resampled.

    Args:
        network: A ViT of timm, changed in place.
        size: Height and width of the pictures.
        stride: In pixels, at most the patch size; None for the patch size.

    Raises:
        ValueError: The stride leaves pixels out, or the pictures are smaller than a patch.
    """
    from timm.layers.pos_embed import resample_abs_pos_embed

    patches = network.patch_embed
    patch = patches.patch_size
    stride = min(patch) if stride is None else stride
    if not 1 <= stride <= min(patch):
        raise ValueError(f"expected a patch_stride of 1 to {min(patch)} pixels, the patch size, got {stride}")
    if size[0] < patch[0] or size[1] < patch[1]:
        raise ValueError(f"expected pictures of at least one patch, {patch[0]}x{patch[1]}, got {size[0]}x{size[1]}")
    before: tuple[int, int] = patches.grid_size
    patches.proj.stride = (stride, stride)
    patches.img_size = size
    patches.grid_size = ((size[0] - patch[0]) // stride + 1, (size[1] - patch[1]) // stride + 1)
    patches.num_patches = patches.grid_size[0] * patches.grid_size[1]
    if network.pos_embed is not None and patches.grid_size != before:
        positions, prefix = network.pos_embed.detach(), position_prefix(network)
        network.pos_embed = nn.Parameter(
            resample_abs_pos_embed(positions, patches.grid_size, before, num_prefix_tokens=prefix)
        )


def position_prefix(network: Any) -> int:
    """Return how many position embeddings of a ViT belong to class tokens."""
    return 0 if network.no_embed_class else int(network.num_prefix_tokens)


class ViTBackbone(TimmBackbone):
    """A ViT or DeiT of timm.

    Args:
        network: As timm made it.
        size: Height and width of the pictures.
        options: Cameras and views that have an embedding, and what it is added to.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int], options: ViTOptions) -> None:
        super().__init__(network, size)
        self.side_weight, self.side_tokens = options.side_weight, options.side_tokens
        self.side: nn.Parameter | None = None
        if options.cameras is not None or options.views is not None:
            counts = [1 if names is None else len(names) for names in (options.cameras, options.views)]
            self.side = nn.Parameter(torch.empty(*counts, self.channels))
            nn.init.trunc_normal_(self.side, std=0.02)

    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        """Return the tokens (B, N, C), class tokens first."""
        tokens: Tensor = self.network.norm(self.network.blocks[-1](self._body(self.network.patch_embed(images), side)))
        return tokens

    def _body(self, patches: Tensor, side: SideInfo) -> Tensor:
        network = self.network
        tokens = with_positions(network, patches)
        if self.side is not None:
            added = self.side_weight * self._embed(self.side, side)
            if self.side_tokens == "all":
                tokens = tokens + added
            else:
                tokens = torch.cat([tokens[:, :1] + added, tokens[:, 1:]], dim=1)
        tokens = network.norm_pre(network.patch_drop(tokens))
        again = network.grad_checkpointing and torch.is_grad_enabled()
        for block in network.blocks[:-1]:
            tokens = checkpoint(block, tokens, use_reentrant=False) if again else block(tokens)
        features: Tensor = tokens
        return features

    @staticmethod
    def _embed(table: Tensor, side: SideInfo) -> Tensor:
        """Return (B or 1, 1, C); a camera or view that is not known, at -1 or None, is the mean of all."""
        table = torch.cat([table, table.mean(0, keepdim=True)])
        table = torch.cat([table, table.mean(1, keepdim=True)], dim=1)
        cameras = -1 if side.cameras is None else side.cameras
        views = -1 if side.views is None else side.views
        return table[cameras, views].reshape(-1, 1, table.shape[2])

    def adapt(self, name: str, tensor: Tensor) -> Tensor:
        """Return position embeddings of another grid resampled to this one's, and a side of this shape.

        The other grid is a square, or twice as high as wide.
        """
        if name == "side" and self.side is not None and tensor.numel() == self.side.numel():
            return tensor.reshape(self.side.shape)
        if name != "network.pos_embed" or tensor.shape == self.network.pos_embed.shape:
            return tensor
        prefix = position_prefix(self.network)
        count = tensor.shape[1] - prefix
        width = next(
            (w for w in (math.isqrt(count), math.isqrt(count // 2)) if w and count in (w * w, 2 * w * w)), None
        )
        if width is None:
            return tensor
        from timm.layers.pos_embed import resample_abs_pos_embed

        resampled: Tensor = resample_abs_pos_embed(tensor, self.grid, (count // width, width), num_prefix_tokens=prefix)
        return resampled

    def parts(self) -> BackboneParts:
        """Return the network cut after the patches' embedding and before the last block."""
        network = self.network
        return BackboneParts(network.patch_embed, self._body, nn.Sequential(network.blocks[-1], network.norm))
