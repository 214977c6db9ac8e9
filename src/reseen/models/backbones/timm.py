"""Any network of timm as a backbone."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, Side


def create(name: str, size: tuple[int, int], *, pretrained: bool = False) -> nn.Module:
    """Return timm's network without classifier, for pictures of the given height and width.

    Raises:
        ValueError: timm has no network of that name.
    """
    if ":" not in name and not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f", or did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"expected the name of a network of timm, got {name!r}; timm.list_models() lists them{hint}")
    about = None if ":" in name else timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {"img_size": size} if about is not None and about.fixed_input_size else {}
    network: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    return network


class TimmBackbone(Backbone):
    """A network of timm, under timm's own names.

    Args:
        network: As ``create`` gives it.
        size: Height and width of the pictures.

    Raises:
        ValueError: The network gives neither a feature map nor tokens that form one.
    """

    network: Any

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.mean = tuple(self.network.pretrained_cfg["mean"])
        self.std = tuple(self.network.pretrained_cfg["std"])
        self.prefix: int = getattr(network, "num_prefix_tokens", 0)
        raw = self._try(torch.zeros(1, 3, *size))
        self.layout = "tokens" if raw.ndim == 3 else getattr(network, "output_fmt", "NCHW")
        if self.layout == "tokens":
            self.grid = self._grid(raw.shape[1] - self.prefix, size)
        elif raw.ndim != 4 or self.layout not in ("NCHW", "NHWC"):
            raise ValueError(
                f"expected a network with a feature map or tokens, got {type(network).__name__} with features "
                f"{tuple(raw.shape)}"
            )
        self.channels = self.map(raw).shape[1]
        with torch.no_grad():
            self.dim = self.eval().pool(raw).shape[1]
        self.train()

    @torch.no_grad()
    def _try(self, images: Tensor) -> Tensor:
        try:
            features: Tensor = self.network.eval().forward_features(images)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"expected a network that takes pictures of {images.shape[2]}x{images.shape[3]}, got "
                f"{type(self.network).__name__}, which does not: {error}"
            ) from error
        return features

    def _grid(self, positions: int, size: tuple[int, int]) -> tuple[int, int]:
        patches = getattr(self.network, "patch_embed", None)
        grid: tuple[int, int] = getattr(patches, "grid_size", None) or (0, 0)
        if grid[0] * grid[1] != positions:
            height = round((positions * size[0] / size[1]) ** 0.5)
            grid = (height, positions // max(height, 1))
        if grid[0] * grid[1] != positions:
            raise ValueError(
                f"expected tokens that form a map of a {size[0]}x{size[1]} picture, got {positions} tokens"
            )
        return grid

    def forward(self, images: Tensor, side: Side) -> Tensor:
        """Return the features in the network's own layout."""
        features: Tensor = self.network.forward_features(images)
        return features

    def map(self, raw: Tensor) -> Tensor:
        """Return the features as a map (B, C, h, w), without class tokens."""
        if self.layout == "tokens":
            return raw[:, self.prefix :].mT.reshape(len(raw), -1, *self.grid)
        return raw.permute(0, 3, 1, 2) if self.layout == "NHWC" else raw

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, D): what timm's network gives to its classifier."""
        vectors: Tensor = self.network.forward_head(raw, pre_logits=True)
        return vectors.flatten(1)

    def head(self, pooled: Tensor) -> Tensor:
        """Return (B, D) from (B, C): the network's own pooling of positions that are all alike, and what follows."""
        if self.layout == "tokens":
            return self.pool(pooled[:, None].expand(-1, self.prefix + 1, -1))
        return self.pool(pooled[:, None, None] if self.layout == "NHWC" else pooled[:, :, None, None])
