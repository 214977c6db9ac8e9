"""Latents: what differs between two pictures of one individual, so that what the two share can be computed exactly."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reseen.datasets.synthetic.cameras import SyntheticCamera
from reseen.datasets.synthetic.shapes import choose

FRONT = 0.4  # without variation, everybody is seen from the front, a little to the side

Occluder = Literal["post", "low wall", "screen", "passer-by"]
OCCLUDERS: tuple[Occluder, ...] = ("post", "low wall", "screen", "passer-by")


class Hidden(NamedTuple):
    """The part of the picture behind something, as shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float
    behind: Occluder


@dataclass(frozen=True)
class Latents:
    """Latent variables of a picture: pose, light and occlusion.

    Attributes:
        yaw: From where the individual is seen, in radians: 0 from the front, pi from the back.
        phase: Of the step, in radians.
        lean: Forward.
        roll: Sideways.
        size: 1 fills the picture as usual.
        shift: Of the individual, in shares of the picture's width and height.
        exposure: 1 is as usual for the camera.
        light: Added to the camera's, from the left or the right.
        hidden: What part of the picture something hides, or None.
        place: Where along the backdrop, 0 to 1.
        grain: Where in the sensor's noise.
        other: Seed of the look of whatever hides, 0 to 63.
    """

    yaw: float
    phase: float
    lean: float
    roll: float
    size: float
    shift: complex
    exposure: float
    light: float
    hidden: Hidden | None
    place: float
    grain: tuple[int, int]
    other: int


def new_latents(
    camera: SyntheticCamera, *, track: tuple[int, ...], index: int, variation: float, occlusion: float
) -> Latents:
    """Return the latents of a picture at random.

    Args:
        camera: Whose viewpoint.
        track: Seed of the individual's walk past this camera.
        index: Of the picture in it.
        variation: 0 for hardly any, 1 as in street cameras.
        occlusion: Probability that something hides a part.
    """
    walk = np.random.default_rng(track)
    rng = np.random.default_rng((*track, index))
    turned = math.pi if walk.random() < 0.25 * variation else 0.0
    wander = float(walk.normal(0, 0.35) + rng.normal(0, 0.2))
    yaw = FRONT + min(variation, 1.0) * (camera.yaw - FRONT) + variation * wander + turned
    lean, roll, size, across, down, exposure, light = (variation * rng.normal(0, 1, 7)).tolist()
    phase, place = rng.random(2).tolist()
    down_grain, right_grain, other = rng.integers(0, 64, 3).tolist()
    return Latents(
        yaw=math.remainder(yaw, 2 * math.pi),
        phase=2 * math.pi * phase * min(1.0, 2 * variation),
        lean=0.02 + 0.02 * lean,
        roll=0.012 * roll,
        size=1 + 0.05 * size,
        shift=complex(0.05 * across, 0.02 * down),
        exposure=math.exp(0.2 * exposure),
        light=0.15 * light,
        hidden=new_hidden(rng) if rng.random() < occlusion else None,
        place=place,
        grain=(down_grain, right_grain),
        other=other,
    )


def new_hidden(rng: np.random.Generator) -> Hidden:
    """Return something that stands before the individual."""
    behind = choose(rng, OCCLUDERS)
    match behind:
        case "post":
            middle, half = rng.uniform(0.3, 0.7), rng.uniform(0.06, 0.12)
            return Hidden(middle - half, 0, middle + half, 1, behind)
        case "low wall":
            return Hidden(0, rng.uniform(0.5, 0.75), 1, 1, behind)
        case "screen":
            edge = rng.uniform(0.3, 0.5)
            return Hidden(0, 0, edge, 1, behind) if rng.random() < 0.5 else Hidden(1 - edge, 0, 1, 1, behind)
        case _:
            middle = rng.choice([rng.uniform(0.05, 0.25), rng.uniform(0.75, 0.95)])
            return Hidden(middle - 0.22, 0.1, middle + 0.22, 1, behind)


def shared_surface(first: Latents, second: Latents) -> float:
    """Return how much of the individual two pictures both show, as a share of what one unhidden picture shows.

    The surface is a cylinder around the individual, cut into 24 x 16 patches; a picture shows the patches turned to
    it and not hidden, each in proportion to how far it is turned. Two fronts give 1, a front and a back 0.
    """
    return float(
        np.minimum(visible_patches(first), visible_patches(second)).sum()
        / visible_patches(dataclasses.replace(first, hidden=None)).sum()
    )


def visible_patches(latents: Latents) -> NDArray[np.float64]:
    """Return how well each patch of the surface shows, (16 heights, 24 angles), 0 to 1."""
    angles = np.arange(24) * (2 * math.pi / 24) + latents.yaw
    facing = np.broadcast_to(np.maximum(np.cos(angles), 0), (16, 24))
    if latents.hidden is None:
        return facing
    left, top, right, bottom, _ = latents.hidden
    across = 0.5 + 0.3 * np.sin(angles)
    down = 0.05 + 0.9 * (np.arange(16)[:, None] + 0.5) / 16
    return np.where((across > left) & (across < right) & (down > top) & (down < bottom), 0.0, facing)
