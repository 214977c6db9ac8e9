"""Bodywork: a vehicle as seen from somewhere, as shapes.

Lengths are in vehicle lengths. A vehicle's own frame is x to its left, y up, z forward, on the ground below its middle.
"""

from __future__ import annotations

import math

from reseen.datasets.rendering.painting import Paint, Shape, View, box
from reseen.datasets.rendering.vehicles import BONNET_HEAT, GLASS, RUBBER, Vehicle

Point = tuple[float, float, float]


class Panels:
    """Turns flat panels in space into shapes, leaving out those turned away."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.shapes: list[Shape] = []

    def add(
        self,
        corners: tuple[Point, Point, Point, Point],
        paint: Paint,
        *,
        depth: float,
        corner: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        """Add the panel with corners left below, right below, right above, left above, as one faces it."""
        a, b, c, d = (self.view.see(*point)[0] for point in corners)
        below, above = (b - a) / 2, (c - d) / 2
        axis = (c + d - a - b) / 2
        edge = below + above
        if (
            edge.conjugate() * axis
        ).imag > -1e-4:  # on the picture y runs down, so a panel seen from behind turns this way
            return
        along, up = edge / abs(edge), axis / abs(axis)
        u, v = 1j * up, -1j * along  # across the axis to the right, across the edges upwards
        width_below, width_above = dot(below, u), dot(above, u)
        half_u, half_v = (width_below + width_above) / 2, dot(axis, v) / 2
        taper = (width_above - width_below) / (2 * half_u)
        self.shapes.append(
            box(
                (a + b + c + d) / 4,
                half_u,
                half_v,
                paint,
                u=u,
                v=v,
                taper=taper,
                corner=min(corner, 0.95 * half_u, half_v),
                alpha=alpha,
                depth=depth,
            )
        )

    def side(self, left: bool, x: float, bottom: tuple[float, float], top: tuple[float, float], low: float, high: float, paint: Paint, *,
             depth: float, corner: float = 0.0) -> None:  # fmt: skip
        """Add an upright panel along the vehicle: from back to front (z) below and above, between two heights."""
        (z0, z1), (t0, t1) = bottom, top
        if left:  # facing the left side, the front is to the left
            corners = ((x, low, z1), (x, low, z0), (x, high, t0), (x, high, t1))
        else:
            corners = ((-x, low, z0), (-x, low, z1), (-x, high, t1), (-x, high, t0))
        self.add(corners, paint, depth=depth, corner=corner)

    def end(self, front: bool, half: tuple[float, float], z: tuple[float, float], low: float, high: float, paint: Paint, *,
            depth: float, corner: float = 0.0, middle: float = 0.0) -> None:  # fmt: skip
        """Add a panel across the vehicle: half widths and places (z) below and above, between two heights."""
        turn = -1.0 if front else 1.0  # facing the front, the vehicle's left is to the right
        (w0, w1), (z0, z1) = half, z
        corners = (
            (middle + turn * w0, low, z0), (middle - turn * w0, low, z0), (middle - turn * w1, high, z1), (middle + turn * w1, high, z1)
        )  # fmt: skip
        self.add(corners, paint, depth=depth, corner=corner)

    def deck(
        self,
        half: float,
        back: float,
        front: float,
        height: float,
        paint: Paint,
        *,
        depth: float,
        corner: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        """Add a level panel."""
        corners = ((-half, height, front), (half, height, front), (half, height, back), (-half, height, back))
        if self.view.cos < 0:
            corners = (corners[2], corners[3], corners[0], corners[1])
        self.add(corners, paint, depth=depth, corner=corner, alpha=alpha)


def dot(a: complex, b: complex) -> float:
    """Return the scalar product of two vectors."""
    return a.real * b.real + a.imag * b.imag


def bodywork(vehicle: Vehicle, view: View, *, spin: float = 0.0) -> list[Shape]:
    """Return a vehicle's shapes; those behind have smaller depth."""
    panels = Panels(view)
    o, x, floor = vehicle.outline, vehicle.width / 2, 0.055
    cabin = 0.86 * x
    paint = vehicle.paint
    ends, sides, above = (
        paint.times(0.78 + 0.12 * abs(view.cos)),
        paint.times(0.72 + 0.18 * abs(view.sin)),
        paint.times(1.08),
    )
    panels.deck(x * 1.05, -0.52, 0.52, 0.0, Paint(0.03, 0.03, 0.04, 0.35), depth=-9, corner=0.05, alpha=0.65)
    for wheel in (-0.3, 0.3):  # the inner faces of the wheels, seen below the body
        for left in (True, False):
            panels.side(
                left,
                x * 0.8,
                (wheel - 0.07, wheel + 0.07),
                (wheel - 0.07, wheel + 0.07),
                0.0,
                0.13,
                RUBBER,
                depth=-2,
                corner=0.07,
            )
    for left in (True, False):
        panels.side(left, x, (-0.49, 0.49), (-0.48, 0.47), floor, o.belt, sides, depth=0, corner=0.03)
        panels.side(
            left,
            x,
            (-0.47, 0.47),
            (-0.48, 0.48),
            floor,
            floor + 0.035,
            vehicle.bumper.times(0.7),
            depth=0.1,
            corner=0.01,
        )
        if vehicle.stripe is not None:
            height = floor + vehicle.stripe_height * (o.belt - floor)
            panels.side(
                left, x, (-0.47, 0.47), (-0.47, 0.47), height - 0.012, height + 0.012, vehicle.stripe, depth=0.2
            )
        for z in (o.screen - 0.05, (o.screen + o.rear) / 2 - 0.02):
            panels.side(left, x, (z, z + 0.006), (z, z + 0.006), floor + 0.03, o.belt, sides.times(0.6), depth=0.21)
        if vehicle.sticker is not None:
            z = vehicle.sticker_place
            panels.side(
                left,
                x,
                (z - 0.07, z + 0.07),
                (z - 0.07, z + 0.07),
                floor + 0.05,
                o.belt - 0.02,
                vehicle.sticker,
                depth=0.22,
                corner=0.02,
            )
        for wheel in (-0.3, 0.3):
            for reach, colour, depth in (
                (0.09, RUBBER.times(0.5), 0.3),
                (0.075, RUBBER, 0.31),
                (0.045, vehicle.hubs, 0.32),
            ):
                panels.side(
                    left,
                    x,
                    (wheel - reach, wheel + reach),
                    (wheel - reach, wheel + reach),
                    0.075 - reach,
                    0.075 + reach,
                    colour,
                    depth=depth,
                    corner=reach,
                )
            z, y = wheel + 0.02 * math.cos(spin), 0.075 + 0.02 * math.sin(spin)
            panels.side(
                left,
                x,
                (z - 0.012, z + 0.012),
                (z - 0.012, z + 0.012),
                y - 0.012,
                y + 0.012,
                RUBBER,
                depth=0.33,
                corner=0.012,
            )
    for front, z in ((True, 0.49), (False, -0.49)):
        end = 1.0 if front else -1.0
        warm = ends._replace(heat=0.7) if front else ends
        panels.end(front, (x, x * 0.97), (z, z - 0.02 * end), floor, o.belt, warm, depth=0, corner=0.03)
        panels.end(front, (x, x), (z, z), floor, floor + 0.05, vehicle.bumper.times(0.8), depth=0.4, corner=0.015)
        panels.end(front, (0.06, 0.06), (z, z), floor + 0.03, floor + 0.06, Paint(0.95, 0.95, 0.88, 0.3), depth=0.5)
        lamp = Paint(1.0, 0.98, 0.85, 0.85) if front else Paint(0.85, 0.08, 0.08, 0.5)
        for middle in (-x + vehicle.lamps, x - vehicle.lamps):
            high = o.belt - 0.02 if front else o.belt - 0.005
            panels.end(
                front,
                (vehicle.lamps * 0.8, vehicle.lamps * 0.8),
                (z, z),
                high - 0.045,
                high,
                lamp,
                depth=0.5,
                corner=0.012,
                middle=middle,
            )
        if front:
            panels.end(
                front,
                (x - 2 * vehicle.lamps, x - 2 * vehicle.lamps),
                (z, z),
                o.belt - 0.07,
                o.belt - 0.025,
                vehicle.grille.times(0.6),
                depth=0.45,
                corner=0.01,
            )
    panels.deck(x * 0.97, o.screen - 0.02, 0.47, o.belt, above._replace(heat=BONNET_HEAT), depth=0.6, corner=0.02)
    panels.deck(x * 0.97, -0.48, o.rear + 0.02, o.belt, above if o.rear > -0.45 else paint, depth=0.6, corner=0.02)
    cabin_shapes(panels, vehicle, x, cabin)
    return panels.shapes


