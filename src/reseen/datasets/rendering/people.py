"""Walking people: who they are, and how they look from where.

Lengths are in body heights. A person's own frame is x to the right hand, y up, z forward, on the ground below the hips.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from reseen.datasets.rendering.painting import Paint, Shape, box, limb

SKINS = ((0.93, 0.76, 0.65), (0.86, 0.66, 0.52), (0.72, 0.50, 0.36), (0.50, 0.33, 0.23), (0.35, 0.22, 0.16))
HAIRS = (
    (0.10, 0.08, 0.07),
    (0.24, 0.15, 0.09),
    (0.42, 0.27, 0.14),
    (0.75, 0.58, 0.30),
    (0.55, 0.24, 0.10),
    (0.62, 0.61, 0.60),
)
CLOTHES = (
    (0.10, 0.10, 0.12), (0.92, 0.92, 0.90), (0.50, 0.51, 0.53), (0.13, 0.18, 0.38), (0.75, 0.12, 0.14), (0.16, 0.45, 0.24),
    (0.93, 0.75, 0.16), (0.40, 0.65, 0.88), (0.92, 0.52, 0.65), (0.45, 0.20, 0.50), (0.88, 0.45, 0.12), (0.48, 0.33, 0.20),
    (0.78, 0.70, 0.55), (0.12, 0.50, 0.52),
)  # fmt: skip
LEGWEAR = (
    (0.10, 0.10, 0.12), (0.15, 0.20, 0.36), (0.28, 0.38, 0.56), (0.45, 0.46, 0.48), (0.72, 0.64, 0.48), (0.34, 0.25, 0.17),
    (0.88, 0.87, 0.84), (0.33, 0.36, 0.22), (0.50, 0.12, 0.16),
)  # fmt: skip
SHOES = (
    (0.08, 0.08, 0.08),
    (0.95, 0.95, 0.93),
    (0.40, 0.25, 0.14),
    (0.80, 0.12, 0.12),
    (0.15, 0.30, 0.75),
    (0.95, 0.75, 0.10),
)
SKIN_HEAT, HAIR_HEAT, SHOE_HEAT, BAG_HEAT = 0.95, 0.60, 0.38, 0.28


class Garment(NamedTuple):
    """A piece of clothing: its paint, and that of its stripes (so many across half the body, along a body height)."""

    paint: Paint
    second: Paint
    stripes: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Person:
    """What stays the same on every picture of one person."""

    build: float
    legs: float
    skin: Paint
    hair: Paint
    hair_kind: Literal["bald", "short", "bob", "long", "tail"]
    hat: Paint | None
    top: Garment
    inner: Paint
    jacket: Literal["none", "open", "coat"]
    long_sleeves: bool
    logo: Paint | None
    band: Paint | None
    bottom: Garment
    bottom_kind: Literal["trousers", "shorts", "skirt"]
    side_stripe: Paint | None
    shoes: Paint
    bag: Literal["none", "backpack", "shoulder", "handbag"]
    bag_paint: Paint
    stride: float


@dataclass(frozen=True)
class Pose:
    """How a person walks by.

    Attributes:
        yaw: In radians; 0 walks towards the camera, pi away from it, pi / 2 to the right of the picture.
        phase: Of the step, in radians.
        lean: Forward, in body heights at the head.
        roll: To the right hand, likewise.
        pitch: How far the camera looks down, in radians.
    """

    yaw: float
    phase: float
    lean: float = 0.0
    roll: float = 0.0
    pitch: float = 0.15


def new_person(rng: np.random.Generator) -> Person:
    """Return a person at random."""

    def chance(p: float) -> bool:
        return bool(rng.random() < p)

    def pick(colours: tuple[tuple[float, float, float], ...], heat: float, spread: float = 0.05) -> Paint:
        red, green, blue = np.clip(np.add(colours[rng.integers(len(colours))], rng.normal(0, spread, 3)), 0.03, 0.97)
        return Paint(float(red), float(green), float(blue), heat)

    def garment(colours: tuple[tuple[float, float, float], ...], patterned: float) -> Garment:
        heat = rng.choice([0.35, 0.50, 0.65, 0.80])  # wool, denim, cotton, nylon: by what each lets through
        paint = pick(colours, float(heat))
        second = pick(CLOTHES, float(heat + rng.choice([-0.12, 0.12])))
        while sum(abs(a - b) for a, b in zip(paint[:3], second[:3], strict=True)) < 0.6:
            second = pick(CLOTHES, second.heat)
        if not chance(patterned):
            return Garment(paint, second)
        fine = rng.uniform(0.8, 1.6)
        patterns = ((0.0, 9 * fine), (1.2 * fine, 0.0), (0.9 * fine, 9 * fine))
        return Garment(paint, second, patterns[rng.integers(3)])

    top = garment(CLOTHES, 0.4)
    jacket = ("none", "open", "coat")[int(np.searchsorted([0.55, 0.82], rng.random()))]
    bald = chance(0.08)
    return Person(
        build=float(rng.uniform(0.85, 1.3)),
        legs=float(rng.uniform(0.95, 1.04)),
        skin=pick(SKINS, SKIN_HEAT, 0.02),
        hair=pick(HAIRS, HAIR_HEAT, 0.02),
        hair_kind="bald" if bald else ("short", "short", "bob", "long", "tail")[rng.integers(5)],  # type: ignore[arg-type]
        hat=pick(CLOTHES, 0.45) if chance(0.2) else None,
        top=top,
        inner=pick(CLOTHES, 0.75),
        jacket=jacket,  # type: ignore[arg-type]
        long_sleeves=jacket != "none" or chance(0.5),
        logo=top.second if top.stripes == (0.0, 0.0) and chance(0.3) else None,
        band=top.second if top.stripes == (0.0, 0.0) and chance(0.2) else None,
        bottom=garment(LEGWEAR, 0.08),
        bottom_kind=("trousers", "trousers", "trousers", "shorts", "skirt")[rng.integers(5)],  # type: ignore[arg-type]
        side_stripe=pick(CLOTHES, 0.6) if chance(0.1) else None,
        shoes=pick(SHOES, SHOE_HEAT),
        bag=("none", "none", "backpack", "shoulder", "handbag")[rng.integers(5)],  # type: ignore[arg-type]
        bag_paint=pick(CLOTHES, BAG_HEAT),
        stride=float(rng.uniform(0.32, 0.5)),
    )


def look_alike(person: Person, rng: np.random.Generator) -> Person:
    """Return somebody who differs from a person in one small thing: the bag, the shoes, the hat or a stripe."""

    def far_from(paint: Paint, colours: tuple[tuple[float, float, float], ...]) -> Paint:
        apart = [sum(abs(a - b) for a, b in zip(paint[:3], colour, strict=True)) for colour in colours]
        return Paint(*colours[rng.choice([i for i, d in enumerate(apart) if d > 0.8])], paint.heat)

    match rng.integers(4):
        case 0:
            bag: Literal["backpack", "shoulder"] = "shoulder" if rng.random() < 0.5 else "backpack"
            return dataclasses.replace(person, bag=bag if person.bag == "none" else "none")
        case 1:
            return dataclasses.replace(person, shoes=far_from(person.shoes, SHOES))
        case 2:
            return dataclasses.replace(
                person, hat=far_from(person.hair, CLOTHES)._replace(heat=0.45) if person.hat is None else None
            )
        case _:
            return dataclasses.replace(
                person, side_stripe=far_from(person.bottom.paint, CLOTHES) if person.side_stripe is None else None
            )


class Body:
    """A person in a pose, projected onto the picture; the ground below the hips is at 0."""

    def __init__(self, person: Person, pose: Pose) -> None:
        self.person, self.pose = person, pose
        self.cos, self.sin = math.cos(pose.yaw), math.sin(pose.yaw)
        self.cos_pitch, self.sin_pitch = math.cos(pose.pitch), math.sin(pose.pitch)
        thigh, shin = 0.235 * person.legs, 0.225 * person.legs
        self.legs = []
        for side, phase in ((-1.0, pose.phase), (1.0, pose.phase + math.pi)):
            swing = person.stride * math.sin(phase)
            back = swing - person.stride * (0.2 + 1.3 * max(0.0, math.cos(phase)))
            knee = (0.045 * side, -thigh * math.cos(swing), thigh * math.sin(swing))
            ankle = (0.043 * side, knee[1] - shin * math.cos(back), knee[2] + shin * math.sin(back))
            tilt = 0.6 * back if back < 0 else 0.9 * back
            toe = (0.055 * side, ankle[1] - 0.02 + 0.08 * math.sin(tilt), ankle[2] + 0.085 * math.cos(tilt))
            self.legs.append(((0.045 * side, 0.0, 0.0), knee, ankle, toe))
        # Whichever foot is lower stands on the ground.
        self.hip = 0.045 - min(leg[2][1] for leg in self.legs)
        self.shoulder = self.hip + 0.335
        self.arms = []
        for side, phase in ((-1.0, pose.phase + math.pi), (1.0, pose.phase)):
            swing = 0.9 * person.stride * math.sin(phase) - 0.05
            bend = swing + 0.35 + 0.25 * math.sin(phase)
            x = (0.082 + 0.022 * person.build) * side
            elbow = (x + 0.028 * side, self.shoulder - 0.165 * math.cos(swing), 0.165 * math.sin(swing))
            hand = (x + 0.024 * side, elbow[1] - 0.155 * math.cos(bend), elbow[2] + 0.155 * math.sin(bend))
            self.arms.append(((x, self.shoulder - 0.03, 0.0), elbow, hand))

    def see(self, x: float, y: float, z: float) -> tuple[complex, float]:
        """Return where a point of the person's frame falls on the picture, and how near it is."""
        above = max(0.0, y - self.hip) / 0.45
        x, z = x + self.pose.roll * above, z + self.pose.lean * above
        near = z * self.cos - x * self.sin
        return complex(x * self.cos + z * self.sin, near * self.sin_pitch - y * self.cos_pitch), near

    def half_width(self, side: float, deep: float) -> float:
        """Return the half width of what is ``2 side`` broad and ``2 deep`` deep, as turned."""
        return math.hypot(side * self.cos, deep * self.sin) * self.person.build

    def span(self, start: float, end: float) -> tuple[float, float]:
        """Return where the angles (0 is the front, positive towards the left hand) lie on a cylinder: middle and half width."""
        turn = math.remainder(self.pose.yaw + (start + end) / 2, 2 * math.pi)
        reach = (end - start) / 2
        left = math.sin(max(turn - reach, -math.pi / 2)) if turn - reach < math.pi / 2 else 1.0
        right = math.sin(min(turn + reach, math.pi / 2)) if turn + reach > -math.pi / 2 else -1.0
        return (left + right) / 2, (right - left) / 2


