"""Persons: build, colours and clothes, the same on all pictures of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from reseen.datasets.synthetic.shapes import Colour, Paint, choose, contrast, pick

SKINS = ((0.93, 0.76, 0.65), (0.86, 0.66, 0.52), (0.72, 0.50, 0.36), (0.50, 0.33, 0.23), (0.35, 0.22, 0.16))
HAIRS = (
    (0.10, 0.08, 0.07), (0.24, 0.15, 0.09), (0.42, 0.27, 0.14), (0.75, 0.58, 0.30), (0.55, 0.24, 0.10),
    (0.62, 0.61, 0.60),
)  # fmt: skip
CLOTHES = (
    (0.10, 0.10, 0.12), (0.92, 0.92, 0.90), (0.50, 0.51, 0.53), (0.13, 0.18, 0.38), (0.75, 0.12, 0.14),
    (0.16, 0.45, 0.24), (0.93, 0.75, 0.16), (0.40, 0.65, 0.88), (0.92, 0.52, 0.65), (0.45, 0.20, 0.50),
    (0.88, 0.45, 0.12), (0.48, 0.33, 0.20), (0.78, 0.70, 0.55), (0.12, 0.50, 0.52),
)  # fmt: skip
LEGWEAR = (
    (0.10, 0.10, 0.12), (0.15, 0.20, 0.36), (0.28, 0.38, 0.56), (0.45, 0.46, 0.48), (0.72, 0.64, 0.48),
    (0.34, 0.25, 0.17), (0.88, 0.87, 0.84), (0.33, 0.36, 0.22), (0.50, 0.12, 0.16),
)  # fmt: skip
SHOES = (
    (0.08, 0.08, 0.08), (0.95, 0.95, 0.93), (0.40, 0.25, 0.14), (0.80, 0.12, 0.12), (0.15, 0.30, 0.75),
    (0.95, 0.75, 0.10),
)  # fmt: skip
CLOTH_HEATS = (0.35, 0.50, 0.65, 0.80)  # wool, denim, cotton, nylon: by how much of the body's warmth each lets through
SKIN_HEAT, HAIR_HEAT, HAT_HEAT, SHOE_HEAT, BAG_HEAT = 0.95, 0.60, 0.45, 0.38, 0.28

HairKind = Literal["bald", "short", "bob", "long", "tail"]
HAIR_KINDS: tuple[HairKind, ...] = ("short", "short", "bob", "long", "tail")
Bag = Literal["none", "backpack", "shoulder", "handbag"]
BAGS: tuple[Bag, ...] = ("none", "none", "backpack", "shoulder", "handbag")
Legwear = Literal["trousers", "shorts", "skirt"]
LEGWEAR_KINDS: tuple[Legwear, ...] = ("trousers", "trousers", "trousers", "shorts", "skirt")
Jacket = Literal["none", "open", "coat"]
JACKETS: tuple[Jacket, ...] = ("none", "none", "none", "open", "coat")


class Garment(NamedTuple):
    """A piece of clothing: its paint, and that of its stripes, so many across half the body and along a body height."""

    paint: Paint
    second: Paint
    stripes: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Person:
    """A person's build, colours and clothes. ``None`` is absent; 1 is average; ``stride`` is in radians."""

    build: float
    legs: float
    stride: float
    skin: Paint
    hair: Paint
    hair_kind: HairKind
    hat: Paint | None
    top: Garment
    long_sleeves: bool
    jacket: Jacket
    inner: Paint
    logo: Paint | None
    band: Paint | None
    bottom: Garment
    bottom_kind: Legwear
    side_stripe: Paint | None
    shoes: Paint
    bag: Bag
    bag_paint: Paint


def new_person(rng: np.random.Generator) -> Person:
    """Return a person at random."""

    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    top, bottom = new_garment(rng, CLOTHES, patterned=0.45), new_garment(rng, LEGWEAR, patterned=0.08)
    plain = top.stripes == (0.0, 0.0)
    jacket = choose(rng, JACKETS)
    return Person(
        build=float(rng.uniform(0.85, 1.3)),
        legs=float(rng.uniform(0.95, 1.04)),
        stride=float(rng.uniform(0.32, 0.5)),
        skin=pick(rng, SKINS, heat=SKIN_HEAT, spread=0.02),
        hair=pick(rng, HAIRS, heat=HAIR_HEAT, spread=0.02),
        hair_kind="bald" if chance(0.08) else choose(rng, HAIR_KINDS),
        hat=pick(rng, CLOTHES, heat=HAT_HEAT) if chance(0.2) else None,
        top=top,
        long_sleeves=jacket != "none" or chance(0.5),
        jacket=jacket,
        inner=pick(rng, CLOTHES, heat=0.8),
        logo=top.second if plain and chance(0.3) else None,
        band=top.second if plain and chance(0.2) else None,
        bottom=bottom,
        bottom_kind=choose(rng, LEGWEAR_KINDS),
        side_stripe=pick(rng, CLOTHES, heat=0.6) if chance(0.1) else None,
        shoes=pick(rng, SHOES, heat=SHOE_HEAT),
        bag=choose(rng, BAGS),
        bag_paint=pick(rng, CLOTHES, heat=BAG_HEAT),
    )


def new_garment(rng: np.random.Generator, colours: Sequence[Colour], *, patterned: float) -> Garment:
    """Return a garment at random; so probably with a pattern, whose colour always shows."""
    heat = choose(rng, CLOTH_HEATS)
    paint = pick(rng, colours, heat=heat)
    second = contrast(rng, paint, CLOTHES, heat=heat + choose(rng, (-0.12, 0.12)))
    if rng.random() >= patterned:
        return Garment(paint, second)
    fine = float(rng.uniform(0.8, 1.6))
    hoops, pinstripes, checks = (0.0, 9 * fine), (1.2 * fine, 0.0), (0.9 * fine, 9 * fine)
    return Garment(paint, second, choose(rng, (hoops, pinstripes, checks)))


def look_alike(person: Person, rng: np.random.Generator) -> Person:
    """Return a person who differs from another in one small thing: the bag, the shoes, the hat or a stripe."""
    things = ("bag", "shoes", "hat", "stripe") if person.bottom_kind == "trousers" else ("bag", "shoes", "hat")
    match choose(rng, things):
        case "bag":
            bag: Bag = choose(rng, BAGS[2:4]) if person.bag == "none" else "none"
            paint = contrast(rng, person.top.paint, CLOTHES, heat=BAG_HEAT)
            return dataclasses.replace(person, bag=bag, bag_paint=paint)
        case "shoes":
            return dataclasses.replace(person, shoes=contrast(rng, person.shoes, SHOES, heat=SHOE_HEAT))
        case "hat":
            hat = contrast(rng, person.hair, CLOTHES, heat=HAT_HEAT) if person.hat is None else None
            return dataclasses.replace(person, hat=hat)
        case _:
            stripe = contrast(rng, person.bottom.paint, CLOTHES, heat=0.6) if person.side_stripe is None else None
            return dataclasses.replace(person, side_stripe=stripe)
