"""Sample: one picture of one individual, with its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Identity = int | str
Camera = int | str
MODALITIES = ("visible", "infrared")
"""What a sample's modality can be; a modality's number is its place."""


class Box(NamedTuple):
    """A rectangle of a picture, in pixels from its top left corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Picture of one individual: its path, identity, camera and other labels.

    Attributes:
        path: The picture's file; for a picture that is drawn rather than read, the name to show.
        identity: Who or what is on it; any integer or string.
        camera: Who took it, or None where that is unknown.
        modality: ``"visible"`` or ``"infrared"``, or None where the data has one kind only.
        time: When it was taken, in seconds of any one clock.
        track: The sequence of pictures it belongs to, where a protocol ranks tracks.
        box: The part of the picture to use; None for the whole.
        view: From which side it is seen, for networks that are told.
        draw: Draws the picture, uint8 RGB (H, W, 3), in place of reading ``path``; must pickle.

    Example:
        >>> Sample("cows/0012_3.jpg", identity=12, camera=3).camera
        3
    """

    path: str
    identity: Identity
    camera: Camera | None = None
    modality: str | None = None
    time: float | None = None
    track: int | str | None = None
    box: Box | None = None
    view: int | str | None = None
    draw: Callable[[], NDArray[np.uint8]] | None = None
