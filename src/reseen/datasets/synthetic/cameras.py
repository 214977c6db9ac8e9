"""Cameras: where they hang, and what their sensor makes of what arrives.

Dimensions: C channels (3 visible, 1 infrared), H rows, W columns.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reseen.datasets.synthetic.painting import Canvas

Modality = Literal["visible", "infrared"]
CHANNELS: dict[Modality, slice] = {"visible": slice(0, 3), "infrared": slice(3, 4)}


@dataclass(frozen=True)
class SyntheticCamera:
    """Parameters of a camera, the same on all of its pictures.

    Attributes:
        number: From 1.
        seed: Of all that is random about it, the view behind included.
        indoor: In a corridor rather than in a street.
        yaw: From where it sees those who walk by, in radians; see `people.Pose`.
        pitch: How far it looks down, in radians.
        gain: Of red, green and blue: exposure and colour cast.
        saturation: 1 keeps colours, 0 would make them grey.
        haze: Share of white mixed in.
        resolution: Of the sensor, as a share of the picture's.
        light: From the left (below zero) or the right.
    """

    number: int
    seed: tuple[int, ...]
    indoor: bool
    yaw: float
    pitch: float
    gain: tuple[float, float, float]
    saturation: float
    haze: float
    resolution: float
    light: float


def new_camera(number: int, *, seed: tuple[int, ...], indoor: bool) -> SyntheticCamera:
    """Return a camera at random; together, cameras look from all sides."""
    rng = np.random.default_rng(seed)
    warm = rng.normal(0.06 if indoor else -0.03, 0.08)
    tint = rng.normal(0, 0.04)
    exposure = float(np.exp(rng.normal(-0.15 if indoor else 0.0, 0.18)))
    return SyntheticCamera(
        number=number,
        seed=seed,
        indoor=indoor,
        yaw=math.remainder(
            2.4 * number + float(rng.normal(0, 0.2)), 2 * math.pi
        ),  # the golden angle: any few cameras are spread all around
        pitch=float(rng.uniform(0.05, 0.4)),
        gain=(exposure * float(1 + warm), exposure * float(1 + tint), exposure * float(1 - warm)),
        saturation=float(rng.uniform(0.6, 1.1)),
        haze=float(rng.uniform(0, 0.15)),
        resolution=float(rng.uniform(0.5, 1)),
        light=float(rng.uniform(-0.45, 0.45)),
    )


def develop(canvas: Canvas, camera: SyntheticCamera, *, exposure: float, grain: tuple[int, int]) -> NDArray[np.uint8]:
    """Return what the camera's sensor makes of a canvas (C, H, W): (H, W, 3).

    Args:
        canvas: What arrives; changed.
        camera: Whose sensor.
        exposure: Of this picture; 1 is as usual.
        grain: Where in the grain this picture begins, each 0 to 63.
    """
    channels, height, width = canvas.shape
    down, right = grain
    canvas *= cloth(height, width)[down : down + height, right : right + width]
    if channels == 3:
        canvas *= np.array(camera.gain, np.float32)[:, None, None] * np.float32(exposure)
        grey = (canvas[0] + canvas[1] + canvas[2]) * np.float32((1 - camera.saturation) / 3)
        canvas *= np.float32(camera.saturation * (1 - camera.haze))
        canvas += grey * np.float32(1 - camera.haze) + np.float32(0.75 * camera.haze)
    else:  # a thermal camera stretches the contrast by itself, each model in its own way
        canvas *= np.float32(camera.saturation)
        canvas += np.float32(camera.haze)
    canvas *= 255
    canvas += sensor_noise(channels, height, width)[:, down : down + height, right : right + width]
    np.clip(canvas, 0, 255, out=canvas)
    pixels = canvas.astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)) if channels == 3 else pixels[0])
    resolution = camera.resolution if channels == 3 else 0.8 * camera.resolution
    if resolution < 0.95:
        small = (max(8, round(width * resolution)), max(8, round(height * resolution)))
        picture = picture.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture.convert("RGB"))


@functools.lru_cache(maxsize=8)
def cloth(height: int, width: int) -> NDArray[np.float32]:
    """Return folds and stains, about 1, (H + 64, W + 64)."""
    rng = np.random.default_rng(0)
    return 1 + 0.05 * clouds(rng, height + 64, width + 64, 5) + 0.03 * clouds(rng, height + 64, width + 64, 2)


@functools.lru_cache(maxsize=8)
def sensor_noise(channels: int, height: int, width: int) -> NDArray[np.float32]:
    """Return the noise of a sensor, in grey levels, (C, H + 64, W + 64); a thermal one has noisy columns besides."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 5, (channels, height + 64, width + 64))
    if channels == 1:
        noise += rng.normal(0, 4, (1, 1, width + 64))
    return noise.astype(np.float32)


def clouds(rng: np.random.Generator, height: int, width: int, size: float) -> NDArray[np.float32]:
    """Return smooth noise (H, W) of unit deviation, with features of ``size`` pixels."""
    coarse = rng.normal(0, 1, (int(height / size) + 2, int(width / size) + 2)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    unit: NDArray[np.float32] = smooth / smooth.std()
    return unit
