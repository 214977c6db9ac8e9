"""Bodywork: a vehicle as seen from somewhere, as shapes.

Lengths are in vehicle lengths. A vehicle's own frame is x to its left, y up, z forward, on the ground below its middle.
"""

from __future__ import annotations

import math
from typing import Literal

from reseen.datasets.synthetic.shapes import Paint, Shape, View, box
from reseen.datasets.synthetic.vehicles import BONNET_HEAT, GLASS, RUBBER, Vehicle

Face = Literal["left", "right", "front", "back"]
Span = tuple[float, float]
Point = tuple[float, float, float]

FLOOR, AXLE, TYRE, END = 0.055, 0.3, 0.075, 0.49
SHADOW = Paint(0.03, 0.03, 0.04, 0.35)
PLATE = Paint(0.95, 0.95, 0.88, 0.3)
HEADLAMP, REAR_LAMP = Paint(1.0, 0.98, 0.85, 0.85), Paint(0.85, 0.08, 0.08, 0.5)


def bodywork(vehicle: Vehicle, view: View, *, spin: float = 0.0) -> list[Shape]:
    """Return a vehicle's shapes in the order of drawing; ``spin`` turns the wheels, in radians."""
    panels = Panels(view)
    half = vehicle.width / 2
    panels.level((-1.05 * half, 1.05 * half), (-0.52, 0.52), 0.0, SHADOW, corner=0.05, alpha=0.65)
    for face in panels.flanks:  # the far wheels, seen below the body
        for axle in (-AXLE, AXLE):
            panels.disc(face, 0.8 * half, (axle, TYRE), 0.07, RUBBER)
    add_end(panels, vehicle)
    add_flank(panels, vehicle, spin)
    above = vehicle.paint.times(1.08)
    outline = vehicle.outline
    panels.level(
        (-half, half), (outline.screen - 0.02, 0.47), outline.belt, above._replace(heat=BONNET_HEAT), corner=0.02
    )
    if outline.rear > -0.45:
        panels.level((-half, half), (-0.48, outline.rear + 0.02), outline.belt, above, corner=0.02)
    add_cabin(panels, vehicle)
    add_rack(panels, vehicle)
    return panels.shapes


