"""Cameras: where they hang, what stands behind, and what their sensor makes of it.

Dimensions: C channels (3 visible, 1 infrared), H rows, W columns.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reseen.datasets.rendering.painting import Canvas, Paint, Shape, as_rows, box, paint, place

Modality = Literal["visible", "infrared"]
CHANNELS: dict[Modality, slice] = {"visible": slice(0, 3), "infrared": slice(3, 4)}
BACKDROP_WIDTH = 3  # in picture widths


@dataclass(frozen=True)
class Camera:
    """What stays the same on every picture of one camera.

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


def new_camera(number: int, *, seed: tuple[int, ...], indoor: bool) -> Camera:
    """Return a camera at random; together, cameras look from all sides."""
    rng = np.random.default_rng(seed)
    warm = rng.normal(0.06 if indoor else -0.03, 0.08)
    tint = rng.normal(0, 0.04)
    exposure = float(np.exp(rng.normal(-0.1 if indoor else 0.05, 0.18)))
    return Camera(
        number=number,
        seed=seed,
        indoor=indoor,
        yaw=float(2.4 * number + rng.normal(0, 0.2)),  # the golden angle: any few cameras are spread all around
        pitch=float(rng.uniform(0.05, 0.4)),
        gain=(exposure * float(1 + warm), exposure * float(1 + tint), exposure * float(1 - warm)),
        saturation=float(rng.uniform(0.6, 1.1)),
        haze=float(rng.uniform(0, 0.15)),
        resolution=float(rng.uniform(0.5, 1)),
        light=float(rng.uniform(-0.45, 0.45)),
    )


def develop(canvas: Canvas, camera: Camera, *, exposure: float, grain: tuple[int, int]) -> NDArray[np.uint8]:
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
    return smooth / smooth.std()


@functools.lru_cache(maxsize=256)
def backdrop(camera: Camera, height: int, width: int) -> Canvas:
    """Return what stands behind those who walk by: (4, H, 3 W), of which a picture shows a part."""
    rng = np.random.default_rng((*camera.seed, 1))
    wide = BACKDROP_WIDTH * width
    wall = float(rng.uniform(0.35, 0.5) if camera.indoor else rng.uniform(0.25, 0.45)) + 0.4 * camera.pitch
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    x = (np.arange(wide, dtype=np.float32)[None] + 0.5 - wide / 2) / height

    # The ground: paving stones in perspective, from the foot of the wall to the viewer.
    depth = 1 / (np.maximum(y, wall) - wall + 0.3)
    tiles = rng.uniform(2, 5)
    seams = np.minimum(seam(tiles * depth, 0.06 * tiles * depth * depth), seam(tiles * x * depth, 0.06 * tiles * depth))
    ground = np.array(dull(rng, 0.3, 0.6, heat=0.3 if camera.indoor else rng.uniform(0.12, 0.3)), np.float32)
    canvas = ground[:, None, None] * (0.8 + 0.2 * seams) * (0.85 + 0.25 * (y - wall))

    # The wall, then what hangs on it or stands before it.
    heat = 0.34 if camera.indoor else float(rng.uniform(0.1, 0.25))
    face = np.array(dull(rng, 0.3, 0.75, heat=heat), np.float32)
    rows, columns = rng.uniform(8, 30, 2)
    brick = np.minimum(
        seam(rows * y, 0.03 * rows + 0 * x), seam(columns * x + 0.5 * np.floor(rows * y), 0.03 * columns + 0 * x)
    )
    surface = face[:, None, None] * (0.88 + 0.12 * (brick if rng.random() < 0.6 else np.ones_like(brick)))
    canvas = np.where(y < wall, surface, canvas)
    canvas *= 1 + 0.07 * clouds(rng, height, wide, height / 8)
    canvas = canvas.astype(np.float32)
    furniture = indoor_things(rng, wall) if camera.indoor else outdoor_things(rng, wall)
    rows_ = place(as_rows(furniture), scale=height, origin=complex(wide / 2, 0))
    paint(canvas, rows_, channels=slice(0, 4), light=camera.light)
    canvas.setflags(write=False)
    return canvas


