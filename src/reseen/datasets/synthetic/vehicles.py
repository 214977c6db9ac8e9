"""Vehicles: what stays the same on every picture of one. Lengths are in vehicle lengths."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from reseen.datasets.synthetic.shapes import Paint, View, choose, contrast, pick

PAINTS = (
    (0.93, 0.93, 0.93), (0.08, 0.08, 0.09), (0.68, 0.70, 0.72), (0.38, 0.40, 0.42), (0.68, 0.08, 0.10),
    (0.10, 0.20, 0.50), (0.95, 0.78, 0.10), (0.12, 0.35, 0.22), (0.85, 0.42, 0.08), (0.75, 0.68, 0.52),
    (0.35, 0.16, 0.12), (0.40, 0.68, 0.85),
)  # fmt: skip
BODY_HEAT, BONNET_HEAT, TYRE_HEAT, GLASS_HEAT = 0.35, 0.8, 0.6, 0.12
GLASS, RUBBER = Paint(0.16, 0.20, 0.24, GLASS_HEAT), Paint(0.06, 0.06, 0.07, TYRE_HEAT)
Rack = Literal["none", "rails", "box", "sign"]
RACKS: tuple[Rack, ...] = ("none", "none", "none", "rails", "box", "sign")


class Outline(NamedTuple):
    """A vehicle from the side: heights of belt line and roof; where windscreen and rear window begin, and end above."""

    belt: float
    roof: float
    screen: float
    screen_top: float
    rear_top: float
    rear: float


OUTLINES = {
    "hatchback": Outline(0.20, 0.345, 0.23, 0.06, -0.36, -0.48),
    "saloon": Outline(0.19, 0.315, 0.20, 0.04, -0.22, -0.35),
    "estate": Outline(0.19, 0.325, 0.22, 0.06, -0.42, -0.49),
    "off-roader": Outline(0.24, 0.40, 0.22, 0.12, -0.44, -0.485),
    "van": Outline(0.25, 0.46, 0.42, 0.30, -0.49, -0.495),
    "pick-up": Outline(0.23, 0.385, 0.20, 0.08, -0.08, -0.11),
}


@dataclass(frozen=True)
class Vehicle:
    """Shape, colours and parts of a vehicle, the same on all of its pictures."""

    outline: Outline
    width: float
    paint: Paint
    roof: Paint
    bumper: Paint
    hubs: Paint
    stripe: Paint | None
    stripe_height: float
    sticker: Paint | None
    sticker_place: float
    grille: Paint
    lamps: float
    rack: Rack
    rack_paint: Paint
    rear_windows: bool

    def extent(self, view: View) -> tuple[float, float]:
        """Return how wide it looks, and how far down the picture its place on the ground reaches."""
        side, front = abs(view.sin), abs(view.cos)
        return side + self.width * front, (front + self.width * side) * view.sin_pitch


def new_vehicle(rng: np.random.Generator) -> Vehicle:
    """Return a vehicle at random."""

    def chance(p: float) -> bool:
        return bool(rng.random() < p)

    kind = choose(rng, tuple(OUTLINES))
    outline = Outline(*(np.array(OUTLINES[kind]) + rng.normal(0, 0.008, 6)).tolist())
    paint = pick(rng, PAINTS, heat=BODY_HEAT + float(rng.normal(0, 0.06)))
    return Vehicle(
        outline=outline,
        width=float(rng.uniform(0.37, 0.43)),
        paint=paint,
        roof=pick(rng, PAINTS, heat=BODY_HEAT) if chance(0.2) else paint,
        bumper=Paint(0.14, 0.14, 0.15, 0.4) if chance(0.35) else paint,
        hubs=pick(rng, PAINTS[:4], heat=0.45),
        stripe=pick(rng, PAINTS, heat=BODY_HEAT + 0.12) if chance(0.2) else None,
        stripe_height=float(rng.uniform(0.35, 0.75)),
        sticker=pick(rng, PAINTS, heat=BODY_HEAT - 0.12) if chance(0.3) else None,
        sticker_place=float(rng.uniform(-0.2, 0.15)),
        grille=pick(rng, PAINTS[1:4], heat=0.9),
        lamps=float(rng.uniform(0.04, 0.08)),
        rack=choose(rng, RACKS),
        rack_paint=pick(rng, PAINTS, heat=0.25),
        rear_windows=kind != "van" or chance(0.3),
    )


def near_double(vehicle: Vehicle, rng: np.random.Generator) -> Vehicle:
    """Return a vehicle that differs from another in the hubs, the roof's load, a sticker or a stripe only."""
    match choose(rng, ("hubs", "load", "sticker", "stripe")):
        case "hubs":
            return dataclasses.replace(vehicle, hubs=contrast(rng, vehicle.hubs, PAINTS[:4], heat=0.45))
        case "load":
            rack: Rack = "box" if vehicle.rack == "none" else "none"
            return dataclasses.replace(vehicle, rack=rack, rack_paint=contrast(rng, vehicle.roof, PAINTS, heat=0.25))
        case "sticker":
            sticker = contrast(rng, vehicle.paint, PAINTS, heat=0.2) if vehicle.sticker is None else None
            return dataclasses.replace(vehicle, sticker=sticker)
        case _:
            stripe = contrast(rng, vehicle.paint, PAINTS, heat=0.5) if vehicle.stripe is None else None
            return dataclasses.replace(vehicle, stripe=stripe)
