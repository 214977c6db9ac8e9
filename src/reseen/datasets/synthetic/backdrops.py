"""Backdrops: the street or the corridor in which a camera hangs.

Dimensions: H rows of the picture, W columns; C is 4, as the numbers of a `Paint`.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from reseen.datasets.synthetic.cameras import SyntheticCamera, clouds
from reseen.datasets.synthetic.painting import Canvas, paint
from reseen.datasets.synthetic.shapes import Paint, Shape, as_rows, box, place

BACKDROP_WIDTH = 3  # in picture widths
POST, TRUNK, GLASS = Paint(0.2, 0.2, 0.22, 0.15), Paint(0.25, 0.18, 0.12, 0.2), Paint(0.25, 0.3, 0.36, 0.05)
HANDLE, RADIATOR, LAMP = Paint(0.8, 0.8, 0.75, 0.3), Paint(0.8, 0.8, 0.78, 0.75), Paint(1.3, 1.3, 1.2, 0.6)


@functools.lru_cache(maxsize=256)
def backdrop(camera: SyntheticCamera, height: int, width: int) -> Canvas:
    """Return what stands behind those who walk by: (4, H, 3 W), of which a picture shows a part; not to be changed."""
    rng = np.random.default_rng((*camera.seed, 1))
    wide = BACKDROP_WIDTH * width
    foot = float(rng.uniform(0.35, 0.5) if camera.indoor else rng.uniform(0.25, 0.45)) + 0.4 * camera.pitch
    y = (np.arange(height)[:, None] + 0.5) / height
    x = (np.arange(wide)[None] + 0.5 - wide / 2) / height

    # The ground: paving stones in perspective, from the foot of the wall to the viewer.
    depth = 1 / (np.maximum(y, foot) - foot + 0.3)
    stones = rng.uniform(2, 5)
    joints = joint(stones * depth, stones * depth**2 / height) * joint(stones * x * depth, stones * depth / height)
    ground = dull(rng, 0.3, 0.6, heat=0.3 if camera.indoor else float(rng.uniform(0.12, 0.3)))
    floor = np.array(ground)[:, None, None] * joints * (0.9 + 0.25 * (y - foot))

    # The wall, of bricks or smooth.
    courses, bricks = rng.uniform(12, 30), rng.uniform(5, 15)
    bond = bricks * x + 0.5 * np.floor(courses * y)
    masonry = joint(courses * y, courses / height) * joint(bond, bricks / height) if rng.random() < 0.6 else 1.0
    face = dull(rng, 0.3, 0.75, heat=0.34 if camera.indoor else float(rng.uniform(0.1, 0.25)))
    wall = np.array(face)[:, None, None] * masonry * (0.9 + 0.2 * y)

    weathered = 1 + 0.03 * clouds(rng, height, wide, height / 8) + 0.03 * clouds(rng, height, wide, 2)
    canvas: Canvas = (np.where(y < foot, wall, floor) * weathered).astype(np.float32)
    things = indoor_things(rng, foot) if camera.indoor else outdoor_things(rng, foot)
    rows = place(as_rows(things), scale=height, origin=complex(wide / 2, 0))
    paint(canvas, rows, channels=slice(0, 4), light=camera.light)
    canvas.setflags(write=False)
    return canvas


def joint(position: NDArray[np.float64], pixel: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return darker lines at the whole numbers, about a pixel wide; fainter where they are too fine to see."""
    line = np.clip(1.5 - np.abs(position - np.rint(position)) / pixel, 0, 1)
    shade: NDArray[np.float64] = 1 - 0.25 * line * np.clip(0.3 / pixel, 0, 1)
    return shade


def dull(rng: np.random.Generator, low: float, high: float, *, heat: float) -> Paint:
    """Return a colour of walls and streets."""
    red, green, blue = (rng.uniform(low, high) * (1 + rng.normal(0, 0.1, 3))).tolist()
    return Paint(red, green, blue, heat)


