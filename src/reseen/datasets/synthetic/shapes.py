"""Shapes and their colours: what everything in a picture is made of.

Every body part, panel, wheel, window, shadow and post is the same kind of shape, a box with rounded corners, tapered
and set askew: a limb is a box whose corners are as round as it is wide, the side of a car a slanted one.

A point of the picture is a complex number, x to the right and y down. P is the number of shapes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
Rows = NDArray[np.float32]  # (P, 26)
Option = TypeVar("Option")


class Paint(NamedTuple):
    """What a surface sends to a camera: red, green, blue, and heat; each 0 to 1."""

    red: float
    green: float
    blue: float
    heat: float

    def times(self, factor: float) -> Paint:
        """Return the same colour, brighter or darker; as warm as before."""
        return Paint(self.red * factor, self.green * factor, self.blue * factor, self.heat)


def choose(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """Return one of some options."""
    return options[int(rng.integers(len(options)))]


def pick(rng: np.random.Generator, colours: Sequence[Colour], *, heat: float, spread: float = 0.05) -> Paint:
    """Return one of some colours, slightly changed."""
    red, green, blue = np.clip(choose(rng, colours) + rng.normal(0, spread, 3), 0.03, 0.97).tolist()
    return Paint(red, green, blue, heat)


def apart(paint: Paint, colour: Sequence[float]) -> float:
    """Return how far a paint is from a colour, 0 to 3."""
    return abs(paint.red - colour[0]) + abs(paint.green - colour[1]) + abs(paint.blue - colour[2])


def contrast(rng: np.random.Generator, paint: Paint, colours: Sequence[Colour], *, heat: float) -> Paint:
    """Return one of some colours, one that stands out against a paint."""
    red, green, blue = choose(rng, [colour for colour in colours if apart(paint, colour) > 0.8])
    return Paint(red, green, blue, heat)


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


PAINT = Shape._fields.index("paint")  # its four numbers, then those of the stripes, end a row
STRIPES_V = Shape._fields.index("stripes_v")
LENGTHS = [Shape._fields.index(name) for name in ("x", "y", "half_u", "half_v", "corner", "soft")]


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
    placed: Rows = rows.copy()
    placed[:, LENGTHS] *= scale
    placed[:, STRIPES_V] /= scale
    placed[:, 0] += origin.real
    placed[:, 1] += origin.imag
    return placed
