"""Queries of a gallery: a picture, each picture of a folder, or each track of a video."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reseen.embedding.encoder import Encoder
from reseen.errors import DataError
from reseen.gallery.ingest import Sighting, from_folder
from reseen.gallery.records import Label
from reseen.pictures import Pixels, as_pixels


@dataclass(frozen=True, eq=False)
class Query:
    """Query: one individual that is searched for.

    Attributes:
        name: What to call it.
        pixels: A picture to show.
        vector: (D,).
        identity: Who it is, where that is known.
    """

    name: str
    pixels: Pixels
    vector: NDArray[np.float32]
    identity: Label | None = None


def of_pictures(path: Path, encoder: Encoder) -> list[Query]:
    """Return a query for a picture, or for each one below a folder."""
    if path.is_dir():
        pictures = [(sighting.source, sighting.pixels) for sighting in from_folder(path, folders=False, camera=None)]
    else:
        pictures = [(path.name, as_pixels(path))]
    vectors = encoder([pixels for _, pixels in pictures])
    return [Query(name, pixels, vector) for (name, pixels), vector in zip(pictures, vectors, strict=True)]


def of_tracks(sightings: Iterator[Sighting], encoder: Encoder) -> list[Query]:
    """Return a query for each track of a video: the mean direction of its pictures, of which the largest is shown.

    Raises:
        DataError: A box has no track.
    """
    tracks: list[int | str] = []
    largest: dict[int | str, Sighting] = {}

    def pictures() -> Iterator[Pixels]:
        for sighting in sightings:
            if sighting.track is None:
                raise DataError(
                    f"expected boxes with tracks to search with, got {sighting.source} without; run a tracker"
                )
            tracks.append(sighting.track)
            before = largest.get(sighting.track)
            if before is None or sighting.pixels.size > before.pixels.size:
                largest[sighting.track] = sighting
            yield sighting.pixels

    vectors = encoder(pictures(), progress=True)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = defaultdict(list)
    for row, track in enumerate(tracks):
        rows[track].append(row)
    return [
        Query(f"track {track}", largest[track].pixels, directions[rows[track]].mean(0), largest[track].identity)
        for track in sorted(rows, key=lambda track: rows[track][0])
    ]
