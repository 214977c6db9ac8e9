"""The painter: lays shapes over a canvas with soft edges, from the farthest to the nearest.

All shapes of a picture are evaluated together, over the pixels of their bounding boxes only: one array operation
serves them all. Laying them over each other is the only loop.

Dimensions: C channels, H rows, W columns of the canvas; P shapes; N pixels of all bounding boxes together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reseen.datasets.synthetic.shapes import PAINT, Rows

Canvas = NDArray[np.float32]  # (C, H, W)
Numbers = NDArray[np.float32]
Counts = NDArray[np.intp]


class BoundingBoxes(NamedTuple):
    """The bounding boxes of P shapes on a canvas, each (P,), in whole pixels; ``sizes`` is 0 for those outside."""

    left: Counts
    top: Counts
    wide: Counts
    high: Counts
    sizes: Counts


def paint(canvas: Canvas, rows: Rows, *, channels: slice, light: float = 0.0, relief: float = 0.35) -> None:
    """Lay shapes over a canvas, in place.

    Args:
        canvas: (C, H, W).
        rows: (P, 26), in pixels, in the order of drawing; see `shapes.Shape` for the columns.
        channels: Which C of a paint's four numbers the canvas shows.
        light: From the left (below zero) or the right; about -0.5 to 0.5.
        relief: How much darker a round surface is where it turns away.
    """
    boxes = bounding_boxes(rows, *canvas.shape[1:])
    colour, keep = pixel_values(rows, boxes, channels, light, relief)
    start = 0
    for left, top, wide, high, size in zip(*(column.tolist() for column in boxes), strict=True):
        if size:
            region = canvas[:, top : top + high, left : left + wide]
            region *= keep[start : start + size].reshape(high, wide)
            region += colour[:, start : start + size].reshape(-1, high, wide)
            start += size


def bounding_boxes(rows: Rows, height: int, width: int) -> BoundingBoxes:
    """Return which pixels of a canvas (H, W) each shape may touch."""
    x, y, u_x, u_y, v_x, v_y, half_u, half_v, taper, _, soft, *_ = rows.T
    widest = half_u * (1 + np.abs(taper))
    area = np.abs(u_x * v_y - u_y * v_x)
    margin = np.maximum(soft, 1)
    reach_x = (np.abs(v_y) * widest + np.abs(u_y) * half_v) / area + margin
    reach_y = (np.abs(v_x) * widest + np.abs(u_x) * half_v) / area + margin
    left = np.clip(x - reach_x, 0, width).astype(np.intp)
    top = np.clip(y - reach_y, 0, height).astype(np.intp)
    wide = np.clip(np.ceil(x + reach_x), 0, width).astype(np.intp) - left
    high = np.clip(np.ceil(y + reach_y), 0, height).astype(np.intp) - top
    return BoundingBoxes(left, top, wide, high, wide * high)


def pixel_values(
    rows: Rows, boxes: BoundingBoxes, channels: slice, light: float, relief: float
) -> tuple[Numbers, Numbers]:
    """Return what each pixel of each box adds to the canvas (C, N), and how much of the canvas it leaves (N,)."""
    x, y, u_x, u_y, v_x, v_y, half_u, half_v, taper, corner, soft, *_ = rows.T
    soft = np.maximum(soft, 1)
    first, second = rows[:, PAINT : PAINT + 4].T[channels], rows[:, PAINT + 4 :].T[channels]
    starts = np.cumsum(boxes.sizes) - boxes.sizes
    from_x, from_y = boxes.left + 0.5 - x, boxes.top + 0.5 - y
    per_shape = [
        *(starts, boxes.wide, u_x, u_y, v_x, v_y, u_x * from_x + u_y * from_y, v_x * from_x + v_y * from_y),
        *(half_u, half_v, half_u * taper / half_v),
        *(np.maximum(corner, soft / 2), 1 / soft),  # the middle of a soft shape is covered wholly all the same
        *rows[:, 11:17].T,
        *(*first, *(second - first)),
    ]
    # Every number of a shape, repeated over the pixels of its box.
    start, stride, u_x, u_y, v_x, v_y, u_0, v_0, half_u, half_v, slope, corner, sharp, *rest = np.repeat(
        np.array(per_shape, np.float32), boxes.sizes, axis=1
    )
    alpha, curve, stripes_u, stripes_v, phase_u, phase_v, *colours = rest
    inside = np.arange(len(start), dtype=np.float32) - start
    row = np.floor((inside + 0.5) / stride)
    column = inside - row * stride
    u, v = u_x * column + u_y * row + u_0, v_x * column + v_y * row + v_0
    half_u = half_u + slope * v
    across = np.clip(u / np.maximum(half_u, 0.1), -1, 1)
    over_u = np.maximum(np.abs(u) - half_u + corner, 0)
    over_v = np.maximum(np.abs(v) - half_v + corner, 0)
    outside = np.sqrt(over_u * over_u + over_v * over_v) - corner
    cover = np.clip(0.5 - outside * sharp, 0, 1) * alpha
    shade = 1 + curve * across * (light - relief * across)
    stripe_u, stripe_v = wave(stripes_u * across + phase_u), wave(stripes_v * v + phase_v)
    mix = stripe_u + stripe_v - stripe_u * stripe_v
    weight = shade * cover
    count = len(colours) // 2
    return np.stack([(a + b * mix) * weight for a, b in zip(colours[:count], colours[count:], strict=True)]), 1 - cover


def wave(position: Numbers) -> Numbers:
    """Return 1 around the halves and 0 around the whole numbers, with soft borders."""
    stripes: Numbers = np.clip(8 * np.abs(position - np.rint(position)) - 1.5, 0, 1)
    return stripes
