"""From a sample to its pixels."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from reseen.errors import DataError
from reseen.samples import Box, Sample

# What Pillow raises on damaged files, depending on the format and on where the damage lies.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


def read(sample: Sample) -> NDArray[np.uint8]:
    """Return the sample's picture, or the part of it in its box, as uint8 RGB (H, W, 3).

    Cameras' orientation marks are obeyed; grey, palette, transparent and 16-bit pictures become RGB. A box may reach
    over the picture's edge, as detectors' boxes do, and is cut there.

    Raises:
        DataError: The file is missing, empty, no picture or cut short, or the box lies outside; the file is named.
    """
    pixels = sample.draw() if sample.draw is not None else decode(Path(sample.path))
    return pixels if sample.box is None else crop(pixels, sample.box, sample.path)


def decode(path: Path) -> NDArray[np.uint8]:
    """Return the picture in a file as uint8 RGB (H, W, 3)."""
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I;16"):
                # Pillow would cut 16 bits at 255; the upper byte is what the eye would see.
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            elif upright.mode == "P":
                upright = upright.convert("RGBA")
            return np.array(upright.convert("RGB"))
    except FileNotFoundError:
        raise DataError(f"expected a picture at {path}, found no such file; check the root or the path") from None
    except DAMAGE as error:
        if path.is_file() and path.stat().st_size == 0:
            raise DataError(f"expected a picture at {path}, got an empty file; replace it or leave it out") from None
        raise DataError(f"expected a picture at {path}, got: {error}; replace it or leave it out") from None


def crop(pixels: NDArray[np.uint8], box: Box, path: str) -> NDArray[np.uint8]:
    """Return the part of a picture (H, W, 3) that lies in the box."""
    height, width = pixels.shape[:2]
    top, left = max(box.top, 0), max(box.left, 0)
    part = pixels[top : max(box.top + box.height, 0), left : max(box.left + box.width, 0)]
    if part.size == 0:
        raise DataError(f"expected a box within {width} x {height} pixels of {path}, got {tuple(box)}; mend its row")
    return part
