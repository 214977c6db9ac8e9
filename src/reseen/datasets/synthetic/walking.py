"""Walking: a person in a pose, as shapes. Lengths are in body heights, as in `body`."""

from __future__ import annotations

import math

from reseen.datasets.synthetic.body import Body, Point, Pose
from reseen.datasets.synthetic.people import Garment, Person
from reseen.datasets.synthetic.shapes import Paint, Shape, View, box, limb

SHADOW = Paint(0.05, 0.05, 0.06, 0.2)


def person_shapes(person: Person, pose: Pose, view: View) -> list[Shape]:
    """Return a person's shapes; those behind have smaller depth."""
    body = Body(person, pose, view)
    shapes = [box(0.01j, 0.17, 0.03, SHADOW, corner=0.03, soft=0.05, alpha=0.5, depth=-9)]
    for leg in body.legs:
        shapes += leg_shapes(body, leg)
    for arm in body.arms:
        shapes += arm_shapes(body, arm)
    return shapes + trunk_shapes(body) + head_shapes(body) + bag_shapes(body)


def striped(shape: Shape, garment: Garment, *, turn: float = 0.0) -> Shape:
    """Return a shape in a garment's pattern."""
    across, along = garment.stripes
    return shape._replace(second=garment.second, stripes_u=across, stripes_v=along, phase_u=across * turn)


def leg_shapes(body: Body, leg: tuple[Point, Point, Point, Point]) -> list[Shape]:
    """Return thigh, shin and shoe."""
    person, wide = body.person, body.person.build
    hip, knee, ankle, toe = (body.at(x, y + body.hip, z) for x, y, z in leg)
    depth = body.see(*leg[1])[1] - 0.5
    covered = person.bottom_kind == "trousers"
    shin, knee_radius, ankle_radius = (person.bottom.paint, 0.041, 0.033) if covered else (person.skin, 0.034, 0.022)
    lower = limb(knee, ankle, knee_radius * wide, ankle_radius, shin, depth=depth)
    thigh = person.skin if person.bottom_kind == "skirt" else person.bottom.paint
    upper = limb(hip, knee, 0.06 * wide, 0.043 * wide, thigh, depth=depth + 0.01)
    if person.bottom_kind == "shorts":
        upper = limb(hip, hip + 0.85 * (knee - hip), 0.06 * wide, 0.052 * wide, thigh, depth=depth + 0.01)
    if covered:
        lower = striped(lower, person.bottom)
    if person.bottom_kind != "skirt":
        upper = striped(upper, person.bottom)
    shapes = [limb(ankle, toe, 0.023, 0.02, person.shoes, depth=depth - 0.01), lower, upper]
    if person.side_stripe is not None and covered:
        outside = math.copysign(math.pi / 2, leg[0][0])
        middle, half = body.span(outside - 0.35, outside + 0.35)
        if half > 0.02:
            move, paint = 0.045 * wide * middle, person.side_stripe
            shapes.append(limb(hip + move, knee + 0.9 * move, 0.045 * half, 0.04 * half, paint, depth=depth + 0.02))
            shapes.append(
                limb(knee + 0.9 * move, ankle + 0.7 * move, 0.04 * half, 0.035 * half, paint, depth=depth + 0.02)
            )
    return shapes


def arm_shapes(body: Body, arm: tuple[Point, Point, Point]) -> list[Shape]:
    """Return upper arm, forearm and hand."""
    person = body.person
    wide = 0.6 + 0.4 * person.build
    shoulder, elbow, hand = (body.at(*point) for point in arm)
    depth = sum(body.see(*point)[1] for point in arm) / 3 + 0.03
    upper = limb(shoulder, elbow, 0.038 * wide, 0.033 * wide, person.top.paint, depth=depth)
    if person.long_sleeves:
        lower = striped(limb(elbow, hand, 0.034 * wide, 0.027, person.top.paint, depth=depth + 0.011), person.top)
    else:
        lower = limb(elbow, hand, 0.028 * wide, 0.02, person.skin, depth=depth + 0.01)
    fingers = limb(hand, hand + 0.16 * (hand - elbow), 0.022, 0.018, person.skin, depth=depth + 0.01)
    return [striped(upper, person.top), fingers, lower]


