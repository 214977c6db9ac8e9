"""Preprocessing inside the model: uint8 pictures are resized, scaled and normalised, never in place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Preprocessing(nn.Module):
    """Preprocessing layer: resize uint8 pictures (bilinear, antialiased), subtract the mean, divide by the scale.

    Mean and scale are buffers, so that they travel with the weights that were trained with them.

    Args:
        size: Height and width that the network takes.
        mean: Of red, green and blue, in 0..1.
        std: As ``mean``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: tuple[int, int], *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, height, width) of a floating type.

        Args:
            images: (B, 3, H, W) uint8 RGB, of any size.

        Raises:
            ValueError: The images are of another type or shape.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"expected uint8 RGB images (B, 3, H, W), got {images.dtype} {tuple(images.shape)}; "
                "pass pictures as they are read, the model scales and normalises them itself"
            )
        if tuple(images.shape[2:]) != self.size:
            from torchvision.transforms.v2 import functional as vision

            images = vision.resize(images, list(self.size), antialias=True)
        return (images - self.mean) / self.std
