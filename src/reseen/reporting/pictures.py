"""Thumbnails inside a page, with their captions."""

from __future__ import annotations

import base64
import io
import logging
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reseen.errors import DataError
from reseen.storage import read_picture
from reseen.types import Sample

logger = logging.getLogger(__name__)


class Thumbnail(NamedTuple):
    """A small JPEG as a data URI, with its size in pixels."""

    uri: str
    width: int
    height: int

    @classmethod
    def of(cls, picture: NDArray[np.uint8], *, side: int = 160) -> Thumbnail:
        """Return a picture (H, W, 3) with its longest side at most ``side``; a smaller one keeps its size."""
        image = Image.fromarray(picture)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=82, optimize=True)
        encoded = base64.b64encode(file.getvalue()).decode("ascii")
        return cls(f"data:image/jpeg;base64,{encoded}", image.width, image.height)


def sample_thumbnail(sample: Sample, *, side: int = 160) -> Thumbnail | None:
    """Return a sample's picture, or None, with a warning in the log, where it cannot be read.

    A page about a thousand pictures is still worth having when one of them has gone.
    """
    try:
        return Thumbnail.of(read_picture(sample), side=side)
    except DataError as error:
        logger.warning("left a picture out of the report: %s", error)
        return None


@dataclass(frozen=True)
class Shot:
    """A picture on a page.

    Attributes:
        picture: None shows an empty frame.
        alt: Says what is on it.
        lines: Written below it, the first one stronger.
        kind: Draws its frame: right is green and whole with a tick, wrong is red and dashed with a cross.
        source: Its file, shown when pointed at; None for nothing.
    """

    picture: Thumbnail | None
    alt: str
    lines: tuple[str, ...] = ()
    kind: Literal["query", "right", "wrong"] | None = None
    source: str | None = None

    @property
    def mark(self) -> str:
        """Tick or cross, for those who cannot tell the frames' colours."""
        return {"right": "✓", "wrong": "✗"}.get(self.kind or "", "")


@dataclass(frozen=True)
class PictureList:
    """A picture and the list of those found with it, ready for a page.

    Attributes:
        title: What stands above the list.
        facts: How well it went, in short phrases.
        query: The query's picture.
        found: The first places, best first.
        missed: The first match, where it lies further down than ``found``; None where it does not.
    """

    title: str
    facts: tuple[str, ...]
    query: Shot
    found: tuple[Shot, ...]
    missed: Shot | None = None

    @property
    def ratio(self) -> float | None:
        """Width over height of the query's picture."""
        return self.query.picture.width / self.query.picture.height if self.query.picture else None
