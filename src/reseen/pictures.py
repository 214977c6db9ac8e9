"""Pictures of any kind as pixels, and small ones to show. Needs no torch."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from reseen.errors import DataError

Pixels = NDArray[np.uint8]
"""RGB (H, W, 3), 0..255."""
Picture = str | Path | Pixels | Image.Image
"""A file, pixels, or a picture of Pillow."""

# What Pillow raises on damaged files, depending on the format and on where the damage lies.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


def as_pixels(picture: Picture) -> Pixels:
    """Return a picture as uint8 RGB (H, W, 3).

    Raises:
        DataError: The file is missing, empty, no picture or cut short; it is named.
        ValueError: The array is not uint8 (H, W, 3).
    """
    if isinstance(picture, Image.Image):
        return flattened(picture)
    if isinstance(picture, (str, Path)):
        return decode(Path(picture))
    pixels = np.asarray(picture)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"expected a picture of uint8 RGB (H, W, 3), got {pixels.dtype} {pixels.shape}")
    return pixels


def decode(path: Path) -> Pixels:
    """Return the picture in a file as uint8 RGB (H, W, 3).

    Cameras' orientation marks are obeyed; grey, palette, transparent and 16-bit pictures become RGB.

    Raises:
        DataError: The file is missing, empty, no picture or cut short; it is named.
    """
    try:
        with Image.open(path) as picture:
            return flattened(picture)
    except FileNotFoundError:
        raise DataError(f"expected a picture at {path}, found no such file; check the root or the path") from None
    except DAMAGE as error:
        if path.is_file() and path.stat().st_size == 0:
            raise DataError(f"expected a picture at {path}, got an empty file; replace it or leave it out") from None
        raise DataError(f"expected a picture at {path}, got: {error}; replace it or leave it out") from None


def flattened(picture: Image.Image) -> Pixels:
    """Return a picture of Pillow, of whatever mode and orientation, as pixels."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):
        # Pillow would cut 16 bits at 255; the upper byte is what the eye would see.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    elif upright.mode == "P":
        upright = upright.convert("RGBA")
    return np.array(upright.convert("RGB"))


def crop(pixels: Pixels, box: tuple[int, int, int, int], name: str) -> Pixels:
    """Return the part of a picture (H, W, 3) in a box (left, top, width, height), which may reach over the edge.

    Raises:
        DataError: The box lies outside; the picture is called by its name.
    """
    left, top, width, height = box
    part = pixels[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    if part.size == 0:
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise DataError(f"expected a box within {size} pixels of {name}, got {tuple(box)}; mend its row")
    return part


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a picture at (height, width), bilinear with antialiasing: within one level of models' own resize."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def thumbnail(pixels: Pixels, longest: int = 192) -> bytes:
    """Return a picture as a small JPEG file whose longer side has at most so many pixels."""
    small = Image.fromarray(pixels)
    small.thumbnail((longest, longest))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=88)
    return file.getvalue()


def digest(pixels: Pixels) -> bytes:
    """Return 16 bytes that name a picture by its pixels, whatever file they came from."""
    told = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    told.update(np.ascontiguousarray(pixels).data)
    return told.digest()