def figure(person: Person, pose: Pose) -> list[Shape]:
    """Return a person's shapes; those behind have smaller depth."""
    body = Body(person, pose)
    shapes = [
        box(complex(0, 0.01), 0.17, 0.03, Paint(0.05, 0.05, 0.06, 0.2), corner=0.03, soft=0.05, alpha=0.5, depth=-9)
    ]
    for leg in body.legs:
        shapes += leg_shapes(body, leg)
    for arm in body.arms:
        shapes += arm_shapes(body, arm)
    return shapes + trunk_shapes(body) + head_shapes(body) + bag_shapes(body)


Point = tuple[float, float, float]


def leg_shapes(body: Body, leg: tuple[Point, Point, Point, Point]) -> list[Shape]:
    """Return thigh, shin and shoe."""
    person = body.person
    (hip, _), (knee, near), (ankle, _), (toe, _) = (body.see(x, y + body.hip, z) for x, y, z in leg)
    depth = near - 0.5
    wide = person.build
    trousers = person.bottom_kind == "trousers"
    thigh = person.bottom.paint if person.bottom_kind != "skirt" else person.skin
    shin = person.bottom.paint if trousers else person.skin
    shapes = [
        limb(ankle, toe, 0.023, 0.02, person.shoes, depth=depth - 0.01),
        limb(knee, ankle, (0.041 if trousers else 0.034) * wide, 0.033 if trousers else 0.022, shin, depth=depth),
        striped(
            limb(hip, knee, 0.06 * wide, 0.043 * wide, thigh, depth=depth + 0.01),
            person.bottom,
            person.bottom_kind != "skirt",
        ),
    ]
    if person.bottom_kind == "shorts":
        shapes.append(limb(hip, hip + 0.85 * (knee - hip), 0.06 * wide, 0.052 * wide, thigh, depth=depth + 0.012))
    if person.side_stripe is not None and trousers:
        side = 1.0 if leg[0][0] > 0 else -1.0
        middle, half = body.span(-side * math.pi / 2 - 0.35, -side * math.pi / 2 + 0.35)
        if half > 0.02:
            move = 0.045 * wide * middle
            for start, end in ((hip, knee), (knee, ankle)):
                stripe = limb(
                    start + move, end + 0.8 * move, 0.04 * half, 0.035 * half, person.side_stripe, depth=depth + 0.011
                )
                shapes.append(stripe._replace(curve=0.0))
    return shapes