def seam(position: NDArray[np.float32], width: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 0 on the whole numbers and 1 between them, with borders of a width."""
    return np.clip(np.abs(position - np.rint(position)) / np.maximum(width, 1e-3), 0, 1)


def dull(rng: np.random.Generator, low: float, high: float, *, heat: float) -> Paint:
    """Return a colour of walls and streets."""
    red, green, blue = rng.uniform(low, high) * (1 + rng.normal(0, 0.1, 3))
    return Paint(float(red), float(green), float(blue), heat)


def outdoor_things(rng: np.random.Generator, wall: float) -> list[Shape]:
    """Return windows, doors, trees, posts and hedges; lengths in picture heights, 0 at the top of the middle."""
    shapes = []
    glass = Paint(0.25, 0.3, 0.36, 0.05)
    frame = dull(rng, 0.2, 0.9, heat=0.2)
    spacing, size, row = rng.uniform(0.28, 0.5), rng.uniform(0.05, 0.1), rng.uniform(0.05, 0.2)
    for i in range(-3, 4):
        centre = complex(i * spacing + 0.05, row)
        shapes.append(box(centre, size + 0.015, 1.35 * size + 0.015, frame, depth=0))
        shapes.append(box(centre, size, 1.35 * size, glass.times(float(rng.uniform(0.6, 1.6))), depth=0.1))
    for _ in range(rng.integers(1, 4)):
        x = rng.uniform(-0.7, 0.7)
        match rng.integers(4):
            case 0:  # a tree
                green = Paint(0.18, float(rng.uniform(0.3, 0.45)), 0.14, 0.22)
                shapes.append(box(complex(x, wall - 0.1), 0.025, 0.25, Paint(0.25, 0.18, 0.12, 0.2), curve=1, depth=1))
                for _ in range(5):
                    at = complex(x + rng.normal(0, 0.07), 0.08 + rng.normal(0, 0.06))
                    shapes.append(
                        box(
                            at,
                            0.09,
                            0.09,
                            green.times(float(rng.uniform(0.7, 1.3))),
                            corner=0.09,
                            soft=0.02,
                            curve=0.6,
                            depth=1.1,
                        )
                    )
            case 1:  # a hedge
                green = Paint(0.2, float(rng.uniform(0.33, 0.45)), 0.15, 0.2)
                shapes.append(
                    box(
                        complex(x, wall),
                        0.3,
                        0.06,
                        green,
                        corner=0.03,
                        soft=0.02,
                        second=green.times(0.7),
                        stripes=(6, 20),
                        depth=1,
                    )
                )
            case 2:  # a door
                shapes.append(box(complex(x, wall - 0.14), 0.08, 0.15, dull(rng, 0.1, 0.5, heat=0.3), depth=0.5))
            case _:  # a lamp post
                shapes.append(box(complex(x, wall - 0.2), 0.012, 0.35, Paint(0.2, 0.2, 0.22, 0.15), curve=1, depth=1))
    return shapes


def indoor_things(rng: np.random.Generator, wall: float) -> list[Shape]:
    """Return doors, posters, lamps and radiators; lengths as in `outdoor_things`."""
    shapes = [box(complex(0, wall), 2, 0.012, dull(rng, 0.15, 0.5, heat=0.32), depth=0)]
    door = Paint(*(float(v) for v in rng.uniform(0.2, 0.7, 3)), 0.36)
    spacing = rng.uniform(0.45, 0.7)
    for i in range(-2, 3):
        shapes.append(box(complex(i * spacing + 0.1, wall - 0.2), 0.1, 0.2, door, depth=1))
        shapes.append(box(complex(i * spacing + 0.17, wall - 0.18), 0.01, 0.01, Paint(0.8, 0.8, 0.75, 0.3), depth=2))
    for _ in range(rng.integers(1, 4)):
        at = complex(rng.uniform(-0.7, 0.7), wall - rng.uniform(0.15, 0.3))
        poster = Paint(*(float(v) for v in rng.uniform(0.2, 0.95, 3)), 0.33)
        shapes.append(box(at, 0.06, 0.08, poster, second=poster.times(0.5), stripes=(0, 18), depth=0.5))
    if rng.random() < 0.6:  # a radiator
        iron = Paint(0.8, 0.8, 0.78, 0.75)
        shapes.append(
            box(
                complex(rng.uniform(-0.6, 0.6), wall - 0.05),
                0.12,
                0.05,
                iron,
                second=iron.times(0.7),
                stripes=(5, 0),
                depth=1.5,
            )
        )
    lamp = Paint(1.3, 1.3, 1.2, 0.6)
    shapes += [box(complex(x, 0.02), 0.12, 0.015, lamp, soft=0.02, depth=0.3) for x in (-0.5, 0.3)]
    return shapes
