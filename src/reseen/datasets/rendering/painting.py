"""The painter: one kind of shape, laid over a canvas with soft edges, from the farthest to the nearest.

Every body part, panel, wheel, window, shadow and post is the same shape, a box with rounded corners, tapered and set
askew: so a limb is a box whose corners are as round as it is wide, and the side of a car a slanted box with sharp
ones. All shapes of a picture are evaluated together, over the pixels of their bounding boxes only.

Dimensions: C channels, H rows, W columns, P shapes, N pixels of all bounding boxes together. A point of the picture
is a complex number, x to the right and y down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Canvas = NDArray[np.float32]  # (C, H, W)
Rows = NDArray[np.float32]  # (P, 26)


class Paint(NamedTuple):
    """What a surface sends to a camera: red, green, blue, and heat; each 0 to 1."""

    red: float
    green: float
    blue: float
    heat: float

    def times(self, factor: float) -> Paint:
        """Return the same colour, brighter or darker; as warm as before."""
        return Paint(self.red * factor, self.green * factor, self.blue * factor, self.heat)


Colour = tuple[float, float, float]


def pick(rng: np.random.Generator, colours: Sequence[Colour], *, heat: float, spread: float = 0.05) -> Paint:
    """Return one of some colours, slightly changed."""
    red, green, blue = np.clip(colours[rng.integers(len(colours))] + rng.normal(0, spread, 3), 0.03, 0.97).tolist()
    return Paint(red, green, blue, heat)


def apart(paint: Paint, colour: Sequence[float]) -> float:
    """Return how far a paint is from a colour, 0 to 3."""
    return abs(paint.red - colour[0]) + abs(paint.green - colour[1]) + abs(paint.blue - colour[2])


class View:
    """Where a camera sees things from: turned by ``yaw`` against it, looking down by ``pitch``; both in radians.

    A thing's own frame is x to its left, y up, z forward. With yaw 0 it faces the camera, with pi / 2 the right.
    """

    def __init__(self, yaw: float, pitch: float) -> None:
        self.yaw = yaw
        self.cos, self.sin = math.cos(yaw), math.sin(yaw)
        self.cos_pitch, self.sin_pitch = math.cos(pitch), math.sin(pitch)

    def see(self, x: float, y: float, z: float) -> tuple[complex, float]:
        """Return where a point falls on the picture, and how near it is."""
        near = z * self.cos - x * self.sin
        return complex(x * self.cos + z * self.sin, near * self.sin_pitch - y * self.cos_pitch), near


class Shape(NamedTuple):
    """A tapered, rounded, skewed box. With u and v a pixel's distances from the centre along the two normals.

    It covers ``|u| <= half_u * (1 + taper * v / half_v)`` and ``|v| <= half_v``, less its rounded corners.

    Attributes:
        x: Of the centre, as ``y``.
        y: Downwards.
        u_x: Of the unit vector along which ``u`` is measured, as ``u_y``; ``v_x`` and ``v_y`` likewise.
        u_y: As above.
        v_x: As above.
        v_y: As above.
        half_u: Half of the width.
        half_v: Half of the length.
        taper: Wider (or narrower, below zero) towards positive v, as a share of the width.
        corner: Radius of the corners.
        soft: Width of the blurred edge; a pixel at least.
        alpha: 1 covers what lies behind, 0 is glass.
        curve: How round the surface is to the light: 0 flat, 1 a cylinder.
        stripes_u: Stripes across the half width; 0 for none.
        stripes_v: Stripes along a unit of length.
        phase_u: Where they begin.
        phase_v: As above.
        depth: Nearer shapes are larger, and drawn later.
        paint: The four numbers of the colour.
        second: Those of the stripes.
    """

    x: float
    y: float
    u_x: float
    u_y: float
    v_x: float
    v_y: float
    half_u: float
    half_v: float
    taper: float
    corner: float
    soft: float
    alpha: float
    curve: float
    stripes_u: float
    stripes_v: float
    phase_u: float
    phase_v: float
    depth: float
    paint: Paint
    second: Paint


PAINT = len(Shape._fields) - 2


def box(
    centre: complex,
    half_u: float,
    half_v: float,
    paint: Paint,
    *,
    v: complex = 1j,
    u: complex | None = None,
    taper: float = 0.0,
    corner: float = 0.0,
    soft: float = 0.0,
    alpha: float = 1.0,
    curve: float = 0.0,
    stripes: tuple[float, float] = (0.0, 0.0),
    phase: tuple[float, float] = (0.0, 0.0),
    second: Paint | None = None,
    depth: float = 0.0,
) -> Shape:
    """Return a shape of the given half width and half length; ``u`` is perpendicular to ``v`` unless given."""
    u = -1j * v if u is None else u
    return Shape(
        centre.real, centre.imag, u.real, u.imag, v.real, v.imag, half_u, half_v, taper, corner, soft, alpha, curve,
        *stripes, *phase, depth, paint, second or paint,
    )  # fmt: skip


def limb(
    start: complex, end: complex, start_radius: float, end_radius: float, paint: Paint, *, depth: float = 0.0
) -> Shape:
    """Return a round limb between two points."""
    along = end - start
    length = abs(along)
    radius = (start_radius + end_radius) / 2
    return box(
        (start + end) / 2,
        radius,
        length / 2 + radius,
        paint,
        v=along / length if length > 1e-6 else 1j,
        taper=(end_radius - start_radius) / (2 * radius),
        corner=min(start_radius, end_radius),
        curve=1.0,
        depth=depth,
    )


def as_rows(shapes: Sequence[Shape]) -> Rows:
    """Return shapes as an array (P, 26), the farthest first."""
    ordered = sorted(shapes, key=lambda shape: shape.depth)
    return np.array([(*shape[:PAINT], *shape.paint, *shape.second) for shape in ordered], np.float32)


def place(rows: Rows, *, scale: float, origin: complex) -> Rows:
    """Return rows (P, 26) made larger by ``scale`` and moved, so that the point 0 falls on ``origin``."""
    placed = rows.copy()
    placed[:, [0, 1, 6, 7, 9, 10]] *= scale
    placed[:, 14] /= scale
    placed[:, 0] += origin.real
    placed[:, 1] += origin.imag
    return placed


def paint(canvas: Canvas, rows: Rows, *, channels: slice, light: float = 0.0, relief: float = 0.35) -> None:
    """Lay shapes over a canvas, in place.

    Args:
        canvas: (C, H, W).
        rows: (P, 26), in pixels, in the order of drawing.
        channels: Which C of a paint's four numbers the canvas shows.
        light: From the left (below zero) or the right; about -0.5 to 0.5.
        relief: How much darker a round surface is where it turns away.
    """
    channel_count, height, width = canvas.shape
    x, y, ux, uy, vx, vy, half_u, half_v, taper, *_ = rows.T
    soft = np.maximum(rows[:, 10], 1)
    corner = np.maximum(rows[:, 9], soft / 2)  # so that the middle is covered wholly
    widest = half_u * (1 + np.abs(taper))
    area = np.abs(ux * vy - uy * vx)
    reach_x = (np.abs(vy) * widest + np.abs(uy) * half_v) / area + soft
    reach_y = (np.abs(vx) * widest + np.abs(ux) * half_v) / area + soft
    left = np.clip(x - reach_x, 0, width).astype(np.intp)
    top = np.clip(y - reach_y, 0, height).astype(np.intp)
    wide = np.clip(np.ceil(x + reach_x), 0, width).astype(np.intp) - left
    high = np.clip(np.ceil(y + reach_y), 0, height).astype(np.intp) - top
    sizes = np.maximum(wide, 0) * np.maximum(high, 0)
    ends = np.cumsum(sizes)
    starts = ends - sizes

    # Every number of a shape is repeated over the pixels of its bounding box: a column for each of the N pixels.
    from_x, from_y = left + 0.5 - x, top + 0.5 - y
    first, second = rows[:, PAINT : PAINT + 4].T[channels], rows[:, PAINT + 4 :].T[channels]
    per_shape = [
        *(starts, wide, ux, uy, vx, vy, ux * from_x + uy * from_y, vx * from_x + vy * from_y),
        *(half_u, half_v, half_u * taper / half_v, 1 / soft, corner, *rows[:, 11:17].T),
        *(*first, *(second - first)),
    ]
    per_pixel = np.repeat(np.array(per_shape, np.float32), sizes, axis=1)
    start, stride, ux, uy, vx, vy, u0, v0, half_u, half_v, slope, sharp, corner, alpha, curve, fu, fv, pu, pv = (
        per_pixel[:19]
    )
    first, change = per_pixel[19 : 19 + channel_count], per_pixel[19 + channel_count :]
    inside = np.arange(len(start), dtype=np.float32) - start
    row = np.floor((inside + 0.5) / stride)
    column = inside - row * stride
    u = ux * column + uy * row + u0
    v = vx * column + vy * row + v0
    half_u = half_u + slope * v
    across = np.clip(u / np.maximum(half_u, 0.1), -1, 1)
    over_u = np.maximum(np.abs(u) - half_u + corner, 0)
    over_v = np.maximum(np.abs(v) - half_v + corner, 0)
    cover = np.clip(0.5 - (np.sqrt(over_u * over_u + over_v * over_v) - corner) * sharp, 0, 1) * alpha
    shade = 1 + curve * across * (light - relief * across)
    stripe_u, stripe_v = stripes(fu * across + pu), stripes(fv * v + pv)
    mix = stripe_u + stripe_v - stripe_u * stripe_v
    colour = (first + change * mix) * (shade * cover)
    keep = 1 - cover
    for start, end, x0, y0, w, h in zip(
        starts.tolist(), ends.tolist(), left.tolist(), top.tolist(), wide.tolist(), high.tolist(), strict=True
    ):
        if end > start:
            region = canvas[:, y0 : y0 + h, x0 : x0 + w]
            region *= keep[start:end].reshape(h, w)
            region += colour[:, start:end].reshape(-1, h, w)


def stripes(position: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 in the middle of every other half of a unit, 0 between, with soft borders; 0 at 0."""
    return np.clip(8 * np.abs(position - np.rint(position)) - 1.5, 0, 1)
