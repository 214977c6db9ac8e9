"""Market-1501 (Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015)."""

import re
from pathlib import Path

from reseen.datasets.benchmarks.layout import list_pictures, read_market_layout
from reseen.protocols import cross_camera
from reseen.types import Benchmark, PublishedData, Sample

PUBLISHED = {"train": (12_936, 751), "query": (3_368, 750), "gallery": (15_913, 751)}


class Market1501(Benchmark):
    """Market-1501: 1,501 persons under six cameras; single query, and cross-camera matches only.

    Pictures of identity -1 are left out; those of identity 0 are in the gallery as distractors.

    Args:
        root: The folder Market-1501-v15.09.15 or the one above it.
        distractors_500k: Also search in the 500,000 further distractors, in the folder images.

    Raises:
        DataError: The folders are not there, or a picture's name is of another form.
    """

    def __init__(self, root: str | Path, *, distractors_500k: bool = False) -> None:
        inside, further = ["Market-1501-v15.09.15", "Market-1501", "market1501"], ["images"] if distractors_500k else []
        folder, (train, query, gallery) = read_market_layout(root, inside=inside, further=further)
        if distractors_500k:
            gallery += _read_distractors(folder / "images")
        super().__init__(
            name="Market-1501+500k" if distractors_500k else "Market-1501",
            train=train,
            query=query,
            gallery=gallery,
            protocol=cross_camera,
            distractors=frozenset([0]),
        )

    @classmethod
    def published(cls, *, distractors_500k: bool = False, **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        if distractors_500k:
            return PublishedData(None, {**PUBLISHED, "gallery": (515_913, 751)})
        return PublishedData("market1501", PUBLISHED)


def _read_distractors(folder: Path) -> tuple[Sample, ...]:
    """Return pictures of nobody; their camera never matters, and is 0 where the name does not tell it."""
    cameras = ((name, re.search(r"_c(\d+)", name)) for name in list_pictures(folder))
    return tuple(Sample(f"{folder}/{name}", 0, int(match[1]) if match else 0) for name, match in cameras)