def trunk_shapes(body: Body) -> list[Shape]:
    """Return neck and trunk, with what is worn and what is on it."""
    person, wide = body.person, body.person.build
    low, high = body.at(0, body.hip - 0.02, 0), body.at(0, body.shoulder + 0.025, 0)
    neck = body.at(0, body.shoulder + 0.06, 0.005)
    axis = (high - low) / abs(high - low)
    top, bottom = body.half_width(0.112 * wide, 0.075 * wide), body.half_width(0.09 * wide, 0.08 * wide)

    def tube(
        start: complex, end: complex, start_half: float, end_half: float, paint: Paint, *, corner: float, depth: float
    ) -> Shape:
        """Return a part of the trunk, from below upwards."""
        half = (start_half + end_half) / 2
        taper = (end_half - start_half) / (2 * half)
        return box(
            (start + end) / 2,
            half,
            abs(end - start) / 2,
            paint,
            v=axis,
            taper=taper,
            corner=corner,
            curve=0.9,
            depth=depth,
        )

    def patch(start: float, end: float, below: float, above: float, paint: Paint, *, depth: float) -> list[Shape]:
        """Return what is on the trunk between two angles and two heights (0 the hips, 1 the shoulders)."""
        middle, half = body.span(start, end)
        if half < 0.03:
            return []
        radius = bottom + (top - bottom) * (below + above) / 2
        centre = low + (below + above) / 2 * (high - low) + radius * middle
        return [box(centre, radius * half, abs(high - low) * (above - below) / 2, paint, v=axis, depth=depth)]

    trunk = tube(low, high, bottom, top, person.top.paint, corner=0.058, depth=0)
    shapes = [
        limb(high - 0.02j, neck, 0.03, 0.028, person.skin, depth=-0.02),
        striped(trunk, person.top, turn=body.view.yaw),
    ]
    if person.band is not None:
        shapes += patch(-math.pi, math.pi, 0.55, 0.72, person.band, depth=0.001)
    if person.jacket != "none":
        shapes += patch(-0.4, 0.4, 0.05, 0.97, person.inner, depth=0.002)
    elif person.logo is not None:
        shapes += patch(-0.45, 0.45, 0.55, 0.8, person.logo, depth=0.003)
    if person.jacket == "coat":
        hem, hem_half = body.at(0, body.hip - 0.22, 0), body.half_width(0.105 * wide, 0.095 * wide)
        tails = tube(hem, low - 0.03j, hem_half, bottom, person.top.paint, corner=0.015, depth=-0.1)
        shapes.append(striped(tails, person.top, turn=body.view.yaw))
    elif person.bottom_kind == "skirt":
        hem, hem_half = body.at(0, body.hip - 0.21, 0), body.half_width(0.12 * wide, 0.11 * wide)
        skirt = tube(hem, low - 0.03j, hem_half, bottom, person.bottom.paint, corner=0.01, depth=-0.1)
        shapes.append(striped(skirt, person.bottom))
    else:
        seat = body.at(0, body.hip - 0.01, 0)
        seat_shape = box(seat, bottom * 0.98, 0.055, person.bottom.paint, v=axis, corner=0.045, curve=0.9, depth=-0.2)
        shapes.append(striped(seat_shape, person.bottom))
    return shapes


