"""Market-1501 (Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015)."""

import re
from pathlib import Path

from reseen.datasets.benchmarks.layout import compare_counts, find_root, list_pictures
from reseen.datasets.benchmarks.market_layout import FOLDERS, read_market_folder
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
        entries = (*FOLDERS, "images") if distractors_500k else FOLDERS
        folder = find_root(root, entries=entries, inside=["Market-1501-v15.09.15", "Market-1501", "market1501"])
        train, query, gallery = (read_market_folder(folder / part) for part in FOLDERS)
        compare_counts("Market-1501", self.published().counts, {"train": train, "query": query, "gallery": gallery})
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
        return PublishedData(None if distractors_500k else "market1501", PUBLISHED)


def _read_distractors(folder: Path) -> tuple[Sample, ...]:
    """Return pictures of nobody; their camera never matters, and is 0 where the name does not tell it."""
    cameras = ((name, re.search(r"_c(\d+)", name)) for name in list_pictures(folder))
    return tuple(Sample(f"{folder}/{name}", 0, int(match[1]) if match else 0) for name, match in cameras)
