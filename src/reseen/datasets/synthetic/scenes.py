"""A scene: who walks by which camera, in what pose and light, behind what; and the picture of it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reseen.datasets.synthetic.backdrops import BACKDROP_WIDTH, backdrop
from reseen.datasets.synthetic.body import Pose
from reseen.datasets.synthetic.bodywork import bodywork
from reseen.datasets.synthetic.cameras import CHANNELS, Modality, SyntheticCamera, develop
from reseen.datasets.synthetic.latents import Latents
from reseen.datasets.synthetic.painting import paint
from reseen.datasets.synthetic.people import Person, look_alike, new_person
from reseen.datasets.synthetic.shapes import Paint, Rows, Shape, View, as_rows, box, place
from reseen.datasets.synthetic.vehicles import Vehicle, near_double, new_vehicle
from reseen.datasets.synthetic.walking import person_shapes
from reseen.types import ObjectKind

Subject = Person | Vehicle


def new_subject(kind: ObjectKind, rng: np.random.Generator) -> Subject:
    """Return an individual at random."""
    return new_person(rng) if kind == "person" else new_vehicle(rng)


def new_twin(subject: Subject, rng: np.random.Generator) -> Subject:
    """Return an individual that differs from another in one small thing."""
    return look_alike(subject, rng) if isinstance(subject, Person) else near_double(subject, rng)


def picture(
    subject: Subject,
    camera: SyntheticCamera,
    latents: Latents,
    *,
    height: int,
    width: int,
    modality: Modality = "visible",
) -> NDArray[np.uint8]:
    """Return the picture (H, W, 3) that a camera takes of an individual."""
    channels = CHANNELS[modality]
    start = round(latents.place * (BACKDROP_WIDTH - 1) * width)
    canvas = backdrop(camera, height, width)[channels, :, start : start + width].copy()
    pose, view = Pose(latents.phase, latents.lean, latents.roll), View(latents.yaw, camera.pitch)
    middle = complex((0.5 + latents.shift.real) * width, latents.shift.imag * height)
    rows = stand(subject, pose, view, height=height, width=width, size=latents.size, middle=middle)
    if latents.hidden is not None:
        rows = np.concatenate([rows, occluder(latents, camera, isinstance(subject, Person), height, width)])
    if modality == "visible":
        paint(canvas, rows, channels=channels, light=camera.light + latents.light)
    else:
        paint(canvas, rows, channels=channels, relief=0.2)
    return develop(canvas, camera, exposure=latents.exposure, grain=latents.grain)


def stand(subject: Subject, pose: Pose, view: View, *, height: int, width: int, size: float, middle: complex) -> Rows:
    """Return an individual's rows, filling a picture (H, W) times ``size``, moved by ``middle``."""
    if isinstance(subject, Person):
        shapes, scale, bottom = person_shapes(subject, pose, view), 0.88 * height, 0.955 * height
    else:
        shapes = bodywork(subject, view, spin=pose.phase)
        # A detector's box is as wide as the vehicle looks; the ground below its middle lies above its lower edge.
        across, reach = subject.extent(view)
        scale = min(0.9 * width / across, 0.86 * height / (reach + subject.outline.roof))
        bottom = 0.5 * height + scale * (subject.outline.roof * view.cos_pitch) / 2
    return place(as_rows(shapes), scale=scale * size, origin=middle + 1j * bottom)


def occluder(latents: Latents, camera: SyntheticCamera, person: bool, height: int, width: int) -> Rows:
    """Return the rows of whatever hides a part of the picture."""
    assert latents.hidden is not None
    left, top, right, bottom, behind = latents.hidden
    rng = np.random.default_rng((*camera.seed, latents.other))
    centre = complex((left + right) / 2 * width, (top + bottom) / 2 * height)
    if behind == "passer-by":
        view = View(float(rng.uniform(-math.pi, math.pi)), camera.pitch)
        other = new_subject("person" if person else "vehicle", rng)
        middle = complex(centre.real, 0.03 * height)
        return stand(other, Pose(float(rng.uniform(0, 6))), view, height=height, width=width, size=1.0, middle=middle)
    red, green, blue = (rng.uniform(0.2, 0.6) * rng.uniform(0.85, 1.15, 3)).tolist()
    grey = Paint(red, green, blue, 0.2)
    half_u, half_v = (right - left) / 2 * width + 0.5, (bottom - top) / 2 * height + 1
    if behind == "post":
        return as_rows([box(centre, half_u, half_v, grey, curve=1.0)])
    boards = (0.0, float(rng.uniform(5, 15)) / height)
    shapes: list[Shape] = [box(centre, half_u, half_v, grey, second=grey.times(0.8), stripes=boards)]
    if behind == "low wall":
        shapes.append(box(complex(centre.real, top * height), half_u, 0.012 * height, grey.times(1.3), depth=1))
    return as_rows(shapes)
