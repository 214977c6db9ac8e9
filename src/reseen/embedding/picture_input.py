"""Pictures as models take them that do not normalise them themselves. Needs no torch.

Dimensions: B pictures of a batch, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from numpy.typing import NDArray

from reseen.pictures import Pixels


@dataclass(frozen=True)
class PictureInput:
    """Input of a model that takes normalised pictures: float32 (B, 3, height, width), made of 0..255.

    Attributes:
        mean: Taken off each colour, in 0..255 and in the order of ``bgr``; one number for all, or three.
        std: What each is divided by then.
        bgr: Blue first, as OpenCV has it.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False

    @classmethod
    def parsed(cls, text: str) -> PictureInput:
        """Return the input that ``mean=123.7,116.3,103.5&std=58.4,57.1,57.4&bgr=true`` describes.

        Raises:
            ValueError: It describes something else.
        """
        options = {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
        if unknown := sorted(set(options) - {"mean", "std", "bgr"}):
            raise ValueError(f"expected mean, std and bgr after the question mark, got {', '.join(unknown)}")
        numbers = {n: tuple(float(x) for x in options[n].split(",")) for n in ("mean", "std") if n in options}
        if any(len(each) not in (1, 3) for each in numbers.values()) or 0 in numbers.get("std", ()):
            raise ValueError(f"expected one or three numbers for mean and std, no std of 0, got {text!r}")
        return cls(bgr=options.get("bgr", "false").lower() in ("true", "1"), **numbers)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> PictureInput:
        """Return the input of a model exported by this library, from its description.

        Raises:
            KeyError: It says nothing of it.
            TypeError: It says something else than numbers.
            ValueError: These cannot be used.
        """
        mean, std = (tuple(255.0 * float(value) for value in facts[name]) for name in ("mean", "std"))
        if {len(mean), len(std)} - {1, 3} or not np.isfinite((*mean, *std)).all() or 0 in std:
            raise ValueError(f"expected one or three numbers for mean and std, no std of 0, got {mean} and {std}")
        return cls(mean, std)

    def __call__(self, images: Pixels) -> NDArray[np.float32]:
        """Return (B, 3, H, W) from pictures (B, H, W, 3)."""
        values = (images[..., ::-1] if self.bgr else images).astype(np.float32)
        normal = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normal.transpose(0, 3, 1, 2))