def striped(shape: Shape, garment: Garment, worn: bool = True) -> Shape:
    """Return a shape in a garment's pattern."""
    if not worn:
        return shape
    return shape._replace(second=garment.second, stripes_u=garment.stripes[0], stripes_v=garment.stripes[1])


def arm_shapes(body: Body, arm: tuple[Point, Point, Point]) -> list[Shape]:
    """Return upper arm, forearm and hand."""
    person = body.person
    (shoulder, near), (elbow, middle), (hand, far) = (body.see(*point) for point in arm)
    wide = 0.6 + 0.4 * person.build
    sleeve = person.top.paint
    depth = (near + middle + far) / 3 + 0.03
    upper = limb(shoulder, elbow, 0.038 * wide, 0.033 * wide, sleeve, depth=depth)
    bare = limb(elbow, hand, 0.028 * wide, 0.02, person.skin, depth=depth + 0.01)
    lower = limb(elbow, hand + 0.1 * (elbow - hand), 0.034 * wide, 0.027, sleeve, depth=depth + 0.011)
    shapes = [
        striped(upper, person.top),
        limb(hand, hand + 0.12 * (hand - elbow), 0.022, 0.018, person.skin, depth=depth + 0.01),
    ]
    return [*shapes, striped(lower, person.top) if person.long_sleeves else bare]


