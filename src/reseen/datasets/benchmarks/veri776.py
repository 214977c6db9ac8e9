"""VeRi-776 (Liu et al., ECCV 2016; PROVID, IEEE Transactions on Multimedia 2018)."""

import dataclasses
import re
from pathlib import Path
from typing import Literal

from reseen.datasets.benchmarks.layout import find_root, list_pictures, parse_name, read_lines
from reseen.errors import DataError
from reseen.pictures import is_picture
from reseen.protocols import cross_camera, veri_track
from reseen.types import Benchmark, PublishedData, Sample

PUBLISHED = {"train": (37_778, 576), "query": (1_678, 200), "gallery": (11_579, 200)}
FOLDERS = ("image_train", "image_query", "image_test")


class VeRi776(Benchmark):
    """VeRi-776: 776 vehicles under twenty cameras.

    Every query is in the gallery too, as a picture that does not count: matches are cross-camera only.

    Args:
        root: The folder VeRi or the one above it.
        search: In single pictures (image), as nearly all papers do, or in the tracks of test_track.txt (track), each as
            near as its nearest picture.

    Raises:
        DataError: The folders or the list are not there, a name is of another form, or a picture has no track.
    """

    kind = "vehicle"

    def __init__(self, root: str | Path, *, search: Literal["image", "track"] = "image") -> None:
        folder = find_root(root, entries=FOLDERS, inside=["VeRi", "VeRi-776", "veri"])
        train, query, gallery = (_read(folder / part) for part in FOLDERS)
        if search == "track":
            gallery = _with_tracks(gallery, folder / "test_track.txt")
        super().__init__("VeRi-776", train, query, gallery, veri_track if search == "track" else cross_camera)

    @classmethod
    def published(cls, **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        return PublishedData("veri776", PUBLISHED)


def _read(folder: Path) -> tuple[Sample, ...]:
    pattern = re.compile(r"(\d+)_c(\d{3})")
    names = list_pictures(folder)
    matches = [parse_name(pattern, name, folder=folder, example="0001_c001_00016450_0.jpg") for name in names]
    return tuple(Sample(f"{folder}/{n}", int(m[1]), int(m[2])) for n, m in zip(names, matches, strict=True))


def _with_tracks(gallery: tuple[Sample, ...], path: Path) -> tuple[Sample, ...]:
    """Give each picture its track: the number of the line that names it, from 1."""
    tracks = {
        word: number
        for number, line in enumerate(read_lines(path), start=1)
        for word in line.split()
        if is_picture(word)
    }
    names = [Path(s.path).name for s in gallery]
    if without := [name for name in names if name not in tracks]:
        raise DataError(
            f"expected a track of every picture of image_test in {path}, found {len(without):,} without, "
            f"first {without[0]}; search=image needs none"
        )
    return tuple(dataclasses.replace(s, track=tracks[name]) for s, name in zip(gallery, names, strict=True))