def gaudy(rng: np.random.Generator, *, heat: float) -> Paint:
    """Return a colour of doors and posters."""
    red, green, blue = (0.5 * rng.uniform(0.15, 0.85) + 0.5 * rng.uniform(0.15, 0.85, 3)).tolist()
    return Paint(red, green, blue, heat)


def outdoor_things(rng: np.random.Generator, foot: float) -> list[Shape]:
    """Return windows, trees, hedges, doors and posts; lengths in picture heights, 0 at the top of the middle."""
    frame = dull(rng, 0.2, 0.9, heat=0.2)
    spacing, size, row = rng.uniform(0.28, 0.5), rng.uniform(0.05, 0.1), rng.uniform(0.05, 0.2)
    shapes = []
    for i in range(-3, 4):
        centre = complex(i * spacing + 0.05, row)
        pane = GLASS.times(float(rng.uniform(0.6, 1.6)))
        shapes += [box(centre, size + 0.015, 1.35 * size + 0.015, frame), box(centre, size, 1.35 * size, pane)]
        shapes.append(box(centre, 0.006, 1.35 * size, frame))
    for _ in range(rng.integers(1, 4)):
        x = rng.uniform(-0.7, 0.7)
        green = Paint(0.18, float(rng.uniform(0.28, 0.4)), 0.14, 0.22)
        match rng.integers(4):
            case 0:
                shapes.append(box(complex(x, foot - 0.1), 0.025, 0.25, TRUNK, curve=1))
                for _ in range(5):
                    crown = complex(x + rng.normal(0, 0.07), 0.08 + rng.normal(0, 0.06))
                    leaves = green.times(float(rng.uniform(0.7, 1.2)))
                    shapes.append(box(crown, 0.09, 0.09, leaves, corner=0.09, soft=0.02, curve=0.6))
            case 1:
                hedge = box(complex(x, foot), 0.3, 0.06, green, corner=0.03, soft=0.02, stripes=(6, 20))
                shapes.append(hedge._replace(second=green.times(0.7)))
            case 2:
                shapes.append(box(complex(x, foot - 0.14), 0.08, 0.15, dull(rng, 0.1, 0.5, heat=0.3)))
            case _:
                shapes.append(box(complex(x, foot - 0.2), 0.012, 0.35, POST, curve=1))
    return shapes


def indoor_things(rng: np.random.Generator, foot: float) -> list[Shape]:
    """Return a skirting board, posters, doors, a radiator and lamps; lengths as in `outdoor_things`."""
    shapes = [box(complex(0, foot), 2, 0.012, dull(rng, 0.15, 0.5, heat=0.32))]
    for _ in range(rng.integers(1, 4)):
        centre = complex(rng.uniform(-0.7, 0.7), foot - rng.uniform(0.15, 0.3))
        sheet = gaudy(rng, heat=0.33)
        shapes.append(box(centre, 0.06, 0.08, sheet, second=sheet.times(0.5), stripes=(0, 18)))
    door, spacing = gaudy(rng, heat=0.36), rng.uniform(0.45, 0.7)
    for i in range(-2, 3):
        middle = i * spacing + 0.1
        shapes.append(box(complex(middle, foot - 0.2), 0.108, 0.208, door.times(0.6)))
        shapes.append(box(complex(middle, foot - 0.2), 0.1, 0.2, door))
        shapes.append(box(complex(middle + 0.07, foot - 0.18), 0.01, 0.01, HANDLE))
    if rng.random() < 0.6:
        centre = complex(rng.uniform(-0.6, 0.6), foot - 0.05)
        shapes.append(box(centre, 0.12, 0.05, RADIATOR, second=RADIATOR.times(0.7), stripes=(5, 0)))
    return [*shapes, *(box(complex(x, 0.02), 0.12, 0.015, LAMP, soft=0.02) for x in (-0.5, 0.3))]