def trunk_shapes(body: Body) -> list[Shape]:
    """Return neck and trunk, with what is worn and what is on it."""
    person = body.person
    low, _ = body.see(0, body.hip - 0.02, 0)
    high, _ = body.see(0, body.shoulder + 0.025, 0)
    neck, _ = body.see(0, body.shoulder + 0.06, 0.005)
    axis = (high - low) / abs(high - low)
    top, bottom = body.half_width(0.112, 0.075), body.half_width(0.09, 0.08)
    facing = body.cos
    turn = (person.top.stripes[0] * body.pose.yaw, 0.0)

    def on_trunk(start: float, end: float, below: float, above: float, paint: Paint, depth: float) -> list[Shape]:
        """Return a patch between two angles and two heights (0 hips, 1 shoulders)."""
        middle, half = body.span(start, end)
        at = low + (below + above) / 2 * (high - low)
        radius = bottom + (top - bottom) * (below + above) / 2
        if half < 0.03:
            return []
        return [
            box(at + radius * middle, radius * half, abs(high - low) * (above - below) / 2, paint, v=axis, depth=depth)
        ]

    shapes = [
        limb(high - 0.02j, neck, 0.03, 0.028, person.skin, depth=-0.02),
        box((low + high) / 2, (top + bottom) / 2, abs(high - low) / 2, person.top.paint, v=axis, taper=(top - bottom) / (top + bottom),
            corner=0.058, curve=0.9, stripes=person.top.stripes, phase=turn, second=person.top.second),
    ]  # fmt: skip
    if person.band is not None:
        shapes += on_trunk(-4, 4, 0.55, 0.72, person.band, 0.001)
    if person.jacket != "none":
        shapes += on_trunk(-0.4, 0.4, 0.05, 0.97, person.inner, 0.002)
    elif person.logo is not None:
        shapes += on_trunk(-0.45, 0.45, 0.55, 0.8, person.logo, 0.003)
    if person.jacket == "coat":
        hem, _ = body.see(0, body.hip - 0.2, 0)
        wide = body.half_width(0.105, 0.095)
        shapes.append(box((low + hem) / 2, (wide + bottom) / 2, abs(low - hem) / 2 + 0.03, person.top.paint, v=axis, corner=0.015, curve=0.9,
                          taper=(bottom - wide) / (bottom + wide), stripes=person.top.stripes, phase=turn, second=person.top.second, depth=-0.1))  # fmt: skip
        if facing > 0:
            shapes.append(
                box(
                    (low + hem) / 2 + 0.1 * body.sin,
                    0.018 * facing,
                    abs(low - hem) / 2 + 0.03,
                    person.bottom.paint.times(0.6),
                    v=axis,
                    depth=-0.09,
                )
            )
    elif person.bottom_kind == "skirt":
        hem, _ = body.see(0, body.hip - 0.19, 0)
        wide = body.half_width(0.12, 0.11)
        shapes.append(box((low + hem) / 2, (wide + bottom) / 2, abs(low - hem) / 2 + 0.03, person.bottom.paint, v=axis, corner=0.01, curve=0.9,
                          taper=(bottom - wide) / (bottom + wide), stripes=person.bottom.stripes, second=person.bottom.second, depth=-0.1))  # fmt: skip
    else:
        seat, _ = body.see(0, body.hip - 0.01, 0)
        shapes.append(box(seat, bottom * 0.98, 0.055, person.bottom.paint, v=axis, corner=0.045, curve=0.9, depth=-0.2))
    return shapes


