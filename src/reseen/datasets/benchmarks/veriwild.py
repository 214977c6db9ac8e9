"""VERI-Wild (Lou et al., VERI-Wild: A Large Dataset and a New Method for Vehicle Re-Identification, CVPR 2019)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from reseen.datasets.benchmarks.layout import find_root, read_lines
from reseen.errors import DataError
from reseen.protocols import veri_wild
from reseen.tables import require_files
from reseen.types import Benchmark, PublishedData, Sample

SIZES = {"small": 3_000, "medium": 5_000, "large": 10_000}
PUBLISHED_TRAIN = (277_797, 30_671)
PUBLISHED = {
    "small": {"query": (3_000, 3_000), "gallery": (38_861, 3_000)},
    "medium": {"query": (5_000, 5_000), "gallery": (64_389, 5_000)},
    "large": {"query": (10_000, 10_000), "gallery": (128_517, 10_000)},
}


class VERIWild(Benchmark):
    """VERI-Wild: 40,671 vehicles under 174 cameras; one query of each vehicle.

    Its authors ask to leave out pictures of the query's vehicle by the query's camera; the code that they released
    first did not, nor did some papers: ``same_camera=keep`` repeats those, and the protocol's name says so.

    Args:
        root: The folder VERI-Wild or the one above it.
        size: The list to test on: small (3,000 vehicles), medium (5,000) or large (10,000).
        same_camera: Leave pictures of the query's vehicle by the query's camera out, or count them as matches (keep).

    Raises:
        DataError: The folder or a list is not there, a line is of another form, or a picture or its camera is missing.
    """

    kind = "vehicle"

    def __init__(
        self,
        root: str | Path,
        *,
        size: Literal["small", "medium", "large"] = "small",
        same_camera: Literal["exclude", "keep"] = "exclude",
    ) -> None:
        folder = find_root(root, entries=["images", "train_test_split"], inside=["VERI-Wild"])
        lists = folder / "train_test_split"
        cameras = _read_cameras(lists / "vehicle_info.txt")
        train, query, gallery = (
            _read(lists / f"{name}.txt", folder / "images", cameras)
            for name in ("train_list", f"test_{SIZES[size]}_query", f"test_{SIZES[size]}")
        )
        protocol = veri_wild
        if same_camera == "keep":
            protocol = veri_wild(name=f"{veri_wild.name}, same camera kept", same_camera="keep")
        super().__init__(f"VERI-Wild-{size}", train, query, gallery, protocol)

    @classmethod
    def published(cls, *, size: str = "small", **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        return PublishedData(f"veriwild_{size}", {"train": PUBLISHED_TRAIN, **PUBLISHED[size]})


def _read_cameras(path: Path) -> dict[str, int]:
    """Return the camera of each picture, by its name ``vehicle/picture``; the first line is a header."""
    cameras = {}
    for number, line in enumerate(read_lines(path)[1:], start=2):
        name, _, rest = line.partition(";")
        camera = rest.partition(";")[0].strip()
        if not camera.isdigit():
            raise DataError(
                f"expected lines 'vehicle/picture;camera;time;...' in {path}, found {line!r} (line {number})"
            )
        cameras[name.strip().removesuffix(".jpg")] = int(camera)
    return cameras


def _read(path: Path, folder: Path, cameras: Mapping[str, int]) -> tuple[Sample, ...]:
    samples = []
    for number, line in enumerate(read_lines(path), start=1):
        # Copies differ in whether the lists name the extension.
        name = line.removesuffix(".jpg")
        vehicle = name.partition("/")[0]
        if not vehicle.isdigit():
            raise DataError(f"expected lines 'vehicle/picture.jpg' in {path}, found {line!r} (line {number})")
        if name not in cameras:
            raise DataError(f"expected a camera of {name} (line {number} of {path}) in vehicle_info.txt, found none")
        samples.append(Sample(f"{folder}/{name}.jpg", int(vehicle), cameras[name]))
    require_files((s.path for s in samples), source=path)
    return tuple(samples)