def cabin_shapes(panels: Panels, vehicle: Vehicle, x: float, top: float) -> None:
    """Add what is above the belt line: pillars, windows, roof and what it carries."""
    o, view = vehicle.outline, panels.view
    pillar = vehicle.roof.times(0.8)
    for left in (True, False):
        # The sides lean inwards; flat panels at the mean width come close enough.
        lean = (x + top) / 2
        panels.side(
            left, lean, (o.rear, o.screen), (o.rear_top, o.screen_top), o.belt, o.roof, pillar, depth=1, corner=0.01
        )
        low, high = o.belt + 0.012, o.roof - 0.025
        middle = (o.screen_top + o.rear_top) / 2
        panels.side(
            left,
            lean,
            (middle + 0.01, o.screen - 0.04),
            (middle + 0.01, o.screen_top - 0.01),
            low,
            high,
            GLASS,
            depth=1.1,
            corner=0.01,
        )
        if vehicle.rear_windows:
            panels.side(
                left,
                lean,
                (o.rear + 0.04, middle - 0.01),
                (o.rear_top + 0.02, middle - 0.01),
                low,
                high,
                GLASS,
                depth=1.1,
                corner=0.01,
            )
    for front, z in ((True, (o.screen, o.screen_top)), (False, (o.rear, o.rear_top))):
        panels.end(
            front,
            (x * 0.95, top),
            z,
            o.belt,
            o.roof,
            pillar,
            depth=1.2 if front == (view.cos > 0) else 0.9,
            corner=0.01,
        )
        if front or vehicle.rear_windows:
            shine = GLASS.times(1.5 if front else 1.1)
            panels.end(front, (x * 0.86, top * 0.88), z, o.belt + 0.01, o.roof - 0.015, shine, depth=1.3, corner=0.015)
    panels.deck(top, o.rear_top, o.screen_top, o.roof, vehicle.roof.times(1.1), depth=2, corner=0.02)
    if vehicle.rack == "rails":
        for side in (-0.8, 0.8):
            at = [view.see(side * top, o.roof + 0.015, z)[0] for z in (o.rear_top + 0.03, o.screen_top - 0.03)]
            along = at[1] - at[0]
            panels.shapes.append(
                box(
                    sum(at) / 2,
                    0.008,
                    abs(along) / 2 + 0.008,
                    vehicle.rack_paint,
                    v=along / max(abs(along), 1e-6),
                    depth=2.5,
                )
            )
    elif vehicle.rack != "none":
        half, length, rise = (0.7 * top, 0.16, 0.05) if vehicle.rack == "box" else (0.08, 0.03, 0.05)
        z = (o.rear_top + o.screen_top) / 2
        for left in (True, False):
            panels.side(
                left,
                half,
                (z - length, z + length),
                (z - length, z + length),
                o.roof,
                o.roof + rise,
                vehicle.rack_paint.times(0.8),
                depth=2.6,
                corner=0.015,
            )
        for front, end in ((True, z + length), (False, z - length)):
            panels.end(
                front,
                (half, half),
                (end, end),
                o.roof,
                o.roof + rise,
                vehicle.rack_paint.times(0.85),
                depth=2.6,
                corner=0.015,
            )
        panels.deck(half, z - length, z + length, o.roof + rise, vehicle.rack_paint.times(1.05), depth=2.7, corner=0.01)