class Panels:
    """Gathers the flat panels of a vehicle that are turned to the camera.

    Attributes:
        shapes: What is gathered.
        flanks: The side turned away, then the one seen.
        end: Front or back, whichever is seen.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.shapes: list[Shape] = []
        self.flanks: tuple[Face, Face] = ("right", "left") if view.sin < 0 else ("left", "right")
        self.end: Face = "front" if view.cos > 0 else "back"

    def upright(
        self,
        face: Face,
        out: Span | float,
        span: Span,
        heights: Span,
        paint: Paint,
        *,
        upper: Span | None = None,
        corner: float = 0.0,
    ) -> None:
        """Add a panel of one face.

        Args:
            face: Left and right run along z, front and back along x.
            out: How far it is from the middle of the vehicle, below and above.
            span: From where to where it runs below.
            heights: Of its lower and its upper edge.
            paint: Its colour.
            upper: From where to where it runs above; None for as below.
            corner: Radius of its corners.
        """
        outs = out if isinstance(out, tuple) else (out, out)
        sign = 1.0 if face in ("left", "front") else -1.0
        corners: list[Point] = []
        for (start, end), height, distance in zip((span, upper or span), heights, outs, strict=True):
            for along in (end, start) if face in ("left", "back") else (start, end):
                flank = face in ("left", "right")
                corners.append((sign * distance, height, along) if flank else (along, height, sign * distance))
        self.add(corners, paint, corner=corner)

    def level(
        self, across: Span, along: Span, height: float, paint: Paint, *, corner: float = 0.0, alpha: float = 1.0
    ) -> None:
        """Add a level panel, between two places across (x) and two along (z) the vehicle."""
        (x0, x1), (z0, z1) = across, along
        self.add(
            [(x0, height, z1), (x1, height, z1), (x0, height, z0), (x1, height, z0)], paint, corner=corner, alpha=alpha
        )

    def disc(self, face: Face, out: float, centre: Span, radius: float, paint: Paint) -> None:
        """Add a disc of a flank, around a place along it and a height."""
        z, y = centre
        self.upright(face, out, (z - radius, z + radius), (y - radius, y + radius), paint, corner=radius)

    def add(self, corners: list[Point], paint: Paint, *, corner: float, alpha: float = 1.0) -> None:
        """Add a trapezoid unless turned away: lower left, lower right, upper left, upper right, as one faces it."""
        a, b, c, d = (self.view.see(*point)[0] for point in corners)
        lower, upper = (b - a) / 2, (d - c) / 2
        axis, edge = (c + d - a - b) / 2, lower + upper
        if (
            edge.conjugate() * axis
        ).imag > -1e-4:  # y runs down on the picture, so what is seen from behind turns this way
            return
        u, v = (
            1j * axis / abs(axis),
            -1j * edge / abs(edge),
        )  # u across the axis to the right, v across the edges upwards
        lower_half, upper_half = dot(lower, u), dot(upper, u)
        half_u, half_v = (lower_half + upper_half) / 2, dot(axis, v) / 2
        taper = (upper_half - lower_half) / (2 * half_u)
        corner = min(corner, half_u, half_v)
        centre = (a + b + c + d) / 4
        self.shapes.append(box(centre, half_u, half_v, paint, u=u, v=v, taper=taper, corner=corner, alpha=alpha))


def dot(a: complex, b: complex) -> float:
    """Return the scalar product of two vectors."""
    return a.real * b.real + a.imag * b.imag


def add_end(panels: Panels, vehicle: Vehicle) -> None:
    """Add the front or the back, whichever is seen: panel, bumper, lamps, number plate, grille."""
    end, half, lamps, belt = panels.end, vehicle.width / 2, vehicle.lamps, vehicle.outline.belt
    front = end == "front"
    paint = vehicle.paint.times(0.78 + 0.12 * abs(panels.view.cos))
    if front:
        paint = paint._replace(heat=0.7)  # the engine behind it
    panels.upright(end, (END, END - 0.02), (-half, half), (FLOOR, belt), paint, corner=0.03)
    panels.upright(end, END, (-half, half), (FLOOR, FLOOR + 0.05), vehicle.bumper.times(0.8), corner=0.015)
    panels.upright(end, END, (-0.06, 0.06), (FLOOR + 0.03, FLOOR + 0.06), PLATE)
    top, lamp = (belt - 0.02, HEADLAMP) if front else (belt - 0.005, REAR_LAMP)
    for middle in (lamps - half, half - lamps):
        panels.upright(end, END, (middle - 0.8 * lamps, middle + 0.8 * lamps), (top - 0.045, top), lamp, corner=0.012)
    if front:
        grille = (2 * lamps - half, half - 2 * lamps)
        panels.upright(end, END, grille, (belt - 0.07, belt - 0.025), vehicle.grille.times(0.6), corner=0.01)


def add_flank(panels: Panels, vehicle: Vehicle, spin: float) -> None:
    """Add the side that is seen: panel, sill, stripe, doors, sticker and wheels."""
    flank, half, outline = panels.flanks[1], vehicle.width / 2, vehicle.outline
    paint = vehicle.paint.times(0.72 + 0.18 * abs(panels.view.sin))
    panels.upright(flank, half, (-END, END), (FLOOR, outline.belt), paint, upper=(-0.48, 0.47), corner=0.03)
    panels.upright(flank, half, (-0.47, 0.47), (FLOOR, FLOOR + 0.035), vehicle.bumper.times(0.7), corner=0.01)
    if vehicle.stripe is not None:
        height = FLOOR + vehicle.stripe_height * (outline.belt - FLOOR)
        panels.upright(flank, half, (-0.47, 0.47), (height - 0.012, height + 0.012), vehicle.stripe)
    for z in (outline.screen - 0.05, (outline.screen + outline.rear) / 2 - 0.02):
        panels.upright(flank, half, (z, z + 0.006), (FLOOR + 0.03, outline.belt), paint.times(0.6))
    if vehicle.sticker is not None:
        z = vehicle.sticker_place
        heights = (FLOOR + 0.05, outline.belt - 0.02)
        panels.upright(flank, half, (z - 0.07, z + 0.07), heights, vehicle.sticker, corner=0.02)
    bolt = 0.02 * math.cos(spin), 0.02 * math.sin(spin)
    for axle in (-AXLE, AXLE):
        panels.disc(flank, half, (axle, TYRE), 0.09, RUBBER.times(0.5))
        panels.disc(flank, half, (axle, TYRE), TYRE, RUBBER)
        panels.disc(flank, half, (axle, TYRE), 0.045, vehicle.hubs)
        panels.disc(flank, half, (axle + bolt[0], TYRE + bolt[1]), 0.012, RUBBER)


def add_cabin(panels: Panels, vehicle: Vehicle) -> None:
    """Add what is above the belt line: pillars, windows and roof."""
    outline, half = vehicle.outline, vehicle.width / 2
    belt, roof, screen, screen_top, rear_top, rear = outline
    top = 0.86 * half
    pillar = vehicle.roof.times(0.8)
    flank, heights, glass = panels.flanks[1], (belt, roof), (belt + 0.012, roof - 0.025)
    ends: tuple[Face, Face] = ("front", "back") if panels.end == "back" else ("back", "front")
    for face in ends:
        out = (screen, screen_top) if face == "front" else (-rear, -rear_top)
        panels.upright(face, out, (-0.95 * half, 0.95 * half), heights, pillar, upper=(-top, top), corner=0.01)
        if face == "front" or vehicle.rear_windows:
            pane, pane_top = 0.86 * half, 0.88 * top
            shine = GLASS.times(1.5 if face == "front" else 1.1)
            panels.upright(face, out, (-pane, pane), heights, shine, upper=(-pane_top, pane_top), corner=0.015)
    out = (0.95 * half, top)
    panels.upright(flank, out, (rear, screen), heights, pillar, upper=(rear_top, screen_top), corner=0.01)
    middle = (screen_top + rear_top) / 2
    panes = [((middle + 0.01, screen - 0.04), (middle + 0.01, screen_top - 0.01))]
    if vehicle.rear_windows:
        panes.append(((rear + 0.04, middle - 0.01), (rear_top + 0.02, middle - 0.01)))
    for span, upper in panes:
        panels.upright(flank, out, span, glass, GLASS, upper=upper, corner=0.01)
    panels.level((-top, top), (rear_top, screen_top), roof, vehicle.roof.times(1.1), corner=0.02)


def add_rack(panels: Panels, vehicle: Vehicle) -> None:
    """Add what the roof carries: rails, a box or a sign."""
    outline, top, paint = vehicle.outline, 0.43 * vehicle.width, vehicle.rack_paint
    if vehicle.rack == "none":
        return
    if vehicle.rack == "rails":
        along = (outline.rear_top + 0.03, outline.screen_top - 0.03)
        for side in (-0.8 * top, 0.8 * top):
            panels.level((side - 0.012, side + 0.012), along, outline.roof + 0.015, paint)
        return
    half, reach = (0.7 * top, 0.16) if vehicle.rack == "box" else (0.08, 0.03)
    middle = (outline.rear_top + outline.screen_top) / 2
    low, high = outline.roof, outline.roof + 0.05
    back, front = middle - reach, middle + reach
    end = front if panels.end == "front" else -back
    panels.upright(panels.flanks[1], half, (back, front), (low, high), paint.times(0.8), corner=0.015)
    panels.upright(panels.end, end, (-half, half), (low, high), paint.times(0.85), corner=0.015)
    panels.level((-half, half), (back, front), high, paint.times(1.05), corner=0.01)