def head_shapes(body: Body) -> list[Shape]:
    """Return the head with face, hair and hat."""
    person, cos = body.person, body.view.cos
    head, near = body.see(0, body.shoulder + 0.118, 0.015)
    depth = 0.3 + near
    radius = body.half_width(0.049, 0.058)
    bald = person.hair_kind == "bald"
    scalp, thick = (person.skin, 0.0) if bald else (person.hair, 0.004)
    shapes = [box(head - 0.006j, radius + thick, 0.069, scalp, corner=0.046, curve=0.9, depth=depth)]
    middle, half = body.span(-1.15, 1.15)
    if half > 0.05:
        face = head + radius * middle + 0.016j
        shapes.append(box(face, radius * half, 0.05, person.skin, corner=0.03, curve=0.7, depth=depth + 0.01))
    middle, half = body.span(-0.7, 0.7)
    if half > 0.1:
        eyes = head + radius * middle + 0.004j
        shapes.append(box(eyes, radius * half, 0.006, person.skin.times(0.45), alpha=0.7, depth=depth + 0.02))
    if person.hair_kind in ("bob", "long"):
        length = 0.075 if person.hair_kind == "bob" else 0.125
        back = body.at(0, body.shoulder + 0.12 - length / 2, -0.03)
        behind = depth - 0.2 if cos > 0.2 else depth + 0.02
        shapes.append(box(back, radius + 0.008, 0.03 + length / 2, person.hair, corner=0.035, curve=0.9, depth=behind))
    elif person.hair_kind == "tail":
        start, end = body.at(0, body.shoulder + 0.13, -0.06), body.at(0, body.shoulder + 0.01, -0.075)
        shapes.append(limb(start, end, 0.022, 0.012, person.hair, depth=depth - 0.2 * cos))
    if person.hat is not None:
        brim = body.at(0, body.shoulder + 0.147, 0.075)
        crown = box(head - 0.046j, radius + 0.008, 0.032, person.hat, corner=0.026, curve=0.9, depth=depth + 0.03)
        shade = person.hat.times(0.8)
        shapes += [crown, limb(head - 0.025j, brim, 0.016, 0.012, shade, depth=depth + 0.03 + 0.01 * cos)]
    return shapes


def bag_shapes(body: Body) -> list[Shape]:
    """Return the bag, if there is one, with its straps."""
    person, wide, cos, sin = body.person, body.person.build, body.view.cos, body.view.sin
    paint, dark = person.bag_paint, person.bag_paint.times(0.7)
    match person.bag:
        case "backpack":
            back, near = body.see(0, body.shoulder - 0.1, -0.1 * wide)
            half = body.half_width(0.088, 0.055)
            shapes = [box(back, half, 0.115, paint, corner=0.035, curve=0.6, depth=1.5 * near)]
            if cos <= 0.1:
                pocket = body.at(0, body.shoulder - 0.145, -0.15 * wide)
                lid = box(pocket, 0.062 * abs(cos), 0.05, dark, corner=0.02, curve=0.4, depth=1.5 * near + 0.01)
                return [*shapes, lid]
            for side in (-1, 1):
                up = body.at(0.06 * side, body.shoulder + 0.02, 0.05)
                down = body.at(0.075 * side, body.shoulder - 0.17, 0.08)
                shapes.append(limb(up, down, 0.011, 0.011, dark, depth=0.012))
            return shapes
        case "shoulder":
            x = 0.125 * wide
            hip, near = body.see(x, body.hip - 0.03, 0)
            half = body.half_width(0.03, 0.075)
            shapes = [box(hip, half, 0.06, paint, corner=0.018, curve=0.4, depth=1.2 * near + 0.04)]
            for z in (0.075, -0.075):
                up = body.at(-0.07, body.shoulder + 0.03, 0.7 * z)
                down, deep = body.see(0.9 * x, body.hip + 0.02, z)
                if deep - near > -0.02 or sin < 0:
                    shapes.append(limb(up, down, 0.009, 0.009, dark, depth=0.013 if z * cos > 0 else -0.3))
            return shapes
        case "handbag":
            x, y, z = body.arms[1][2]
            grip = body.at(x, y - 0.01, z)
            bag, near = body.see(x + 0.01, y - 0.1, z)
            half = body.half_width(0.03, 0.07)
            handle = limb(grip, bag, 0.007, 0.03, dark, depth=near)
            return [handle, box(bag, half, 0.05, paint, corner=0.012, curve=0.4, depth=near + 0.01)]
        case _:
            return []