def head_shapes(body: Body) -> list[Shape]:
    """Return the head with face, hair and hat."""
    person = body.person
    head, near = body.see(0, body.shoulder + 0.118, 0.015)
    depth = 0.3 + near
    radius = math.hypot(0.049 * body.cos, 0.058 * body.sin)
    bald = person.hair_kind == "bald"
    scalp = person.skin if bald else person.hair
    shapes = [box(head - 0.006j, radius + (0 if bald else 0.004), 0.069, scalp, corner=0.046, curve=0.9, depth=depth)]
    middle, half = body.span(-1.15, 1.15)
    if half > 0.05:
        shapes.append(
            box(
                head + radius * middle + 0.016j,
                radius * half,
                0.05,
                person.skin,
                corner=0.03,
                curve=0.7,
                depth=depth + 0.01,
            )
        )
        middle, half = body.span(-0.7, 0.7)
        if half > 0.1:
            eyes = person.skin.times(0.45)
            shapes.append(
                box(head + radius * middle + 0.004j, radius * half, 0.006, eyes, alpha=0.7, depth=depth + 0.02)
            )
    if person.hair_kind in ("bob", "long"):
        length = 0.075 if person.hair_kind == "bob" else 0.125
        back, _ = body.see(0, body.shoulder + 0.12 - length / 2, -0.03)
        behind = depth - 0.2 if body.cos > 0.2 else depth + 0.02
        shapes.append(box(back, radius + 0.008, 0.03 + length / 2, person.hair, corner=0.035, curve=0.9, depth=behind))
    elif person.hair_kind == "tail":
        start, _ = body.see(0, body.shoulder + 0.13, -0.06)
        end, _ = body.see(0, body.shoulder + 0.01, -0.075)
        shapes.append(limb(start, end, 0.022, 0.012, person.hair, depth=depth - 0.2 * body.cos))
    if person.hat is not None:
        shapes.append(
            box(head - 0.046j, radius + 0.008, 0.032, person.hat, corner=0.026, curve=0.9, depth=depth + 0.03)
        )
        brim, _ = body.see(0, body.shoulder + 0.147, 0.075)
        shapes.append(
            limb(head - 0.025j, brim, 0.016, 0.012, person.hat.times(0.8), depth=depth + 0.03 + 0.01 * body.cos)
        )
    return shapes


def bag_shapes(body: Body) -> list[Shape]:
    """Return the bag, if there is one, with its straps."""
    person = body.person
    paint, dark = person.bag_paint, person.bag_paint.times(0.7)
    if person.bag == "backpack":
        back, near = body.see(0, body.shoulder - 0.1, -0.1 * person.build)
        shapes = [
            box(
                back,
                math.hypot(0.088 * body.cos, 0.055 * body.sin),
                0.115,
                paint,
                corner=0.035,
                curve=0.6,
                depth=1.5 * near,
            )
        ]
        if body.cos > 0.1:
            for side in (-1, 1):
                up, _ = body.see(0.06 * side, body.shoulder + 0.02, 0.05)
                down, _ = body.see(0.075 * side, body.shoulder - 0.17, 0.08)
                shapes.append(limb(up, down, 0.011, 0.011, dark, depth=0.012))
        else:
            pocket, _ = body.see(0, body.shoulder - 0.145, -0.15 * person.build)
            shapes.append(
                box(pocket, 0.062 * abs(body.cos), 0.05, dark, corner=0.02, curve=0.4, depth=1.5 * near + 0.01)
            )
        return shapes
    if person.bag == "shoulder":
        side = 0.125 * person.build
        at, near = body.see(side, body.hip - 0.03, 0.0)
        shapes = [
            box(
                at,
                math.hypot(0.03 * body.cos, 0.075 * body.sin),
                0.06,
                paint,
                corner=0.018,
                curve=0.4,
                depth=near * 1.2 + 0.04,
            )
        ]
        for z in (0.075, -0.075):
            up, _ = body.see(-0.07, body.shoulder + 0.03, z * 0.7)
            down, deep = body.see(side * 0.9, body.hip + 0.02, z)
            if deep - near > -0.02 or body.sin < 0:
                shapes.append(limb(up, down, 0.009, 0.009, dark, depth=0.013 if z * body.cos > 0 else -0.3))
        return shapes
    if person.bag == "handbag":
        x, y, z = body.arms[1][2]
        at, near = body.see(x + 0.01, y - 0.1, z)
        grip, _ = body.see(x, y - 0.01, z)
        return [
            limb(grip, at, 0.007, 0.03, dark, depth=near),
            box(
                at,
                math.hypot(0.03 * body.cos, 0.07 * body.sin),
                0.05,
                paint,
                corner=0.012,
                curve=0.4,
                depth=near + 0.01,
            ),
        ]
    return []
